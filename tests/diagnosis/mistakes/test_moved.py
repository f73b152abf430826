"""What is done to a picture before its numbers are made: moved aside, made grey, and with which weights."""

import cv2
import numpy as np
import pytest
from PIL import Image

from preproc.diagnosis import Mistakes
from preproc.diagnosis.geometry import Source
from preproc.diagnosis.mistakes.against import find_mistake
from preproc.oracle import reference
from preproc.steps import ChannelAffine, Normalize, Rescale, Resize
from tests.diagnosis.mistakes.making import RECIPES, RGB, pictures, samples

OF_LIBRARIES = Mistakes.of_libraries


@pytest.fixture(autouse=True)
def no_other_libraries(monkeypatch):
    """They take long to load; one test has them."""
    monkeypatch.setattr(Mistakes, "of_libraries", lambda _, **__: iter(()))


def aside(x, axis, by, behind):
    """(C, H, W), moved by one along an axis, as array code does it that forgets a row."""
    edge = np.take(x, [0 if by > 0 else -1], axis)
    new = edge if behind == "edge" else np.full_like(edge, behind)
    kept = np.delete(x, -1 if by > 0 else 0, axis)
    return np.concatenate([new, kept] if by > 0 else [kept, new], axis)


@pytest.mark.parametrize(
    ("axis", "by", "behind", "name"),
    [
        (2, 1, "edge", "moved to the right, edge repeated"),
        (1, -1, "edge", "moved to the top, edge repeated"),
        (2, -1, 0, "moved to the left, zeros behind"),
        (1, 1, 0, "moved to the bottom, zeros behind"),
    ],
)
def test_a_picture_moved_by_a_pixel_is_named_with_what_is_behind(axis, by, behind, name):
    steps = (RGB, Resize(size=(12, 12)), Rescale(), Normalize.preset("imagenet"))
    pairs = [(Source(x), aside(reference.apply(steps, x[None])[0], axis, by, behind)) for x in pictures()]
    found = find_mistake(steps, samples(pairs))
    assert (found.verdict, [fit.name for fit in found.mistakes]) == ("identified", [name])


def test_a_black_row_is_told_from_one_of_zeros():
    steps = (RGB, Resize(size=(12, 12)), Rescale(), Normalize.preset("imagenet"))
    levels = [(x, aside(reference.apply(steps[:2], x[None])[0], 2, 1, 0)) for x in pictures()]
    found = find_mistake(steps, samples([(Source(x), reference.apply(steps[2:], each[None])[0]) for x, each in levels]))
    assert (found.verdict, [fit.name for fit in found.mistakes]) == ("identified", ["moved to the right, black behind"])


def grey(weights, *, first, floor=0.0):
    """In three channels, in front of a resize by Pillow or behind it; floor: what is added before whole levels are taken."""

    def make(x):
        if first:
            x = np.repeat(np.floor(x @ np.array(weights) + floor).astype(np.uint8)[..., None], 3, axis=2)
        x = np.asarray(Image.fromarray(x).resize((12, 12), Image.Resampling.BILINEAR), np.float64)
        return x if first else np.repeat((x @ np.array(weights))[..., None], 3, axis=2)

    return make


GREYS = {
    "grey for colour by average": grey((1 / 3, 1 / 3, 1 / 3), first=True, floor=0.5),
    "grey for colour by Rec. 709": grey((0.2126, 0.7152, 0.0722), first=True, floor=0.5),
    "grey for colour behind": grey((0.299, 0.587, 0.114), first=False),
    "grey for colour behind by average": grey((1 / 3, 1 / 3, 1 / 3), first=False),
    "grey for colour behind by Rec. 709": grey((0.2126, 0.7152, 0.0722), first=False),
}


@pytest.mark.parametrize("name", GREYS)
def test_grey_for_colour_is_named_with_its_weights(name):
    steps = (RGB, Resize(size=(12, 12)), Rescale(), Normalize.preset("imagenet"))
    pairs = [(Source(x), reference.apply(steps[2:], GREYS[name](x).transpose(2, 0, 1)[None])[0]) for x in pictures()]
    found = find_mistake(steps, samples(pairs))
    assert (found.verdict, [fit.name for fit in found.mistakes]) == ("identified", [name])


@pytest.mark.parametrize(
    ("weights", "name"), [((0.2126, 0.7152, 0.0722), "grey by Rec. 709"), ((1 / 3, 1 / 3, 1 / 3), "grey by the plain average")]
)
def test_other_weights_than_the_recipes_are_named(weights, name):
    asked = RECIPES["grey by weights"]
    made = tuple(ChannelAffine(matrix=(weights,)) if isinstance(step, ChannelAffine) else step for step in asked)
    found = find_mistake(asked, samples([(Source(x), reference.apply(made, x[None])[0]) for x in pictures()]))
    assert (found.verdict, [fit.name for fit in found.mistakes]) == ("identified", [name])
    assert "in place of [0.299, 0.587, 0.114]" in found.mistakes[0].words


def test_grey_pixels_that_were_made_otherwise_are_named(monkeypatch):
    """Of the pictures themselves, which are coloured: cv2.imread and COLOR_RGB2GRAY, say."""
    monkeypatch.setattr(Mistakes, "of_libraries", OF_LIBRARIES)
    asked, made = RECIPES["grey pixels"], []
    for x in pictures():
        gray = cv2.cvtColor(x, cv2.COLOR_BGR2GRAY)
        made.append((Source(x), reference.apply(asked, gray[None, ..., None])[0]))
    found = find_mistake(asked, samples(made))
    told = [fit.words for fit in found.mistakes]
    assert found.verdict in ("identified", "narrowed")
    assert "made grey by OpenCV's COLOR_RGB2GRAY with red and blue exchanged in place of Pillow's convert('L')" in told
    assert all("red and blue exchanged" in words for words in told)
    assert any(
        "the recipe takes grey pixels, and the pictures were made grey by Pillow's convert('L') for it" in line for line in found.lines()
    )
