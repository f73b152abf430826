"""Resizes and crops of Y, U and V: against Pillow itself, plane by plane, and the standards' formula pixel by pixel."""

import numpy as np
import pytest
from PIL import Image

from preproc.errors import PreprocError
from preproc.oracle import planes, reference
from preproc.steps import UNCONVERTED, YUV, CenterCrop, FromPixels, Pad, Resize, installed_pillow
from tests.yuv import SAID, pixels, plain_loop

KINDS = [("NV12", "NHW"), ("YV12", "NHW"), ("VYUY", "NHWC"), ("YUV444", "NCHW")]
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC, "nearest": Image.Resampling.NEAREST}


def by_pillow(first, x, new, interpolation, crop):
    """As a camera would have given the smaller picture: Y, U and V of each, resized and cut, one after the other."""
    rows, columns = YUV[first.color].block
    made = []
    for plane, block in zip(planes(first, x), ((1, 1), (rows, columns), (rows, columns)), strict=True):
        height, width, top, left, low, right = (side // block[at % 2] for at, side in enumerate((*new, *crop)))
        resized = [np.asarray(Image.fromarray(each.astype(np.uint8)).resize((width, height), FILTERS[interpolation])) for each in plane]
        made.append(np.stack(resized)[:, top:low, left:right])
    return made


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize(("color", "layout"), KINDS)
def test_each_plane_is_what_pillow_makes_of_it(color, layout, interpolation):
    first = FromPixels(layout=layout, color=color, **SAID)
    x = pixels(color, layout, (40, 36), batch=2)
    pillow = None if interpolation == "nearest" else installed_pillow()
    moves = [Resize(size=(20, 28), interpolation=interpolation, pillow=pillow), CenterCrop(size=(16, 24))]
    y, u, v = by_pillow(first, x, (20, 28), interpolation, (2, 2, 18, 26))
    whole = FromPixels(layout="NCHW", color="YUV444", **SAID)
    shared = [np.repeat(np.repeat(each, y.shape[1] // each.shape[1], 1), y.shape[2] // each.shape[2], 2) for each in (u, v)]
    want = plain_loop(whole, np.stack([y, *shared], axis=1))
    np.testing.assert_allclose(reference.apply([first, *moves], x), want, rtol=0, atol=1e-10)
    plain = FromPixels(layout=layout, color=color, to=UNCONVERTED)
    np.testing.assert_array_equal(reference.apply([plain, *moves], x), np.stack([y, *shared], axis=1))


def test_it_is_not_what_resizing_rgb_gives():
    x = pixels("NV12", "NHW", (40, 36))
    linear, whole = (
        reference.apply([FromPixels(layout="NHW", color="NV12", conversion=form, **SAID), Resize(size=(20, 18))], x)
        for form in ("linear", "rgb8")
    )
    assert np.abs(linear.clip(0, 255) - whole).max() > 10


@pytest.mark.parametrize(
    ("move", "told"), [(CenterCrop(size=14), "cut whole blocks"), (Resize(size=15), "multiples"), (Pad(padding=1), "pad")]
)
def test_blocks_stay_whole(move, told):
    with pytest.raises(PreprocError, match=told):
        reference.apply([FromPixels(layout="NHW", color="NV12", **SAID), move], pixels("NV12", "NHW", (16, 16)))
