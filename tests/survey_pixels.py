"""python -m tests.survey_pixels: how far resized pixels are from Pillow's, form by form, into tests/survey/resize.md; and the published
pipelines of torchvision and timm from raw photographs, against the Python pipelines themselves, into tests/survey/pipelines.md."""

import warnings
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from timm.models import get_pretrained_cfg
from torchvision import models
from torchvision.transforms import v2

from preproc.errors import PreprocError
from preproc.layers import Pipeline
from preproc.sources import published
from preproc.steps import FromPixels, Resize, Step
from preproc.verify.inputs import PHOTOGRAPHS
from preproc.verify.runtimes import onnxruntime
from tests.onnx_files import alone

HERE = Path(__file__).parent / "survey"
SIZES = [
    ((480, 640), (256, 341)),
    ((960, 1280), (256, 341)),
    ((1280, 960), (341, 256)),
    ((512, 512), (256, 256)),
    ((375, 500), (224, 224)),
    ((900, 300), (224, 224)),
    ((300, 400), (299, 299)),
    ((180, 240), (256, 341)),
    ((200, 150), (384, 384)),
    ((96, 128), (320, 427)),
]
RAW = [(375, 500), (500, 375), (480, 640), (640, 480), (1080, 1920), (1920, 1080), (150, 200), (200, 150), (299, 301), (301, 299)]
"""Photographs of five sizes, in both orientations."""
PIXELS = FromPixels(layout="NHWC")
Array = NDArray[np.uint8]


def session(steps: list[Step], size: tuple[int, int] | None) -> Callable[[Array], NDArray[np.float32]]:
    """The steps as ONNX nodes, in ONNX Runtime on the CPU: pixels (1, H, W, 3) -> (1, 3, h, w)."""
    made = onnxruntime().InferenceSession(alone(steps, size=size), providers=["CPUExecutionProvider"])
    return lambda x: made.run(None, {"pixels": x})[0]


def scripted(steps: list[Step]) -> Callable[[Array], NDArray[np.float32]]:
    """The steps as a TorchScript module."""
    module = torch.jit.script(Pipeline.from_steps(steps))
    return lambda x: module(torch.from_numpy(x)).numpy()


def pictures(size: tuple[int, int]) -> dict[str, list[Array]]:
    """(H, W, 3): two photographs, noise, and noise of 0 and 255 alone."""
    rng = np.random.default_rng(0)
    photographs = []
    for name in ("coffee", "astronaut"):
        with Image.open(PHOTOGRAPHS / f"{name}.jpg") as image:
            photographs.append(np.asarray(image.convert("RGB").resize(size[::-1], Image.Resampling.BICUBIC)))
    return {
        "photographs": photographs,
        "noise": [rng.integers(0, 256, (*size, 3), dtype=np.uint8)],
        "0 and 255": [(rng.integers(0, 2, (*size, 3)) * 255).astype(np.uint8)],
    }


def others(interpolation: str, new: tuple[int, int]) -> Iterator[tuple[str, Callable[[Array], NDArray[np.float32]]]]:
    """What else resizes."""
    method = v2.InterpolationMode(interpolation)

    def kernel(x: Array, *, antialias: bool) -> NDArray[np.float32]:
        planes = torch.from_numpy(np.moveaxis(x, -1, 1).copy())
        return v2.functional.resize(planes, list(new), interpolation=method, antialias=antialias).numpy().astype(np.float32)

    yield "torchvision, on uint8 tensors", lambda x: kernel(x, antialias=True)
    yield "torchvision, antialias=False", lambda x: kernel(x, antialias=False)


def resize_table() -> list[str]:
    """Rows: the largest difference in grey levels and the share of the values that differ, over all pairs of sizes."""
    found: dict[tuple[str, str, str, str], tuple[float, float]] = {}
    for old, new in SIZES:
        way = "larger" if new[0] > old[0] and new[1] > old[1] else "smaller"
        for interpolation in ("bilinear", "bicubic", "nearest"):
            fast, exact = (Resize(size=new, interpolation=interpolation, form=form) for form in ("fast", "exact"))
            forms = {
                "ONNX Runtime, fast": session([PIXELS, fast], None),
                "ONNX Runtime, exact": session([PIXELS, exact], old),
                "torch": Pipeline.from_steps([PIXELS, fast]),
                "TorchScript": scripted([PIXELS, fast]),
                **dict(others(interpolation, new)),
            }
            for kind, shown in pictures(old).items():
                for picture in shown:
                    truth = np.asarray(Image.fromarray(picture).resize(new[::-1], getattr(Image.Resampling, interpolation.upper())))
                    for form, run in forms.items():
                        got = run(torch.from_numpy(picture[None])).numpy() if form == "torch" else run(picture[None])
                        difference = np.abs(np.moveaxis(got[0], 0, -1) - truth)
                        key = (interpolation, form, way, kind)
                        before = found.get(key, (0.0, 0.0))
                        found[key] = max(before[0], float(difference.max())), max(before[1], float((difference > 0).mean()))
    kinds = list(pictures((8, 8)))
    lines = [
        f"| interpolation | computed by | photographs | noise | {kinds[2]} |",
        "|---|---|--:|--:|--:|",
    ]
    for interpolation, form, way, _ in dict.fromkeys((*key[:3], "") for key in found):
        cells = [found[interpolation, form, way, kind] for kind in kinds]
        text = " | ".join(f"{most:g}, {share:.2%}" if most else "0" for most, share in cells)
        lines.append(f"| {interpolation}, {way} | {form} | {text} |")
    return lines


