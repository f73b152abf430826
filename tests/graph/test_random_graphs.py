"""The first of the random graphs of `make survey`: folded exactly or refused; a fold that is wrong is seen."""

import pytest

from preproc.folding import Tracked
from tests.survey_graphs import main, one

FORMS = ("cast", "subtract", "append")


@pytest.mark.parametrize("seed", range(16))
def test_random_graphs_fold_or_are_refused(seed):
    answer, error = one(seed)
    assert answer in FORMS or answer.startswith("refused: ")
    assert error <= 1e-9


@pytest.mark.parametrize("camera", ["NV12", "UYVY"])
@pytest.mark.parametrize("seed", range(16))
def test_random_graphs_take_what_cameras_give(seed, camera):
    answer, error = one(seed, camera)
    assert answer in {"not run", *FORMS, *(f"planes, {form}" for form in FORMS)} or answer.startswith("refused: ")
    assert error <= 1e-9


def test_a_wrong_fold_is_seen(monkeypatch):
    """As if no border held anything."""
    monkeypatch.setattr(Tracked, "holding", lambda self, _: self)
    with pytest.raises(AssertionError, match=r"seed \d+: (cast|subtract), error"):
        main(16)
