"""The options of preproc attach that say what Y, U and V are."""

import pytest

from preproc.cli.attach_options import Options, steps_and_pixels
from preproc.errors import PreprocError
from preproc.steps import FromPixels
from tests.commands import run
from tests.onnx_files import hand_made

SAID = {"color": "nv12", "matrix": "BT709", "range": "Limited"}


@pytest.mark.parametrize("source", [{"preset": "imagenet"}, {"timm": "resnet50.a1_in1k", "conversion": "rgb8"}])
def test_they_make_the_first_step(source):
    (first, *_), pixels, color, _ = steps_and_pixels(Options(**SAID, **source))
    assert first == FromPixels(layout="NHW", color="NV12", matrix="bt709", range="limited", conversion=source.get("conversion"))
    assert (pixels.color, pixels.layout, pixels.matrix, pixels.range) == ("NV12", "NHW", "bt709", "limited")
    assert (pixels.channels, color) == (3, "RGB")


def test_bilinear_chroma_and_another_order():
    given = Options(**SAID, preset="caffe", chroma="bilinear", siting="left", size="32,48")
    (first, *_), pixels, color, _ = steps_and_pixels(given)
    assert (first.to, first.chroma, first.siting, color, pixels.size) == ("BGR", "bilinear", "left", "BGR", (32, 48))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"color": "NV12", "range": "full"}, "expected matrix = one of bt601, bt709, bt2020 for NV12"),
        ({"color": "NV12"}, "expected matrix = one of bt601, bt709, bt2020 and range = one of limited, full for NV12 pixels, got nothing"),
        ({**SAID, "matrix": "rec709"}, "expected matrix to be one of .*, got 'rec709'; did you mean 'bt709'"),
        ({"matrix": "bt601"}, "matrix: expected beside a colour of Y, U and V"),
        ({**SAID, "layout": "NHWC"}, "expected --layout to be one of NHW"),
        ({**SAID, "range": "tv"}, "limited, which FFmpeg calls tv"),
        ({**SAID, "siting": "left"}, 'siting: expected beside chroma = "bilinear"'),
    ],
)
def test_what_is_refused(options, told):
    with pytest.raises(PreprocError, match=told):
        steps_and_pixels(Options(preset="imagenet", **options))


def test_a_recipe_says_them_itself(tmp_path):
    with pytest.raises(PreprocError, match="expected --recipe without --color and --matrix and --range, which it says itself"):
        steps_and_pixels(Options(recipe=tmp_path / "m.toml", **SAID))
    (tmp_path / "m.toml").write_text(
        '[backbone]\ncolor = "RGB"\n[pixels]\ncolor = "I420"\nmatrix = "bt601"\nrange = "full"\nconversion = "rgb8"\n'
        '[[steps]]\nstep = "rescale"\n'
    )
    (first, *_), pixels, *_ = steps_and_pixels(Options(recipe=tmp_path / "m.toml", size="16,18"))
    assert first == FromPixels(layout="NHW", color="I420", matrix="bt601", range="full", conversion="rgb8")
    assert pixels.shape(1) == (1, 24, 18)


def test_the_command_says_what_is_missing(tmp_path):
    options = ["attach", hand_made(tmp_path), "-o", tmp_path / "o.onnx", "--no-verify", "--preset", "imagenet", "--color", "NV12"]
    told = run(*options, "--matrix", "bt709", check=1).stderr
    assert "expected range = one of limited, full for NV12 pixels, got nothing" in " ".join(told.split())
    assert "[yuv-unspecified]" in told
    assert not (tmp_path / "o.onnx").exists()


def test_what_is_said_for_recipes_is_said_in_options(tmp_path):
    """Of a size that is free, and of a resize that would cut a block."""
    model, moved = hand_made(tmp_path), ["--resize", "40", "--crop", "32,32"]
    options = ["attach", model, "-o", tmp_path / "o.onnx", "--no-verify", "--preset", "imagenet", "--color", "NV12"]
    options += ["--matrix", "bt709", "--range", "limited"]
    told = " ".join(run(*options, *moved, check=1).stderr.split())
    assert "got a size that is free: say --size H,W, that of the pixels that come (the camera's, as 1080,1920), which keeps the" in told
    assert "or --conversion rgb8, which converts first" in told
    assert "write conversion" not in told
    told = " ".join(run(*options, *moved, "--size", "48,62", check=1).stderr.split())
    assert "say --resize " in told
    assert "or --conversion rgb8, which converts first" in told
