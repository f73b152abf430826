"""Pictures as a camera or a video decoder would give them."""

from ..sources import PixelsSpec
from ..steps import YUV, Size


def whole_blocks(size: Size, pixels: PixelsSpec) -> Size:
    """The largest size within this one that a picture of that colour can have."""
    rows, columns = YUV[pixels.color].block if pixels.color in YUV else (1, 1)
    return max(1, size[0] // rows) * rows, max(1, size[1] // columns) * columns


def as_array(pixels: PixelsSpec) -> str:
    """What an array of one picture is: its shape and dtype."""
    shape = YUV[pixels.color].told(pixels.layout) if pixels.color in YUV else f"(H, W, {pixels.channels})"
    return f"{shape} of {pixels.dtype}"
