"""Tensors of one grey, made of coloured pictures: how they became grey is named, and written where a recipe says it."""

import dataclasses
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import v2

from preproc.diagnosis import Pair, Pairs, answered
from preproc.oracle import reference
from preproc.sources import parse_front
from tests.diagnosis.pipelines import CONSTANTS, Pipeline, picture, wrong

SIZES = [(40, 57), (61, 44)]


def pillow_first(x):
    """torchvision's Grayscale, Resize, CenterCrop on a PIL image, and the constants of MNIST."""
    image = v2.Compose([v2.Grayscale(1), v2.Resize(28), v2.CenterCrop(24)])(Image.fromarray(x))
    return (np.asarray(image, np.float32)[None] / 255 - np.float32(0.1307)) / np.float32(0.3081)


def repeated(x):
    """Three equal channels, with three means and stds."""
    image = v2.Compose([v2.Grayscale(3), v2.Resize((24, 26))])(Image.fromarray(x))
    mean, std, _ = CONSTANTS["imagenet"]
    return ((np.asarray(image, np.float32) / 255 - np.float32(mean)) / np.float32(std)).transpose(2, 0, 1)


def weighted(weights):
    def make(x):
        image = Image.fromarray(x).resize((26, 24), Image.Resampling.BILINEAR)
        return (np.asarray(image, np.float64) @ np.array(weights) / 127.5 - 1).astype(np.float32)[None]

    return make


def opencv(x):
    """Resized, and made grey behind that, both in whole levels."""
    return (cv2.cvtColor(cv2.resize(x, (26, 24)), cv2.COLOR_RGB2GRAY) / np.float32(255))[None]


def pairs_of(make, pictures):
    pairs = [Pair(str(number), x, np.asarray(make(x), np.float64)) for number, x in enumerate(pictures)]
    return Pairs(tuple(pairs), "NCHW", "float32")


def found_of(make):
    return answered(pairs_of(make, [picture(size, number) for number, size in enumerate(SIZES)]))


def reproduced(found, make, *, grey_first):
    """How far the recipe is off on another picture, as the oracle computes it."""
    front, x = parse_front(tomllib.loads(found.recipe), folder=Path()), picture((70, 41), 99)
    pixels = np.asarray(Image.fromarray(x).convert("L"))[..., None] if grey_first else x
    return np.abs(reference.apply(front.steps, pixels[None])[0] - make(x)).max()


@pytest.mark.parametrize(("make", "channels"), [(pillow_first, "GRAY"), (repeated, "RGB")])
def test_grey_in_front_of_the_resize_is_the_callers(make, channels):
    found = found_of(make)
    assert found.verdict == "identified"
    assert found.fits[0].words.startswith("made grey by Pillow's convert('L'), resized to ")
    assert ("preset mnist" if channels == "GRAY" else "preset imagenet") in found.constants.name
    assert f'[backbone]\ncolor = "{channels}"' in found.recipe
    assert '[pixels] # what the caller has\nlayout = "NHWC"\ncolor = "GRAY"' in found.recipe
    assert found.said.before == ("a picture made grey by Pillow's convert('L')",)
    assert any("it begins behind a picture made grey by Pillow's convert('L')" in line for line in found.lines())
    assert reproduced(found, make, grey_first=True) < 1e-5


@pytest.mark.parametrize(
    ("weights", "words"), [((0.2126, 0.7152, 0.0722), "with Rec. 709's weights"), ((0.5, 0.25, 0.25), "with the weights (0.5, 0.25, 0.25)")]
)
def test_grey_behind_the_resize_is_a_step(weights, words):
    """Known weights, and those of nobody, which are solved."""
    make = weighted(weights)
    found = found_of(make)
    assert found.verdict == "identified"
    assert found.fits[0].words.endswith(f"made grey {words}")
    assert 'step = "channel_affine"' in found.recipe
    assert found.said.before == ()
    assert found.said.apart.why == ""
    assert reproduced(found, make, grey_first=False) < 1e-5


def test_what_a_recipe_only_comes_near_to_is_told_with_its_distance():
    found = found_of(opencv)
    assert found.verdict == "identified"
    assert found.fits[0].words.startswith("resized to 24x26 (OpenCV INTER_LINEAR), made grey by ")
    assert found.said.apart.pictures == 2
    off = [reference.apply(found.steps, x[None])[0] - opencv(x) for x in (picture(size, number) for number, size in enumerate(SIZES))]
    assert found.said.apart.largest == pytest.approx(255 * max(np.abs(each).max() for each in off), abs=1e-3)
    assert 0.2 < found.said.apart.rms < found.said.apart.largest < 2
    told = [line for line in found.lines() if line.startswith("  recipe     it is ")]
    assert len(told) == 1
    assert f"{found.said.apart.largest:.2g} at most" in told[0]
    assert "computed by OpenCV INTER_LINEAR" in told[0]
    assert "their grey was rounded to whole levels" in told[0]
    assert found.to_json()["recipe_apart"] == dataclasses.asdict(found.said.apart)


def test_grey_pictures_do_not_tell_how_colours_would_become_grey():
    greys = [np.repeat(picture(size, number)[..., :1], 3, axis=2) for number, size in enumerate(SIZES)]
    found = answered(pairs_of(pillow_first, greys))
    assert found.verdict == "identified"
    assert any(each.startswith("the pictures are grey, so how colours would become grey is not told") for each in found.ambiguous)
    assert not any("colour order" in each for each in found.ambiguous)


def test_what_few_pictures_do_not_tell_is_not_left_out():
    """A rounding that three of the four are no proof of."""
    pipeline = Pipeline("letterbox", "OpenCV area", "-1..1 by 128", (23, 23), 1, False, "float32", "average")
    why, found = wrong(pipeline, [(47, 59), (54, 56), (57, 51), (62, 67)])
    assert why is None, found.lines()


def test_one_channel_of_noise_is_not_identified():
    found = found_of(lambda x: np.random.default_rng(len(x)).normal(size=(1, 24, 26)))
    assert (found.verdict, found.recipe) == ("not identified", None)
