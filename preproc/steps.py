"""The vocabulary: one frozen dataclass per step. A step is data; reference.py, layers/ and graph/ interpret it independently.

A step validates itself when it is made, so a layer's constructor, a recipe and the command line fail with one sentence.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from . import presets
from .affine import Affine
from .checks import check_choice, check_count, did_you_mean, set_number, set_numbers, set_out
from .errors import PreprocError
from .presets import UNITS

COLORS: Mapping[str, tuple[str, ...]] = {
    "RGB": ("R", "G", "B"),
    "BGR": ("B", "G", "R"),
    "RGBA": ("R", "G", "B", "A"),
    "BGRA": ("B", "G", "R", "A"),
    "GRAY": ("Y",),
    "ANY": (),
}
"""Colour orders and the channels in them. ANY: any number of channels, never reordered."""

LAYOUTS = ("NHWC", "NCHW")
PER = ("image", "channel")
PIXEL_DTYPES: Mapping[str, float] = {"uint8": 255.0, "uint16": 65535.0}
"""Pixel dtypes and their largest grey level."""


@dataclass(frozen=True)
class ValueRange:
    """The interval that each channel's values lie in. low, high: one number per channel."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    def spans(self, low: float, high: float) -> bool:
        """Whether every channel spans low..high, within a hundredth of its width."""
        near = (high - low) / 100
        return all(abs(a - low) <= near and abs(b - high) <= near for a, b in zip(self.low, self.high, strict=True))

    def map(self, affine: Affine) -> "ValueRange":
        low, high, m = np.array(self.low), np.array(self.high), affine.matrix
        up, down = np.clip(m, 0, None), np.clip(m, None, 0)
        return ValueRange(tuple(up @ low + down @ high + affine.offset), tuple(up @ high + down @ low + affine.offset))

    def __str__(self) -> str:
        return f"{min(self.low):.4g}..{max(self.high):.4g}"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step. `name` is what a recipe calls it."""

    name: ClassVar[str]

    def affine(self, channels: int) -> Affine | None:
        """This step as an affine map on `channels` channels, or None if it is not one."""
        raise NotImplementedError

    def channels(self) -> int | None:
        """How many channels the input has, where this step says so."""
        return None

    def value_range(self, incoming: ValueRange) -> ValueRange:
        """The interval of the values that this step makes. Raises PreprocError if the incoming one does not fit its constants."""
        affine = self.affine(len(incoming.low))
        assert affine is not None
        return incoming.map(affine)

    def __str__(self) -> str:
        return f"{self.name} (" + ", ".join(f"{key} {_short(value)}" for key, value in self.spec().items() if key != "step") + ")"

    def spec(self) -> dict[str, Any]:
        """A JSON-ready table from which parse() makes an equal step."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {"step": self.name} | {key: _plain(value) for key, value in fields.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class FromPixels(Step):
    """Integer pixels to float (N, C, H, W) in grey levels, in the backbone's colour order.

    layout: NHWC or NCHW.  color: the order the pixels have.  to: the order the backbone wants.
    pixel_dtype: uint8 or uint16.
    """

    name: ClassVar[str] = "from_pixels"
    layout: str
    color: str = "RGB"
    to: str = "RGB"
    pixel_dtype: str = "uint8"

    def __post_init__(self) -> None:
        check_choice("layout", self.layout, LAYOUTS)
        check_choice("color", self.color, COLORS)
        check_choice("to", self.to, COLORS)
        check_choice("pixel_dtype", self.pixel_dtype, PIXEL_DTYPES)
        self.selection()

    def selection(self) -> tuple[int, ...]:
        """For each channel the backbone wants, the index of the pixels' channel that it reads; () for ANY."""
        have, want = COLORS[self.color], COLORS[self.to]
        if self.color == self.to:
            return tuple(range(len(have)))
        if self.color == "GRAY" and want and "A" not in want:
            return (0,) * len(want)
        if not have or not set(want) <= set(have) or not want:
            raise PreprocError(
                f"expected pixels from which {self.to} can be taken, got {self.color}: "
                + (
                    "name both colour orders, or set both to ANY"
                    if "ANY" in (self.color, self.to)
                    else "convert them first (a ChannelAffine can mix colours)"
                )
            )
        return tuple(have.index(channel) for channel in want)

    def channels(self) -> int | None:
        return len(COLORS[self.color]) or None

    def affine(self, channels: int) -> Affine:
        if self.color == "ANY":
            return Affine.identity(channels)
        if channels != self.channels():
            raise PreprocError(f"expected {self.channels()} channels ({self.color}), got {channels}")
        rows = self.selection()
        return Affine(np.eye(channels)[list(rows)], np.zeros(len(rows)))


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
            raise PreprocError("rescale: expected a scale other than 0, got 0, which erases the picture")

    def affine(self, channels: int) -> Affine:
        return Affine.diagonal(np.full(channels, self.scale), np.full(channels, self.offset))

    def value_range(self, incoming: ValueRange) -> ValueRange:
        width = max(high - low for low, high in zip(incoming.low, incoming.high, strict=True))
        if abs(self.scale) < 0.02 and not 0.1 < width * abs(self.scale) < 20:
            raise PreprocError(
                f"a rescale by {self.scale:.6g} expects grey levels of about 0..{1 / abs(self.scale):.6g}, got values in {incoming}: "
                + (
                    "they have been rescaled already, remove one of the two"
                    if width < 200
                    else f"write scale = {1 / width:.10g} for this depth"
                )
            )
        return Step.value_range(self, incoming)


