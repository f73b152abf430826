"""Nodes of Y, U and V, equal to the oracle in ONNX Runtime, at sizes that are fixed and that are free."""

import numpy as np
import onnx_ir as ir
import pytest
import torch
from hypothesis import given, settings

from preproc.errors import PreprocError
from preproc.layers import Pipeline, from_step
from preproc.oracle import reference
from preproc.steps import LUMA, YUV, CenterCrop, FromPixels, Rescale, Resize, collapse_steps
from preproc.verify.runtimes import evaluate
from tests.onnx_files import alone, in_one_thread
from tests.yuv import FORMS, KINDS, SAID, drawn, pixels


@pytest.mark.parametrize(("color", "layout", "form"), KINDS)
def test_nodes_equal_the_oracle_at_two_sizes(color, layout, form):
    step = FromPixels(layout=layout, color=color, **FORMS[form])
    session = in_one_thread(alone([step]))
    for size, batch in (((8, 6), 2), ((6, 12), 3)):
        x = pixels(color, layout, size, batch=batch, seed=5)
        want, (got,) = reference.apply([step], x), session.run(None, {"pixels": x})
        np.testing.assert_allclose(got, want, rtol=0, atol=0 if step.rounds else 2e-4)


@settings(max_examples=25)
@given(drawn())
def test_any_step_equals_the_oracle_where_sizes_are_fixed_and_steps_collapsed(case):
    step, x = case
    size = YUV[step.color].size(step.layout, x.shape[1:])
    for steps in ([step, Rescale()], collapse_steps([step, Rescale()], step.channels())):
        ((got,),) = evaluate(alone(steps, size=size), [{"pixels": x}])
        np.testing.assert_allclose(got, reference.apply([step, Rescale()], x), rtol=0, atol=1e-6)


def test_pictures_that_are_rounded_are_resized_and_cut():
    said = {"to": "BGR", "conversion": "rgb8", **SAID}
    steps = [FromPixels(layout="NHW", color="NV12", **said), Resize(size=(10, 12), form="exact"), CenterCrop(size=8)]
    x = pixels("NV12", "NHW", (16, 20))
    for made in (steps, collapse_steps(steps, 3)):
        (got,) = in_one_thread(alone(made, size=(16, 20))).run(None, {"pixels": x})
        np.testing.assert_array_equal(got, reference.apply(steps, x))


def test_in_float64_chroma_between_its_samples_is_exact():
    step = FromPixels(layout="NHW", color="I420", **FORMS["center"])
    x = pixels("I420", "NHW", (8, 6))
    ((got,),) = evaluate(alone(collapse_steps([step], 3)[:1], dtype=ir.DataType.DOUBLE), [{"pixels": x}])
    np.testing.assert_array_equal(got, reference.apply(collapse_steps([step], 3)[:1], x))


def test_an_opset_without_such_a_resize_is_named():
    with pytest.raises(
        PreprocError, match="expected a model of opset 11 or newer for from_pixels, whose Resize came with it, got opset 10"
    ):
        alone([FromPixels(layout="NHW", color="NV12", **SAID)], opset=10)


@pytest.mark.filterwarnings(r"ignore:`torch\.jit\.")
@pytest.mark.parametrize("to", ["GRAY", LUMA])
def test_luma_alone_is_moved_as_a_grey_picture_is(to):
    """In the oracle, the nodes and the layers, scripted too."""
    first = FromPixels(layout="NHW", color="NV12", to=to, **(SAID if to == "GRAY" else {}))
    moves, x = [Resize(size=(10, 12), form="exact"), CenterCrop(size=(8, 8))], pixels("NV12", "NHW", (16, 20))
    levels = reference.apply([FromPixels(layout="NCHW", color="GRAY", to="GRAY"), *moves], x[:, None, :16])
    want = (levels - 16) / 219 * 255 if to == "GRAY" else levels
    np.testing.assert_allclose(reference.apply([first, *moves], x), want, rtol=0, atol=1e-10)
    (got,) = in_one_thread(alone([first, *moves], size=(16, 20))).run(None, {"pixels": x})
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-4)
    layer = Pipeline(*(from_step(step) for step in (first, *moves)))
    for run in (layer, torch.jit.script(layer)):
        np.testing.assert_allclose(run(torch.from_numpy(x)).numpy(), want, rtol=0, atol=1e-4)
