"""Writes export/conformance/: for every step its constants, an input and the float64 output, for whoever implements it again.

    make conformance        (or: python -m tests.conformance --models FOLDER)

The outputs come from the oracle, preproc/oracle/reference.py. --models writes each case as model.onnx and model.pt too, for programs that
run them.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from preproc.layers import Pipeline
from preproc.oracle import reference
from preproc.oracle.pillow import vertical_first
from preproc.steps import (
    FAST,
    YUV,
    CenterCrop,
    ChannelAffine,
    FromPixels,
    Geometry,
    Letterbox,
    LocalResponseNorm,
    MinMaxNormalize,
    MinMaxScale,
    Normalize,
    Pad,
    Rescale,
    Resize,
    Size,
    Standardize,
    Step,
)
from tests.conftest import ROOT
from tests.onnx_files import alone

VERSION = 1
FOLDER = ROOT / "export" / "conformance"
FLOAT32 = 4e-6
"""Tolerance of arithmetic in float32, relative to the largest output: some thirty roundings."""
Case = tuple[str, list[Step], NDArray[Any]]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


VIDEO: list[tuple[str, str, str, str, dict[str, str]]] = [
    ("NV12", "NHW", "bt601", "limited", {}),
    ("NV12", "NHW", "bt601", "limited", {"conversion": "rgb8"}),
    ("NV12", "NHW", "bt709", "limited", {"chroma": "bilinear", "siting": "left"}),
    ("NV12", "NHW", "bt709", "full", {"chroma": "bilinear", "siting": "center"}),
    ("NV21", "NHW", "bt601", "full", {"conversion": "rgb8", "to": "BGR"}),
    ("I420", "NHW", "bt709", "limited", {}),
    ("YV12", "NHW", "bt2020", "limited", {"conversion": "rgb8"}),
    ("YUYV", "NHWC", "bt709", "full", {"conversion": "rgb8"}),
    ("YVYU", "NHWC", "bt601", "full", {}),
    ("UYVY", "NHWC", "bt709", "limited", {"chroma": "bilinear", "siting": "left"}),
    ("VYUY", "NHWC", "bt601", "limited", {"to": "BGR"}),
    ("YUV444", "NHWC", "bt2020", "full", {}),
    ("YVU444", "NCHW", "bt709", "limited", {"conversion": "rgb8"}),
    ("NV12", "NHW", "bt2020", "limited", {"to": "GRAY"}),
    ("YUYV", "NHWC", "bt709", "limited", {"to": "GRAY"}),
]
"""Colour, layout, matrix, range and the rest: each colour, matrix, range, conversion and chroma."""
PLANES: list[tuple[str, str, list[Step]]] = [
    ("NV12", "NHW", [Resize(size=12, form="exact", pillow=13), CenterCrop(size=(8, 12))]),
    ("I420", "NHW", [Resize(size=(14, 26), interpolation="bicubic", form="exact", pillow=13)]),
    ("YUYV", "NHWC", [Resize(size=(9, 14), antialias=False), CenterCrop(size=(6, 10))]),
    ("YUV444", "NCHW", [Resize(size=(11, 13), interpolation="nearest")]),
]
"""Colour, layout, and what moves each plane."""


def cases() -> Iterator[Case]:
    """Name, steps, input: pixels as a leading from_pixels takes them, else (N, C, H, W) float32."""
    rng = np.random.default_rng(0)

    def pixels(*shape: int, dtype: str = "uint8") -> NDArray[Any]:
        return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)

    def unit(*shape: int) -> NDArray[np.float32]:
        return (pixels(*shape) / 255).astype(np.float32)

    for color, to, channels in (("RGB", "RGB", 3), ("BGR", "RGB", 3), ("RGBA", "BGR", 4), ("GRAY", "RGB", 1), ("ANY", "ANY", 5)):
        yield f"from_pixels-nhwc-{color}-{to}".lower(), [FromPixels(layout="NHWC", color=color, to=to)], pixels(2, 5, 7, channels)
    yield "from_pixels-nchw-bgra-rgb", [FromPixels(layout="NCHW", color="BGRA", to="RGB")], pixels(2, 4, 5, 7)
    yield "from_pixels-uint16", [FromPixels(layout="NHWC", pixel_dtype="uint16")], pixels(1, 5, 7, 3, dtype="uint16")
    levels = pixels(2, 3, 5, 7).astype(np.float32)
    yield "rescale", [Rescale()], levels
    yield "rescale-offset", [Rescale(scale=1 / 127.5, offset=-1.0)], levels
    yield "normalize-0-1", [Normalize(mean=MEAN, std=STD, unit="0-1")], unit(2, 3, 5, 7)
    yield "normalize-0-255", [Normalize(mean=(103.939, 116.779, 123.68), std=(1.0, 1.0, 1.0), unit="0-255")], levels
    yield "min_max_scale", [MinMaxScale(low=0, high=255, out=(-1, 1))], levels
    yield "min_max_scale-clip", [MinMaxScale(low=(20, 30, 40), high=(200, 220, 240), clip=True)], levels
    flat = np.concatenate([levels, np.full((1, 3, 5, 7), 77, np.float32), 200 + levels[:1] % 2]).astype(np.float32)
    for per in ("image", "channel"):
        yield f"min_max_normalize-{per}", [MinMaxNormalize(per=per, out=(-1, 1))], flat
        yield f"standardize-{per}", [Standardize(per=per)], flat
    yield "standardize-min_std-correction", [Standardize(min_std=0.5, correction=1)], flat
    yield "channel_affine-bgr", [ChannelAffine(matrix=((0, 0, 2), (0, 3, 0), (4, 0, 0)), offset=(1, 2, 3))], unit(2, 3, 5, 7)
    yield "channel_affine-grey", [ChannelAffine(matrix=((0.299, 0.587, 0.114),), offset=(-0.5,))], unit(2, 3, 5, 7)
    spread = rng.normal(0, 2, (2, 7, 5, 6)).astype(np.float32)
    for size in (1, 2, 5):
        yield f"local_response_norm-channels-{size}", [LocalResponseNorm(size=size, alpha=0.5, beta=0.75, k=2.0)], spread
    yield "local_response_norm-spatial", [LocalResponseNorm(size=3, alpha=0.5, beta=0.5, k=1.0, region="spatial")], spread
    first = FromPixels(layout="NHWC")
    sizes = {"smaller": ((23, 31), (9, 12)), "larger": ((9, 12), (23, 31)), "taller": ((40, 11), (8, 10)), "even": ((32, 24), (16, 12))}
    sizes |= {"rows-first": ((42, 20), (21, 10)), "columns-first": ((41, 20), (21, 10))}  # at the border of the rule for the passes
    sizes |= {"rows-alone-first": ((30, 12), (20, 20))}
    for method in (*FAST, "nearest"):
        for name, (old, new) in sizes.items():
            if method == "nearest" and name.endswith("first"):
                continue
            picture = pixels(1, *old, 3)
            if name == "larger":
                picture = np.where(picture > 127, np.uint8(255), np.uint8(0))
            for order in (None,) if method == "nearest" else (13, 12) if vertical_first(old, new, 13) else (13,):
                resize = Resize(size=new, interpolation=method, form="exact", pillow=order)
                yield f"resize-{method}-{name}{'-12' * (order == 12)}", [first, resize], picture
    exact: dict[str, Any] = {"form": "exact", "pillow": 13}
    yield "resize-shorter-side", [first, Resize(size=11, **exact)], pixels(1, 23, 31, 3)
    for name, old in (("landscape", (19, 48)), ("portrait", (48, 19))):
        yield f"resize-max_size-{name}", [first, Resize(size=12, max_size=20, **exact)], pixels(1, *old, 3)
    yield "resize-not-antialiased", [first, Resize(size=(9, 12), antialias=False)], pixels(1, 23, 31, 3)
    for rounding in ("half_even", "floor"):
        for name, old in (("cut", (23, 26)), ("padded", (7, 12))):
            yield f"center_crop-{rounding}-{name}", [first, CenterCrop(size=(10, 15), fill=9, rounding=rounding)], pixels(1, *old, 3)
    yield "pad", [first, Pad(padding=(1, 2, 3, 4), fill=9)], pixels(1, 5, 7, 3)
    for name, old in (("landscape", (23, 61)), ("portrait", (61, 26)), ("half", (40, 25)), ("thin", (3, 200))):
        yield f"letterbox-{name}", [first, Letterbox(size=(20, 24))], pixels(1, *old, 3)
    imagenet = [Resize(size=20, **exact), CenterCrop(size=(16, 16)), Rescale(), Normalize(mean=MEAN, std=STD, unit="0-1")]
    yield "pipeline-imagenet", [first, *imagenet], pixels(1, 31, 23, 3)
    for method in ("lanczos", "box", "hamming"):
        for name in ("smaller", "larger", "rows-first"):
            old, new = sizes[name]
            for order in (13, 12) if vertical_first(old, new, 13) else (13,):
                yield (
                    f"resize-{method}-{name}{'-12' * (order == 12)}",
                    [
                        first,
                        Resize(size=new, interpolation=method, pillow=order),
                    ],
                    pixels(1, *old, 3),
                )
    for name, old, side in (("below-half", (11, 22), 15), ("above-half", (22, 11), 25)):  # by a rounding of the ratio
        yield f"letterbox-{name}", [first, Letterbox(size=side)], pixels(1, *old, 3)
    for method in ("bilinear", "bicubic", "lanczos"):
        for name in ("smaller", "larger", "rows-first"):
            old, new = sizes[name]
            yield (
                f"resize-torch-{method}-{name}",
                [first, Resize(size=new, interpolation=method, form="exact", torch="uint8")],
                pixels(1, *old, 3),
            )
    for name in ("smaller", "larger"):
        old, new = sizes[name]
        yield f"resize-torch-float32-{name}", [first, Resize(size=new, form="exact", torch="float32")], pixels(1, *old, 3)
    for name, old in (("cut", (23, 26)), ("padded", (7, 12))):
        yield f"center_crop-trunc-{name}", [first, CenterCrop(size=(10, 15), fill=9, rounding="trunc")], pixels(1, *old, 3)
    for color, layout, matrix, range_, other in VIDEO:
        said = {"color": color, "layout": layout, "matrix": matrix, "range": range_, **other}
        name = "-".join(("from_pixels", layout, *(value for key, value in said.items() if key not in ("layout", "to"))))
        yield name.lower(), [FromPixels(**said)], pixels(2, *YUV[color].shape(layout, (6, 10)))
    for color, layout, moves in PLANES:
        moved = FromPixels(layout=layout, color=color, matrix="bt709", range="limited")
        name = "-".join(("planes", color, *(step.name for step in moves)))
        yield name.lower(), [moved, *moves], pixels(1, *YUV[color].shape(layout, (18, 24)))


def tolerance(steps: list[Step]) -> float:
    """None at all for what only moves and rounds whole numbers."""
    whole = all(isinstance(step, (FromPixels, Geometry)) and getattr(step, "rounds", True) for step in steps)
    return 0.0 if whole else FLOAT32


def sides(first: Step, shape: tuple[int, ...]) -> tuple[Size, int]:
    """(height, width) of a case's pictures, and their channels."""
    if isinstance(first, FromPixels) and first.color in YUV:
        return YUV[first.color].size(first.layout, shape[1:]), first.channels() or 3
    nhwc = isinstance(first, FromPixels) and first.layout == "NHWC"
    return (shape[1:3], shape[3]) if nhwc else (shape[2:], shape[1])


