"""Recipes that take their steps from what is published with the weights."""

import dataclasses

import pytest
from timm.models import get_pretrained_cfg

from preproc.errors import RecipeError
from preproc.sources import parse_recipe, published
from tests.conftest import ROOT
from tests.sources.published.configurations import FACTORS, WHY


def recipe(**changes):
    table = {
        "name": "x",
        "steps_from": "weights",
        "backbone": {"source": "torchvision", "name": "resnet18", "weights": "IMAGENET1K_V1", "color": "RGB"},
        "pixels": {"layout": "NHWC", "color": "RGB", "size": "dynamic"},
    }
    return parse_recipe(table | changes, folder=ROOT)


def test_recipes_take_their_steps_from_the_weights():
    made = recipe()
    assert made.steps[1:] == published.named_weights("ResNet18_Weights.IMAGENET1K_V1").steps
    assert made.steps_from == "ResNet18_Weights.IMAGENET1K_V1"
    assert made.ready_size == (224, 224)
    other = recipe(backbone={"source": "timm", "name": "resnet50", "weights": "a1_in1k", "color": "RGB"})
    assert other.steps_from == "timm resnet50.a1_in1k"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps_from": "imagenet"}, 'expected "weights"'),
        ({"steps": []}, r"in place of \[\[steps\]\], got \[\[steps\]\] beside it"),
        ({"backbone": {"source": "torchvision", "name": "resnet18", "weights": "random", "seed": 0, "color": "RGB"}}, "IMAGENET1K_V1"),
        ({"backbone": {"source": "torchvision", "name": "resnet18", "weights": "IMAGENET1K_V1", "color": "BGR"}}, 'expected "RGB"'),
        ({"backbone": {"source": "embedded", "name": "digits", "weights": "x", "color": "RGB"}}, "whose weights say"),
    ],
)
def test_recipes_that_cannot(changes, message):
    with pytest.raises(RecipeError, match=message):
        recipe(**changes)


def test_recipes_say_why_the_constants_of_weights_are_right(monkeypatch):
    backbone = {"source": "timm", "name": "resnet50", "weights": "a1_in1k", "color": "RGB"}
    config = get_pretrained_cfg("resnet50.a1_in1k")
    monkeypatch.setattr("timm.models.get_pretrained_cfg", lambda _: dataclasses.replace(config, std=tuple(FACTORS)))
    with pytest.raises(RecipeError, match=r"steps_from: normalize: .* or say why they are right in constants_because = "):
        recipe(backbone=backbone)
    made = recipe(backbone=backbone, constants_because=WHY)
    assert made.steps[-1].constants_because == WHY
    with pytest.raises(
        RecipeError, match=r"constants_because: expected beside steps_from, .*; in \[\[steps\]\] each normalize may say its own"
    ):
        recipe(backbone=backbone, steps_from=None, steps=[], constants_because=WHY)