@dataclass(frozen=True, kw_only=True)
class Normalize(Step):
    """y = (x - mean) / std, channel by channel (torchvision.transforms.Normalize).

    mean, std: one number per channel, std > 0.  unit: "0-1", "0-255" or "0-65535", what they are given in; a layer used alone
    may leave it out.  origin: where the numbers come from, for people.
    """

    name: ClassVar[str] = "normalize"
    mean: tuple[float, ...]
    std: tuple[float, ...]
    unit: str | None = None
    origin: str | None = None

    def __post_init__(self) -> None:
        set_numbers(self, "mean")
        set_numbers(self, "std")
        if len(self.mean) != len(self.std):
            raise PreprocError(f"normalize: expected as many means as stds, got {len(self.mean)} and {len(self.std)}")
        if min(self.std) <= 0:
            raise PreprocError(f"normalize: expected every std > 0, got {list(self.std)}")
        if self.unit is not None:
            check_choice("unit", self.unit, UNITS)
            top = UNITS[self.unit]
            if max(self.mean) > top or min(self.mean) < 0:
                raise PreprocError(
                    f"normalize: expected means between 0 and {top:g} in the unit {self.unit}, got {list(self.mean)}: "
                    "check the unit that they are given in"
                )

    @classmethod
    def preset(cls, name: str, *, color: str | None = None) -> "Normalize":
        """The named statistics, in the channel order `color` (default: the order they are published in)."""
        known = presets.preset(name)
        return cls.of(known, color=color, origin=f"preset {name}")

    @classmethod
    def from_stats(cls, path: str | Path, *, color: str | None = None) -> "Normalize":
        """The mean and std of a data set (its z-score), from a stats.json."""
        known = presets.read_stats(path)
        return cls.of(known, color=color, origin=f"stats {known.source}")

    @classmethod
    def of(cls, known: presets.Statistics, *, color: str | None, origin: str) -> "Normalize":
        order: Sequence[int] = range(len(known.mean))
        if color is not None and color != known.color:
            have, want = COLORS.get(known.color, ()), COLORS[color]
            if not want or not set(want) <= set(have):
                raise PreprocError(f"normalize: expected statistics of {color} channels, got {origin} of {known.color} channels")
            order = [have.index(channel) for channel in want]
        return cls(mean=tuple(known.mean[i] for i in order), std=tuple(known.std[i] for i in order), unit=known.unit, origin=origin)

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
                "normalize: expected the unit of mean and std, got none: say unit = '0-1' (behind a rescale) or '0-255' (on grey levels)"
            )
        if not incoming.spans(0, UNITS[self.unit]):
            levels = UNITS[self.unit] == 1.0 and incoming.spans(0, max(incoming.high)) and max(incoming.high) > 200
            raise PreprocError(
                f"normalize: its constants ({self.origin or 'given by hand'}) are for values in {self.unit}, got values in {incoming}: "
                + (
                    f"put a rescale step with scale = 1/{max(incoming.high):g} in front of it"
                    if levels
                    else "the picture is normalized or rescaled already, remove one of the two"
                )
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
            raise PreprocError(f"channel_affine: expected a matrix, rows of numbers ({error})") from error
        if not rows or len({len(row) for row in rows}) != 1 or not rows[0]:
            raise PreprocError(f"channel_affine: expected rows of equal length, got {[len(row) for row in rows]}")
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
                f"min_max_scale: expected as many lows as highs, each low < high, got {list(self.low)} and {list(self.high)}"
            )
        if not isinstance(self.clip, bool):
            raise PreprocError(f"min_max_scale: expected clip to be true or false, got {self.clip!r}")

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
                "check the unit of low and high"
            )
        check_count("min_max_scale", len(incoming.low), line.channels_in)
        return ValueRange((self.out[0],) * len(incoming.low), (self.out[1],) * len(incoming.low))


