"""Tensors against a recipe: the mistake that was made is named, and none where there is none."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from preproc.diagnosis import Mistakes
from preproc.diagnosis.geometry import Source
from preproc.diagnosis.mistakes.against import find_mistake
from preproc.diagnosis.mistakes.trying import Search
from preproc.diagnosis.solving import Moments
from preproc.errors import PreprocError
from preproc.oracle import reference
from preproc.steps import CenterCrop, Normalize, Rescale, Resize, compose
from tests.commands import run
from tests.diagnosis.mistakes.making import IMAGENET, RECIPES, RGB, pictures, right, samples, wrong

OF_LIBRARIES = Mistakes.of_libraries


@pytest.fixture(autouse=True)
def no_other_libraries(monkeypatch):
    """They take long to load; test_cases.py has one."""
    monkeypatch.setattr(Mistakes, "of_libraries", lambda _, **__: iter(()))


def rounded(tensor, recipe):
    """The tensor of grey levels that lie up to half a one beside, as a rounding to whole ones leaves them."""
    whole = compose([step for step in recipe if isinstance(step, (Rescale, Normalize))], 3)
    off = np.random.default_rng(0).uniform(-0.5, 0.5, tensor.shape)
    return tensor + off * np.diag(whole.matrix)[:, None, None]


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_no_mistake_is_named_where_the_recipe_made_the_tensors(name, dtype):
    found = find_mistake(RECIPES[name], samples(right(RECIPES[name]), dtype))
    assert (found.right, found.mistakes) == (True, ())
    assert "no mistake" in next(found.lines())


def test_what_no_rounding_explains_is_near_the_recipe_and_no_more():
    """As half a grey level here and there, or a blur of a dark picture, which no known mistake makes."""
    found = find_mistake(
        RECIPES["yolo"], samples([(source, rounded(tensor, RECIPES["yolo"])) for source, tensor in right(RECIPES["yolo"])])
    )
    assert (found.verdict, found.right, [fit.name for fit in found.mistakes]) == ("narrowed", False, ["recipe"])
    assert 0.2 < found.recipe.residual < 0.4
    assert next(found.lines()) == "narrowed: nothing known makes just these tensors, the nearest is: as the recipe has it"


def test_what_two_resizes_left_of_dark_pictures_is_no_known_mistake():
    steps = (RGB, Resize(size=(12, 12)), Rescale(), Normalize.preset("imagenet"))
    dark = [picture // 12 for picture in pictures()]
    pairs = [(Source(each), reference.apply((RGB, Resize(size=(18, 18)), *steps[1:]), each[None])[0]) for each in dark]
    found = find_mistake(steps, samples(pairs))
    assert not found.right
    assert found.verdict != "identified"


def test_a_resize_by_opencv_makes_no_mistake_of_a_right_recipe(monkeypatch):
    """Where it is at hand; else the oracle is near, and says so."""
    steps = (RGB, Resize(size=(12, 12), antialias=False), Rescale())
    many = [np.random.default_rng(seed).integers(0, 256, (23 + seed, 30, 3), dtype=np.uint8) for seed in range(8)]
    resized = [cv2.resize(picture, (12, 12), interpolation=cv2.INTER_LINEAR) for picture in many]
    made = samples([(Source(a), b.transpose(2, 0, 1) / 255) for a, b in zip(many, resized, strict=True)])
    found = find_mistake(steps, made)
    assert (found.right, found.recipe.library) == (True, "OpenCV INTER_LINEAR")
    monkeypatch.setattr("preproc.diagnosis.mistakes.mistakes.absent", lambda: {"OpenCV": "not installed"})
    found = find_mistake(steps, made)
    assert (found.verdict, [fit.name for fit in found.mistakes]) == ("narrowed", ["recipe"])
    assert 0 < found.recipe.residual < 0.5 < found.recipe.most < 1.01
    assert any(line.startswith("  note: the recipe's resize is OpenCV's, which is not installed") for line in found.lines())


@pytest.mark.parametrize(
    ("name", "turn", "right"),
    [("crop off to the right", 0, 1), ("turned by 180 degrees", 2, 0), ("resize without antialiasing", 0, 0), ("channels swapped", 0, 0)],
)
def test_a_mistake_behind_a_resize_by_opencv_is_named(name, turn, right):
    """Though OpenCV rounds a level here and there otherwise than the oracle. The third is one in a recipe that antialiases."""
    steps = (RGB, Resize(size=(13, 16), antialias=name == "resize without antialiasing"), CenterCrop(size=10), Rescale())
    made = []
    for seed in range(4):
        picture = np.random.default_rng(seed).integers(0, 256, (23 + seed, 30, 3), dtype=np.uint8)
        resized = cv2.resize(np.ascontiguousarray(np.rot90(picture, turn)), (16, 13), interpolation=cv2.INTER_LINEAR)
        crop = resized[2:12, 3 + right : 13 + right, :: -1 if name == "channels swapped" else 1]  # 1.5 is rounded to 2, half to even
        made.append((Source(picture), crop.transpose(2, 0, 1) / 255))
    found = find_mistake(steps, samples(made))
    assert (found.verdict, [fit.name for fit in found.mistakes]) == ("identified", [name])
    assert found.mistakes[0].library == "OpenCV INTER_LINEAR"
    assert any("at most), computed by OpenCV INTER_LINEAR" in line for line in found.lines())


def test_what_changes_nothing_on_these_pictures_is_no_mistake_there():
    """Pictures without a tag are not turned by it."""
    steps = (RGB, Resize(size=(12, 12)), Rescale())
    pairs = [(Source(each), reference.apply(steps, each[None])[0] * 255 / 256) for each in pictures()]
    search = Search(steps, samples(pairs))
    tried = {one.mistake.name for one in search.one(samples(pairs))}
    assert "turned by EXIF" in {mistake.name for mistake in search.made.all}
    assert "turned by EXIF" not in tried
    assert "channels swapped" in tried


def test_each_channel_of_the_levels_is_read_once():
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (3, 9, 9)).astype(np.float64)
    tensor = levels + np.array([0.9 * levels[1] - 0.9 * levels[0], 0 * levels[0], 0 * levels[0]])  # the first is most like the second
    order = np.abs(Moments.undivided(levels, tensor).solved().matrix).argmax(axis=1)
    assert sorted(order.tolist()) == [0, 1, 2]
    grey = np.repeat(levels[:1], 3, axis=0)
    assert (np.abs(Moments.undivided(grey, 2 * grey + 1).solved().matrix).argmax(axis=1) == np.arange(3)).all()


@pytest.mark.parametrize("name", RECIPES)
def test_a_mistake_is_named_when_it_is_made(name):
    """Or those are that come to the same on these pictures; never another one alone. A fortieth of them for each recipe."""
    recipe, known = RECIPES[name], Mistakes(RECIPES[name])
    for mistake in known.all[list(RECIPES).index(name) :: 40]:
        assert not unnamed(recipe, mistake), mistake.name


def unnamed(recipe, mistake):
    """What was answered where that is wrong."""
    try:
        pairs = wrong(recipe, mistake)
    except PreprocError:  # cannot be made of these pictures
        return ""
    same = all(a.shape == b.shape and np.allclose(a, b, rtol=1e-6, atol=1e-9) for (_, a), (_, b) in zip(pairs, right(recipe), strict=True))
    found = find_mistake(recipe, samples(pairs))
    named = {fit.name: fit.residual for fit in found.mistakes}
    if same:
        return "" if found.right else str(named)
    return "" if mistake.name in named and (len(named) == 1 or max(named.values()) <= 0.02) else f"{found.verdict} {named}"


BOTH = [
    ("imagenet", "channels swapped", "normalization doubled"),
    ("imagenet", "resize without antialiasing", "channels swapped"),
    ("imagenet", "crop off to the left", "rescale missing"),
    ("imagenet", "grey for colour", "averaged std"),
    ("yolo", "letterbox filled with 0", "channels swapped"),
    ("inception", "turned by EXIF", "mean missing"),
]


@pytest.mark.parametrize(("name", "one", "other"), BOTH)
def test_two_mistakes_are_not_named_as_one(name, one, other):
    recipe = RECIPES[name]
    known = {mistake.name: mistake for mistake in Mistakes(recipe).all}
    both = known[one].beside(known[other])
    found = find_mistake(recipe, samples(wrong(recipe, both)))
    named = [set(fit.name.split(", and ")) for fit in found.mistakes]
    assert {one, other} in named
    assert all(len(names) > 1 for names in named)


def test_constants_of_nobody_narrow_the_cause_and_name_none():
    pairs = [(source, (tensor - 0.3) * 0.7) for source, tensor in wrong(IMAGENET, Mistakes(IMAGENET).controls["channels swapped"])]
    found = find_mistake(IMAGENET, samples(pairs))
    assert (found.verdict, found.right) == ("narrowed", False)
    assert all("other constants" in fit.name for fit in found.mistakes)
    assert "of the channels [2, 1, 0]" in found.mistakes[0].words


def test_noise_names_nothing_and_says_what_is_nearest():
    rng = np.random.default_rng(3)
    pairs = [(source, rng.normal(size=tensor.shape)) for source, tensor in right(IMAGENET)]
    found = find_mistake(IMAGENET, samples(pairs))
    assert (found.verdict, found.mistakes, found.right) == ("not identified", (), False)
    assert found.second is not None
    assert any("nearest" in line for line in found.lines())


def test_decoder_noise_makes_no_mistake_of_a_right_recipe():
    """As another JPEG decoder, or another quality, leaves it: a few grey levels."""
    rng = np.random.default_rng(4)
    for name in ("imagenet", "yolo", "inception"):
        whole = compose([step for step in RECIPES[name] if isinstance(step, (Rescale, Normalize))], 3)
        scale = np.diag(whole.matrix)[:, None, None]
        pairs = [(source, tensor + rng.normal(0, 2, tensor.shape) * scale) for source, tensor in right(RECIPES[name])]
        found = find_mistake(RECIPES[name], samples(pairs))
        assert (found.verdict, found.mistakes) == ("not identified", ())


def test_mistakes_that_these_pictures_cannot_tell_apart_are_both_named():
    flat = [Source(np.full((20, 24, 3), level, np.uint8)) for level in (90, 90)]
    recipe = (RGB, Normalize.preset("caffe", color="RGB"))
    known = {mistake.name: mistake for mistake in Mistakes(recipe).all}
    found = find_mistake(recipe, samples(wrong(recipe, known["normalization missing"], flat)))
    assert found.verdict == "narrowed"
    assert len(found.mistakes) > 1


def test_tensors_of_another_size_and_of_other_channels():
    known = {mistake.name: mistake for mistake in Mistakes(IMAGENET).all}
    made = [Source(picture) for picture in pictures()]
    found = find_mistake(RECIPES["yolo"], samples(wrong(IMAGENET, known["mean missing"], made)))
    assert (found.verdict, found.recipe) == ("not identified", None)
    told = list(found.lines())
    assert told[told.index("  the recipe itself makes 16x16 of [0], and its tensor is 12x11") + 1].startswith("  without --against")
    assert found.to_json()["other_size"] == "makes 16x16 of [0], and its tensor is 12x11"
    with pytest.raises(PreprocError, match="expected a tensor of 3 channels, as the recipe makes, got 1"):
        find_mistake(IMAGENET, samples([(made[0], np.zeros((1, 12, 11)))]))


def test_a_picture_of_which_the_recipe_makes_nothing_is_told():
    strip = samples([(Source(np.arange(1200, dtype=np.uint8).reshape(400, 1, 3)), np.random.default_rng(0).normal(size=(3, 16, 16)))])
    found = find_mistake((RGB, Resize(size=14, max_size=16), CenterCrop(size=16), Rescale()), strip)
    assert found.verdict == "not identified"
    assert any(line.startswith("  the recipe itself makes nothing of [0]: resize: expected") for line in found.lines())


def no_one_for_the_same(mistakes):
    for mistake in mistakes:
        done, _, instead = mistake.words.removeprefix("resized by ").partition(" in place of ")
        assert done != instead, mistake.words
        assert "-0" not in mistake.words, mistake.words


@pytest.mark.parametrize(
    "resize", [{}, {"antialias": False}, {"interpolation": "nearest", "antialias": False}, {"torch": "uint8"}, {"pillow": 12}]
)
def test_nothing_stands_in_place_of_itself(resize):
    steps = (RGB, Resize(size=(14, 12), **resize), Rescale(), Normalize(mean=(0, 0, 0), std=(0.2, 0.3, 0.2), unit="0-1"))
    known = Mistakes(steps)
    no_one_for_the_same(known.all)
    no_one_for_the_same(OF_LIBRARIES(known, jpeg=True))


def test_the_command(tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'name = "x"\n[pixels]\nlayout = "NHWC"\ncolor = "BGR"\ndtype = "uint8"\nsize = "dynamic"\n[backbone]\nsource = "torchvision"\n'
        'name = "resnet18"\nweights = "random"\nseed = 0\ncolor = "RGB"\n[[steps]]\nstep = "resize"\nsize = [12, 12]\n'
        '[[steps]]\nstep = "rescale"\n[[steps]]\nstep = "normalize"\npreset = "imagenet"\n'
    )
    folder = tmp_path / "pairs"
    folder.mkdir()
    steps = (RGB, Resize(size=(12, 12)), Rescale(), Normalize.preset("imagenet"))
    for place, picture in enumerate(pictures()):
        Image.fromarray(picture).save(folder / f"{place}.png")
        np.save(folder / f"{place}.npy", reference.apply(steps, picture[None, ..., ::-1]).astype(np.float32)[0])
    done = run("diagnose", "--pairs", folder, "--against", recipe)
    assert (done.returncode, done.stdout.splitlines()[0]) == (1, "identified: channels swapped"), done
    told = json.loads(run("diagnose", "--pairs", folder, "--against", recipe, "--json").stdout)
    assert (told["verdict"], told["right"], [fit["name"] for fit in told["mistakes"]]) == ("identified", False, ["channels swapped"])
    for place, picture in enumerate(pictures()):
        np.save(folder / f"{place}.npy", reference.apply(steps, picture[None]).astype(np.float32)[0])
    done = run("diagnose", "--pairs", folder, "--against", recipe)
    assert (done.returncode, "no mistake" in done.stdout) == (0, True)
    for wrong_call, message in (
        (("--against", tmp_path / "nothing.toml"), "nothing.toml"),
        (("--against", recipe, "-o", tmp_path / "out.toml"), "-o: expected without --against"),
    ):
        done = run("diagnose", "--pairs", folder, *wrong_call)
        assert (done.returncode, message in done.stderr, done.stdout) == (1, True, "")
        assert "Traceback" not in done.stderr
