"""Pictures of Y, U and V to verify with."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from preproc.errors import PreprocError
from preproc.oracle import packed, reference
from preproc.sources import PixelsSpec
from preproc.steps import RANGES, UNCONVERTED, WEIGHTS, YUV, FromPixels, Resize, layouts_of, mistaken
from preproc.verify.inputs import from_folder, one_picture, photographs, standard, unscaled
from preproc.verify.video import whole_blocks
from tests.conftest import ROOT
from tests.yuv import steps

SAID = {"matrix": "bt709", "range": "limited"}
NV12 = PixelsSpec(layout="NHW", color="NV12", dtype="uint8", size=(20, 30), channels=3, **SAID)


@given(steps(), st.integers(0, 99))
def test_what_is_packed_comes_back(step, seed):
    """One colour for each block: nothing is lost but the rounding of Y, U and V, 2.2 levels where U weighs most."""
    rows, columns = YUV[step.color].block
    blocks = np.random.default_rng(seed).integers(0, 256, (3, 4, 3))
    if step.chroma == "bilinear":
        blocks[:] = blocks[:1, :1]  # and one for all, where neighbours are mixed
    rgb = blocks.repeat(rows, 0).repeat(columns, 1)
    pixels = PixelsSpec.of(step, size=(None, None), channels=3)
    back = reference.apply([step], packed(rgb, pixels)[None])[0]
    red, blue = map(float, WEIGHTS[step.matrix])
    want = np.moveaxis(rgb, 2, 0)
    want = {"RGB": want, "BGR": want[::-1], "GRAY": (rgb @ [red, 1 - red - blue, blue])[None]}[step.to]
    assert np.abs(back - want).max() < 2.5


@pytest.mark.parametrize("color", YUV)
def test_the_usual_pictures(color):
    for layout in layouts_of(color):
        pixels = PixelsSpec(layout=layout, color=color, dtype="uint8", size=(20, 30), channels=3, **SAID)
        found = dict(standard(pixels, (20, 30)))
        assert len(found) == 11
        assert {picture.shape for picture in found.values()} == {pixels.shape(1)}
        assert {picture.dtype for picture in found.values()} == {np.dtype("uint8")}
        step = FromPixels(layout=layout, color=color, **SAID)
        assert np.abs(reference.apply([step], found["black"])).max() < 1
        assert np.abs(reference.apply([step], found["white"]) - 255).max() < 1
        noise = reference.apply([step], found["noise"])
        assert noise.min() < -50  # bytes that are no colour
        assert noise.max() > 300
        assert any(name.startswith("photo-") for name in found)


@pytest.mark.parametrize("range_", RANGES)
@pytest.mark.parametrize("matrix", WEIGHTS)
def test_a_photograph_is_the_same_in_each_matrix(matrix, range_):
    pixels = PixelsSpec(layout="NHWC", color="YUV444", dtype="uint8", size=(20, 30), channels=3, matrix=matrix, range=range_)
    rgb = dict(standard(PixelsSpec(layout="NCHW", color="RGB", dtype="uint8", size=(20, 30), channels=3), (20, 30)))["photo-coffee"]
    step = FromPixels(layout="NHWC", color="YUV444", matrix=matrix, range=range_)
    assert np.abs(reference.apply([step], dict(standard(pixels, (20, 30)))["photo-coffee"]) - rgb).max() < 2.5


def test_pictures_and_arrays_of_ones_own(tmp_path, rng):
    rgb = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8).repeat(2, 0).repeat(2, 1)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    array = rng.integers(0, 256, (30, 30), dtype=np.uint8)
    np.save(tmp_path / "b.npy", array)
    a, b = (picture for _, picture in from_folder(tmp_path, NV12, (20, 30)))
    assert a.shape == b.shape == (1, 30, 30)
    assert np.array_equal(b[0], array)
    free = PixelsSpec(layout="NHW", color="NV12", dtype="uint8", size=None, channels=3, **SAID)
    assert np.array_equal(one_picture(tmp_path / "a.png", free)[0], packed(rgb, free))
    Image.fromarray(rgb[:9, :13]).save(tmp_path / "odd.png")
    assert one_picture(tmp_path / "odd.png", free).shape == (1, 12, 12)
    assert np.array_equal(unscaled(tmp_path / "a.png", free), rgb)
    assert whole_blocks((1, 5), free) == (2, 4)
    with pytest.raises(PreprocError, match=r"b\.npy: expected a picture of 10x30 in an array of NV12, .* got 20x30; save one"):
        list(from_folder(tmp_path, NV12, (10, 30)))
    with pytest.raises(PreprocError, match=r"b\.npy: expected an image file for a model that takes NV12, got an array"):
        unscaled(tmp_path / "b.npy", free)
    np.save(tmp_path / "b.npy", array / 255)
    with pytest.raises(PreprocError, match=r"expected one picture \(3H/2, W\) of uint8, .*, got \(30, 30\) of float64; raw ones"):
        list(from_folder(tmp_path, NV12, (20, 30)))
    Image.fromarray(np.zeros((20, 30), np.uint16)).save(tmp_path / "c.png")
    with pytest.raises(PreprocError, match=r"c\.png: .* save what the model takes, as a \.npy array \(3H/2, W\) of uint8"):
        one_picture(tmp_path / "c.png", NV12)
    np.save(tmp_path / "b.npy", array[:29])
    with pytest.raises(PreprocError, match=r"b\.npy: expected \(3H/2, W\)"):
        list(from_folder(tmp_path, NV12, (20, 30)))


def test_what_the_page_says_of_photographs():
    """How many values of the linear form are outside of 0..255, how far; and what a wrong matrix or range moves of what is inside."""
    page = " ".join((ROOT / "models" / "README.md").read_text(encoding="utf-8").split())
    shares, beyond, moved = [], [], {"matrix": [], "range": []}
    for matrix, range_ in (("bt601", "limited"), ("bt601", "full"), ("bt709", "limited"), ("bt709", "full")):
        first = FromPixels(layout="NHW", color="NV12", matrix=matrix, range=range_)
        for _, _, x in photographs(PixelsSpec.of(first, size=(None, None), channels=3), (224, 224)):
            linear = reference.apply([first], x)
            shares.append(100 * ((linear < 0) | (linear > 255)).mean())
            beyond.append(max(-linear.min(), linear.max() - 255))
            for name, other in mistaken(first).items():
                if {other.matrix, matrix} == {"bt601", "bt709"} or other.range != range_:
                    off = np.abs(reference.apply([other], x).clip(0, 255) - linear.clip(0, 255))
                    moved[name.split()[0]].append(off.mean())
    assert f"in 4:2:0 at 224x224, {min(shares):.2f} to {max(shares):.0f} % of the values, by up to {max(beyond):.0f} levels" in page
    assert "on our photographs at 224x224 bt709 for bt601" in page
    assert f"by {min(moved['matrix']):.0f} to {max(moved['matrix']):.0f} on average" in page
    assert f"full for limited by {min(moved['range']):.0f} to {max(moved['range']):.0f}" in page


def test_where_nothing_says_what_they_stand_for_it_is_some_of_them():
    step = FromPixels(layout="NHW", color="NV12", to=UNCONVERTED)
    black = packed(np.zeros((4, 4, 3)), PixelsSpec.of(step, size=(4, 4), channels=3))
    assert np.unique(black).tolist() == [0, 128]


def test_what_the_page_says_of_planes_that_are_resized():
    page = " ".join((ROOT / "models" / "README.md").read_text(encoding="utf-8").split())
    means, hundredths, resize = [], [], Resize(size=(224, 224))
    for matrix, range_ in (("bt601", "limited"), ("bt601", "full"), ("bt709", "limited"), ("bt709", "full")):
        said = {"layout": "NHW", "color": "NV12", "matrix": matrix, "range": range_}
        spec = PixelsSpec.of(FromPixels(**said), size=(None, None), channels=3)
        for _, _, x in photographs(spec, (480, 640)):
            linear, whole = (reference.apply([FromPixels(conversion=form, **said), resize], x) for form in ("linear", "rgb8"))
            means.append(np.abs(linear - whole).mean())
            hundredths.append(np.percentile(np.abs(linear - whole), 99))
    assert f"640x480 resized to 224x224, the RGB is {min(means):.1f} to {max(means):.1f} levels from that" in page
    assert f"more than {min(hundredths):.0f} to {max(hundredths):.0f} levels in one of a hundred values" in page
