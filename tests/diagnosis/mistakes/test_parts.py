"""What causes are ranked on: as few pixels as tell them apart, and each of them as in the whole picture."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from preproc.diagnosis import Mistakes
from preproc.diagnosis.geometry import Source
from preproc.diagnosis.mistakes import parts
from preproc.diagnosis.mistakes.against import find_mistake
from preproc.diagnosis.mistakes.converted import converted_together
from preproc.diagnosis.mistakes.parts import BAND, BANDS, SEAM, Sample, enough, mosaic
from preproc.oracle import packed, reference
from preproc.steps import FromPixels, Normalize, Rescale, Resize

VALUES = (Rescale(), Normalize.preset("imagenet"))
NV12 = FromPixels(layout="NHW", color="NV12", matrix="bt709", range="limited")
SIZE = (300, 400)
OWN = "recipe"


def picture(seed=0, size=SIZE):
    return np.random.default_rng(seed).integers(30, 220, (*size, 3), dtype=np.uint8)


@pytest.mark.parametrize(("chroma", "siting"), [("replicate", None), ("bilinear", "left")])
def test_each_pixel_that_is_compared_becomes_what_it_becomes_in_the_whole_picture(chroma, siting):
    made = Mistakes((replace(NV12, chroma=chroma, siting=siting), *VALUES))
    source = Source(picture())
    whole, causes = made.picture_of(source), [cause for each in converted_together(made.first, ()) for cause in each][::5]
    part = mosaic(Sample("a", source, np.zeros((3, *SIZE))))
    assert part.compared(part.tensor).shape == (3, *[BANDS * (BAND - 2 * SEAM)] * 2)
    assert part.tensor[0].size < 0.5 * np.prod(SIZE)
    for cause in causes:
        same = mosaic(Sample("a", source, made.levels(whole, cause)[0]))
        assert np.allclose(same.compared(made.levels(made.picture_of(same.source), cause)[0]), same.compared(same.tensor)), cause.name


def test_what_is_small_stays_whole():
    small = Sample("a", Source(picture(size=(60, 240))), np.zeros((3, 60, 240)))
    assert np.array_equal(mosaic(small).source.picture(), small.source.picture())
    assert small.compared(small.tensor) is small.tensor
    (same,) = enough([small])
    assert np.array_equal(same.compared(same.tensor), small.tensor)
    other = replace(small, tensor=np.zeros((3, 20, 20)))
    assert mosaic(other) is other


def test_of_a_large_tensor_its_edges_and_both_phases_of_chroma_are_compared():
    large = Sample("a", Source(picture(size=(8, 8))), np.zeros((1, 720, 1280)))
    (thinned,) = enough([large])
    for places, size in ((thinned.rows, 720), (thinned.columns, 1280)):
        assert {0, size - 1} <= set(places.tolist())
        assert parts.ROWS <= len(places) < 2.1 * parts.ROWS
        assert 0.4 < (places % 2).mean() < 0.6


def converted(monkeypatch, steps, sources):
    """How many pixels were passed to each cause where nothing explains the tensors: of all pictures, once, 1."""
    rng, seen, known = np.random.default_rng(0), Counter(), Mistakes.levels
    made = [Sample(f"{place}", each, rng.normal(size=_shape(steps, each))) for place, each in enumerate(sources)]
    all_pixels = sum(each.picture()[..., 0].size for each in sources)

    def levels(self, picture, mistake):
        seen[mistake.name] += picture.planes[0, 0].size / all_pixels
        return known(self, picture, mistake)

    monkeypatch.setattr(Mistakes, "levels", levels)
    monkeypatch.setattr(Mistakes, "of_libraries", lambda _, **__: iter(()))
    assert find_mistake(steps, made).verdict == "not identified"
    return seen


def _shape(steps, source):
    first, pixels = steps[0], source.picture()
    return reference.apply(steps, (packed(pixels, first) if first.color == "NV12" else pixels)[None])[0].shape


@pytest.mark.parametrize("first", [NV12, FromPixels(layout="NHWC")], ids=["NV12", "RGB"])
def test_of_whole_pictures_few_causes_are_tried_where_nothing_explains_them(monkeypatch, first):
    """Of those that are not known alone the likeliest of a round, of which there are ten."""
    seen = converted(monkeypatch, (first, *VALUES), [Source(picture())])
    alone = {mistake.name for mistake in Mistakes((first, *VALUES)).all}
    together = [share for name, share in seen.items() if name != OWN and name not in alone]
    assert len(together) > 30
    assert sum(share >= 1 for share in together) <= 10
    assert sum(together) < 0.6 * len(together)


def test_a_picture_of_one_colour_is_not_enough(monkeypatch):
    monkeypatch.setattr(parts, "ENOUGH", 1)
    flat, other, third = (
        Sample(name, Source(x), np.zeros((3, 4, 4))) for name, x in zip("abc", (0 * picture(), picture(), picture()), strict=True)
    )
    assert [each.name for each in enough([flat, other, third])] == ["a", "b"]


def test_behind_a_resize_as_many_pictures_are_tried_as_have_pixels_enough(monkeypatch):
    monkeypatch.setattr(parts, "ENOUGH", 60 * 60)
    sources = [Source(picture(seed, (60, 60))) for seed in range(4)]
    seen = converted(monkeypatch, (NV12, Resize(size=14), *VALUES), sources)
    seen.pop(OWN)
    assert min(seen.values()) == 1 / 4  # one picture of four
    assert np.median(list(seen.values())) == 1 / 4
