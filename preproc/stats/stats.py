"""The statistics of a data set: what was counted, how, and what could not be; stats.json."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import PreprocError
from ..host import targets
from ..host.decoding import FRAMES
from .counting import CONVERT
from .places import Broken
from .summary import constants, intervals, mean_and_std, summary
from .sums import INDICES, Accumulator, Kind

FORMAT, VERSION = "preproc-stats", 1
Progress = Callable[[int, int], None]
"""Called with how many files are done, or pictures given in Python, and of how many."""


@dataclass(frozen=True)
class Sample:
    """images: how many files were drawn, of how many, each with all its pictures.  seed: of the draw."""

    images: int
    population: int
    seed: int


@dataclass(frozen=True, eq=False)
class Stats:
    """accumulator: the counts.  decoder: what decoded, with versions; several, where runs with different ones were merged.
    color: what all was converted to, or None.  sources: what was asked for.  broken: what could not be read, and why.
    left_out: how many files did not count for their suffix.  sample: if not everything was read.  remaining: the pictures that an
    interrupted run has not counted.  masks: the glob of the masks that selected the pixels.  frames: "all" or "first": which pages or
    frames of the files count.  skipped: those that do not, and why.  stacks: how many files have several that count.  oriented: how many
    pictures have an EXIF orientation; they are counted as they are stored, which changes no number here.
    """

    accumulator: Accumulator
    decoder: tuple[str, ...] = ()
    color: str | None = None
    sources: tuple[str, ...] = ()
    broken: tuple[Broken, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    sample: Sample | None = None
    remaining: tuple[str, ...] = ()
    masks: str | None = None
    frames: str = "all"
    skipped: tuple[Broken, ...] = ()
    stacks: int = 0
    oriented: int = 0

    def __add__(self, other: "Stats") -> "Stats":
        """Of both data sets: what two runs over its parts would have given in one. Raises PreprocError for samples, and where one was
        converted and the other not."""
        _check_addable(self, other)
        suffixes = {**self.left_out, **other.left_out}
        return Stats(
            self.accumulator + other.accumulator,
            tuple(sorted({*self.decoder, *other.decoder})),
            self.color,
            tuple(dict.fromkeys((*self.sources, *other.sources))),
            tuple(sorted((*self.broken, *other.broken))),
            {suffix: self.left_out.get(suffix, 0) + other.left_out.get(suffix, 0) for suffix in sorted(suffixes)},
            None,
            tuple(sorted({*self.remaining, *other.remaining})),
            self.masks or other.masks,
            (self if self.images else other).frames,
            tuple(sorted((*self.skipped, *other.skipped))),
            self.stacks + other.stacks,
            self.oriented + other.oriented,
        )

    @property
    def partial(self) -> bool:
        return bool(self.remaining)

    @property
    def images(self) -> int:
        return self.accumulator.images

    def only(self) -> tuple[str, Kind]:
        """The one kind of all pictures. Raises PreprocError if there are several, or none whose pixels are colours."""
        kinds = list(self.accumulator.kinds.items())
        if len(kinds) != 1 or kinds[0][0] in INDICES:
            told = ", ".join(f"{kind.images} {name}" for name, kind in kinds) or "no pictures"
            raise PreprocError(f"expected pictures of one kind, got {told}: --color {' or '.join(CONVERT)} converts", name="several-kinds")
        return kinds[0]

    def mean_and_std(self, *, correction: int = 0) -> tuple[list[float], list[float]]:
        """Over all pixels of the one kind, in the unit 0-1 (floats: in their own)."""
        return mean_and_std(self.only()[1], correction=correction)

    def to_json(self) -> dict[str, Any]:
        """stats.json. What Normalize.from_stats() reads is there if all pictures are of one kind."""
        drawn = None if self.stacks else self.sample  # pictures of one file are not drawn independently
        return {
            "format": FORMAT,
            "version": VERSION,
            **constants(self.accumulator),
            "kinds": {name: summary(name, kind) for name, kind in self.accumulator.kinds.items()},
            "converted_to": self.color,
            "decoder": list(self.decoder),
            "sources": list(self.sources),
            "broken": _entries(self.broken),
            "left_out": dict(self.left_out),
            "masks": self.masks,
            "frames": self.frames,
            "skipped": _entries(self.skipped),
            "stacks": self.stacks,
            "oriented": self.oriented,
            "sample": self.sample and vars(self.sample),
            "intervals": drawn and intervals(self.accumulator, drawn.population),
            "partial": self.partial,
            "remaining": list(self.remaining),
            "accumulator": self.accumulator.to_json(),
            "accumulator_sha256": self.accumulator.sha256(),
        }

    def text(self) -> str:
        """What stands in stats.json."""
        lines = (f"  {json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in self.to_json().items())
        return "{\n" + ",\n".join(lines) + "\n}\n"

    def save(self, path: str | Path) -> None:
        """Writes stats.json, whole or not at all. Raises PreprocError."""
        targets.write_text(Path(path), self.text())

    @staticmethod
    def load(path: str | Path) -> "Stats":
        """Reads what save() wrote. Raises PreprocError, which names the file, for anything else and where the accumulator was changed."""
        data = _read(path)
        try:
            stats = _parsed(data)
            _check(stats, data)
        except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
            raise PreprocError(
                f"{path}: expected a whole stats.json, got one without or with a wrong {error}", name="stats-damaged"
            ) from error
        if stats.accumulator.sha256() != data.get("accumulator_sha256"):
            raise PreprocError(f"{path}: expected the accumulator that was written, got one with another sha256", name="stats-damaged")
        return stats


class StatsInterruptedError(KeyboardInterrupt):
    """Ctrl-C. stats: of what was done until then, partial."""

    def __init__(self, stats: Stats) -> None:
        super().__init__()
        self.stats = stats


def _check_addable(one: Stats, other: Stats) -> None:
    if one.sample or other.sample:
        raise PreprocError("expected statistics of everything to merge, got those of a sample", name="stats-not-mergeable")
    if one.color != other.color:
        raise PreprocError(
            f"expected statistics converted to one colour, got {one.color or 'none'} and {other.color or 'none'}",
            name="stats-not-mergeable",
        )
    if one.masks != other.masks and one.images and other.images:
        raise PreprocError(
            f"expected statistics of the same masks, got {one.masks or 'none'} and {other.masks or 'none'}", name="stats-not-mergeable"
        )
    if one.frames != other.frames and one.images and other.images:
        raise PreprocError(
            f"expected statistics of the same frames, got {one.frames} and {other.frames}: --frames says which (files from "
            "before there was a choice are of the first)",
            name="stats-not-mergeable",
        )


def _entries(told: tuple[Broken, ...]) -> list[dict[str, str]]:
    return [{"name": name, "reason": reason} for name, reason in told]


def _read(path: str | Path) -> dict[str, Any]:
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise PreprocError(
            f"{path}: expected a stats.json, which preproc stats writes, got: {error.strerror or error}", name="nothing-there"
        ) from error
    except (ValueError, RecursionError) as error:
        raise PreprocError(f"{path}: expected a stats.json, got: {error}", name="stats-damaged") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT or "accumulator" not in data:
        raise PreprocError(f"{path}: expected a stats.json with an accumulator, got something else", name="stats-damaged")
    if data.get("version") != VERSION:
        raise PreprocError(f"{path}: expected version {VERSION}, got {data.get('version')!r}; use a newer preproc", name="newer-format")
    return data


def _parsed(data: Mapping[str, Any]) -> Stats:
    return Stats(
        Accumulator.from_json(data["accumulator"]),
        tuple(map(str, data["decoder"])),
        data["converted_to"],
        tuple(map(str, data["sources"])),
        tuple((entry["name"], entry["reason"]) for entry in data["broken"]),
        {str(suffix): int(number) for suffix, number in data["left_out"].items()},
        None if data["sample"] is None else Sample(**{key: int(value) for key, value in data["sample"].items()}),
        tuple(map(str, data["remaining"])),
        data.get("masks"),
        data.get("frames", "first"),  # all that there was before there was a choice
        tuple((str(entry["name"]), str(entry["reason"])) for entry in data.get("skipped", ())),
        int(data.get("stacks", 0)),
        int(data.get("oriented", 0)),
    )


def _check(stats: Stats, data: Mapping[str, Any]) -> None:
    """Raises ValueError or TypeError for what save() never writes."""
    if stats.frames not in FRAMES or min(stats.stacks, stats.oriented) < 0:
        raise ValueError("frames")
    if not all(isinstance(data[key], list) for key in ("decoder", "sources", "remaining")):
        raise TypeError("list of texts")
    if stats.sample is not None and not 0 < stats.sample.images <= stats.sample.population:
        raise ValueError("sample")
    counted = stats.to_json()  # all of it can be computed
    if any(counted.get(key) != data.get(key) for key in ("mean", "std")):
        raise ValueError("mean or std, which the accumulator does not have")
