"""Tensors of a camera's pictures, against a recipe that takes them: which matrix, range, order or place of chroma they were made with."""

import numpy as np
import pytest

from preproc.diagnosis import Mistakes, diagnose_against
from preproc.diagnosis.geometry import Source
from preproc.diagnosis.mistakes.against import find_mistake
from preproc.errors import PreprocError
from preproc.oracle import packed, reference
from preproc.steps import OTHER_CONVERSIONS, FromPixels, Normalize, Rescale, Resize, mistaken
from tests.diagnosis.mistakes.making import pictures, samples

VALUES = (Rescale(), Normalize.preset("imagenet"))
NV12 = FromPixels(layout="NHW", color="NV12", matrix="bt709", range="limited")
EIGHT = FromPixels(layout="NHWC", color="UYVY", matrix="bt601", range="full", conversion="rgb8")
RECIPES = {
    "linear": (NV12, *VALUES),
    "rgb8": (EIGHT, *VALUES),
    "resized": (EIGHT, Resize(size=14), *VALUES),
    "planes": (NV12, Resize(size=14), *VALUES),
}
CASES = [(recipe, name) for recipe, steps in RECIPES.items() for name in mistaken(steps[0]) if name != "chroma half a pixel aside"]


def pairs(steps, first):
    """Pictures of even sides, as a camera gives them, read by `first` in place of the recipe's own step."""
    rgb = [picture[:22, :22] for picture in pictures()]
    return [(Source(each), reference.apply((first, *steps[1:]), packed(each, steps[0])[None])[0]) for each in rgb]


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_recipe_itself_is_right(recipe):
    steps = RECIPES[recipe]
    assert find_mistake(steps, samples(pairs(steps, steps[0]))).right


@pytest.mark.parametrize(("recipe", "name"), CASES)
def test_the_mistake_is_named(recipe, name):
    steps = RECIPES[recipe]
    if recipe == "resized" and name in OTHER_CONVERSIONS:
        assert name not in {mistake.name for mistake in Mistakes(steps).all}  # a resize takes whole levels
        return
    found = find_mistake(steps, samples(pairs(steps, mistaken(steps[0])[name])))
    assert (found.verdict, [fit.name for fit in found.mistakes]) == ("identified", [name])


def test_two_at_once_and_chroma_aside():
    steps = RECIPES["linear"]
    aside = mistaken(NV12)["chroma half a pixel aside"]
    found = find_mistake(steps, samples(pairs(steps, aside)))
    assert (found.verdict, [fit.name for fit in found.mistakes]) == ("identified", ["chroma half a pixel aside"])
    both = [(source, tensor[::-1]) for source, tensor in pairs((NV12, Rescale()), mistaken(NV12)["U and V exchanged"])]
    found = find_mistake((NV12, Rescale()), samples(both))
    assert found.verdict == "identified"
    assert found.mistakes[0].name == "U and V exchanged, and channels swapped"


def test_a_size_that_no_camera_gives_is_refused(tmp_path):
    odd = pictures()[0][:21]
    np.savez(tmp_path / "pairs.npz", **{"a.picture": odd, "a.tensor": np.zeros((3, 21, 30), np.float32)})
    with pytest.raises(PreprocError, match="a: expected a height and a width that are multiples of 2 and 2"):
        diagnose_against(tmp_path / "pairs.npz", [NV12, *VALUES])
