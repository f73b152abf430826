"""The vocabulary: validation in one place, units walked through the steps."""

import json

import numpy as np
import pytest

from preproc import steps
from preproc.errors import PreprocError
from preproc.steps import (
    ChannelAffine,
    FromPixels,
    LocalResponseNorm,
    MinMaxNormalize,
    MinMaxScale,
    Normalize,
    Rescale,
    Standardize,
    presets,
)

PIXELS = FromPixels(layout="NHWC")
IMAGENET = Normalize.preset("imagenet")
EXAMPLES = [
    FromPixels(layout="NCHW", color="BGRA", to="RGB", pixel_dtype="uint16"),
    Rescale(scale=1 / 127.5, offset=-1),
    IMAGENET,
    ChannelAffine(matrix=((0.3, 0.6, 0.1),), offset=(2.0,)),
    LocalResponseNorm(size=5, region="spatial"),
    MinMaxScale(low=0, high=(255,), out=(-1, 1), clip=True),
    MinMaxNormalize(per="channel"),
    Standardize(min_std=0.1, correction=1),
]


@pytest.mark.parametrize("step", EXAMPLES, ids=lambda step: step.name)
def test_a_step_survives_json(step):
    assert steps.parse(json.loads(json.dumps(step.spec()))) == step


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Normalize(mean=(0.5,), std=(0.5, 0.5)), "as many means as stds, got 1 and 2"),
        (lambda: Normalize(mean=(0.5,), std=(0.0,)), "every std > 0"),
        (lambda: Normalize(mean=(float("nan"),), std=(1.0,)), "finite numbers"),
        (lambda: Normalize(mean=("x",), std=(1.0,)), "list of numbers"),
        (lambda: Normalize(mean=(127.5,), std=(1.0,), unit="0-1"), "the mean is in 0-255, the std in 0-1; write"),
        (lambda: Normalize(mean=(0.5,), std=(1.0,), unit="0-2"), "unit to be one of 0-1"),
        (lambda: Normalize.preset("imagnet"), "one of imagenet"),
        (lambda: Normalize.preset("mnist", color="RGB"), "expected statistics of RGB channels"),
        (lambda: Rescale(scale=0), "other than 0"),
        (lambda: Rescale(scale=float("inf")), "finite number"),
        (lambda: FromPixels(layout="NWHC"), "did you mean 'NHWC'"),
        (lambda: FromPixels(layout="NHWC", color="GRAY", to="RGBA"), "got GRAY"),
        (lambda: FromPixels(layout="NHWC", color="RGB", to="GRAY"), "ChannelAffine can mix"),
        (lambda: FromPixels(layout="NHWC", color="ANY", to="RGB"), "set both to ANY"),
        (lambda: ChannelAffine(matrix=((1.0,), (1.0, 2.0))), "equal length"),
        (lambda: ChannelAffine(matrix=((1.0, 2.0),), offset=(1.0, 2.0)), "channels_out offsets"),
        (lambda: LocalResponseNorm(size=0), "at least 1"),
        (lambda: LocalResponseNorm(size=4, region="spatial"), "odd size"),
        (lambda: LocalResponseNorm(size=5, k=0.0), "k > 0"),
        (lambda: Normalize(mean="000", std="111"), "list of numbers"),
        (lambda: Normalize(mean=(True,), std=(1.0,)), "list of numbers"),
        (lambda: Rescale(scale=10**400), "finite number"),
        (lambda: MinMaxScale(low=1, high=1), "each low < high"),
        (lambda: MinMaxScale(low=(1, 2), high=3), "as many lows as highs"),
        (lambda: MinMaxScale(low=0, high=1, out=(1, 0)), "two numbers, low < high"),
        (lambda: MinMaxNormalize(per="batch"), "per to be one of image, channel"),
        (lambda: Standardize(min_std=0), "min_std > 0"),
        (lambda: Standardize(correction=2), "correction to be 0 or 1"),
        (lambda: steps.parse({"step": "normalise"}), "did you mean 'normalize'"),
        (lambda: steps.parse({"step": "rescale", "scal": 1}), "did you mean 'scale'"),
        (lambda: steps.parse({"step": "normalize", "mean": [0.5]}), "expected std"),
    ],
)
def test_bad_constants_get_expected_got_and_mend(make, message):
    with pytest.raises(PreprocError, match=message):
        make()


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        ([PIXELS, IMAGENET], r"step 2 \(normalize\).*values in 0-1, got values in 0..255: put a rescale step"),
        ([PIXELS, Rescale(), Rescale()], r"step 3 \(rescale\).*remove one of the two"),
        ([PIXELS, Rescale(), IMAGENET, IMAGENET], r"step 4 \(normalize\).*normalized or rescaled already"),
        ([PIXELS, Rescale(), IMAGENET, Normalize.preset("inception")], r"step 4 .*already"),
        ([PIXELS, Rescale(), Normalize.preset("caffe", color="RGB")], r"step 3 .*values in 0-255, got values in 0..1"),
        ([PIXELS, Rescale(), Normalize(mean=(0.5,) * 3, std=(0.5,) * 3)], "expected the unit"),
        ([FromPixels(layout="NHWC", pixel_dtype="uint16"), Rescale()], "scale = 1.525902"),
        ([FromPixels(layout="NHWC", color="GRAY", to="GRAY"), Rescale(), IMAGENET], "expected 3 channels"),
        ([PIXELS, PIXELS], "expected it first and once"),
        ([IMAGENET, IMAGENET], "normalized or rescaled already"),
        ([Rescale(), Rescale()], "remove one of the two"),
        ([FromPixels(layout="NHWC", color="ANY", to="ANY"), Rescale(), Rescale()], "remove one of the two"),
        ([PIXELS, MinMaxScale(low=0, high=1)], "check the unit of low and high"),
        ([PIXELS, Standardize(), IMAGENET], "normalized or rescaled already"),
    ],
)
def test_unit_mismatches_are_refused_with_the_mend(sequence, message):
    with pytest.raises(PreprocError, match=message):
        steps.check(sequence)


