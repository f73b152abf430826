"""Pictures that somebody has in Python -> their statistics, counted in this process: whoever has a DataLoader has its workers."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import PreprocError, first_line
from ..host.decoding import looks_otherwise, orientation
from .counting import Remarks, count_array, count_image
from .stats import Progress, Stats, StatsInterruptedError
from .sums import Accumulator, Counted

KEYS = ("image", "pixel_values", "img")
"""Where a data set's items have their picture, if they are tables."""


def count_pictures(source: Any, color: str | None, layout: str | None, progress: Progress) -> Stats:
    """As compute_stats()."""
    if isinstance(source, np.ndarray) and source.ndim == 3 and source.shape[2] in (3, 4):
        raise PreprocError(
            f"expected pictures (N, H, W, C) or (N, H, W), got {source.shape}; one picture is array[None]", name="not-a-batch"
        )
    counter = _Counter(color, layout, progress)
    accumulator = Accumulator.of(counter.through(source))
    stats = Stats(
        accumulator,
        ("pixels given in Python",),
        color,
        (type(source).__name__,),
        tuple(counter.remarks.broken),
        remaining=() if counter.stopped is None else (f"those behind picture {counter.stopped}",),
        skipped=tuple(counter.remarks.skipped),
        oriented=counter.remarks.oriented,
    )
    if stats.partial:
        raise StatsInterruptedError(stats)
    if not accumulator.images and not stats.broken:
        raise PreprocError("expected pictures, got none", name="no-pictures")
    if color is not None and any(name.split()[0] != color for name in accumulator.kinds):
        raise PreprocError(
            f"expected PIL images to convert to {color}, got arrays: {', '.join(accumulator.kinds)}", name="option-without-effect"
        )
    return stats


@dataclass
class _Counter:
    """stopped: the number of the picture at which Ctrl-C ended it."""

    color: str | None
    layout: str | None
    progress: Progress
    remarks: Remarks = field(default_factory=Remarks)
    stopped: int | None = None

    def through(self, source: Any) -> Iterator[Counted]:
        """Each picture's counts; the others go to `remarks`."""
        try:
            length = len(source)
        except TypeError:  # an iterable data set has none, whatever its loader says
            length = 0
        number = -1
        try:
            for number, item in enumerate(_items(source)):
                yield from self._count(item, f"picture {number}")
                self.progress(number + 1, length)
        except KeyboardInterrupt:
            self.stopped = number

    def _count(self, item: Any, name: str) -> Iterator[Counted]:
        for picture in _pictures(item, self.layout, name):
            try:
                counted = count_array(picture) if isinstance(picture, np.ndarray) else self._of_image(picture, name)
            except PreprocError as error:
                self.remarks.broken.append((name, first_line(error)))
            else:
                yield counted

    def _of_image(self, image: Image.Image, name: str) -> Counted:
        counted = count_image(image, self.color)
        self.remarks.oriented += orientation(image) != 1
        if getattr(image, "is_animated", False):
            reason = f"its frames but the one where it stands, {image.tell()}; PIL.ImageSequence.Iterator goes through them"
            self.remarks.skipped.append((name, reason))
        return counted


def _items(source: Any) -> Iterator[Any]:
    """A data set's items without labels: the first of a tuple or a list, "image" or "pixel_values" of a dict."""
    items = source if hasattr(source, "__iter__") else (source[index] for index in range(len(source)))
    for item in items:
        if isinstance(item, dict):
            known = [key for key in KEYS if key in item]
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
