"""Statistics of what somebody names: pictures found, counted by an engine, and put together."""

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import PreprocError, check_choice, first_line
from ..host.decoding import FRAMES, looks_otherwise, orientation
from ..steps import LAYOUTS
from . import cluster, local
from .histogram import Accumulator, Counted
from .local import Result
from .pictures import CONVERT, Told, count_array, count_image, decoder
from .result import Sample, Stats
from .sources import CHUNK, Found, Place, chunks, find, masked, sampled
from .work import told_of

ENGINES = ("local", "dask")
FEW = 2 * CHUNK
"""Files up to which no worker processes are started."""
Progress = Callable[[int, int], None]
"""Called with how many files are done, or pictures given in Python, and of how many."""


class StatsInterruptedError(KeyboardInterrupt):
    """Ctrl-C. stats: of what was done until then, partial."""

    def __init__(self, stats: Stats) -> None:
        super().__init__()
        self.stats = stats


def compute_stats(
    source: Any,
    *,
    workers: int | None = None,
    engine: str = "local",
    scheduler: str | None = None,
    color: str | None = None,
    mask_glob: str | None = None,
    sample: str | None = None,
    seed: int = 0,
    frames: str = "all",
    layout: str | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Stats:
    """The exact statistics of the pictures in `source`; the same to the last bit however the work is split.

    source: a path, glob, list (.txt), archive, URL or stats.json, or several of them (of an interrupted run's stats.json, what remains is
    counted where the other sources have it); an array (N, H, W, C) or (N, H, W); or a torch.utils.data.Dataset or DataLoader, or any
    iterable, of arrays (H, W, C), tensors (C, H, W) or batches of them, or PIL images (the frame at which each stands), with or without
    labels, counted in this process.
    workers: processes, default one per core.  engine: "local" or "dask", with `scheduler`'s address or a cluster on this machine.
    color: "RGB" or "GRAY" converts all pictures; None keeps their kinds apart.  mask_glob: masks of the same stem select pixels.
    sample: "1000" or "5%" of the files, each with all its pictures, drawn with `seed`.  frames: "all" counts every page and frame of a file
    as a picture, "first" only the first; those that do not count are listed in Stats.skipped.  layout: "NHWC" or "NCHW", where arrays or
    tensors have another than the above; None: that one, and what looks like the other is refused.
    Pictures are counted as they are stored: EXIF orientations are not applied, which changes no number here (Stats.oriented counts them).
    Raises PreprocError for what is not there; pictures that cannot be read are listed in Stats.broken. Ctrl-C raises
    StatsInterruptedError, which holds what was done.
    """
    if engine not in ENGINES:
        raise PreprocError(f"expected an engine, one of {', '.join(ENGINES)}, got {engine!r}", name="unknown-choice")
    if color is not None and color not in CONVERT:
        raise PreprocError(f"expected a colour to convert to, one of {', '.join(CONVERT)}, got {color!r}", name="unknown-choice")
    if workers is not None and workers < 1:
        raise PreprocError(f"expected at least one worker, got {workers}", name="option-value")
    check_choice("frames", frames, FRAMES)
    if layout is not None:
        check_choice("layout", layout, LAYOUTS)
    paths = _paths(source)
    if paths is None:
        if mask_glob or sample or engine != "local" or frames != "all":
            raise PreprocError(
                "expected paths for masks, samples, frames and the dask engine, got pictures in Python", name="option-without-effect"
            )
        return _of_pictures(source, color, layout, progress)
    if layout is not None:
        raise PreprocError("expected arrays or tensors for a layout, got paths", name="option-without-effect")
    if engine == "dask":
        cluster.check_installed()
    before = _merged([path for path in paths if path.endswith(".json")], color)
    rest = [path for path in paths if not path.endswith(".json")]
    if not rest:
        return before
    if before.sample is not None or (sample is not None and len(rest) < len(paths)):
        raise PreprocError(
            "expected statistics of everything to add to, got those of a sample, or a sample to add to some", name="stats-not-mergeable"
        )
    if before.masks != mask_glob and len(rest) < len(paths):
        raise PreprocError(
            f"expected the masks of the statistics that are added to, {before.masks or 'none'}, got {mask_glob or 'none'}",
            name="stats-not-mergeable",
        )
    if before.frames != frames and before.images:
        raise PreprocError(
            f"expected the frames of the statistics that are added to, got {frames}: give --frames {before.frames}",
            name="stats-not-mergeable",
        )
    found, new = _search(rest, before, mask_glob)
    drawn = None
    if sample is not None:
        population, found = len(found.places), sampled(found, sample, seed=seed)
        drawn = Sample(len(found.places), population, seed)
    size = min(CHUNK, max(1, -(-len(found.places) // (workers or _cores()))))
    work = chunks(found.places, size)
    team = min(workers or _cores(), max(1, -(-len(found.places) // size)))
    if engine == "dask":
        results = cluster.run(work, color=color, frames=frames, workers=team, scheduler=scheduler)
    else:
        results = local.run(work, color=color, frames=frames, workers=0 if workers is None and len(found.places) <= FEW else team)
    given = Stats(
        Accumulator(),
        (decoder(),),
        color,
        tuple(new),
        tuple(entry for entry in found.broken if entry not in before.broken),
        dict(sorted(found.left_out.items())),
        drawn,
        masks=mask_glob,
        frames=frames,
    )
    return _collected(before, given, found, results, progress)


def _paths(source: Any) -> list[str] | None:
    """The sources as paths, or None for pictures in Python."""
    if isinstance(source, (str, Path)):
        return [str(source)]
    if isinstance(source, (list, tuple)) and source and all(isinstance(item, (str, Path)) for item in source):
        return [str(item) for item in source]
    return None


def _merged(files: Sequence[str], color: str | None) -> Stats:
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


def _found(paths: Sequence[str], mask_glob: str | None) -> Found:
    if not paths:
        return Found()
    found = find(paths)
    return found if mask_glob is None else masked(found, mask_glob)


def _search(paths: Sequence[str], before: Stats, mask_glob: str | None) -> tuple[Found, list[str]]:
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
        reasons = [f"{name}: {reason}" for name, reason in found.broken[:3]]
        left_out = ", ".join(f"{number} {suffix}" for suffix, number in found.left_out.items()) or "nothing"
        raise PreprocError(
            "; ".join(reasons) if reasons else f"{', '.join(paths)}: expected pictures, got none ({left_out})", name="no-pictures"
        )
    return found, new


def _collected(before: Stats, given: Stats, found: Found, results: Generator[tuple[Result, Sequence[Place]]], progress: Progress) -> Stats:
    """`before` and the results. given: what is known of the others but their counts."""
    accumulator, told, left = Accumulator(), Told(list(given.broken)), {str(place) for place in found.places}

    def made() -> Stats:
        """What is counted so far."""
        counted = replace(given, accumulator=accumulator, stacks=told.stacks, oriented=told.oriented)
        counted = replace(counted, broken=tuple(sorted(told.broken)), skipped=tuple(sorted(told.skipped)))
        remaining = left | (set(before.remaining) - {str(place) for place in found.places})
        whole = counted if given.sample else replace(before, remaining=()) + counted
        return replace(whole, remaining=tuple(sorted(remaining)))

    try:
        with contextlib.closing(results):
            for result, places in results:
                accumulator += Accumulator.from_json(result["accumulator"])
                told += told_of(result)
                left -= set(map(str, places))
                progress(len(found.places) - len(left), len(found.places))
    except KeyboardInterrupt as error:
        raise StatsInterruptedError(made()) from error
    return made()


def _of_pictures(source: Any, color: str | None, layout: str | None, progress: Progress) -> Stats:
    """In this process: whoever has a DataLoader has its workers."""
    told, stopped = Told(), list[int]()
    if isinstance(source, np.ndarray) and source.ndim == 3 and source.shape[2] in (3, 4):
        raise PreprocError(
            f"expected pictures (N, H, W, C) or (N, H, W), got {source.shape}; one picture is array[None]", name="not-a-batch"
        )
    accumulator = Accumulator.of(_counted(source, color, layout, progress, told, stopped))
    given = Stats(
        accumulator,
        ("pixels given in Python",),
        color,
        (type(source).__name__,),
        tuple(told.broken),
        skipped=tuple(told.skipped),
        oriented=told.oriented,
    )
    if stopped:
        raise StatsInterruptedError(replace(given, remaining=(f"those behind picture {stopped[0]}",)))
    if not accumulator.images and not told.broken:
        raise PreprocError("expected pictures, got none", name="no-pictures")
    if color is not None and any(name.split()[0] != color for name in accumulator.kinds):
        raise PreprocError(
            f"expected PIL images to convert to {color}, got arrays: {', '.join(accumulator.kinds)}", name="option-without-effect"
        )
    return given


def _cores() -> int:
    """Those that this process may use, where the system says so."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _counted(source: Any, color: str | None, layout: str | None, progress: Progress, told: Told, stopped: list[int]) -> Iterator[Counted]:
    """Each picture's counts; the others go to `told`. Ctrl-C ends it, and `stopped` tells where."""
    try:
        length = len(source)
    except TypeError:  # an iterable data set has none, whatever its loader says
        length = 0
    number = -1
    try:
        for number, item in enumerate(_items(source)):
            name = f"picture {number}"
            for picture in _pictures(item, layout, name):
                try:
                    found = count_array(picture) if isinstance(picture, np.ndarray) else _of_image(picture, color, name, told)
                except PreprocError as error:
                    told.broken.append((name, first_line(error)))
                else:
                    yield found
            progress(number + 1, length)
    except KeyboardInterrupt:
        stopped.append(number)


def _of_image(image: Image.Image, color: str | None, name: str, told: Told) -> Counted:
    found = count_image(image, color)
    told.oriented += orientation(image) != 1
    if getattr(image, "is_animated", False):
        told.skipped.append((name, f"its frames but the one where it stands, {image.tell()}; PIL.ImageSequence.Iterator goes through them"))
    return found


def _items(source: Any) -> Iterator[Any]:
    """A data set's items without labels: the first of a tuple or a list, "image" or "pixel_values" of a dict."""
    items = source if hasattr(source, "__iter__") else (source[index] for index in range(len(source)))
    for item in items:
        if isinstance(item, dict):
            known = [key for key in ("image", "pixel_values", "img") if key in item]
            if not known:
                raise PreprocError(
                    f"expected an item with image, pixel_values or img, got {', '.join(map(str, item))}", name="wrong-object"
                )
            yield item[known[0]]
        else:
            yield item[0] if isinstance(item, (tuple, list)) else item


def _pictures(item: Any, layout: str | None, name: str) -> Iterator[Any]:
    """The pictures in an item: (H, W) or (H, W, C) arrays, or a PIL image."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(item, torch.Tensor):
        whole = item.detach().cpu()
        array: NDArray[Any] = (whole.float() if whole.dtype == torch.bfloat16 else whole).numpy()
        if array.ndim not in (3, 4):
            raise PreprocError(f"expected tensors of shape (C, H, W) or (N, C, H, W), got {tuple(item.shape)}", name="picture-unfit")
        array = _channels_last(array, layout, "NCHW", name)
        yield from array if array.ndim == 4 else array[None]
    elif isinstance(item, np.ndarray):
        array = _channels_last(item, layout, "NHWC", name)
        yield from array if array.ndim == 4 else [array]
    elif isinstance(item, Image.Image):
        yield item
    else:
        raise PreprocError(f"expected arrays, tensors or PIL images, got {type(item).__name__}", name="wrong-object")


def _channels_last(array: NDArray[Any], layout: str | None, usual: str, name: str) -> NDArray[Any]:
    """As the layout says; without one as is usual, unless it looks otherwise: then two readings are possible, and it is refused."""
    if array.ndim not in (3, 4):
        return array
    first = (layout or usual) == "NCHW"
    if layout is None and looks_otherwise(array.shape, first=first):
        batch = "N, " if array.ndim == 4 else ""
        ours, theirs = (f"({batch}{axes})" for axes in (("C, H, W", "H, W, C") if first else ("H, W, C", "C, H, W")))
        raise PreprocError(
            f"{name}: expected pictures {ours}, got {array.shape}, which may be {theirs}: move the channels "
            f'{"first" if first else "last"}, or say which it is, layout="NCHW" or "NHWC"',
            name="layout-ambiguous",
        )
    return np.moveaxis(array, -3, -1) if first else array
