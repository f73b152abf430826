"""Steps whose constants are known before any picture is seen: affine maps on channels (but for a clip)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ..errors import PreprocError, check_choice
from . import plausibility, presets
from .affine import Affine
from .base import Step, ValueRange
from .fields import check_count, set_number, set_numbers, set_out
from .pixels import COLORS
from .presets import UNITS


@dataclass(frozen=True, kw_only=True)
class Rescale(Step):
    """y = x * scale + offset. The default takes 8-bit grey levels to 0..1."""

    name: ClassVar[str] = "rescale"
    scale: float = 1 / 255
    offset: float = 0.0

    def __post_init__(self) -> None:
        set_number(self, "scale")
        set_number(self, "offset")
        if self.scale == 0:
            raise PreprocError("rescale: expected a scale other than 0, got 0, which erases the picture", name="step-value")

    def affine(self, channels: int) -> Affine:
        return Affine.diagonal(np.full(channels, self.scale), np.full(channels, self.offset))

    def value_range(self, incoming: ValueRange) -> ValueRange:
        width = max(high - low for low, high in zip(incoming.low, incoming.high, strict=True))
        if abs(self.scale) > 20 and width > 20 and abs(self.scale) != 257:  # 257: 8 bits to 16
            raise PreprocError(
                f"a rescale by {self.scale:.6g} makes {width * abs(self.scale):.4g} levels of values in {incoming}: to divide by it write "
                f"scale = {1 / self.scale:.10g}",
                name="rescale-mismatch",
            )
        if abs(self.scale) < 0.02 and not 0.1 < width * abs(self.scale) < 20:
            raise PreprocError(
                f"a rescale by {self.scale:.6g} expects grey levels of about 0..{1 / abs(self.scale):.6g}, got values in {incoming}: "
                + (
                    "they have been rescaled already, remove one of the two"
                    if width < 200
                    else f"write scale = {1 / width:.10g} for this depth"
                ),
                name="rescale-mismatch",
            )
        return Step.value_range(self, incoming)


@dataclass(frozen=True, kw_only=True)
class Normalize(Step):
    """y = (x - mean) / std, channel by channel (torchvision.transforms.Normalize).

    mean, std: one number per channel, std > 0.  unit: "0-1", "0-255" or "0-65535", what they are given in; a layer used alone
    may leave it out.  origin: where the numbers come from, for people.  constants_because: the reason why numbers that look like something
    else (a factor, a variance, a std of another unit) are a mean and a std all the same; without it they are refused.
    """

    name: ClassVar[str] = "normalize"
    mean: tuple[float, ...]
    std: tuple[float, ...]
    unit: str | None = None
    origin: str | None = None
    constants_because: str | None = None

    def __post_init__(self) -> None:
        set_numbers(self, "mean")
        set_numbers(self, "std")
        if len(self.mean) != len(self.std):
            raise PreprocError(f"normalize: expected as many means as stds, got {len(self.mean)} and {len(self.std)}", name="step-value")
        if min(self.std) <= 0:
            raise PreprocError(f"normalize: expected every std > 0, got {list(self.std)}", name="step-value")
        if self.unit is not None:
            check_choice("unit", self.unit, UNITS)
        if self.constants_because is not None:
            if not isinstance(self.constants_because, str) or not self.constants_because.strip():
                raise PreprocError(
                    f"normalize: expected constants_because to be a reason in words, got {self.constants_because!r}", name="step-value"
                )
            return
        try:
            plausibility.check(self.mean, self.std, self.unit)
        except PreprocError as error:
            raise PreprocError(f"normalize: {error}") from error

    @classmethod
    def preset(cls, name: str, *, color: str | None = None) -> "Normalize":
        """The named statistics, in the channel order `color` (default: the order they are published in)."""
        known = presets.preset(name)
        return cls.of(known, color=color, origin=f"preset {name}")

    @classmethod
    def from_stats(cls, path: str | Path, *, color: str | None = None, constants_because: str | None = None) -> "Normalize":
        """The mean and std of a data set (its z-score), from a stats.json."""
        known = presets.read_stats(path)
        try:
            return cls.of(known, color=color, origin=f"stats {known.source}", constants_because=constants_because)
        except PreprocError as error:
            raise PreprocError(f"{path}: {error}") from error

    @classmethod
    def of(cls, known: presets.Statistics, *, color: str | None, origin: str, constants_because: str | None = None) -> "Normalize":
        if len(known.mean) != len(known.std):
            told = f"{len(known.mean)} means and {len(known.std)} stds from {origin}"
            raise PreprocError(f"normalize: expected a std for each mean, got {told}", name="step-value")
        order: Sequence[int] = range(len(known.mean))
        if color is not None and color != known.color:
            have, want = COLORS.get(known.color, ()), COLORS[color]
            if not want or not set(want) <= set(have):
                raise PreprocError(
                    f"normalize: expected statistics of {color} channels, got {origin} of {known.color} channels", name="channel-mismatch"
                )
            order = [have.index(channel) for channel in want]
        mean, std = (tuple(values[i] for i in order) for values in (known.mean, known.std))
        return cls(mean=mean, std=std, unit=known.unit, origin=origin, constants_because=constants_because)

    def channels(self) -> int:
        return len(self.mean)

    def affine(self, channels: int) -> Affine:
        check_count("normalize", len(self.mean), channels)
        std = np.array(self.std)
        return Affine.diagonal(1 / std, -np.array(self.mean) / std)

    def value_range(self, incoming: ValueRange) -> ValueRange:
        check_count("normalize", len(self.mean), len(incoming.low))
        if self.unit is None:
            raise PreprocError(
                "normalize: expected the unit of mean and std, got none: say unit = '0-1' (behind a rescale) or '0-255' (on grey levels)",
                name="unit-missing",
            )
        if not incoming.spans(0, UNITS[self.unit]):
            levels = UNITS[self.unit] == 1.0 and incoming.spans(0, max(incoming.high)) and max(incoming.high) > 200
            raise PreprocError(
                f"normalize: its constants ({self.origin or 'given by hand'}) are for values in {self.unit}, got values in {incoming}: "
                + (
                    f"put a rescale step with scale = 1/{max(incoming.high):g} in front of it"
                    if levels
                    else "the picture is normalized or rescaled already, remove one of the two"
                ),
                name="unit-mismatch",
            )
        return Step.value_range(self, incoming)


@dataclass(frozen=True, kw_only=True)
class ChannelAffine(Step):
    """y = matrix @ x + offset for the channel vector of every pixel: any colour matrix, and what collapse() leaves.

    matrix: channels_out rows of channels_in numbers.  offset: channels_out numbers (default: zeros).
    """

    name: ClassVar[str] = "channel_affine"
    matrix: tuple[tuple[float, ...], ...]
    offset: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        try:
            rows = tuple(tuple(float(value) for value in row) for row in self.matrix)
        except (TypeError, ValueError) as error:
            raise PreprocError(f"channel_affine: expected a matrix, rows of numbers ({error})", name="step-value") from error
        if not rows or len({len(row) for row in rows}) != 1 or not rows[0]:
            raise PreprocError(f"channel_affine: expected rows of equal length, got {[len(row) for row in rows]}", name="step-value")
        object.__setattr__(self, "matrix", rows)
        object.__setattr__(self, "offset", self.offset or (0.0,) * len(rows))
        set_numbers(self, "offset")
        Affine(np.array(self.matrix), np.array(self.offset))

    def channels(self) -> int:
        return len(self.matrix[0])

    def affine(self, channels: int) -> Affine:
        check_count("channel_affine", len(self.matrix[0]), channels)
        return Affine(np.array(self.matrix), np.array(self.offset))


@dataclass(frozen=True, kw_only=True)
class MinMaxScale(Step):
    """A known range to another one: y = (x - low) / (high - low) * (out[1] - out[0]) + out[0], clipped to `out` if clip.

    low, high: one number, or one per channel, in the units of x; high > low.
    """

    name: ClassVar[str] = "min_max_scale"
    low: tuple[float, ...]
    high: tuple[float, ...]
    out: tuple[float, float] = (0.0, 1.0)
    clip: bool = False

    def __post_init__(self) -> None:
        for field in ("low", "high"):
            if isinstance(getattr(self, field), (int, float)):
                object.__setattr__(self, field, (getattr(self, field),))
            set_numbers(self, field)
        set_out(self)
        if len(self.low) != len(self.high) or any(low >= high for low, high in zip(self.low, self.high, strict=True)):
            raise PreprocError(
                f"min_max_scale: expected as many lows as highs, each low < high, got {list(self.low)} and {list(self.high)}",
                name="step-value",
            )
        if not isinstance(self.clip, bool):
            raise PreprocError(f"min_max_scale: expected clip to be true or false, got {self.clip!r}", name="step-value")

    def channels(self) -> int | None:
        return len(self.low) if len(self.low) > 1 else None

    def line(self, channels: int) -> Affine:
        """The map without the clipping."""
        if len(self.low) > 1:
            check_count("min_max_scale", len(self.low), channels)
        low, high = (np.broadcast_to(np.array(values), channels) for values in (self.low, self.high))
        scale = (self.out[1] - self.out[0]) / (high - low)
        return Affine.diagonal(scale, self.out[0] - low * scale)

    def affine(self, channels: int) -> Affine | None:
        return None if self.clip else self.line(channels)

    def value_range(self, incoming: ValueRange) -> ValueRange:
        """`out`: low..high is where the values are said to be."""
        line = self.line(len(incoming.low))
        share = max((np.array(incoming.high) - np.array(incoming.low)) / (np.array(self.high) - np.array(self.low)))
        if not 0.01 < share < 100:
            raise PreprocError(
                f"min_max_scale: expected values near {min(self.low):g}..{max(self.high):g}, got values in {incoming}: "
                "check the unit of low and high",
                name="unit-mismatch",
            )
        check_count("min_max_scale", len(incoming.low), line.channels_in)
        return ValueRange((self.out[0],) * len(incoming.low), (self.out[1],) * len(incoming.low))
