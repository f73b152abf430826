"""What earlier runs have left in a stats.json: added up, and what of it an interrupted one has still to count."""

import functools
from collections.abc import Sequence

from ..errors import PreprocError
from .places import Found, find, masked
from .stats import Stats
from .sums import Accumulator


def add_up(files: Sequence[str], color: str | None) -> Stats:
    """The statistics that earlier runs have left, together; those of no pictures if there are none."""
    states = [Stats.load(file) for file in files]
    if len({state.accumulator.sha256() for state in states}) < len(states):
        raise PreprocError(
            f"expected statistics of different pictures to merge, got the same twice in {', '.join(files)}", name="counted-twice"
        )
    for file, state in zip(files, states, strict=True):
        if state.color != color:
            raise PreprocError(
                f"{file}: expected {_converted(color)}, as is asked for now, got {_converted(state.color)}; give the same --color",
                name="stats-not-mergeable",
            )
    return functools.reduce(lambda one, other: one + other, states) if states else Stats(Accumulator(), color=color)


def _converted(color: str | None) -> str:
    return "pictures as they are" if color is None else f"pictures converted to {color}"


def check_more(before: Stats, *, sample: str | None, masks: str | None, frames: str) -> None:
    """Raises PreprocError if what is counted with these options cannot be added to statistics from before."""
    if before.sample is not None or sample is not None:
        raise PreprocError(
            "expected statistics of everything to add to, got those of a sample, or a sample to add to some", name="stats-not-mergeable"
        )
    if before.masks != masks:
        raise PreprocError(
            f"expected the masks of the statistics that are added to, {before.masks or 'none'}, got {masks or 'none'}",
            name="stats-not-mergeable",
        )
    if before.frames != frames and before.images:
        raise PreprocError(
            f"expected the frames of the statistics that are added to, got {frames}: give --frames {before.frames}",
            name="stats-not-mergeable",
        )


def search(paths: Sequence[str], before: Stats, mask_glob: str | None) -> tuple[Found, list[str]]:
    """The pictures to count, and which of the sources are new: all pictures of these, and of those that an interrupted run was about
    what it has left."""
    known = [path for path in paths if path in before.sources]
    new = [path for path in paths if path not in known]
    if known and not before.partial:
        raise PreprocError(
            f"expected sources that are not counted yet, got {', '.join(known)}, which the statistics hold already", name="counted-twice"
        )
    if before.partial and not known:  # the same pictures by another name, perhaps
        known, new = new, []
    found, rest = _found(new, mask_glob), _found(known, mask_glob)
    wanted = set(before.remaining)
    left = [place for place in rest.places if str(place) in wanted]
    if known and not left:
        raise PreprocError(f"{', '.join(known)}: expected some of the {len(wanted)} pictures that remain, got none", name="no-pictures")
    found = Found(list(dict.fromkeys(found.places + left)), found.broken + rest.broken, found.left_out)
    if not found.places:
        raise _nothing(paths, found)
    return found, new


def _found(paths: Sequence[str], mask_glob: str | None) -> Found:
    if not paths:
        return Found()
    found = find(paths)
    return found if mask_glob is None else masked(found, mask_glob)


def _nothing(paths: Sequence[str], found: Found) -> PreprocError:
    reasons = [f"{name}: {reason}" for name, reason in found.broken[:3]]
    left_out = ", ".join(f"{number} {suffix}" for suffix, number in found.left_out.items()) or "nothing"
    return PreprocError(
        "; ".join(reasons) if reasons else f"{', '.join(paths)}: expected pictures, got none ({left_out})", name="no-pictures"
    )
