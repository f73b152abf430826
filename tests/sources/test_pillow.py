"""Recipes and published pipelines say whose order of passes they have."""

import pytest
import torch
from torchvision.models import ResNet18_Weights

from preproc.errors import PreprocError, RecipeError
from preproc.layers import Pipeline
from preproc.sources import parse_recipe, published
from preproc.sources.backbones import Backbone, agreement
from preproc.steps import PILLOWS
from tests.conftest import ROOT
from tests.pillows import CLIP, HERE, OTHER


def recipe(**changes):
    table = {
        "name": "x",
        "steps_from": "weights",
        "backbone": {"source": "torchvision", "name": "resnet18", "weights": "IMAGENET1K_V1", "color": "RGB"},
        "pixels": {"layout": "NHWC", "color": "RGB", "size": "dynamic"},
    }
    return parse_recipe({key: value for key, value in (table | changes).items() if value is not None}, folder=ROOT)


def test_recipes_choose_it_beside_the_weights():
    assert recipe().steps[1].pillow == HERE
    for order in PILLOWS:
        assert recipe(pillow=order).steps[1].pillow == order
    with pytest.raises(RecipeError, match=r"^pillow: expected 12 or 13, got 11; 12 stands for every older Pillow"):
        recipe(pillow=11)
    with pytest.raises(RecipeError, match=r"^pillow: expected 12 or 13, got '12'"):
        recipe(pillow="12")
    with pytest.raises(RecipeError, match=r"pillow: expected beside steps_from, got 12 without; in .* each resize may say its own"):
        recipe(pillow=12, steps_from=None, steps=[{"step": "resize", "size": 224}])


def test_weights_do_not_know_their_pillow():
    """Their constants agree with a recipe of either."""
    known = published.from_torchvision(ResNet18_Weights.IMAGENET1K_V1)
    for order in PILLOWS:
        assert agreement(recipe(pillow=order), Backbone(torch.nn.Identity(), "w", True, known)) == "yes"


@pytest.mark.parametrize("order", PILLOWS)
def test_published_pipelines_of_either(order):
    sources = {"torchvision": ResNet18_Weights.IMAGENET1K_V1, "timm": "resnet50.a1_in1k", "huggingface": CLIP}
    for name, source in sources.items():
        make = getattr(Pipeline, f"from_{name}")
        assert make(source).steps()[1].pillow == HERE
        assert make(source, pillow=order).steps()[1].pillow == order
        with pytest.raises(PreprocError, match="pillow: expected 12 or 13, got 14"):
            make(source, pillow=14)
    assert published.named_weights("ResNet18_Weights.IMAGENET1K_V1", pillow=order).steps[0].pillow == order
    assert published.from_huggingface(CLIP | {"resample": 0}, pillow=order).steps[0].pillow is None


def test_a_transform_here_has_the_order_of_the_pillow_here():
    assert Pipeline.from_torchvision(ResNet18_Weights.IMAGENET1K_V1, pillow=HERE).to_torchvision()
    with pytest.raises(PreprocError, match=f"order of passes of Pillow {HERE}, which is installed, got {OTHER}'s"):
        Pipeline.from_torchvision(ResNet18_Weights.IMAGENET1K_V1, pillow=OTHER).to_torchvision()
