"""Random preprocessing is recovered, or exactly what is not told is declared; whatever cannot be told is not identified."""

import dataclasses
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from preproc.diagnosis import Pair, Pairs, answered
from preproc.errors import PreprocError
from preproc.oracle import reference
from preproc.sources import parse_front
from tests.diagnosis.pipelines import CONSTANTS, DTYPES, FRAMINGS, GREYS, KERNELS, Pipeline, off, pairs_of, picture, wrong

USUAL = Pipeline("shorter and crop", "Pillow bilinear", "imagenet", (24, 24), 4, True, "float32")
SIZES = [(40, 57), (61, 44), (50, 47)]
TWO = SIZES[:2]
"""Where a third picture tells nothing more."""


def sides(least, most):
    return st.tuples(st.integers(least, most), st.integers(least, most))


@st.composite
def cases(draw):
    size = draw(st.one_of(st.integers(16, 28).map(lambda side: (side, side)), sides(16, 28)))
    framing = draw(st.sampled_from(FRAMINGS))
    pipeline = Pipeline(
        framing, draw(st.sampled_from(KERNELS)), draw(st.sampled_from(list(CONSTANTS))), size, draw(st.integers(0, 6)), draw(st.booleans()),
        draw(st.sampled_from(DTYPES)), draw(st.sampled_from(["", "", "", *GREYS])),
    )  # fmt: skip
    least = max(size) + 1
    given_sizes = draw(st.lists(sides(least, least + 40), min_size=1, max_size=4))
    if framing == "nothing" or draw(st.integers(0, 3)) == 0:  # all of one size
        given_sizes = [size if framing == "nothing" else given_sizes[0]] * len(given_sizes)
    return pipeline, given_sizes, draw(st.integers(0, 10**6))


@settings(max_examples=6, deadline=None, derandomize=True, database=None, phases=(Phase.generate,))
@given(cases())
def test_a_random_pipeline_is_recovered_or_the_ambiguity_is_declared(case):
    pipeline, sizes, seed = case
    why, found = wrong(pipeline, sizes, seed)
    assert why is None, "\n".join([why, *found.lines()])


@pytest.fixture(scope="module")
def usual():
    """The answer about the usual pipeline, in BGR."""
    return answered(pairs_of(USUAL, SIZES))


def test_the_check_sees_a_wrong_answer(usual):
    """An answer about another pipeline: other pixels aside, other constants, another order, another kernel."""
    found, others = usual, [(70, 41), (45, 52)]
    assert off(found, USUAL, others) < 0.01
    for change in ({"larger": 5}, {"kernel": "Pillow hamming"}, {"constants": "half"}, {"bgr": False}, {"framing": "squash"}):
        assert off(found, dataclasses.replace(USUAL, **change), others) > 1, change


def test_the_recipe_reproduces_the_tensors(usual):
    """Loaded as attach loads it, and computed by the oracle. The constants are the preset's with the channels the other way round."""
    assert usual.verdict == "identified"
    front = parse_front(tomllib.loads(usual.recipe), folder=Path())
    assert front.color == "BGR"
    fresh = picture((70, 41), 99)
    assert np.abs(reference.apply(front.steps, fresh[None])[0] - USUAL(fresh)).max() < 1e-5
    assert 'preset = "imagenet"' in usual.recipe


def test_the_second_best_is_told_with_its_distance(usual):
    assert usual.best.rms < 1e-4
    assert usual.second.rms > 0.01
    assert usual.to_json()["second"]["residual_rms_levels"] == usual.second.rms
    assert any(line.startswith("  next") for line in usual.lines())


def changed(pairs, tensors):
    return dataclasses.replace(pairs, pairs=tuple(dataclasses.replace(p, tensor=t) for p, t in zip(pairs.pairs, tensors, strict=True)))


def test_tensors_of_other_pictures_are_not_identified():
    pairs = pairs_of(USUAL, TWO)
    tensors = [pair.tensor for pair in pairs.pairs]
    found = answered(changed(pairs, tensors[1:] + tensors[:1]))
    assert (found.verdict, found.recipe) == ("not identified", None)
    with pytest.raises(PreprocError, match=r"nothing identified .* nothing is written"):
        found.save("never.toml")


