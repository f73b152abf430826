"""Padding that is only near to what it was: what the first layers make of the difference, where they see it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..errors import NotFoldableError
from ..folding import FoldPlan, seen_everywhere
from ..steps import Sides
from .constants import constant
from .first_convolutions import First

Array = NDArray[np.float64]
SIDE = 64
"""Of a picture whose sides are free."""


@dataclass(frozen=True)
class Near:
    """off: by how much more than what is subtracted padding stood for, (channels,), in grey levels.  found: the first layers.
    everywhere: (channels_out,) of each, what it makes of a picture that is so much brighter everywhere, padding included."""

    off: Array
    found: Sequence[First]
    everywhere: Sequence[Array]

    @staticmethod
    def of(found: Sequence[First], plan: FoldPlan) -> "Near":
        assert plan.border is not None
        pairs = zip(found, plan.after, strict=True)
        sums = [seen_everywhere(item.weights()[0], plan.border, item.reader, after) for item, after in pairs]
        return Near(plan.border, found, sums)

    @property
    def levels(self) -> float:
        """How far padding is from what it was, in grey levels."""
        return float(np.abs(self.off).max())

    def errors(self, entry: ir.Value, layout: str, size: Sides) -> dict[str, float]:
        """By the name of what each first layer makes, the largest error there: the same for every picture, for it depends on which
        products are with padding alone. Those that cannot be evaluated are left out.

        entry: what the network reads, of that layout.  size: its (height, width), None where a side is free.

        Let c be a picture that is `off` everywhere. What a layer makes of c, its padding being 0, lacks just those products that padding
        has in the exact form.
        """
        sides = [SIDE if side is None else side for side in size]
        bright = np.broadcast_to(self.off.reshape(1, -1, 1, 1).astype(np.float32), (1, len(self.off), *sides))
        bright = np.ascontiguousarray(bright.transpose(["NCHW".index(axis) for axis in layout]))
        dark = 0 * bright
        found = dict[str, float]()
        for item, everywhere in zip(self.found, self.everywhere, strict=True):
            made = item.node.outputs[0]
            try:
                seen = np.asarray(constant(made, {entry: bright}), np.float64) - constant(made, {entry: dark})
            except NotFoldableError:
                continue
            found[str(made.name)] = float(np.abs(seen - everywhere.reshape(1, -1, *[1] * (seen.ndim - 2))).max())
        return found
