"""The first layers of a file in 8 bits, alone, on pictures in which every channel takes all 256 levels."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NOT_FINITE = sys.float_info.max
"""In the place of an error that is infinite, or no number."""


@dataclass(frozen=True)
class Levels:
    """What a network's own ranges, and pictures like those of the calibration, would hide. error: the largest, against float64, relative
    to the largest that the layer makes.  share: the largest, of what the rounding of its weights may move that value by: a right file's is
    1 at most.  worst: the picture it happened on.  layers: how many.  levels: the fewest that a channel took.  reason: why nothing of that
    is known, "" where it is."""

    error: float = 0.0
    share: float = 0.0
    worst: str = ""
    layers: int = 0
    levels: int = 0
    reason: str = ""

    @property
    def wrong(self) -> str:
        """Why the file is wrong; "" where it is not."""
        if self.share <= 1:
            return ""
        if self.share == NOT_FINITE:
            return f"its first layer, alone, makes numbers that are not finite of {self.worst}"
        return (
            f"its first layer, alone, is off by {self.error:.1e} of its largest value on {self.worst}, {self.share:.2g} times what the "
            "rounding of its weights may move it by"
        )

    @staticmethod
    def from_json(data: Mapping[str, Any] | None) -> "Levels | None":
        return None if data is None else Levels(**data)
