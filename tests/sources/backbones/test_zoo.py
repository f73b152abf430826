"""Backbones from timm, with random weights and with published ones."""

import sys

import pytest
import torch

from preproc.errors import PreprocError, RecipeError
from preproc.sources import replace
from preproc.sources.backbones import agreement, load_backbone
from preproc.steps import FromPixels, Normalize, Rescale
from tests.sources.backbones.recipes import recipe


def test_timm_with_random_weights_is_repeatable():
    first, second = load_backbone(recipe()), load_backbone(recipe())
    assert first.sha256() == second.sha256()
    assert (first.trained, first.weights, first.published) == (False, "random (seed 0)", None)
    assert load_backbone(recipe(arguments={"num_classes": 3})).module(torch.zeros(1, 3, 224, 224)).shape == (1, 3)


def test_timms_published_weights_know_their_constants(monkeypatch):
    """What a recipe with ImageNet's constants on a ViT that was trained with 0.5/0.5 is told (timm #2463)."""
    import timm

    real = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, **rest: real(name, **rest | {"pretrained": False}))
    published = recipe(weights="augreg_in21k_ft_in1k", seed=None)
    backbone = load_backbone(published)
    assert agreement(published, backbone) == "yes"
    wrong = replace(published, steps=(FromPixels(layout="NHWC"), Rescale(), Normalize.preset("imagenet")))
    with pytest.raises(RecipeError, match=r"augreg_in21k_ft_in1k were trained with, RGB through .*0\.5, 0\.5, 0\.5"):
        agreement(wrong, backbone)


def test_timm_without_a_network_says_the_ways_out(monkeypatch):
    monkeypatch.setattr("timm.models._builder.load_pretrained", lambda *_, **__: (_ for _ in ()).throw(OSError("no network\nin this test")))
    with pytest.raises(PreprocError, match=r"expected the weights to be fetched, got OSError: no network; or") as caught:
        load_backbone(recipe(weights="augreg_in21k_ft_in1k", seed=None))
    assert "\n" not in str(caught.value)


def test_timm_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(PreprocError, match=r"pip install timm") as caught:
        load_backbone(recipe())
    assert caught.value.name == "not-installed"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "vit_tny_patch16_224"}, "did you mean 'vit_tiny_patch16_224'"),
        ({"name": "resnet18.a1_in1k"}, 'write name = "resnet18" and weights = "a1_in1k"'),
        ({"name": "resnet18", "weights": "a1_in1", "seed": None}, "expected one of .*did you mean 'a1_in1k'"),
        ({"arguments": {"num_clases": 3}}, "arguments: expected what vit_tiny_patch16_224 takes"),
    ],
)
def test_timms_unknown_names_are_refused(change, message):
    with pytest.raises(RecipeError, match=message):
        load_backbone(recipe(**change))


@pytest.mark.parametrize("key", ["weights", "pretrained", "checkpoint_path"])
def test_weights_do_not_come_in_through_the_arguments(key):
    with pytest.raises(RecipeError, match=rf"expected the weights in \[backbone\] weights, got {key}"):
        load_backbone(recipe(arguments={key: "x"}))
