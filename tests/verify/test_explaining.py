"""Why an answer is wrong: said where the original answers just so to a wrong input, and only there."""

from dataclasses import replace

import numpy as np
import pytest

from preproc.diagnosis import Mistake, Mistakes
from preproc.errors import PreprocError
from preproc.steps import FromPixels, Normalize, Rescale
from preproc.verify import Case, Part, explainer, judge
from preproc.verify.explaining import explanation
from preproc.verify.parts import parts_of
from preproc.verify.report import Result
from tests.conftest import ROOT
from tests.verify.fake import POWER, Fake

STEPS = (FromPixels(layout="NHWC"), Rescale(), Normalize.preset("imagenet"))
RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(size=(3 * 6 * 5, 4)) / 9
PICTURES = RNG.integers(0, 256, (3, 1, 6, 5, 3)).astype(np.uint8)
MISTAKES = Mistakes(STEPS)
KNOWN = {mistake.name: mistake for mistake in MISTAKES.all}


def truth(ready):
    return {"y": ready.reshape(len(ready), -1) @ WEIGHTS}


def ready(pixels, name=None):
    return MISTAKES.ready(pixels, KNOWN[name] if name else Mistake("", ""))


CASES = [Case(f"[{place}]", pixels, truth(ready(pixels))) for place, pixels in enumerate(PICTURES)]
SCALE = max(float(np.abs(case.expected["y"]).max()) for case in CASES)


def judged(answer, original=lambda: truth):
    power = replace(POWER, scale={"y": SCALE}, tolerance=1e-5, bare_error=1e-7)
    return judge(Fake(answer), ROOT, CASES, power, bare={"y": 1e-7}, explain=explainer(STEPS, original))


@pytest.mark.parametrize(
    "name", ["channels swapped", "normalization doubled", "rescale missing", "averaged std", "grey for colour", "mirrored"]
)
def test_a_wrong_input_is_named(name):
    def answer(pixels):
        exact = truth(ready(pixels, name))["y"]
        return {"y": exact.astype(np.float32).astype(np.float64)}

    result = judged(answer)
    assert (result.verdict, result.explained) == ("failed", (name,)), result
    assert "the original answers the same to a wrong input: " in result.reason
    assert "; the next, " in result.reason
    assert Result.from_json(result.__dict__ | {"parts": {}}).explained == (name,)


def test_nothing_is_said_of_what_no_input_explains_nor_of_right_answers():
    for answer in (lambda pixels: {"y": truth(ready(pixels))["y"] * 1.01}, lambda pixels: {"y": truth(ready(pixels))["y"][:, ::-1]}):
        result = judged(answer)
        assert (result.verdict, result.explained) == ("failed", ())
        assert "wrong input" not in result.reason
    assert judged(lambda pixels: truth(ready(pixels))).verdict == "passed"


def test_nothing_is_said_of_an_explanation_that_holds_for_some_inputs_only():
    def answer(pixels):
        return truth(ready(pixels, "channels swapped" if (pixels == PICTURES[0]).all() else "mirrored"))

    assert judged(answer).explained == ()


def test_nothing_is_said_where_the_original_is_not_at_hand():
    def absent():
        raise PreprocError("no network here", name="original-not-at-hand")

    result = judged(lambda pixels: truth(ready(pixels, "channels swapped")), absent)
    assert (result.verdict, result.explained) == ("failed", ())


def test_two_that_the_network_cannot_tell_apart_are_both_named():
    """One that sums up all pixels sees no turn."""

    def blind(x):
        return {"y": np.repeat(x.mean((2, 3)) @ np.array([[1.0], [2.0], [-1.0]]), 4, axis=1)}

    cases = [replace(case, expected=blind(ready(case.pixels))) for case in CASES]
    power = replace(POWER, scale={"y": 1.0}, tolerance=1e-5, bare_error=1e-7)
    swapped = Fake(lambda pixels: blind(ready(pixels, "channels swapped")))
    result = judge(swapped, ROOT, cases, power, bare={"y": 1e-7}, explain=explainer(STEPS, lambda: blind))
    assert result.explained == ("channels swapped",)
    grey = Fake(lambda pixels: blind(ready(pixels, "reshaped")))
    result = judge(grey, ROOT, cases, power, bare={"y": 1e-7}, explain=explainer(STEPS, lambda: blind))
    assert "reshaped" in result.explained
    assert Part("y", 1.0).output == "y"


@pytest.mark.parametrize("seed", range(4))
def test_noise_is_explained_by_no_mistake_that_happens_to_come_near(seed):
    """Of 1.3 tolerances, where one number is answered, and mistakes move it by no more: some of them lie beside it."""
    weights = np.random.default_rng(seed).normal(size=(90, 1))

    def original(ready):
        return {"y": ready.reshape(len(ready), -1) @ weights}

    cases = [replace(CASES[0], expected=original(ready(CASES[0].pixels)))]
    parts = parts_of(cases)
    (key,) = parts
    moves = np.array([(original(ready(cases[0].pixels, name))["y"] - cases[0].expected["y"]).item() for name in KNOWN])
    noise = np.median(np.abs(moves)) * (1 if seed % 2 else -1)
    tolerance = abs(noise) / 1.3
    assert (np.abs(moves - noise) < tolerance).any()
    answered = [(cases[0], {"y": cases[0].expected["y"] + noise})]
    assert explanation(STEPS, original, answered, parts, {key: tolerance / parts[key].scale}) is None


def test_a_mistake_whose_answer_has_other_names_explains_nothing():
    """Sequences that have fewer tensors then."""

    def original(x):
        return {f"y[{place}]": x.mean((2, 3)) + place for place in range(2 if x.mean() < 0.5 else 1)}

    cases = [replace(case, pixels=case.pixels // 2, expected=original(ready(case.pixels // 2))) for case in CASES]
    assert all(len(case.expected) == 2 for case in cases)
    assert any(len(original(ready(cases[0].pixels, name))) == 1 for name in KNOWN)
    parts = parts_of(cases)
    answered = [(case, original(ready(case.pixels, "channels swapped"))) for case in cases]
    found = explanation(STEPS, original, answered, parts, dict.fromkeys(parts, 1e-5))
    assert found is not None
    assert found.mistakes == ("channels swapped",)
