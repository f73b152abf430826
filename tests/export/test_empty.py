"""A batch of no pictures goes through every step, in every form that it has."""

import io
import json
import warnings

import numpy as np
import pytest
import torch

from preproc import steps
from preproc.layers import Pipeline
from preproc.oracle import reference
from preproc.steps import Standardize
from preproc.verify.runtimes import onnxruntime
from tests import conformance
from tests.onnx_files import alone, in_one_thread

NAMES = json.loads((conformance.FOLDER / "index.json").read_text())["cases"]
FIRST = {
    step["step"]: name for name in reversed(NAMES) for step in json.loads((conformance.FOLDER / name / "spec.json").read_text())["steps"]
}
"""One case of each step, and below all of those whose forms differ."""
CASES = sorted(
    {*FIRST.values(), *(name for name in NAMES if name.startswith(("standardize", "min_max", "letterbox", "local", "resize-not")))}
)


def case(name):
    folder = conformance.FOLDER / name
    return [steps.parse(step) for step in json.loads((folder / "spec.json").read_text())["steps"]], np.load(folder / "input.npy")


def test_every_step_has_a_case():
    assert set(FIRST) == set(steps.STEPS)


@pytest.mark.parametrize("name", CASES)
def test_no_pictures_make_none(name):
    sequence, x = case(name)
    empty, raw = x[:0], isinstance(sequence[0], steps.FromPixels)
    shape = reference.apply(sequence, x)[:0].shape
    assert reference.apply(sequence, empty).shape == shape
    nhwc = raw and sequence[0].layout == "NHWC"
    sizes = {"size": x.shape[1:3] if nhwc else x.shape[2:]}
    exact = any(getattr(step, "form", None) == "exact" for step in sequence)
    for told in (sizes,) if exact else (sizes, {}):
        session = onnxruntime().InferenceSession(
            alone(sequence, channels=x.shape[3 if nhwc else 1], **told), providers=["CPUExecutionProvider"]
        )
        assert session.run(None, {"pixels": empty})[0].shape == shape
    example = torch.from_numpy(np.concatenate([x, x]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = Pipeline.from_steps(sequence)
        archive = io.BytesIO()
        torch.export.save(
            torch.export.export(pipeline, (example,), dynamic_shapes=({0: torch.export.Dim("N", min=0)},), strict=False), archive
        )
        archive.seek(0)
        forms = [pipeline, torch.jit.script(pipeline), torch.export.load(archive).module()]
    for form in forms:
        assert form(torch.from_numpy(empty)).shape == shape
        assert np.isfinite(form(torch.from_numpy(x)).numpy()).all()


@pytest.mark.parametrize("opset", [8, 9, 10, 11, 13, 18])
@pytest.mark.parametrize("step", [Standardize(), Standardize(per="channel", min_std=0.1, correction=1)], ids=str)
def test_standardize_counts_without_pictures(step, opset):
    session = in_one_thread(alone([step], opset=opset))
    for number in (0, 1, 3):
        x = np.random.default_rng(number).uniform(0, 255, (number, 3, 5, 6)).astype(np.float32)
        np.testing.assert_allclose(session.run(None, {"pixels": x})[0], reference.apply([step], x), atol=1e-5)
