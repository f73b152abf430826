"""Pictures that are decoded from video, and tensors of the same video decoded otherwise."""

from dataclasses import replace

import numpy as np
import pytest

from preproc.diagnosis.geometry import Source
from preproc.diagnosis.mistakes.against import find_mistake
from preproc.diagnosis.mistakes.decoded import decoded_mistakes
from preproc.oracle import packed, reference
from preproc.steps import FromPixels, Normalize, Rescale, Resize, mistaken, to_rgb
from tests.diagnosis.mistakes.making import pictures, samples

VALUES = (Rescale(), Normalize.preset("imagenet"))
HD = FromPixels(layout="NHW", color="NV12", matrix="bt709", range="limited", conversion="rgb8")
JPEGS = replace(HD, matrix="bt601", range="full")
NAMES = ["matrix bt601 for bt709", "range full for limited", "U and V exchanged"]


def decoded(step, pixels):
    return np.moveaxis(reference.apply([step], pixels)[0], 0, 2).astype(np.uint8)


def video(own, other):
    """(source, RGB of the other step) each, of pictures that clip little."""
    for picture in pictures():
        pixels = packed(picture[:22, :22] // 2 + 60, own)[None]
        yield Source(decoded(own, pixels)), decoded(other, pixels)


def diagnosed(steps, pairs):
    made = [(source, reference.apply(steps, picture[None])[0]) for source, picture in pairs]
    found = find_mistake(steps, samples(made))
    return found.verdict, [fit.name for fit in found.mistakes]


@pytest.mark.parametrize("to", ["RGB", "BGR"])
@pytest.mark.parametrize("name", NAMES)
def test_another_decoding_is_named(name, to):
    steps = (FromPixels(layout="NHWC", to=to), *VALUES)
    told = f"decoded from video with {name} (of bt709 limited)"
    assert diagnosed(steps, video(HD, mistaken(HD)[name])) == ("identified", [told])


def test_range_and_a_resize():
    limited = replace(JPEGS, range="limited")
    steps = (FromPixels(layout="NHWC"), Resize(size=14), *VALUES)
    told = "decoded from video with range limited for full (of bt601 full)"
    assert diagnosed(steps, video(JPEGS, limited)) == ("identified", [told])


def test_pictures_of_another_origin_are_narrowed_at_best():
    back, forth = to_rgb("bt709", "limited"), to_rgb("bt601", "limited")
    rng, pairs = np.random.default_rng(0), []
    for picture in pictures():
        picture = picture // 2 + 50
        exact = picture.reshape(-1, 3) + rng.uniform(-0.5, 0.5, (picture.size // 3, 3))
        made = np.linalg.solve(back.matrix, exact.T - back.offset[:, None])
        other = np.rint((forth.matrix @ made).T + forth.offset).clip(0, 255).astype(np.uint8)
        pairs.append((Source(picture), other.reshape(picture.shape)))
    assert diagnosed((FromPixels(layout="NHWC"), *VALUES), pairs) == ("narrowed", ["decoded from video with matrix bt601 for bt709"])
    assert all("(of bt709 limited)" not in each.name for each in decoded_mistakes([source for source, _ in pairs], "RGB", ()))


@pytest.mark.parametrize(
    "wrong",
    [
        (Normalize.preset("imagenet"),),
        (Rescale(), Normalize.preset("clip")),
        (Rescale(), Normalize(mean=(0.47, 0.45, 0.41), std=(0.225, 0.224, 0.229), unit="0-1")),
    ],
    ids=["not rescaled", "clip", "nobody's"],
)
def test_constants_of_decoded_pictures_are_not_taken_for_a_decoding(wrong):
    steps = (FromPixels(layout="NHWC"), *VALUES)
    pairs = [(source, reference.apply((steps[0], *wrong), source.picture()[None])[0]) for source, _ in video(HD, HD)]
    found = find_mistake(steps, samples(pairs))
    assert found.mistakes
    assert not any("decoded from video" in fit.name for fit in found.mistakes)
