"""Layers one after another, of which those that move pixels are done early: a resize behind FromPixels before the cast, on a quarter of the
memory; and what moves the planes of Y, U and V before these are one picture."""

from collections import OrderedDict
from typing import Any, no_type_check

from torch import Tensor, nn

from .crops import CenterCrop
from .pixels import FromPixels
from .resize import Letterbox, Resize


def in_order(*sequence: nn.Module) -> nn.Sequential:
    """What hands the pixels from one to the next."""
    first, second = (*sequence, None, None)[:2]
    if not isinstance(first, FromPixels):
        return nn.Sequential(*sequence)
    if first.moves_planes and isinstance(second, Resize | CenterCrop):
        return OfPlanes(*sequence)
    early = not first.video and isinstance(second, Resize | Letterbox) and second.rounds
    return Early(*sequence) if early else nn.Sequential(*sequence)


class Early(nn.Sequential):
    """FromPixels, a resize that rounds to whole levels, and what follows. The pixels are read as they lie; levels are cast, and their
    colours ordered, where there are few of them: each channel is resized by itself."""

    @no_type_check
    def forward(self, x: Tensor) -> Tensor:
        y = self[1].resized(self[0].as_they_lie(x), self[0].like.dtype)
        y = self[0].read.select(y)
        for at, layer in enumerate(self):
            if at > 1:
                y = layer(y)
        return y

    def __getitem__(self, index: Any) -> Any:
        """Of some of them no more is known than that they follow each other."""
        return nn.Sequential(OrderedDict(list(self._modules.items())[index])) if isinstance(index, slice) else super().__getitem__(index)


class OfPlanes(nn.Sequential):
    """FromPixels of Y, U and V, resizes and crops of each plane, see steps.chroma_moves(), and, behind the conversion, what follows."""

    @no_type_check
    def forward(self, x: Tensor) -> Tensor:
        self[0].check(x)
        luma, chroma = self[0].read.apart(x, self[0].like)
        for layer in self:
            if hasattr(layer, "planes"):
                luma, chroma = layer.planes(luma, chroma, self[0].read.rows, self[0].read.columns)
        y = self[0].read.together(luma, chroma, self[0].like)
        for at, layer in enumerate(self):
            if at > 0 and not hasattr(layer, "planes"):
                y = layer(y)
        return y

    def __getitem__(self, index: Any) -> Any:
        """The first of them as these; behind the conversion they only follow each other."""
        return in_order(*list(self._modules.values())[index]) if isinstance(index, slice) else super().__getitem__(index)
