"""What the outputs of an .onnx file are compared with: float64 where rounding explains the difference, else the file and its noise."""

from pathlib import Path

import numpy as np
import pytest

from preproc.oracle.files import NotInDoubleError
from preproc.steps import FromPixels, Rescale
from preproc.verify import FLOAT64, NOISE, Case, FileTruths, Part, doubling, known_of

STEPS = (FromPixels(layout="NHWC"), Rescale())
PIXELS = np.random.default_rng(4).integers(0, 256, (2, 3, 4, 3), dtype=np.uint8)
READY = PIXELS.transpose(0, 3, 1, 2) / 255


def right(x):
    return {"y": x.mean(axis=(2, 3)), "z": x.max(axis=(1, 2, 3))}


def single(x):
    return {name: values * (1 + 1e-6) for name, values in right(x).items()}


def fake(double, *, alone=single, plain=single):
    """A file that answers so."""

    class Single:
        image, names = "x", ("y", "z")

        def others(self, _):
            return {}

        def laid_out(self, x):
            return x

        def __call__(self, x):
            return alone(x)

    class File(FileTruths):
        def double(self):
            return lambda x, most: double(x)  # noqa: ARG005

    return File(Path(), Single(), lambda: plain)


def known(double, *, alone=single, plain=single, expected=None):
    """Of a picture, and of two, whose ready tensor is not kept."""
    cases = [Case("one", PIXELS[:1], (expected or alone)(READY[:1]), ready=READY[:1]), Case("two", PIXELS, (expected or alone)(READY))]
    return known_of(cases, fake(double, alone=alone, plain=plain), STEPS, {"y": Part("y", 1.0), "z": Part("z", 1.0)})


def test_float64_is_the_truth_where_rounding_explains_the_difference():
    found = known(right)
    for case, ready in zip(found.cases, (READY[:1], READY), strict=True):
        np.testing.assert_array_equal(case.expected["y"], right(ready)["y"])
    assert {truth.kind for truth in found.truths.values()} == {FLOAT64}
    assert 0 < found.truths["y"].error < 1e-6
    assert (found.truths["z"].reason, found.steps) == ("", 0)


def test_a_batch_is_put_together_from_its_pictures_but_where_an_output_is_whole(monkeypatch):
    """Its model-ready tensor is, always."""
    asked = []
    monkeypatch.setattr(doubling.reference, "apply", None)
    pictures = [Case(str(at), PIXELS[at : at + 1], single(READY[at : at + 1]), ready=READY[at : at + 1]) for at in range(2)]
    for whole in (frozenset[str](), frozenset({"z"})):
        asked.clear()
        cases = [*pictures, Case("both", PIXELS, single(READY), whole=whole)]
        found = known_of(cases, fake(lambda x: asked.append(len(x)) or right(x)), STEPS, {"y": Part("y", 1.0), "z": Part("z", 1.0)})
        np.testing.assert_array_equal(found.cases[2].expected["y"], right(READY)["y"])
        assert asked == [1, 1, *([2] if whole else [])]


def test_each_output_by_itself():
    found = known(lambda x: right(x) | {"z": right(x)["z"] + 2e-4})
    assert [truth.kind for truth in found.truths.values()] == [FLOAT64, NOISE]
    assert "the file is 2.0e-04 from it, and 0.0001 at most is taken for rounding" in found.truths["z"].reason
    np.testing.assert_array_equal(found.cases[0].expected["z"], single(READY[:1])["z"])
    np.testing.assert_array_equal(found.cases[0].expected["y"], right(READY[:1])["y"])


def stops(_):
    raise IndexError("no such row\nat all")


def has_none(_):
    raise NotInDoubleError("there is no float64 form of Det")


@pytest.mark.parametrize(
    ("double", "reason"),
    [
        (has_none, "there is no float64 form of Det"),
        (stops, "its evaluation in float64 stops: IndexError: no such row"),
        (lambda x: {name: values[..., None] for name, values in right(x).items()}, "answers something else"),
        (lambda x: {name: values * np.nan for name, values in right(x).items()}, "answers something else"),
    ],
)
def test_else_it_is_the_file_itself_and_the_report_says_why(double, reason):
    found = known(double)
    assert {truth.kind for truth in found.truths.values()} == {NOISE}
    assert reason in found.truths["y"].reason
    np.testing.assert_array_equal(found.cases[1].expected["y"], single(READY)["y"])


def test_noise_is_what_the_file_is_from_itself():
    """Unoptimized, in a batch, one rounding away."""
    assert known(has_none).truths["y"].error < 1e-7  # a mean moves by less than a rounding
    unoptimized = known(has_none, plain=lambda x: {name: values + 3e-5 for name, values in single(x).items()})
    assert unoptimized.truths["y"].error == pytest.approx(3e-5, rel=1e-2)
    in_a_batch = known(
        has_none, alone=lambda x: {name: values + (len(x) - 1) * 2e-5 for name, values in single(x).items()}, expected=single
    )
    assert in_a_batch.truths["y"].error == pytest.approx(2e-5, rel=1e-2)
    steep = known(
        has_none,
        alone=lambda x: single(x) | {"y": np.sin(100 * x).mean(axis=(2, 3))},
        plain=lambda x: single(x) | {"y": np.sin(100 * x).mean(axis=(2, 3))},
    )
    assert 1e-7 < steep.truths["y"].error < 1e-5


def test_a_step_that_one_rounding_decides_is_measured():
    def stepped(x):
        return right(x) | {"y": (x.astype(np.float32) >= READY[: len(x)].astype(np.float32)).mean(axis=(2, 3))}

    found = known(stepped, alone=stepped, plain=stepped)
    assert found.truths["y"].kind == FLOAT64
    assert 0.2 < found.steps < 0.9  # about half of the values go down


def test_the_work_is_shared_by_the_cases(monkeypatch):
    asked = []
    monkeypatch.setattr(doubling, "MOST_WORK", 1e6)
    file = fake(right)
    monkeypatch.setattr(type(file), "double", lambda _: lambda x, most: asked.append(most) or right(x))
    cases = [Case(str(at), PIXELS, single(READY), ready=READY) for at in range(4)]
    known_of(cases, file, STEPS, {"y": Part("y", 1.0), "z": Part("z", 1.0)})
    assert asked == [2.5e5] * 4
