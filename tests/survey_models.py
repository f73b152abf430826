"""python -m tests.survey_models torchvision|timm [NAME...]: the fold on a zoo's models, random weights, float64.

torchvision: every classification model. timm: of every family, which is what a name starts with, the smallest member.
For each model: folded, or refused with the reason; and the error at the outputs of the convolutions that were rewritten, relative to
their largest value, the zero-padded border included. The same of NV12 pixels: whether the convolutions read their planes, or each pixel is
given its chroma in front, and why. Writes tests/survey/<zoo>.md; where models are named, their rows in it.
"""

import gc
import re
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import timm
import torch
import torchvision
from torchvision import models

from preproc.errors import first_line
from preproc.folding import FOLDED
from preproc.folding.modules import FoldResult, fold
from preproc.layers import FromPixels, Model, Normalize, Pipeline, Rescale, prepend

HERE = Path(__file__).parent / "survey"
OPTIONS = {name: {"init_weights": False, "aux_logits": False, "transform_input": True} for name in ("googlenet", "inception_v3")}


class Seen(Exception):  # noqa: N818 - not an error: everything that was asked for has been seen
    """Raised inside a forward to end it."""


def first_outputs(model: Model, weights: tuple[str, ...], pixels: torch.Tensor) -> list[torch.Tensor]:
    """What the modules that own `weights` answer to `pixels`; the rest of the backbone does not run."""
    found: list[torch.Tensor] = []

    def keep(_module: torch.nn.Module, _inputs: object, output: torch.Tensor) -> None:
        found.append(output)
        if len(found) == len(weights):
            raise Seen

    owners = [model.backbone.get_submodule(name.rpartition(".")[0]) for name in weights]
    hooks = [owner.register_forward_hook(keep) for owner in owners]
    try:
        with torch.no_grad():
            model(pixels)
    except Seen:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    return found


def examine(backbone: torch.nn.Module, shape: tuple[int, ...], **colour: str) -> tuple[FoldResult, float | None, float]:
    """The fold of ImageNet's constants and these pixels, its error at the first convolutions, and the seconds it took."""
    double = {"dtype": torch.float64}
    pipeline = Pipeline(FromPixels(**colour, **double), Rescale(**double), Normalize.preset("imagenet", **double))
    model = prepend(pipeline, backbone)
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    start = time.perf_counter()
    result = fold(model, example=pixels)
    seconds = time.perf_counter() - start
    if not result.folded:
        return result, None, seconds
    pairs = zip(first_outputs(model, result.convolutions, pixels), first_outputs(result.model, result.convolutions, pixels), strict=True)
    return result, max(float((a - b).abs().max() / a.abs().max()) for a, b in pairs), seconds


def of_cameras(backbone: torch.nn.Module, size: int) -> list[str]:
    """What becomes of NV12's chroma, and the error, as two cells. Where the network's size is odd, of the even one below it."""
    size -= size % 2
    try:
        result, error, _ = examine(backbone, (2, size * 3 // 2, size), layout="NHW", color="NV12", matrix="bt709", range="limited")
    except Exception as problem:  # noqa: BLE001 - a network of one odd size, whatever it raises
        return [f"takes no picture of even sides: {first_line(problem)}", ""]
    planes = result.chroma if result.folded else f"not folded: {result.reason}"
    return [planes, "" if error is None else f"{error:.1e}"]


def torchvision_model(name: str) -> tuple[torch.nn.Module, int]:
    backbone = models.get_model_builder(name)(**{"weights": None} | OPTIONS.get(name, {}))
    return backbone, getattr(backbone, "image_size", next(iter(models.get_model_weights(name))).transforms().crop_size[0])


def timm_model(name: str) -> tuple[torch.nn.Module, int]:
    backbone = timm.create_model(name, pretrained=False)
    return backbone, backbone.pretrained_cfg["input_size"][1]


def timm_families() -> list[str]:
    """The smallest model of each family; those with more than LARGEST parameters are left out."""
    smallest: dict[str, tuple[int, str]] = {}
    for name in timm.list_models():
        with torch.device("meta"):
            size = sum(parameter.numel() for parameter in timm.create_model(name).parameters())
        family = re.match(r"[a-z]+?(?=v?\d|_|$)(v\d+)?", name)[0]
        smallest[family] = min(smallest.get(family, (size, name)), (size, name))
    LEFT_OUT.extend(f"{name} ({size / 1e6:.0f} million parameters)" for size, name in smallest.values() if size > LARGEST)
    return [name for size, name in smallest.values() if size <= LARGEST]


LARGEST = 170_000_000
"""Parameters: in float64, and copied by the fold, what 16 GB of memory hold."""
LEFT_OUT: list[str] = []
ZOOS = {
    "torchvision": (torchvision_model, lambda: models.list_models(module=models), "torchvision's classification models", torchvision),
    "timm": (timm_model, timm_families, "the smallest model of each of timm's families", timm),
}


def rows_of(page: Path) -> dict[str, str]:
    """By the model's name."""
    lines = page.read_text(encoding="utf-8").splitlines() if page.is_file() else []
    return {line.split(" | ")[0].removeprefix("| "): line for line in lines if line.startswith("| ") and not line.startswith("| model ")}


def is_wrong(row: str) -> bool:
    *_, error, _, of_planes, _ = (cell.strip() for cell in row.split("|"))
    return any(each and not float(each) <= 1e-9 for each in (error, of_planes))


def main(zoo: str, *names: str) -> None:
    warnings.simplefilter("ignore")
    HERE.mkdir(exist_ok=True)
    make, all_names, title, package = ZOOS[zoo]
    page = HERE / f"{zoo}.md"
    rows = rows_of(page) if names else {}
    left_out = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("Left out, ")] if names else []
    for name in names or all_names():
        torch.manual_seed(0)
        backbone, size = make(name)
        result, error, seconds = examine(backbone.eval().double(), (2, size, size, 3), layout="NHWC", color="BGR")
        cells = [name, result.form or "refused", ", ".join(result.convolutions) or result.reason, "" if error is None else f"{error:.1e}"]
        cells += of_cameras(backbone, size)
        rows[name] = "| " + " | ".join(map(str, cells)) + " |"
        print(rows[name], f"{seconds:.1f} s", flush=True)
        del backbone, result
        gc.collect()
    left_out += [f"Left out, for their size: {', '.join(LEFT_OUT)}."] if LEFT_OUT else []
    folded, wrong = sum("| refused |" not in row for row in rows.values()), sum(map(is_wrong, rows.values()))
    planes = sum(f"| {FOLDED} |" in row for row in rows.values())
    head = [
        f"# The fold on {title}",
        "",
        f"`make survey`, torch {torch.__version__}, {zoo} {package.__version__}, random weights, float64, BGR pixels with ImageNet's "
        f"statistics: {folded} of {len(rows)} folded, {wrong} wrong (error above 1e-9). Of {planes} "
        "the first convolutions read NV12 as it is.",
        "",
        *(line for text in left_out for line in (text, "")),
        "form: what is left at run time besides the cast. error: at the rewritten convolutions, relative, the border included. NV12: its "
        "chroma is folded as pixels share it, or given to each pixel in front, the matrix folded all the same, and why; and the error.",
        "",
        "| model | form | convolution, or why not | error | NV12 | error |",
        "|---|---|---|--:|---|--:|",
    ]
    page.write_text("\n".join([*head, *(rows[name] for name in sorted(rows))]) + "\n", encoding="utf-8")
    print(head[2])
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