def pipelines() -> Iterator[tuple[str, published.Published]]:
    """Of every torchvision classifier's weights, and of each timm family's first published ones."""
    for name in models.list_models(module=models):
        for weights in models.get_model_weights(name):
            yield "torchvision", published.from_torchvision(weights)
    seen = set[str]()
    for name in timm.list_pretrained():
        family = name.split("_")[0].split(".")[0].rstrip("0123456789")
        if family not in seen:
            try:
                yield "timm", published.from_timm(get_pretrained_cfg(name))
                seen.add(family)
            except PreprocError as error:
                print(f"{name}: {error}")


def pipelines_table() -> list[str]:
    """One row per zoo: how far the model-ready tensors are, in grey levels, from those of the Python pipeline."""
    photographs = []
    for number, size in enumerate(RAW):
        with Image.open(sorted(PHOTOGRAPHS.glob("*.jpg"))[number % 3]) as image:
            photographs.append(image.convert("RGB").resize(size[::-1], Image.Resampling.BICUBIC))
    rows: dict[str, dict[str, list[float]]] = {}
    names: dict[str, set[str]] = {}
    for zoo, known in pipelines():
        steps = [PIXELS, *known.steps]
        original = published.original(known.origin)
        forms = {"ONNX Runtime, fast": session(steps, None), "TorchScript": scripted(steps)}
        levels = 255 * np.array(known.steps[-1].std)[:, None, None]
        names.setdefault(zoo, set()).add(known.origin)
        for image in photographs:
            truth = original(image)[0]
            for form, run in forms.items():
                difference = np.abs(run(np.asarray(image)[None])[0] - truth) * levels
                row = rows.setdefault(f"{zoo} | {form}", {"most": [], "share": []})
                row["most"].append(float(difference.max()))
                row["share"].append(float((difference > 0.5).mean()))
        print(zoo, known.origin, flush=True)
    lines = [
        "| published by | pipelines | computed by | largest difference, grey levels | values that differ, worst photograph | on average |"
    ]
    lines.append("|---|--:|---|--:|--:|--:|")
    for key, row in rows.items():
        zoo, form = key.split(" | ")
        most, worst, mean = max(row["most"]), max(row["share"]), float(np.mean(row["share"]))
        lines.append(f"| {zoo} | {len(names[zoo])} | {form} | {most:.2g} | {worst:.2%} | {mean:.3%} |")
    return lines


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(2)
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("pillow", "onnxruntime-gpu", "torch", "torchvision", "timm"))
    sizes = ", ".join(f"{old[1]}x{old[0]} to {new[1]}x{new[0]}" for old, new in SIZES)
    told = [
        "# Resized pixels against Pillow's",
        "",
        f"Written by `python -m tests.survey_pixels`, a part of `make survey` ({versions}). The largest difference in grey levels, and the",
        f"largest share of the values that differ, over {sizes}.",
        "",
        *resize_table(),
    ]
    (HERE / "resize.md").write_text("\n".join(told) + "\n", encoding="utf-8")
    raw = ", ".join(f"{width}x{height}" for height, width in RAW)
    told = [
        "# Published pipelines, from raw photographs",
        "",
        f"Written by `python -m tests.survey_pixels`, a part of `make survey` ({versions}).",
        "Model-ready tensors of the steps that are resolved from the weights, as one file for all sizes, against the Python pipeline",
        f"itself (PIL, torchvision's or timm's transforms), on photographs of {raw}.",
        "timm: the first published weights of every family.",
        "",
        *pipelines_table(),
    ]
    (HERE / "pipelines.md").write_text("\n".join(told) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
