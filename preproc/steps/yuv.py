"""Colours of cameras and video decoders: a luma Y and two colour differences U and V, where each byte lies and what the three stand for."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..errors import PreprocError
from .affine import Affine
from .geometry import Size

Numbers = tuple[float, ...]
Rows = tuple[tuple[int, int, int], ...]

UNCONVERTED = "YUV444"
"""What FromPixels leaves where it converts nothing: (N, 3, H, W), each pixel's Y, U and V."""
LUMA = "Y"
"""What it leaves where it reads luma alone, and converts nothing: (N, 1, H, W)."""
WEIGHTS: Mapping[str, tuple[Fraction, Fraction]] = {
    "bt601": (Fraction("0.299"), Fraction("0.114")),
    "bt709": (Fraction("0.2126"), Fraction("0.0722")),
    "bt2020": (Fraction("0.2627"), Fraction("0.0593")),
}
"""Kr and Kb, red's and blue's part of luma: ITU-R BT.601-7, BT.709-6, BT.2020-2 (of non-constant luminance); ITU-T H.273, table 4."""
RANGES: Mapping[str, tuple[int, int, int]] = {"limited": (16, 219, 224), "full": (0, 255, 255)}
"""In 8 bits the Y of black, how far white is above it, and how many levels U and V span: H.273, VideoFullRangeFlag."""
CONVERSIONS = ("linear", "rgb8")
CHROMAS = ("replicate", "bilinear")
SITINGS = ("left", "center")
ALIASES = {"smpte170m": "bt601", "bt470bg": "bt601", "bt2020nc": "bt2020", "tv": "limited", "mpeg": "limited", "pc": "full", "jpeg": "full"}
"""FFmpeg's words."""
ASK = (
    "`ffprobe -v error -select_streams v -show_entries stream=color_space,color_range,chroma_location FILE` tells what a file says, "
    "`preproc explain yuv-unspecified` what to do where it says nothing"
)
SHIFT = 20
"""Of integer coefficients: they are in units of 2^-20."""
_CHROMA_ZERO = 128
_OPENCV: Mapping[tuple[str, str], Rows] = {
    ("bt601", "limited"): ((1220542, 0, 1673527), (1220542, -409993, -852492), (1220542, 2116026, 0)),
}
"""Those of OpenCV, which are 1.164, 1.596, 0.391, 0.813 and 2.018 (ITUR_BT_601_CY to _CVR, modules/imgproc/src/color_yuv.simd.hpp)."""


