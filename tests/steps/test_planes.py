"""What moves U and V beside Y, and what would cut a block."""

import pytest

from preproc.errors import PreprocError
from preproc.steps import YUV, CenterCrop, FromPixels, Letterbox, Normalize, Pad, Rescale, Resize, check, chroma_moves, output_size

SAID = {"matrix": "bt709", "range": "limited"}
NV12 = FromPixels(layout="NHW", color="NV12", **SAID)
YUYV = FromPixels(layout="NHWC", color="YUYV", **SAID)
YUV444 = FromPixels(layout="NCHW", color="YUV444", **SAID)


def sizes(steps):
    return [step.size for step in steps]


def test_each_plane_has_a_size_of_its_own():
    moves = [Resize(size=232), CenterCrop(size=224)]
    assert sizes(chroma_moves(NV12, moves, (1080, 1920))) == [(116, 206), (112, 112)]
    assert sizes(chroma_moves(YUYV, moves, (1080, 1920))) == [(232, 206), (224, 112)]
    assert sizes(chroma_moves(YUV444, moves, (1080, 1920))) == [(232, 412), (224, 224)]
    assert chroma_moves(NV12, [Resize(size=(8, 12), interpolation="bicubic", form="exact")], (None, None)) == (
        Resize(size=(4, 6), interpolation="bicubic", form="exact"),
    )
    assert sizes(chroma_moves(YUV444, [Resize(size=232)], (None, None))) == [232]


@pytest.mark.parametrize("color", [color for color in YUV if YUV[color].block == (2, 2)])
def test_a_shorter_side_that_fits_the_blocks_fits_them_in_each_plane(color):
    first = FromPixels(layout="NHW", color=color, **SAID)
    for size in ((480, 640), (1080, 1920), (36, 20), (48, 52)):
        for side in range(2, 60, 2):
            step = Resize(size=side)
            new = step.output_size(size)
            if new[0] % 2 == new[1] % 2 == 0:
                assert sizes(chroma_moves(first, [step], size)) == [Resize(size=side // 2).output_size((size[0] // 2, size[1] // 2))]


@pytest.mark.parametrize(
    ("first", "moves", "size", "told", "name"),
    [
        (NV12, [Resize(size=256)], (1080, 1920), r"2 and 2, .* got 256x455: write size = \[256, 456\], or conversion", "shape-mismatch"),
        (NV12, [Resize(size=(1, 8))], (None, None), r"got 1x8: write size = \[2, 8\]", "shape-mismatch"),
        (YUYV, [Resize(size=(8, 7))], (None, 4), r"multiples of 1 and 2, .* got 8x7", "shape-mismatch"),
        (NV12, [CenterCrop(size=8)], (10, 12), r"cut whole blocks of 2x2 pixels, .* got 10x12 to crop to 8x8", "shape-mismatch"),
        (YUYV, [CenterCrop(size=8)], (11, 10), r"cut whole blocks of 1x2 pixels, .* got 11x10 to crop to 8x8", "shape-mismatch"),
        (NV12, [CenterCrop(size=8)], (12, 4), r"at least 8x8 pixels, .* got 12x4, which would need a border", "shape-mismatch"),
        (YUV444, [CenterCrop(size=8)], (7, 9), r"at least 8x8 pixels, .* got 7x9", "shape-mismatch"),
        (NV12, [CenterCrop(size=8)], (None, 12), "expected pixels of a fixed size, or a resize to", "shape-unknown"),
        (NV12, [Resize(size=8)], (None, None), "expected pixels of a fixed size, or a resize to", "shape-unknown"),
        (YUV444, [Resize(size=8), CenterCrop(size=8)], (None, None), "center_crop: expected pixels of a fixed size", "shape-unknown"),
        (NV12, [Pad(padding=2)], (8, 8), "got pad, whose border has a grey level", "step-order"),
    ],
)
def test_what_would_cut_a_block_or_make_a_border_is_refused(first, moves, size, told, name):
    for refused in (chroma_moves, lambda *given: output_size([given[0], *given[1]], given[2])):
        with pytest.raises(PreprocError, match=told) as caught:
            refused(first, moves, size)
        assert caught.value.name == name
        assert 'conversion = "rgb8"' in str(caught.value)


@pytest.mark.parametrize("step", [Letterbox(size=8), Pad(padding=1)])
def test_a_border_has_no_planes(step):
    with pytest.raises(PreprocError, match=rf"step 2 \({step.name}\): expected a resize or a crop of NV12 pixels") as caught:
        check([NV12, step])
    assert caught.value.name == "step-order"


def test_chroma_between_its_samples_is_not_moved():
    first = FromPixels(layout="NHW", color="NV12", chroma="bilinear", siting="center", **SAID)
    with pytest.raises(PreprocError, match=r'step 2 \(resize\): expected chroma = "replicate" .* or conversion = "rgb8"'):
        check([first, Resize(size=(8, 8))])


def test_units_are_checked_behind_them():
    check([NV12, Resize(size=(8, 8)), Rescale(), Normalize.preset("imagenet")])
    with pytest.raises(PreprocError, match=r"got values in 0\.\.255"):
        check([NV12, Resize(size=(8, 8)), Normalize.preset("imagenet")])
