"""A network on which known mistakes do not show proves nothing: it is published, and says so."""

import numpy as np
import pytest
import torch
from torch import nn

from preproc.export import export_bundle
from preproc.layers import FromPixels, Normalize, Pipeline, Rescale, Standardize, prepend
from preproc.verify import Case, Part
from preproc.verify.controls import _moved


class Blind(nn.Module):
    """Reacts to its input by too little for anybody to see."""

    def __init__(self, factor):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.factor = nn.Conv2d(3, 4, 3, padding=1), factor

    def forward(self, x):
        return self.conv(x).mean((2, 3)) * self.factor + (1.0 if self.factor else 0.0)


@pytest.mark.parametrize(("factor", "reason"), [(1e-9, "would move the outputs by less"), (0.0, "zero for every input")])
def test_a_blind_network_is_inconclusive_published_and_says_so(tmp_path, factor, reason):
    model = prepend(Pipeline(FromPixels(layout="NHWC"), Rescale(), Normalize.preset("imagenet")), Blind(factor))
    bundle = export_bundle(model, tmp_path / "blind", example=torch.zeros(2, 16, 16, 3, dtype=torch.uint8))
    ran = [result for result in bundle.report.results if result.verdict != "absent"]
    assert {result.verdict for result in ran} == {"inconclusive"}
    assert reason in str(ran[0].reason)
    assert not bundle.report.ok
    assert not bundle.report.failed


def test_an_output_that_reacts_to_nothing_is_not_hidden_by_one_that_does():
    cases = [Case("one", np.zeros((1, 2, 2, 3), np.uint8), {"a": np.array([[1.0]]), "b": np.array([[1.0]])})]
    assert _moved("", [{"a": np.array([[3.0]]), "b": np.array([[1.0]])}], cases, {"a": Part("a", 1.0), "b": Part("b", 1.0)}).movement == 0.0


def test_an_invariant_pipeline_in_front_of_a_constant_is_inconclusive(tmp_path):
    pipeline = Pipeline(FromPixels(layout="NHWC", color="GRAY", to="GRAY"), Standardize())
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 14 * 14, 2))
    nn.init.zeros_(net[2].weight)
    bundle = export_bundle(prepend(pipeline, net), tmp_path / "m", example=torch.zeros(2, 16, 16, 1, dtype=torch.uint8))
    assert not bundle.report.ok
    assert not bundle.report.failed
