"""What every step is, and the interval of values that steps pass on."""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .affine import Affine


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


def _short(value: Any) -> str:
    """Numbers in six digits."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_short, value)) + "]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