def test_what_no_candidate_makes_is_never_identified():
    """A blur behind the resize: near to something, exactly nothing."""
    pairs = pairs_of(USUAL, TWO)
    found = answered(changed(pairs, [(pair.tensor + np.roll(pair.tensor, 1, axis=2)) / 2 for pair in pairs.pairs]))
    assert found.verdict != "identified"
    assert not found.exact
    assert any("does not explain" in line for line in found.lines())


def test_numbers_are_told_as_one_says_them(usual):
    """No -0, and no 1 decimals."""
    half = dataclasses.replace(USUAL, constants="0..1", bgr=False)
    found = answered(pairs_of(lambda x: half(x) * np.float32(2), SIZES[:2]))
    assert found.constants.name == "solved, 1 decimal in 0-1"
    assert "mean [0 ±" in "\n".join(found.lines())
    assert not any("-0 " in line for line in (*usual.lines(), *found.lines()))


def test_pictures_of_one_colour_tell_nothing():
    flat = [Pair(str(level), np.full((40, 50, 3), level, np.uint8), np.full((3, 24, 24), level / 255)) for level in (10, 200)]
    found = answered(Pairs(tuple(flat), "NCHW", "float32"))
    assert found.verdict == "not identified"
    assert found.reason.startswith("every picture has one colour")


def test_pictures_that_have_the_size_already_tell_no_resize():
    """In one sentence, without a list of all that would have done nothing either."""
    found = answered(pairs_of(dataclasses.replace(USUAL, framing="nothing"), [(24, 24)] * 3))
    assert (found.verdict, found.fits[0].words) == ("narrowed", "not resized")
    assert any(each.startswith("no picture was resized") for each in found.ambiguous)
    assert not any(word in each for each in found.ambiguous for word in ("do not tell it from", "border", "rounded"))


def test_a_crop_alone_tells_its_half_pixel_or_says_so():
    found = answered(pairs_of(dataclasses.replace(USUAL, framing="crop"), [(40, 56), (63, 45)]))
    assert found.fits[0].words == "not resized, 24x24 in the middle of that"
    assert not any("do not tell it from" in each for each in found.ambiguous)
    even = answered(pairs_of(dataclasses.replace(USUAL, framing="crop"), [(40, 56), (60, 44)]))
    assert any(each.startswith("where half a pixel of a crop or a border goes is not told") for each in even.ambiguous)
    assert not any("half a pixel" in each for each in found.ambiguous)


def test_pictures_of_one_size_tell_no_rule():
    found = answered(pairs_of(USUAL, [(40, 57)] * 2))
    assert found.verdict == "narrowed"
    assert any("only what it comes to: 40x57 from (0, 0) on, resized to 28x39, of that from (2, 8) on" in each for each in found.ambiguous)
    assert found.recipe is not None


def test_square_pictures_do_not_tell_whether_the_ratio_is_kept():
    found = answered(pairs_of(dataclasses.replace(USUAL, larger=0), [(40, 40), (57, 57)]))
    assert found.verdict == "narrowed"
    assert any("do not tell it from" in each and "shorter side" in "".join(found.lines()) for each in found.ambiguous)


def test_grey_pictures_tell_no_colour_order():
    pairs = pairs_of(USUAL, TWO)
    grey = [np.repeat(pair.picture[..., :1], 3, axis=2) for pair in pairs.pairs]
    found = answered(Pairs(tuple(Pair(str(n), each, USUAL(each).astype(np.float64)) for n, each in enumerate(grey)), "NCHW", "float32"))
    assert found.verdict == "narrowed"
    assert any(each.startswith("the pictures tell no colour order") for each in found.ambiguous)


def test_constants_of_each_picture_are_found():
    def standardized(x):
        levels = USUAL.framed(x).astype(np.float64)
        return ((levels - levels.mean()) / levels.std()).transpose(2, 0, 1).astype(np.float32)

    found = answered(pairs_of(standardized, TWO))
    assert (found.verdict, found.constants.name) == ("identified", "standardized per image")
    assert 'step = "standardize"' in found.recipe

    def otherwise(x):
        return standardized(x) * (1 + len(x) / 100)

    found = answered(pairs_of(otherwise, TWO))
    assert (found.verdict, found.recipe) == ("narrowed", None)
    assert found.reason.startswith("every picture has constants of its own")


