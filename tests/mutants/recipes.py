"""Recipes with faults in them."""

import copy
import dataclasses
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from preproc import steps
from preproc.errors import PreprocError
from preproc.oracle import reference
from preproc.sources import Recipe, parse_recipe, published, replace
from preproc.sources.backbones import agreement, load_backbone
from preproc.verify import inputs, sizes_of
from tests.conftest import ROOT
from tests.mutants.planted import Planted

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
RESCALE = {"step": "rescale"}
NORMALIZE = {"step": "normalize", "mean": MEAN, "std": STD, "unit": "0-1"}


def _steps(*found: dict[str, object]) -> dict[str, object]:
    return {"steps": list(found)}


RECIPES: dict[str, dict[str, object]] = {
    "BGR for RGB, in the network": {"backbone": {"color": "BGR"}},
    "no rescale": _steps(NORMALIZE),
    "rescaled twice": _steps(RESCALE, RESCALE, NORMALIZE),
    "normalized twice": _steps(RESCALE, NORMALIZE, NORMALIZE),
    "normalized before the rescale": _steps(NORMALIZE, RESCALE),
    "no normalization": _steps(RESCALE),
    "inception's constants": _steps(RESCALE, {"step": "normalize", "preset": "inception"}),
    "clip's constants": _steps(RESCALE, {"step": "normalize", "preset": "clip"}),
    "cifar10's constants": _steps(RESCALE, {"step": "normalize", "preset": "cifar10"}),
    "mean and std in 0-255, said to be 0-1": _steps(RESCALE, NORMALIZE | {"mean": [m * 255 for m in MEAN], "std": [s * 255 for s in STD]}),
    "mean and std in 0-1, said to be 0-255": _steps(NORMALIZE | {"unit": "0-255"}),
    "the mean in 0-255": _steps(RESCALE, NORMALIZE | {"mean": [m * 255 for m in MEAN]}),
    "the std in 0-255": _steps(RESCALE, NORMALIZE | {"std": [s * 255 for s in STD]}),
    "1/std for std": _steps(RESCALE, NORMALIZE | {"std": [1 / s for s in STD]}),
    "1/(255 std) for std": _steps(RESCALE, NORMALIZE | {"std": [1 / s / 255 for s in STD]}),
    "variances": _steps(RESCALE, NORMALIZE | {"std": [s * s for s in STD]}),
    "one std for three": _steps(RESCALE, NORMALIZE | {"std": [0.226] * 3}),
    "mean and std swapped": _steps(RESCALE, NORMALIZE | {"mean": STD, "std": MEAN}),
    "constants in BGR order": _steps(RESCALE, NORMALIZE | {"mean": MEAN[::-1], "std": STD[::-1]}),
    "the mean one grey level off": _steps(RESCALE, NORMALIZE | {"mean": [m + 1 / 255 for m in MEAN]}),
    "the std one percent off": _steps(RESCALE, NORMALIZE | {"std": [s * 1.01 for s in STD]}),
    "1/256 for 1/255": _steps({"step": "rescale", "scale": 1 / 256}, NORMALIZE),
    "1/127.5": _steps({"step": "rescale", "scale": 1 / 127.5}, NORMALIZE),
    "to -1..1, then ImageNet's": _steps({"step": "rescale", "scale": 2 / 255, "offset": -1.0}, NORMALIZE),
    "min-max for ImageNet's": _steps({"step": "min_max_scale", "low": 0.0, "high": 255.0}),
    "per-image standardization for ImageNet's": _steps({"step": "standardize"}),
    "caffe's constants": {"backbone": {"color": "BGR"}} | _steps({"step": "normalize", "preset": "caffe"}),
    "an LRN in front": _steps(RESCALE, NORMALIZE, {"step": "local_response_norm", "size": 5}),
    "a negative std": _steps(RESCALE, NORMALIZE | {"std": [-s for s in STD]}),
    "a std of zero": _steps(RESCALE, NORMALIZE | {"std": [0.0, *STD[1:]]}),
    "two means for three channels": _steps(RESCALE, NORMALIZE | {"mean": MEAN[:2]}),
    "four means for three channels": _steps(RESCALE, NORMALIZE | {"mean": [*MEAN, 0.5], "std": [*STD, 0.2]}),
    "an unknown step": _steps(RESCALE, {"step": "normalise", "mean": MEAN, "std": STD}),
    "an unknown key": _steps(RESCALE, NORMALIZE | {"var": STD}),
    "uint16 pixels with 8-bit constants": {"pixels": {"dtype": "uint16"}},
    "a size of other sides": {"pixels": {"size": [224]}},
}


def recipes(_: Path) -> Iterator[Planted]:
    """Of a network whose published weights say how they were trained, with which the recipe is compared; and of one with weights of one's
    own, of which the recipe alone says it."""
    good = tomllib.loads((ROOT / "models" / "mobilenet_v3_small.toml").read_text(encoding="utf-8"))
    good["steps"] = [RESCALE, NORMALIZE]
    right = _checked(good, alone=False)
    pictures = [picture for _, picture in inputs.standard(right.pixels, sizes_of(right)[0])]
    ready = [reference.apply(right.steps, picture) for picture in pictures]
    size = max(float(np.abs(values).max()) for values in ready)
    for alone in (False, True):
        for what, change in RECIPES.items():
            table = copy.deepcopy(good)
            for key, value in change.items():
                table[key] = table[key] | value if isinstance(value, dict) else value
            noticed, moved = None, None
            try:
                recipe = _checked(table, alone=alone)
                made = [reference.apply(recipe.steps, picture) for picture in pictures]
                moved = max(float(np.abs(one - other).max()) for one, other in zip(made, ready, strict=True)) / size
            except PreprocError as error:
                noticed = f"recipe: {error}"[:110]
            yield Planted("recipe, own weights" if alone else "recipe, published weights", what, noticed, moved, 1e-5, alone=alone)


def _checked(table: dict[str, Any], *, alone: bool) -> Recipe:
    """As export does before it writes anything. The network's weights are random; what is published of the others is what counts."""
    recipe = parse_recipe(table, folder=ROOT / "models")
    steps.check(recipe.steps, channels=recipe.pixels.channels)
    spec = recipe.backbone
    backbone = load_backbone(replace(recipe, backbone={"weights": "random", "seed": 0}))
    known = published.of_weights(spec.source, str(spec.name), str(spec.weights))
    agreement(recipe, dataclasses.replace(backbone, published=None if alone else known))
    return recipe
