"""The options of preproc attach that move pixels: the steps of a recipe, and what does not go together."""

import pytest

from preproc.bundle import open_bundle
from preproc.cli.attach_options import Options, steps_and_pixels
from preproc.cli.geometry_options import geometry_steps
from preproc.errors import PreprocError
from preproc.steps import CenterCrop, Letterbox, Resize, parse
from tests.commands import run
from tests.onnx_files import hand_made


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, []),
        ({"letterbox": "640,480"}, [Letterbox(size=(640, 480))]),
        ({"letterbox": "640"}, [parse({"step": "letterbox", "size": 640})]),
        ({"resize": "256"}, [parse({"step": "resize", "size": 256})]),
        ({"resize": "24,20"}, [Resize(size=(24, 20))]),
        ({"crop": "224"}, [parse({"step": "center_crop", "size": 224})]),
        ({"crop": "20,24", "resize": "30"}, [Resize(size=30), CenterCrop(size=(20, 24))]),
        ({"resize": "30", "interpolation": "lanczos"}, [Resize(size=30, interpolation="lanczos")]),
    ],
    ids=str,
)
def test_they_are_a_recipes_steps_with_its_defaults(given, expected):
    assert geometry_steps(**given) == expected


@pytest.mark.parametrize(
    ("given", "message", "name"),
    [
        ({"resize": "1,2,3"}, "--resize: expected height and width, as 224,224, or one number of pixels, got '1,2,3'", "option-value"),
        ({"resize": "a"}, "--resize: expected height and width, .*, got 'a'", "option-value"),
        ({"crop": "0,5"}, "--crop: expected height and width, .*, got '0,5'", "option-value"),
        ({"crop": ""}, "--crop: expected height and width, .*, got ''", "option-value"),
        ({"letterbox": "99999"}, "letterbox: expected size to be .* 1 to 32768, got", "step-value"),
        ({"letterbox": "64", "crop": "32"}, "--letterbox: expected alone, .* got --crop beside it", "conflicting-options"),
        ({"letterbox": "64", "crop": "3", "resize": "2"}, "got --resize and --crop beside it", "conflicting-options"),
        ({"interpolation": "bicubic", "crop": "32"}, "--interpolation: expected beside --resize, .* without", "option-without-effect"),
        ({"interpolation": "cubic", "resize": "32"}, "expected --interpolation to be one of bilinear, .* did you mean", "unknown-choice"),
    ],
)
def test_what_does_not_go_together_is_refused(given, message, name):
    with pytest.raises(PreprocError, match=message) as caught:
        geometry_steps(**given)
    assert caught.value.name == name


@pytest.mark.parametrize("option", ["letterbox", "resize", "crop", "interpolation"])
@pytest.mark.parametrize("source", ["recipe", "timm", "huggingface", "torchvision"])
def test_what_is_published_and_recipes_say_their_own(option, source):
    value = "bicubic" if option == "interpolation" else "32"
    with pytest.raises(PreprocError, match=f"expected --{source} without --{option}, which it says itself, got both") as caught:
        steps_and_pixels(Options(**{option: value, source: "some"}))
    assert caught.value.name == "conflicting-options"


def test_the_pillow_whose_order_a_resize_has():
    (_, *steps), *_ = steps_and_pixels(Options(preset="imagenet", resize="256", crop="224", pillow=12))
    assert [step.name for step in steps] == ["resize", "center_crop", "rescale", "normalize"]
    assert steps[0].pillow == 12
    with pytest.raises(PreprocError, match=r"--pillow: expected a resize of Pillow's, .* got none in resize \(interpolation nearest"):
        steps_and_pixels(Options(preset="imagenet", resize="9", interpolation="nearest", pillow=12))
    with pytest.raises(
        PreprocError, match=r"--pillow: expected beside one of .* or --resize, whose resizes it is of, got it with --preset"
    ):
        steps_and_pixels(Options(preset="imagenet", crop="9", pillow=12))


def test_attach_prints_what_was_taken_and_verifies_it(tmp_path):
    file = hand_made(tmp_path)
    done = run("attach", file, "-o", tmp_path / "out", "--preset", "imagenet", "--resize", "26", "--crop", "24,20", check=0)
    assert "out: pixels are moved by resize (interpolation bilinear, antialias True, form fast, pillow " in done.stderr
    assert ", size 26), center_crop (size [24, 20], fill 0, rounding half_even)" in done.stderr
    contract = open_bundle(tmp_path / "out").contract
    assert [step["step"] for step in contract["steps"]] == ["from_pixels", "resize", "center_crop", "rescale", "normalize"]
    assert contract["input"]["shape"] == ["N", "height", "width", 3]
    refused = run("attach", file, "-o", tmp_path / "no", "--preset", "imagenet", "--letterbox", "32", check=1)
    assert "the steps: expected height 24, which the model's input image has, got 32 [shape-mismatch]" in refused.stderr
    assert not (tmp_path / "no").exists()