@dataclass(frozen=True)
class Arrangement:
    """How a picture's Y, U and V lie in memory.

    planes: by layout of the tensor, what lies one behind the other; the letters of one of them take turns in it.  block: how many rows and
    columns share one U and one V.

    The layout NHW is (N, 3H/2, W) for a picture of H rows, its chroma below its luma, byte behind byte: OpenCV's, GStreamer's and FFmpeg's
    picture without gaps between its rows. NHWC is (N, H, W, 2), or 3 where each pixel has its own U and V; NCHW is (N, 3, H, W).
    """

    planes: Mapping[str, tuple[str, ...]]
    block: Size

    @property
    def values(self) -> Fraction:
        """How many there are for each pixel."""
        rows, columns = self.block
        return 1 + Fraction(2, rows * columns)

    def shape(self, layout: str, size: Size) -> tuple[int, ...]:
        """Of a picture of that (height, width). Raises PreprocError where a block would be cut."""
        height, width = size
        if height % self.block[0] or width % self.block[1]:
            smaller = "x".join(str(max(side // each, 1) * each) for side, each in zip(size, self.block, strict=True))
            raise PreprocError(
                f"expected a height and a width that are multiples of {self.block[0]} and {self.block[1]}, whose pixels share a U and a V, "
                f"got {height}x{width}; the next smaller is {smaller}",
                name="shape-mismatch",
            )
        rows = int(height * self.values)
        return {"NHW": (rows, width), "NHWC": (height, width, int(self.values)), "NCHW": (int(self.values), height, width)}[layout]

    def told(self, layout: str) -> str:
        """The shape of a picture of H rows and W columns."""
        return {"NHW": "(3H/2, W)", "NHWC": f"(H, W, {self.values})", "NCHW": f"({self.values}, H, W)"}[layout]

    def size(self, layout: str, shape: tuple[int, ...]) -> Size:
        """(height, width) of a picture whose values have that shape, without the batch. Raises PreprocError where none has."""
        told = self.told(layout)
        if len(shape) != len(layout) - 1:
            lies = ", as pixels with channels lie: Y comes first, U and V below it" if layout == "NHW" and len(shape) == 3 else ""
            raise PreprocError(f"expected {told}, got {tuple(shape)}{lies}", name="shape-mismatch")
        height, width = {"NHW": shape[-2:], "NHWC": shape[-3:-1], "NCHW": shape[-2:]}[layout]
        found = (int(height / self.values) if layout == "NHW" else height, width)
        try:
            if self.shape(layout, found) == tuple(shape):
                return found
        except PreprocError as error:
            raise PreprocError(f"expected {told}, got {tuple(shape)}: {error}") from error
        even = " of an even height H" if layout == "NHW" else ""
        raise PreprocError(f"expected {told}{even}, got {tuple(shape)}", name="shape-mismatch")


_420 = {
    "NV12": ("Y", "UV"),
    "NV21": ("Y", "VU"),
    "I420": ("Y", "U", "V"),
    "YV12": ("Y", "V", "U"),
}
_422 = ("YUYV", "YVYU", "UYVY", "VYUY")
YUV: Mapping[str, Arrangement] = {
    **{name: Arrangement({"NHW": planes}, (2, 2)) for name, planes in _420.items()},
    **{name: Arrangement({"NHWC": (name,)}, (1, 2)) for name in _422},
    "YUV444": Arrangement({"NHWC": ("YUV",), "NCHW": ("Y", "U", "V")}, (1, 1)),
    "YVU444": Arrangement({"NHWC": ("YVU",), "NCHW": ("Y", "V", "U")}, (1, 1)),
}
"""Every such colour, by the name that FFmpeg, GStreamer and OpenCV give it; YVU444 is V4L2's."""


def swapped(color: str) -> str:
    """The colour whose U and V are in each other's place."""
    turned = str.maketrans("UV", "VU")
    other = {layout: tuple(plane.translate(turned) for plane in planes) for layout, planes in YUV[color].planes.items()}
    return next(name for name, known in YUV.items() if known.planes == other and known.block == YUV[color].block)


def to_rgb(matrix: str, range_: str) -> Affine:
    """Grey levels 0..255 of R, G and B from 8-bit Y, U and V, in float64.

    The standards' y = Kr R + Kg G + Kb B with Kg = 1 - Kr - Kb, u = (B - y) / 2(1 - Kb), v = (R - y) / 2(1 - Kr), solved for R, G and B in
    0..1, where y = (Y - black) / white, u = (U - 128) / chroma, v = (V - 128) / chroma are what 8 bits stand for (RANGES).
    """
    rows, zeros = _exact(matrix, range_)
    m = np.array([[float(value) for value in row] for row in rows])
    offset = [-float(sum(value * zero for value, zero in zip(row, zeros, strict=True))) for row in rows]
    return Affine(m, np.array(offset))


def to_grey(range_: str) -> Affine:
    """Grey levels 0..255 of 8-bit Y, in float64: the standards' y = Kr R + Kg G + Kb B, see to_rgb(), in any matrix."""
    black, white, _ = RANGES[range_]
    return Affine(np.array([[255 / white]]), np.array([-255 * black / white]))


def to_rgb_in_integers(matrix: str, range_: str) -> tuple[Rows, tuple[int, int, int]]:
    """(coefficients, zeros) of 8-bit R, G and B in OpenCV's arithmetic: of y = max(Y - zeros[0], 0), u = U - zeros[1], v = V - zeros[2]

        R = clip((c[0][0] y + c[0][1] u + c[0][2] v + 2^19) >> 20, 0, 255), and so G and B.

    Of BT.601 in limited range, the only one that OpenCV has for these colours, the coefficients are OpenCV's, with three digits behind the
    point; of all others those of to_rgb(), times 2^20 and rounded. No sum leaves 32 bits.
    """
    rows, zeros = _exact(matrix, range_)
    made = tuple(tuple(round(value * 2**SHIFT) for value in row) for row in rows)
    return _OPENCV.get((matrix, range_), made), zeros


def _exact(matrix: str, range_: str) -> tuple[tuple[tuple[Fraction, ...], ...], tuple[int, int, int]]:
    red, blue = WEIGHTS[matrix]
    black, white, chroma = RANGES[range_]
    green, y = 1 - red - blue, Fraction(255, white)
    u, v = (Fraction(255, chroma) * 2 * (1 - weight) for weight in (blue, red))
    rows = ((y, Fraction(0), v), (y, -u * blue / green, -v * red / green), (y, u, Fraction(0)))
    return rows, (black, _CHROMA_ZERO, _CHROMA_ZERO)


def phases(block: Size, chroma: str | None, siting: str | None) -> tuple[tuple[Numbers, ...], tuple[Numbers, ...]]:
    """(down, across): for each of a block's pixels along that side, what the block before, its own, and the next one weigh in its U and V;
    beyond the border is what is at the border.

    replicate: a pixel has its block's. bilinear: it has what lies on the line between the two nearest blocks, whose U and V are, along a
    side of two pixels, between the two; across, with "left" as siting, on the first one (H.273's chroma sample location types 1 and 0).
    """

    def along(count: int, *, first: bool) -> tuple[Numbers, ...]:
        if count == 1 or chroma != "bilinear":
            return ((0.0, 1.0, 0.0),) * count
        return ((0.0, 1.0, 0.0), (0.0, 0.5, 0.5)) if first else ((0.25, 0.75, 0.0), (0.0, 0.75, 0.25))

    return along(block[0], first=False), along(block[1], first=siting == "left")
