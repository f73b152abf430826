"""The statistics of a data set: what was counted, how, and what could not be; stats.json."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import PreprocError
from ..host import targets
from ..host.decoding import FRAMES
from .histogram import Accumulator, Histogram, Kind, Moments
from .pictures import CONVERT, channel_names
from .sources import Broken

FORMAT, VERSION = "preproc-stats", 1
INDICES = ("palette", "palette + alpha")
"""Kinds whose pixels are no colours: they are counted only."""


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
        if self.sample or other.sample:
            raise PreprocError("expected statistics of everything to merge, got those of a sample", name="stats-not-mergeable")
        if self.color != other.color:
            raise PreprocError(
                f"expected statistics converted to one colour, got {self.color or 'none'} and {other.color or 'none'}",
                name="stats-not-mergeable",
            )
        if self.masks != other.masks and self.images and other.images:
            raise PreprocError(
                f"expected statistics of the same masks, got {self.masks or 'none'} and {other.masks or 'none'}", name="stats-not-mergeable"
            )
        if self.frames != other.frames and self.images and other.images:
            raise PreprocError(
                f"expected statistics of the same frames, got {self.frames} and {other.frames}: --frames says which (files from "
                "before there was a choice are of the first)",
                name="stats-not-mergeable",
            )
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
        _, kind = self.only()
        top = kind.top if isinstance(kind, Histogram) else 1
        mean = kind.mean() if isinstance(kind, Histogram) else kind.mean.tolist()
        return [value / top for value in mean], [value / top for value in kind.std(correction=correction)]

    def to_json(self) -> dict[str, Any]:
        """stats.json. What Normalize.from_stats() reads is there if all pictures are of one kind."""
        constants: dict[str, Any] = {}
        mean: list[float] = []
        if len(self.accumulator.kinds) == 1 and not set(self.accumulator.kinds) & set(INDICES):
            name, kind = self.only()
            mean, std = self.mean_and_std()
        if mean and (isinstance(kind, Histogram) or (kind.low.min() >= 0 and kind.high.max() <= 1)):  # floats in 0..255 have another unit
            word = name.split()[0]
            constants = {"unit": "0-1", "color": word if word in COLORS else "ANY", "mean": mean, "std": std, "correction": 0}
            constants |= {"images": kind.images, "pixels": kind.pixels}
        return {
            "format": FORMAT,
            "version": VERSION,
            **constants,
            "kinds": {name: summary(name, kind) for name, kind in self.accumulator.kinds.items()},
            "converted_to": self.color,
            "decoder": list(self.decoder),
            "sources": list(self.sources),
            "broken": [{"name": name, "reason": reason} for name, reason in self.broken],
            "left_out": dict(self.left_out),
            "masks": self.masks,
            "frames": self.frames,
            "skipped": [{"name": name, "reason": reason} for name, reason in self.skipped],
            "stacks": self.stacks,
            "oriented": self.oriented,
            "sample": self.sample and vars(self.sample),
            "intervals": self._intervals(),
            "partial": self.partial,
            "remaining": list(self.remaining),
            "accumulator": self.accumulator.to_json(),
            "accumulator_sha256": self.accumulator.sha256(),
        }

    def _intervals(self) -> dict[str, Any] | None:
        """Of a sample: half of the 95 % confidence intervals of the pictures' means and stds, in grey levels; null for too few pictures.
        None where a file has several pictures, which are not drawn independently."""
        if self.sample is None or self.stacks:
            return None
        found: dict[str, Any] = {}
        for name, kind in self.accumulator.kinds.items():
            if isinstance(kind, Histogram):
                both = {"mean_of_means": kind.mean_over_images(), "mean_of_stds": kind.std_over_images()}
                margins = {word: over.margin(self.sample.population) for word, over in both.items()}
                found[name] = {word: None if math.isnan(values[0]) else values for word, values in margins.items()}
        return found

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
        try:
            stats = Stats(
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
            if stats.frames not in FRAMES or min(stats.stacks, stats.oriented) < 0:
                raise ValueError("frames")
            if not all(isinstance(data[key], list) for key in ("decoder", "sources", "remaining")):
                raise TypeError("list of texts")
            if stats.sample is not None and not 0 < stats.sample.images <= stats.sample.population:
                raise ValueError("sample")
            if {key: stats.to_json().get(key) for key in ("mean", "std")} != {key: data.get(key) for key in ("mean", "std")}:
                raise ValueError("mean or std, which the accumulator does not have")
        except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
            raise PreprocError(
                f"{path}: expected a whole stats.json, got one without or with a wrong {error}", name="stats-damaged"
            ) from error
        if stats.accumulator.sha256() != data.get("accumulator_sha256"):
            raise PreprocError(f"{path}: expected the accumulator that was written, got one with another sha256", name="stats-damaged")
        return stats


def check_target(path: Path) -> None:
    """Raises PreprocError where no stats.json can be written, or something else would be lost."""
    targets.check_file(path, endings=(".json",), what="a stats.json", ours=FORMAT.encode())


COLORS = ("RGB", "GRAY", "RGBA")
"""Kinds that a recipe's colour has a word for."""


def summary(name: str, kind: Kind) -> dict[str, Any]:
    """One kind for people, in grey levels (floats: in their own unit)."""
    told: dict[str, Any] = {"images": kind.images, "pixels": kind.pixels, "channels": list(channel_names(name, kind.channels))}
    if name in INDICES:
        return told
    if isinstance(kind, Moments):
        told |= {"mean": kind.mean.tolist(), "std": kind.std(), "min": kind.low.tolist(), "max": kind.high.tolist()}
        return told | {"mean_of_stds": (kind.stds / kind.images).tolist()}
    low, high = zip(*kind.range(), strict=True)
    told |= {"top": kind.top, "mean": kind.mean(), "std": kind.std(), "min": list(low), "max": list(high)}
    told |= {"percentiles": {str(percent): kind.percentile(percent) for percent in (1, 5, 25, 50, 75, 95, 99)}}
    told |= {"share_at_0": [zero for zero, _ in kind.saturation()], "share_at_top": [full for _, full in kind.saturation()]}
    told |= {"mean_of_means": kind.mean_over_images().mean, "mean_of_stds": kind.std_over_images().mean}
    return told | {"flat_images": kind.flat, "saturated_images": kind.saturated, "gray_images": kind.gray}