@dataclass(frozen=True, kw_only=True)
class MinMaxNormalize(Step):
    """Each picture's own range to `out`: y = (x - lo) / (hi - lo) * (out[1] - out[0]) + out[0]; where hi = lo, the divisor is 1.

    per: "image", one range over all channels, or "channel".
    """

    name: ClassVar[str] = "min_max_normalize"
    per: str = "image"
    out: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        check_choice("per", self.per, PER)
        set_out(self)

    def affine(self, channels: int) -> None:  # noqa: ARG002
        return None

    def value_range(self, incoming: ValueRange) -> ValueRange:
        return ValueRange((self.out[0],) * len(incoming.low), (self.out[1],) * len(incoming.low))


@dataclass(frozen=True, kw_only=True)
class Standardize(Step):
    """Each picture's own mean and standard deviation: y = (x - mean) / max(std, min_std).

    per: "image", over all channels, or "channel".  min_std: None is 1/sqrt(n), n the number of values
    (tf.image.per_image_standardization).  correction: what is taken from n in the variance, 0 or 1 (torch.std's correction).
    """

    name: ClassVar[str] = "standardize"
    per: str = "image"
    min_std: float | None = None
    correction: int = 0

    def __post_init__(self) -> None:
        check_choice("per", self.per, PER)
        if self.min_std is not None:
            set_number(self, "min_std")
            if self.min_std <= 0:
                raise PreprocError(f"standardize: expected min_std > 0, without which a flat picture divides by zero, got {self.min_std:g}")
        if isinstance(self.correction, bool) or self.correction not in (0, 1):
            raise PreprocError(f"standardize: expected correction to be 0 or 1, got {self.correction!r}")

    def affine(self, channels: int) -> None:  # noqa: ARG002
        return None

    def value_range(self, incoming: ValueRange) -> ValueRange:
        """No value is further from the mean than sqrt(n) stds; n is taken to be at most 1e8."""
        return ValueRange((-1e4,) * len(incoming.low), (1e4,) * len(incoming.low))


@dataclass(frozen=True, kw_only=True)
class LocalResponseNorm(Step):
    """Local response normalization, as torch.nn.LocalResponseNorm and Caffe define it.

    region="channels": y[c] = x[c] / (k + alpha/size * sum of x^2 over channels c - size//2 .. c + (size-1)//2)^beta.
    region="spatial" (Caffe's WITHIN_CHANNEL, which fixes k at 1): the sum runs over the zero-padded size x size window of the
    same channel, and alpha is divided by size^2; size is odd.
    Krizhevsky et al. (2012) and tf.nn.local_response_normalization do not divide alpha by size.
    """

    name: ClassVar[str] = "local_response_norm"
    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0
    region: str = "channels"

    def __post_init__(self) -> None:
        check_choice("region", self.region, ("channels", "spatial"))
        if not isinstance(self.size, int) or isinstance(self.size, bool) or self.size < 1:
            raise PreprocError(f"local_response_norm: expected a size of at least 1, got {self.size!r}")
        for field in ("alpha", "beta", "k"):
            set_number(self, field)
        if self.alpha < 0 or self.k <= 0:
            raise PreprocError(f"local_response_norm: expected alpha >= 0 and k > 0, got alpha = {self.alpha:g}, k = {self.k:g}")
        if self.region == "spatial" and self.size % 2 == 0:
            raise PreprocError(f"local_response_norm: expected an odd size for region = 'spatial', got {self.size}")

    def affine(self, channels: int) -> None:  # noqa: ARG002
        return None

    def value_range(self, incoming: ValueRange) -> ValueRange:
        """|y| <= |x| / k^beta for beta >= 0; a negative beta has no useful bound and keeps the incoming one."""
        shrink = self.k**-self.beta if self.beta >= 0 else 1.0
        return ValueRange(tuple(min(low, 0.0) * shrink for low in incoming.low), tuple(max(high, 0.0) * shrink for high in incoming.high))