@pytest.mark.parametrize(
    ("sequence", "low", "high"),
    [
        ([PIXELS, Rescale(), IMAGENET], -2.1179, 2.64),
        ([PIXELS, Rescale(scale=1 / 127.5, offset=-1)], -1, 1),
        ([PIXELS, MinMaxScale(low=0, high=255, out=(-1, 1))], -1, 1),
        ([FromPixels(layout="NHWC", pixel_dtype="uint16"), MinMaxScale(low=0, high=4095, clip=True)], 0, 1),
        ([PIXELS, MinMaxNormalize(), IMAGENET], -2.1179, 2.64),
        ([PIXELS, MinMaxScale(low=16, high=235), IMAGENET], -2.1179, 2.64),
        ([FromPixels(layout="NHWC", pixel_dtype="uint16"), MinMaxScale(low=0, high=4095), IMAGENET], -2.1179, 2.64),
        ([PIXELS, ChannelAffine(matrix=((1.0, 1.0, 1.0),)), Rescale(scale=1 / 765)], 0, 1),
        ([PIXELS, Normalize.preset("caffe", color="RGB")], -123.68, 151.061),
        ([FromPixels(layout="NHWC", pixel_dtype="uint16"), Rescale(scale=1 / 65535)], 0, 1),
        ([PIXELS, ChannelAffine(matrix=((1.0, -1.0, 0.0),))], -255, 255),
        ([PIXELS, Rescale(scale=1 / 127.5, offset=-1), LocalResponseNorm(size=3, k=2, beta=1)], -0.5, 0.5),
    ],
)
def test_value_intervals(sequence, low, high):
    values = steps.check(sequence)
    assert values is not None
    np.testing.assert_allclose([min(values.low), max(values.high)], [low, high], atol=1e-4)


def test_presets_have_a_unit_a_color_and_a_source():
    assert {"imagenet", "inception", "clip", "siglip", "caffe", "cifar10", "mnist"} == set(presets.PRESETS)
    for known in presets.PRESETS.values():
        assert len(known.mean) == len(known.std) == len(steps.COLORS[known.color])
        assert known.unit in presets.UNITS
        assert known.source


def test_a_preset_follows_the_backbones_color_order():
    assert Normalize.preset("imagenet", color="BGR").mean == (0.406, 0.456, 0.485)
    assert Normalize.preset("caffe", color="RGB").mean == (123.68, 116.779, 103.939)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("{", "not JSON"),
        ("[]", "JSON object"),
        ('{"mean": [0.5]}', "std and unit and color missing"),
        ('{"mean": 1, "std": [1], "unit": "0-1", "color": "GRAY"}', "lists of numbers"),
    ],
)
def test_a_bad_stats_file_is_named(tmp_path, text, message):
    file = tmp_path / "stats.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(PreprocError, match=rf"stats\.json: .*{message}"):
        Normalize.from_stats(file)