def write(folder: Path, *, models: bool = False) -> int:
    """Replaces what is there of an earlier run; README.md stays. Returns how many cases it has."""
    index = folder / "index.json"
    if folder.is_dir() and any(folder.iterdir()) and not (index.is_file() and '"preproc-conformance"' in index.read_text(encoding="utf-8")):
        sys.exit(f"{folder}: expected an empty folder or a conformance suite of ours, got other files")
    written = [*folder.glob("*/*.npy"), *folder.glob("*/spec.json"), *folder.glob("*/model.*")]
    kept = sorted(str(file) for file in folder.glob("*/*") if file not in written)
    if kept:
        sys.exit(f"{folder}: expected a conformance suite of ours alone, got {kept[0]}, too")
    for old in written:
        old.unlink()
    names = []
    for name, steps, x in cases():
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        expected = reference.apply(steps, x)
        spec = {"steps": [step.spec() for step in steps], "tolerance": tolerance(steps)}
        (place / "spec.json").write_text(json.dumps(spec, indent=2) + "\n", encoding="utf-8")
        np.save(place / "input.npy", x)
        np.save(place / "output.npy", np.array(expected, order="C"))
        for position, step in enumerate(spec["steps"]):
            for key, value in step.items():
                if np.asarray(value).dtype.kind in "bif":
                    np.save(place / f"parameter.{position}.{key}.npy", np.array(value, np.float64))
        if models:
            size, channels = sides(steps[0], x.shape)
            (place / "model.onnx").write_bytes(alone(steps, size=size, channels=channels))
            torch.jit.script(Pipeline.from_steps(steps)).save(place / "model.pt")
        names.append(name)
    for left in {place.name for place in folder.iterdir() if place.is_dir()} - set(names):
        (folder / left).rmdir()
    index.write_text(json.dumps({"format": "preproc-conformance", "version": VERSION, "cases": names}, indent=2) + "\n")
    return len(names)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the conformance suite.")
    parser.add_argument("--models", type=Path, metavar="FOLDER", help="write it there, with a model.onnx and a model.pt in each case")
    with_models = parser.parse_args().models
    place = with_models or FOLDER
    print(f"{place}: {write(place, models=with_models is not None)} cases")