def per_picture(x):
    """Each picture's own range, of pictures that hold black and white."""
    levels = Image.fromarray(x).resize((24, 24), Image.Resampling.NEAREST)
    values = np.asarray(levels, np.float64).transpose(2, 0, 1)
    return ((values - values.min()) / np.ptp(values)).astype(np.float32)


def test_a_range_that_all_pictures_share_does_not_tell_whether_it_is_their_own():
    pairs = []
    for number, size in enumerate(TWO):
        x = picture(size, number)
        x[:9, :9], x[-9:, -9:] = 0, 255
        pairs.append(Pair(str(number), x, per_picture(x).astype(np.float64)))
    found = answered(Pairs(tuple(pairs), "NCHW", "float32"))
    assert (found.verdict, found.constants.name) == ("narrowed", "rescaled to 0..1")
    assert any("do not tell the constants" in each and "min-max per image to 0..1" in each for each in found.ambiguous)


def test_one_pair_does_not_tell_whose_constants_they_are():
    found = answered(pairs_of(per_picture, SIZES[:1]))
    assert next(iter(found.lines())).startswith("narrowed, from 1 picture and")
    assert "from one picture and its tensor:" in found.recipe
    assert found.verdict == "narrowed"
    assert any("do not tell the constants" in each and "min-max per image to 0..1" in each for each in found.ambiguous)
    assert any(each.startswith("one pair does not tell whether its constants") for each in found.ambiguous)


def test_pictures_without_tags_tell_neither_exif_nor_decoder(usual):
    """Told, and not held against the verdict."""
    assert usual.verdict == "identified"
    assert any(each.startswith("whether EXIF orientations are followed is not told") for each in usual.ambiguous)
    assert any(each.startswith("which library decoded the pictures is not told") for each in usual.ambiguous)


def test_tensors_of_whole_numbers_are_rounded():
    """Half a level of each is explained by that."""

    def whole(x):
        return np.rint(USUAL.framed(x) * np.float32(0.7)).transpose(2, 0, 1).astype(np.uint8)

    found = answered(pairs_of(whole, TWO))
    assert found.precision == "whole numbers"
    assert found.verdict in ("identified", "narrowed")
    assert min(abs(each.solved.affine.scale - 0.7).max() for each in found.fits) < 0.002


@pytest.mark.parametrize("upright", [False, True])
def test_whether_exif_tags_are_followed_is_told(tmp_path, upright):
    pairs = []
    for number, size in enumerate(TWO):
        image, exif = Image.fromarray(picture(size, number)), Image.Exif()
        exif[274] = 6
        image.save(tmp_path / f"{number}.png", exif=exif)
        with Image.open(tmp_path / f"{number}.png") as opened:
            seen = np.asarray(ImageOps.exif_transpose(opened) if upright else opened)
        pairs.append(Pair(str(number), tmp_path / f"{number}.png", USUAL(seen).astype(np.float64)))
    found = answered(Pairs(tuple(pairs), "NCHW", "float32"))
    assert found.best.geometry.turn == ("upright" if upright else "as stored")
    assert found.verdict == "identified"
    assert found.recipe is not None
    assert found.said.before == (("PIL.ImageOps.exif_transpose",) if upright else ())
    assert any("exif_transpose" in line for line in found.lines()) == upright
    assert not any("EXIF" in each for each in found.ambiguous)


def test_pictures_compressed_since_narrow_and_keep_the_truth(tmp_path):
    pairs = []
    for number, size in enumerate([(80, 111), (101, 84)]):
        x = picture(size, number)
        Image.fromarray(x).save(tmp_path / f"{number}.jpg", quality=90)
        pairs.append(Pair(str(number), tmp_path / f"{number}.jpg", USUAL(x).astype(np.float64)))
    found = answered(Pairs(tuple(pairs), "NCHW", "float32"))
    assert found.verdict == "narrowed"
    assert off(found, USUAL, [(70, 41)]) < 3
