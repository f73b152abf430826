"""Pipelines of libraries that were read wrongly."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from preproc import steps
from preproc.errors import PreprocError
from preproc.export.original import through_original
from preproc.oracle import reference
from preproc.sources import BackboneSpec, ExportSpec, PixelsSpec, Recipe, published
from preproc.steps import CenterCrop, FromPixels, Normalize, Rescale, Resize, Step
from preproc.verify import inputs
from tests.mutants.planted import Planted

PIPELINES = (
    "ResNet50_Weights.IMAGENET1K_V2",
    "ViT_B_16_Weights.IMAGENET1K_SWAG_E2E_V1",
    "Inception_V3_Weights.IMAGENET1K_V1",
    "resnet50.a1_in1k",
    "vit_base_patch16_clip_224.openai",
)


def misread(known: tuple[Step, ...]) -> Iterator[tuple[str, list[Step]]]:
    """Each: what was read wrongly, and the steps."""
    for place, step in enumerate(known):
        changes: list[tuple[str, Step | None]] = [("left out", None)]
        match step:
            case Resize():
                size = step.size if isinstance(step.size, int) else step.size[0]
                changes += [("one pixel larger", _with(step, size=size + 1)), ("both sides", _with(step, size=(size, size)))]
                other = "bicubic" if step.interpolation == "bilinear" else "bilinear"
                changes += [(other, _with(step, interpolation=other))]
                changes += [("not antialiased", _with(step, interpolation="bilinear", antialias=False, pillow=None))]
                changes += [("nearest", _with(step, interpolation="nearest", antialias=False, pillow=None))]
            case CenterCrop():
                changes += [("one pixel smaller", _with(step, size=(step.size[0] - 1, step.size[1])))]
            case Rescale():
                changes += [("by 1/256", Rescale(scale=1 / 256)), ("twice", step)]
            case Normalize():
                swapped = {"mean": step.mean[::-1], "std": step.std[::-1]}
                level = tuple(m + 1 / 255 for m in step.mean)
                changes += [("in BGR order", _with(step, **swapped)), ("one grey level off", _with(step, mean=level))]
                changes += [
                    ("std one percent off", _with(step, std=tuple(1.01 * s for s in step.std))),
                    ("another preset's", _other_preset(step)),
                ]
        for what, changed in changes:
            kept = [step, step] if changed is step else [] if changed is None else [changed]
            yield f"{step.name}: {what}", [*known[:place], *kept, *known[place + 1 :]]
    yield "crop before resize", [known[1], known[0], *known[2:]]


def _with(step: Step, **changes: Any) -> Step:
    return dataclasses.replace(step, **changes)


def _other_preset(step: Normalize) -> Step:
    return Normalize.preset("imagenet" if 0.5 in step.mean else "inception")


def pipelines(_: Path) -> Iterator[Planted]:
    """Steps that were read wrongly, as export proves them: against the pipeline itself, on photographs."""
    spec = PixelsSpec(layout="NHWC", color="RGB", dtype="uint8", size=None, channels=3)
    sizes = [(300, 400), (97, 130)]
    pictures = [picture for size in sizes for _, _, picture in inputs.photographs(spec, size)]
    for name in PIPELINES:
        known = published.named_weights(name) if "_Weights" in name else published.from_timm(name)
        right = [reference.apply([FromPixels(layout="NHWC"), *known.steps], picture) for picture in pictures]
        for what, misunderstood in misread(known.steps):
            noticed, moved = None, None
            try:
                sequence = (FromPixels(layout="NHWC"), *misunderstood)
                steps.check(sequence, channels=3)
                made = [reference.apply(sequence, picture) for picture in pictures]
                if all(one.shape == other.shape for one, other in zip(made, right, strict=True)):
                    moved = max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(made, right, strict=True))
                recipe = Recipe(name="misread", backbone=RANDOM, pixels=spec, steps=sequence, export=ExportSpec(), steps_from=known.origin)
                through_original(recipe, _Nothing(), sizes)
            except PreprocError as error:
                noticed = f"export: {error}"[:110]
            yield Planted("pipeline", f"{name}: {what}", noticed, moved, 1e-5)


RANDOM = BackboneSpec(source="torchvision", color="RGB", name="resnet18", weights="random", seed=0)


class _Nothing:
    """A network whose outputs do not matter."""

    mixed: ClassVar[set[str]] = set()

    def __call__(self, x: Any) -> dict[str, Any]:
        return {"ready": x}

    def others(self, _: int) -> dict[str, Any]:
        return {}
