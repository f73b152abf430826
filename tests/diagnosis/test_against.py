"""Tensors against a recipe: the mistake that was made is named, and none where there is none."""

import numpy as np
import pytest

from preproc.diagnosis.against import find_mistake
from preproc.diagnosis.mistakes import Mistakes
from preproc.errors import PreprocError
from preproc.steps import Normalize, Rescale, compose
from tests.diagnosis.making import RECIPES, right, samples, wrong


@pytest.fixture(autouse=True)
def no_other_libraries(monkeypatch):
    """They take long to load; test_cases.py has one."""
    monkeypatch.setattr(Mistakes, "of_libraries", lambda _: iter(()))


def rounded(tensor, recipe):
    """The tensor of grey levels that lie up to half a one beside, as a rounding to whole ones leaves them."""
    whole = compose([step for step in recipe if isinstance(step, (Rescale, Normalize))], 3)
    off = np.random.default_rng(0).uniform(-0.5, 0.5, tensor.shape)
    return tensor + off * np.diag(whole.matrix)[:, None, None]


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(("dtype", "unit"), [(np.float64, 2.0**-53), (np.float32, 2.0**-24), (np.float16, 2.0**-11)])
def test_no_mistake_is_named_where_the_recipe_made_the_tensors(name, dtype, unit):
    found = find_mistake(RECIPES[name], samples(right(RECIPES[name]), dtype, unit))
    assert (found.right, found.mistakes) == (True, ())
    assert "no mistake" in next(found.lines())


@pytest.mark.parametrize("name", ["imagenet", "yolo", "inception", "caffe"])
def test_no_mistake_is_named_in_rounded_tensors(name):
    pairs = [(source, rounded(tensor, RECIPES[name])) for source, tensor in right(RECIPES[name])]
    found = find_mistake(RECIPES[name], samples(pairs))
    assert found.right
    assert 0.2 < found.recipe.residual < 0.4


@pytest.mark.parametrize("name", RECIPES)
def test_every_mistake_is_named_when_it_is_made(name):
    """Or those are that come to the same on these pictures; never another one alone."""
    recipe, known = RECIPES[name], Mistakes(RECIPES[name])
    truth = [tensor for _, tensor in right(recipe)]
    wrongly = list[str]()
    for mistake in known.all:
        try:
            pairs = wrong(recipe, mistake)
        except PreprocError:
            continue
        same = all(a.shape == b.shape and np.allclose(a, b, rtol=1e-6, atol=1e-9) for (_, a), b in zip(pairs, truth, strict=True))
        found = find_mistake(recipe, samples(pairs))
        named = [fit.name for fit in found.mistakes]
        if (same and not found.right) or (not same and mistake.name not in named):
            wrongly.append(f"{mistake.name}: {found.verdict} {named}")
        elif len(named) > 1:
            alike = [fit for fit in found.mistakes if fit.residual > 0.02]
            assert not alike, f"{mistake.name}: {found.verdict} {named}"
    assert wrongly == []
