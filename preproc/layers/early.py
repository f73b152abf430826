"""Layers one after another, of which a resize behind FromPixels is done before the cast, on a quarter of the memory."""

from collections import OrderedDict
from typing import Any, no_type_check

from torch import Tensor, nn

from .pixels import FromPixels
from .resize import Letterbox, Resize


def in_order(*sequence: nn.Module) -> nn.Sequential:
    """What hands the pixels from one to the next."""
    first, second = (*sequence, None, None)[:2]
    early = isinstance(first, FromPixels) and not first.video and isinstance(second, Resize | Letterbox) and second.rounds
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
