"""Forms of every step in which its nodes differ."""

from preproc import steps
from preproc.steps import (
    FAST,
    CenterCrop,
    ChannelAffine,
    FromPixels,
    Letterbox,
    LocalResponseNorm,
    MinMaxNormalize,
    MinMaxScale,
    Normalize,
    Pad,
    Rescale,
    Resize,
    Standardize,
)
from preproc.steps.crops import ROUNDINGS
from preproc.steps.resize import TORCHES

FORMS: dict[str, list[list[steps.Step]]] = {
    "from_pixels": [[FromPixels(layout=layout, color=color)] for layout in ("NHWC", "NCHW") for color in ("RGB", "BGR", "RGBA", "GRAY")]
    + [[FromPixels(layout="NHWC", pixel_dtype="uint16")]]
    + [
        [FromPixels(layout=layout, color=color, matrix="bt709", range="limited", **other)]
        for color, layout, other in (
            ("NV12", "NHW", {}),
            ("NV12", "NHW", {"to": "GRAY"}),
            ("NV21", "NHW", {"conversion": "rgb8"}),
            ("I420", "NHW", {"chroma": "bilinear", "siting": "left"}),
            ("UYVY", "NHWC", {"to": "GRAY"}),
            ("UYVY", "NHWC", {"chroma": "bilinear", "siting": "center"}),
            ("YUV444", "NCHW", {}),
            ("YUV444", "NHWC", {"conversion": "rgb8"}),
        )
    ]
    + [[FromPixels(layout="NHW", color="NV12", matrix="bt709", range="limited", conversion="rgb8"), Resize(size=8), CenterCrop(size=9)]]
    + [[FromPixels(layout="NHW", color="NV12", matrix="bt709", range="limited"), Resize(size=(8, 12)), CenterCrop(size=8)]],
    "resize": [[Resize(size=size, interpolation=kind)] for size in (8, (8, 30)) for kind in ("bilinear", "bicubic", "nearest")]
    + [[Resize(size=8, interpolation=kind, form="exact")] for kind in ("bilinear", "bicubic")]
    + [[Resize(size=8, interpolation=kind, torch=dtype)] for kind in FAST for dtype in TORCHES]
    + [[Resize(size=8, interpolation=kind, form="exact", torch=dtype)] for kind in FAST for dtype in TORCHES]
    + [[Resize(size=8, interpolation=kind)] for kind in ("lanczos", "box", "hamming")]
    + [[Resize(size=8, torch="float32"), Pad(padding=3), CenterCrop(size=9)]]
    + [[Resize(size=8, max_size=9)], [Resize(size=8, antialias=False)], [Resize(size=(9, 8), antialias=False), Resize(size=(7, 6))]]
    + [[Resize(size=(12, 11)), Resize(size=(9, 8), interpolation="bicubic"), Resize(size=(7, 6), interpolation="nearest")]],
    "center_crop": [
        [CenterCrop(size=8)],
        *([CenterCrop(size=30, rounding=rounding)] for rounding in ROUNDINGS),
        [CenterCrop(size=(8, 50)), Resize(size=(7, 6))],
    ],
    "letterbox": [
        [Letterbox(size=24)],
        [Letterbox(size=(24, 20), interpolation="nearest")],
        *(
            [Letterbox(size=24, antialias=True, interpolation=kind, form=form)]
            for kind in ("bilinear", "bicubic")
            for form in ("fast", "exact")
        ),
    ],
    "pad": [[Pad(padding=2)], [Pad(padding=(1, 2, 3, 4), fill=9), Resize(size=(8, 9), interpolation="bicubic"), Pad(padding=1)]],
    "rescale": [[Rescale()], [Rescale(offset=-1.0)]],
    "normalize": [[Normalize.preset("imagenet")]],
    "min_max_scale": [[MinMaxScale(low=(1, 2, 3), high=(200, 210, 220))], [MinMaxScale(low=0, high=255, clip=True)]],
    "min_max_normalize": [[MinMaxNormalize(per=per)] for per in ("image", "channel")],
    "standardize": [[Standardize(per=per, min_std=least)] for per in ("image", "channel") for least in (None, 0.5)],
    "channel_affine": [
        [ChannelAffine(matrix=((2, 0, 0), (0, 3, 0), (0, 0, 4)), offset=(1, 2, 3))],
        [ChannelAffine(matrix=((0, 0, 2), (0, 3, 0), (4, 0, 0)), offset=(0, 0, 0))],
        [ChannelAffine(matrix=((0.3, 0.6, 0.1),), offset=(-0.5,))],
    ],
    "local_response_norm": [
        [LocalResponseNorm(size=3, alpha=0.5, beta=beta, k=2.0, region=region)]
        for region in ("channels", "spatial")
        for beta in (0.5, 0.6, 0.75, 1.0)
    ],
}
