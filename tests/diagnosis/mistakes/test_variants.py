"""The candidates: all that people use is there once, each does what its words say, and none is two."""

import numpy as np
import pytest

from preproc.diagnosis import Variant, variants
from preproc.oracle import reference
from preproc.steps import PRESETS, FromPixels, Normalize, Rescale, Resize

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
RGB = FromPixels(layout="NHWC")


def by_name(*arguments, **options):
    return {variant.name: variant for variant in variants(*arguments, **options)}


def made(variant: Variant):
    return reference.apply(variant.steps, PIXELS)


def by_hand(mean, std, divisor=255.0, order=slice(None)):
    levels = np.moveaxis(PIXELS[..., order], 3, 1).astype(np.float64)
    return (levels / divisor - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))


def test_what_each_does_is_what_its_words_say():
    found = by_name(None)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    back = slice(None, None, -1)
    for name, expected in {
        "imagenet, RGB": by_hand(mean, std),
        "imagenet, BGR": by_hand(mean[::-1], std[::-1], order=back),
        "imagenet, BGR, constants of RGB": by_hand(mean, std, order=back),
        "imagenet, RGB, not rescaled": by_hand(mean, std, 1.0),
        "imagenet, RGB, rescaled twice": by_hand(mean, std, 255.0**2),
        "imagenet, RGB, twice": (by_hand(mean, std) - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1)),
        "caffe, BGR": by_hand((103.939, 116.779, 123.68), (1, 1, 1), 1.0, back),
        "caffe, BGR, rescaled": by_hand((103.939, 116.779, 123.68), (1, 1, 1), order=back),
        "0-1, RGB": by_hand((0, 0, 0), (1, 1, 1)),
        "0-255, BGR": by_hand((0, 0, 0), (1, 1, 1), 1.0, back),
    }.items():
        np.testing.assert_allclose(made(found[name]), expected, rtol=1e-12, atol=1e-12, err_msg=name)
    assert {"min-max, RGB", "per picture, BGR", "per picture and channel, RGB", "LRN, RGB", "0-1, RGB, rescaled twice"} <= found.keys()
    assert all(any(preset in name for name in found) for preset, known in PRESETS.items() if len(known.mean) == 3)


@pytest.mark.parametrize("asked", [None, [RGB, Rescale(), Normalize(mean=(0.7, 0.6, 0.5), std=(0.1, 0.2, 0.3), unit="0-1")]])
def test_none_does_the_same_as_another(asked):
    found = variants(asked)
    tensors = [made(variant) for variant in found]
    assert len({variant.name for variant in found}) == len(found)
    for i, one in enumerate(tensors):
        for j, other in enumerate(tensors[:i]):
            assert not np.allclose(one, other, rtol=1e-5, atol=1e-7), (found[i].name, found[j].name)


def test_a_recipe_comes_first_with_its_geometry_and_its_mistakes():
    asked = [RGB, Resize(size=(3, 4)), Rescale(), Normalize.preset("imagenet")]
    found = variants(asked)
    assert found[0] == Variant("recipe", tuple(asked), "what the recipe says")
    names = [variant.name for variant in found if variant.mistake]
    assert names[:4] == ["recipe, twice", "recipe, not rescaled", "recipe, rescaled twice", "recipe, BGR"]
    assert "imagenet, RGB" not in by_name(asked)
    assert not any(variant.mistake for variant in found[: len(found) - len(names)])
    assert all(variant.steps[1] == asked[1] and made(variant).shape == (2, 3, 3, 4) for variant in found)
    swapped = reference.apply(asked[1:], np.moveaxis(PIXELS[..., ::-1], 3, 1))
    np.testing.assert_array_equal(made(by_name(asked)["recipe, BGR"]), swapped)


def test_one_channel_has_no_colour_order_and_its_own_preset():
    names = list(by_name(None, channels=1))
    assert "mnist" in names
    assert not any("BGR" in name or "imagenet" in name for name in names)
    assert "mnist" in by_name([FromPixels(layout="NHWC", color="GRAY", to="GRAY")])
    five = by_name(None, channels=5)
    assert set(five) == {"0-1", "0-1, rescaled twice", "0-255", "min-max", "per picture", "per picture and channel", "LRN"}


def test_pixels_of_sixteen_bits_are_divided_by_their_own_largest_level():
    found = by_name([FromPixels(layout="NHWC", pixel_dtype="uint16"), Rescale(scale=1 / 65535), Normalize.preset("clip")])
    assert not any("caffe" in name for name in found)  # its constants are for 0-255
    assert found["0-1, RGB"].steps[1] == Rescale(scale=1 / 65535)