_ALL = (FromPixels, Rescale, Normalize, MinMaxScale, MinMaxNormalize, Standardize, ChannelAffine, LocalResponseNorm)
STEPS: Mapping[str, type[Step]] = {step.name: step for step in _ALL}
"""Every step by the name that a recipe gives it."""


def parse(table: Mapping[str, Any]) -> Step:
    """A step from its table, as in a recipe or a contract. Raises PreprocError; unknown names get a 'did you mean'."""
    name = table.get("step")
    if not isinstance(name, str) or name not in STEPS:
        raise PreprocError(f"expected step to be one of {', '.join(STEPS)}, got {name!r}{did_you_mean(str(name), STEPS)}")
    kind = STEPS[name]
    fields = {field.name: field for field in dataclasses.fields(kind)}
    given = {key: value for key, value in table.items() if key != "step"}
    for key in given:
        if key not in fields:
            raise PreprocError(f"{name}: expected one of {', '.join(fields) or 'no keys'}, got {key!r}{did_you_mean(key, fields)}")
    missing = [key for key, field in fields.items() if field.default is dataclasses.MISSING and key not in given]
    if missing:
        raise PreprocError(f"{name}: expected {' and '.join(missing)}, got nothing: there is no default")
    return kind(**given)


def channels_in(steps: Sequence[Step]) -> int | None:
    """How many channels the input of the steps has: what the first step that tells says."""
    return next((count for step in steps if (count := step.channels()) is not None), None)


def check(steps: Sequence[Step], *, channels: int | None = None) -> ValueRange | None:
    """Walks the value interval through the steps, from the pixels on, and returns the last one.

    Without a FromPixels at the front the interval starts where the first step that has a unit expects it to; None if none has
    one. channels: how many the pixels have, where no step says so. Raises PreprocError naming the step that does not fit.
    """
    for position, step in enumerate(steps[1:], start=2):
        if isinstance(step, FromPixels):
            raise PreprocError(f"step {position} (from_pixels): expected it first and once, got it behind other steps")
    count = channels_in(steps) or channels or 1
    values: ValueRange | None = None
    if steps and isinstance(steps[0], FromPixels):
        top = PIXEL_DTYPES[steps[0].pixel_dtype]
        values = ValueRange((0.0,) * count, (top,) * count)
    for position, step in enumerate(steps, start=1):
        if values is None:
            expected = _expects(step)
            values = None if expected is None else ValueRange((0.0,) * count, (expected,) * count)
        try:
            values = values and step.value_range(values)
        except PreprocError as error:
            raise PreprocError(f"step {position} ({step.name}): {error}") from error
    return values


def _expects(step: Step) -> float | None:
    """The largest value that a step of a pipeline on floats is made for, where it tells."""
    if isinstance(step, Normalize) and step.unit is not None:
        return UNITS[step.unit]
    return 1 / abs(step.scale) if isinstance(step, Rescale) and abs(step.scale) < 0.02 else None


def compose(steps: Iterable[Step], channels: int) -> Affine | None:
    """The affine steps as one map, or None if one of them is not affine."""
    whole = Affine.identity(channels)
    for step in steps:
        affine = step.affine(whole.channels_out)
        if affine is None:
            return None
        whole = whole.then(affine)
    return whole


def _short(value: Any) -> str:
    """Numbers in six digits."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_short, value)) + "]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
