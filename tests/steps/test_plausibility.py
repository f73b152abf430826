"""Constants that cannot be a mean and a std are refused with what they probably are; whatever is published is not."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preproc import layers, steps
from preproc.errors import PreprocError, RecipeError
from preproc.sources import parse_recipe
from preproc.steps import PRESETS, UNITS, Normalize, plausibility
from preproc.steps.plausibility import Constants

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
DATA = {
    **{name: (known.mean, known.std) for name, known in PRESETS.items() if known.unit == "0-1"},
    "cifar10, stds per picture": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "svhn": ((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
    "stl10": ((0.4467, 0.4398, 0.4066), (0.2603, 0.2566, 0.2713)),
    "gtsrb": ((0.3403, 0.3121, 0.3214), (0.2724, 0.2608, 0.2669)),
    "eurosat": ((0.3444, 0.3803, 0.4078), (0.2037, 0.1366, 0.1148)),
    "fashion-mnist": ((0.2860,), (0.3530,)),
    "kinetics": ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)),
    "satellite, timm": ((0.43, 0.411, 0.296), (0.213, 0.156, 0.143)),
    "dpn, timm": ((124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3),
    "chest X-rays": ((0.5056,), (0.2520,)),
}
"""Published, in 0-1."""
FINE = {
    **{
        f"{name} in {unit}": (*(tuple(v * top for v in part) for part in pair), unit)
        for name, pair in DATA.items()
        for unit, top in UNITS.items()
    },
    "caffe": ((104, 117, 123), (1, 1, 1), "0-255"),
    "caffe in 0-1, torchvision's SSD": ((0.48235, 0.45882, 0.40784), (1 / 255,) * 3, "0-1"),
    "caffe with a scale": ((103.94, 116.78, 123.68), (1 / 0.017,) * 3, "0-255"),
    "mtcnn": ((127.5,) * 3, (128,) * 3, "0-255"),
    "ultraface": ((127,) * 3, (128,) * 3, "0-255"),
    "dlib": ((122.782, 117.001, 104.298), (256,) * 3, "0-255"),
    "emotion": ((127.5,), (255,), "0-255"),
    "x / 255": ((0,) * 3, (255,) * 3, "0-255"),
    "x / 127.5": ((0,) * 3, (127.5,) * 3, "0-255"),
    "the identity": ((0,) * 3, (1,) * 3, "0-255"),
    "the identity of 0-1": ((0,) * 3, (1,) * 3, "0-1"),
    "the identity of 16 bits": ((0,), (1,), "0-65535"),
    "0-1 to 0-255": ((0,) * 3, (1 / 255,) * 3, "0-1"),
    "the mean alone": ((0.4488, 0.4371, 0.4040), (1,) * 3, "0-1"),
    "the mean alone, 16 bits": ((30000,), (1,), "0-65535"),
    "half": ((0.5,), (0.25,), "0-1"),
    "dark": ((0.02, 0.02, 0.03), (0.01, 0.01, 0.02), "0-1"),
    "dark and spread": ((0.02, 0.02, 0.03), (0.03, 0.03, 0.04), "0-1"),
    "nearly black": ((0.001,), (0.012,), "0-1"),
    "a mask's zeros and ones": ((0.3,), (1.2,), "0-255"),
    "thermal, 16 bits": ((29500,), (200,), "0-65535"),
    "thermal, in 0-1": ((0.45,), (0.003,), "0-1"),
    "10 bands": (tuple(np.linspace(500, 4000, 10)), tuple(np.linspace(200, 1500, 10)), "0-65535"),
    "a bright flat field": ((0.93,), (0.01,), "0-1"),
}


@pytest.mark.parametrize("name", FINE)
def test_what_is_published_is_taken(name):
    mean, std, unit = FINE[name]
    for color in (1, -1):
        Normalize(mean=mean[::color], std=std[::color], unit=unit)
        Normalize(mean=mean[::color], std=std[::color])


def _written(name, pair):
    """Each wrong way to write one pair, and the unit that is said beside it."""
    mean, std = map(np.array, pair)
    for unit, top in UNITS.items():
        m, s = mean * top, std * top
        if not (std == 1).all() and name != "caffe":
            yield f"{name}, 1/std in {unit}", m, 1 / s, unit
        for other, size in UNITS.items():
            if other != unit:
                yield f"{name}, mean in {unit}, std in {other}", m, std * size, unit
                yield f"{name}, mean in {other}, std in {unit}, said to be {unit}", mean * size, s, unit
                yield f"{name}, both in {other}, said to be {unit}", mean * size, std * size, unit
                yield f"{name}, mean in {unit}, 1/std of {other}", m, 1 / (std * size), unit
    for unit in ("0-255", "0-65535"):
        yield f"{name}, a variance in {unit}", mean * UNITS[unit], (std * UNITS[unit]) ** 2, unit


WAYS = {what: numbers for name, pair in DATA.items() for what, *numbers in _written(name, pair)}
FLAT = ("mean in 0-1, 1/std of 0-255", "mean in 0-255, 1/std of 0-1", "mean in 0-65535, std in 0-255", "a variance")
DARK = ("mean in 0-255, std in 0-65535", "both in 0-255, said to be 0-65535")
"""Of data sets that are not known, these could be those of very flat pictures, which is noted, or of nearly black ones."""
RECOGNIZED = tuple(plausibility.KNOWN)
WRONG = {what: numbers for what, numbers in WAYS.items() if what.split(", ")[0] in RECOGNIZED or not what.endswith((*FLAT, *DARK))}
WRONG |= {
    f"{name}, a variance": (np.array(mean), np.array(std) ** 2, "0-1")
    for name, (mean, std) in plausibility.KNOWN.items()
    if len(set(std)) != 1 or len(std) == 1
}
WRONG |= {
    "one factor for all": (np.array([123.675, 116.28, 103.53]), np.full(3, 0.01735), "0-255"),
    "a net-scale-factor": (np.zeros(3), np.full(3, 0.0039215697906911373), "0-255"),
    "a net-scale-factor of a mean of 0": (np.zeros(3), np.full(3, 0.01735), "0-255"),
    "mtcnn's 0.0078125": (np.full(3, 127.5), np.full(3, 0.0078125), "0-255"),
    "ncnn's mobilenet": (np.array([103.94, 116.78, 123.68]), np.full(3, 0.017), "0-255"),
    "half of two units": (np.full(3, 0.5), np.full(3, 127.5), "0-255"),
    "half of two units, turned": (np.full(3, 127.5), np.full(3, 0.5), "0-255"),
    "no mean, and a std of 0-1": (np.zeros(3), np.array([0.229, 0.224, 0.225]), "0-255"),
    "one channel's slip": (np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 0.0174]), "0-255"),
    "divided twice": (np.array(IMAGENET[0]) / 255, np.array(IMAGENET[1]) / 255, "0-1"),
    "a bias": (np.array([2.118, 2.036, 1.804]), np.array(IMAGENET[1]), "0-1"),
    "a negative bias": (-np.array([2.118, 2.036, 1.804]), np.array(IMAGENET[1]), "0-1"),
    "a mean above all": (np.array([300.0]), np.array([50.0]), "0-255"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_refused(name):
    mean, std, unit = WRONG[name]
    with pytest.raises(PreprocError, match="expected a mean and a std of pixels in the unit") as caught:
        Normalize(mean=mean, std=std, unit=unit)
    told = str(caught.value)
    assert 'constants_because = "the reason"' in told
    Normalize(mean=mean, std=std, unit=unit, constants_because="so it was trained")


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("known", [name for name in plausibility.KNOWN if name in PRESETS])
def test_the_line_to_write_is_the_right_one(known, unit):
    """Of every wrong way to write a preset."""
    mean, std = (np.array(values) * UNITS[unit] for values in DATA[known])
    ways = {"1/std": 1 / std, "0-1": std / UNITS[unit]} | ({} if len(set(std)) == 1 < len(std) else {"variance": std**2})
    for word, numbers in ways.items():
        if np.allclose(numbers, std):
            continue
        found = plausibility.doubt(Constants(tuple(mean), tuple(numbers), unit))
        assert word in found.reason
        assert found.meant.unit == unit
        np.testing.assert_allclose(found.meant.mean, mean)
        np.testing.assert_allclose(found.meant.std, std)
        text = found.meant.as_recipe()
        assert Normalize(mean=json.loads(text[text.index("[") : text.index("]") + 1]), std=found.meant.std, unit=unit)


@pytest.mark.parametrize("name", [what for what in WAYS if what not in WRONG and what.endswith(FLAT)])
def test_what_only_very_flat_pictures_have_is_refused_or_noted(name):
    mean, std, unit = WAYS[name]
    constants = Constants(tuple(mean), tuple(std), unit)
    assert plausibility.doubt(constants) or any("of little contrast only" in note for note in plausibility.notes(constants, color="RGB"))


shares = st.floats(0.05, 0.95).flatmap(lambda m: st.tuples(st.just(m), st.floats(0.1, max(0.1, (m * (1 - m)) ** 0.5))))


@given(st.lists(shares, min_size=1, max_size=13), st.sampled_from(list(UNITS)))
def test_statistics_of_pictures_are_taken_and_what_is_no_std_beside_their_means_is_not(pairs, unit):
    mean, std = (np.array(values) * UNITS[unit] for values in zip(*pairs, strict=True))
    assert plausibility.doubt(Constants(tuple(mean), tuple(std), unit)) is None
    for wrong in (1 / std, std**2 if unit != "0-1" else 255 * std, std * 255):
        assert plausibility.doubt(Constants(tuple(mean), tuple(wrong), unit)) is not None


@given(st.lists(st.integers(0, 255), min_size=2, max_size=60).filter(lambda levels: np.std(levels) > 0.02), st.booleans())
def test_what_pixels_really_have_is_taken(levels, wide):
    """The mean and std of any pixels, of 8 bits and of 16."""
    values = np.array(levels) / 255 if not wide else np.array(levels) * 257 / 65535
    assert plausibility.doubt(Constants((float(values.mean()),), (float(values.std()),), "0-1")) is None


@pytest.mark.parametrize("name", ["imagenet", "clip"])
@pytest.mark.parametrize("unit", ["0-1", "0-255"])
def test_a_mean_and_a_std_that_are_exchanged_are_refused(name, unit):
    known = PRESETS[name]
    mean, std = (tuple(value * UNITS[unit] for value in values) for values in (known.std, known.mean))
    with pytest.raises(PreprocError, match=rf"mean and std are exchanged: they are {name}'s; write mean = ") as caught:
        plausibility.check(mean, std, unit)
    assert caught.value.name == "implausible-constants"


def test_without_a_unit_only_what_is_wrong_in_each_is_refused():
    for wrong in ([0.0171, 0.0175, 0.0174], [0.229, 0.224, 0.225]):
        with pytest.raises(PreprocError, match=r"write mean = \[123.675, 116.28, 103.53\], std = \[58.395, 57.12, 57.375\]"):
            layers.Normalize(mean=[123.675, 116.28, 103.53], std=wrong)
    layers.Normalize(mean=[0.5], std=[3.0])  # sparse grey levels
    layers.Normalize(mean=[-2.118, -2.036, -1.804], std=[4.367, 4.464, 4.444])  # what undoes ImageNet's
    layers.Normalize(mean=[123.675, 116.28, 103.53], std=[0.0171, 0.0175, 0.0174], constants_because="tried on purpose")


@pytest.mark.parametrize(
    ("mean", "std", "unit", "color", "words"),
    [
        ((103.53, 116.28, 123.675), (57.375, 57.12, 58.395), "0-255", "RGB", ["imagenet's in the order BGR", "model is said to take RGB"]),
        ((103.53, 116.28, 123.675), (1, 1, 1), "0-255", "RGB", ["imagenet's in the order BGR", "one std of 1"]),
        ((104, 117, 123), (1, 1, 1), "0-255", "RGB", ["caffe's in the order BGR"]),
        ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "0-1", "BGR", ["imagenet's in the order RGB", "model is said to take BGR"]),
        ((123.675, 116.28, 103.53), (57.63,) * 3, "0-255", "RGB", ["one std of 57.63", "[58.395, 57.12, 57.375]"]),
        ((0.485, 0.456, 0.406), (0.225, 0.224, 0.229), "0-1", "RGB", ["the stds in the other one"]),
        ((0.0, 0.0, 0.0), (1 / 255,) * 3, "0-1", "RGB", ["grey levels of 0..255 again"]),
        ((0.3444, 0.3803, 0.4078), (0.0193, 0.0287, 0.0341), "0-1", "RGB", ["little contrast", "1/std of 0-255"]),
        ((0.5, 0.5, 0.5), (0.05, 0.06, 0.05), "0-1", "RGB", ["little contrast", "a variance"]),
        ((0.4, 0.41, 0.38), (0.03, 0.028, 0.032), "0-1", "RGB", ["little contrast", "1/std of 0-255", "a variance", "std = [0.173205,"]),
        ((0.0, 0.0, 0.0), (0.0171, 0.0175, 0.0174), "0-1", "RGB", ["without a mean", "1/std of 0-255", "std = [0.229"]),
        ((120.0, 115.0, 100.0), (60.0, 58.0, 57.0), "0-65535", "RGB", ["nearly black", 'std = [60, 58, 57], unit = "0-255"']),
    ],
)
def test_what_may_surprise_is_noted(mean, std, unit, color, words):
    assert plausibility.doubt(Constants(mean, std, unit)) is None
    told = " | ".join(plausibility.notes(Constants(mean, std, unit), color=color))
    assert all(word in told for word in words), told


@pytest.mark.parametrize(
    "name",
    [
        "imagenet in 0-1",
        "clip in 0-255",
        "inception in 0-1",
        "mtcnn",
        "x / 255",
        "the identity",
        "dark",
        "eurosat in 0-1",
        "dpn, timm in 0-1",
    ],
)
def test_nothing_is_noted_of_what_is_usual(name):
    assert plausibility.notes(Constants(*FINE[name]), color="RGB") == []


def test_presets_are_noted_nowhere():
    for known in PRESETS.values():
        assert plausibility.notes(Constants(known.mean, known.std, known.unit), color=known.color) == []


def test_every_configuration_of_timm_is_taken():
    from timm.models import get_pretrained_cfg, list_pretrained

    pairs = {(tuple(found.mean), tuple(found.std)) for found in map(get_pretrained_cfg, list_pretrained())}
    assert len(pairs) > 3
    for mean, std in pairs:
        assert plausibility.doubt(Constants(mean, std, "0-1")) is None
        assert plausibility.notes(Constants(mean, std, "0-1"), color="RGB") == []


def recipe(step):
    pixels = {"layout": "NHWC", "color": "RGB", "dtype": "uint8", "size": [32, 32]}
    return {"name": "r", "backbone": {"source": "onnx", "weights": "m.onnx", "color": "RGB"}, "pixels": pixels, "steps": [step]}


def test_recipes_say_why(tmp_path):
    step = {"step": "normalize", "mean": [123.675, 116.28, 103.53], "std": [0.0171, 0.0175, 0.0174], "unit": "0-255"}
    with pytest.raises(RecipeError, match=r'number 1: normalize: .*write mean = .*58.395.*unit = "0-255"; or say why'):
        parse_recipe(recipe(step), folder=tmp_path)
    made = parse_recipe(recipe(step | {"constants_because": "measured"}), folder=tmp_path)
    assert made.steps[-1].spec()["constants_because"] == "measured"
    assert steps.parse(made.steps[-1].spec()) == made.steps[-1]
    for reason in ("", "  ", 3):
        with pytest.raises(RecipeError, match="constants_because to be a reason in words"):
            parse_recipe(recipe(step | {"constants_because": reason}), folder=tmp_path)


def test_a_stats_file_with_variances_is_refused_by_name(tmp_path):
    file = tmp_path / "stats.json"
    file.write_text(json.dumps({"mean": [0.485, 0.456, 0.406], "std": [0.0524, 0.0502, 0.0506], "unit": "0-1", "color": "RGB"}))
    with pytest.raises(PreprocError, match=r"stats\.json: normalize: .*variance.*imagenet's"):
        Normalize.from_stats(file)
    with pytest.raises(RecipeError, match=r"stats\.json: normalize: .*variance"):
        parse_recipe(recipe({"step": "normalize", "stats": "stats.json"}), folder=tmp_path)
    step = {"step": "normalize", "stats": "stats.json", "constants_because": "of flat pictures"}
    pixels = recipe(step) | {"steps": [{"step": "rescale"}, step]}
    assert parse_recipe(pixels, folder=tmp_path).steps[-1].constants_because == "of flat pictures"


def test_a_rescale_by_what_it_should_divide_by_is_refused():
    pixels = steps.FromPixels(layout="NHWC")
    with pytest.raises(PreprocError, match=r"rescale by 255 makes 6.502e\+04 levels.*write scale = 0.003921568627"):
        steps.check([pixels, steps.Rescale(scale=255)])
    steps.check([pixels, steps.Rescale(scale=257)])
    steps.check([pixels, steps.Rescale(), steps.Rescale(scale=255)])
