"""The fold in a file is exact over random convolutions, leaves others their weights, and changes nothing where it fails."""

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from preproc import graph
from preproc.errors import PreprocError
from preproc.oracle import reference
from preproc.steps import FromPixels, Rescale
from tests.graph.models import CHANNELS, DOUBLE, FLOAT, PAD1, W, conv, evaluate, imagenet, model, node, pixels, spec
from tests.onnx_files import AUTO_PADS

convolutions = st.fixed_dictionaries(
    {
        "color": st.sampled_from(sorted(CHANNELS)),
        "layout": st.sampled_from(["NHWC", "NCHW"]),
        "kernel": st.tuples(st.integers(1, 4), st.integers(1, 4)),
        "stride": st.integers(1, 3),
        "dilation": st.integers(1, 2),
        "pads": st.one_of(st.sampled_from(AUTO_PADS) if AUTO_PADS else st.nothing(), st.tuples(*[st.integers(0, 2)] * 4)),
        "explicit": st.sampled_from([None, 0.0, 1.0, -2.5]),
        "mode": st.sampled_from(["constant", "reflect", "edge"]),
        "bias": st.booleans(),
        "group": st.sampled_from([1, 3]),
        "seed": st.integers(0, 2**16),
    }
)


def draw(case, kind):
    rng = np.random.default_rng(case["seed"])
    group = case["group"] if case["color"] == "RGB" else 1
    constants = {"w": rng.normal(size=(6, 3 // group, *case["kernel"]))} | ({"b": rng.normal(size=6)} if case["bias"] else {})
    automatic = isinstance(case["pads"], str)
    options = {"group": group, "strides": [case["stride"]] * 2, "dilations": [1 if automatic else case["dilation"]] * 2}
    nodes, source = [], "x"
    if case["explicit"] is None:
        options |= {"auto_pad": case["pads"]} if automatic else {"pads": list(case["pads"])}
    else:
        constants |= {"pads": np.array([0, 0, 1, 2, 0, 0, 0, 1]), "value": np.array(case["explicit"])}
        nodes.append(node("Pad", "x pads value", "padded", mode=case["mode"]))
        source = "padded"
    nodes.append(conv(bias="b" if case["bias"] else None, source=source, **options))
    return model(nodes, constants, kind=kind)


@given(convolutions)
def test_folded_equals_unfolded_border_included(case):
    steps, x = imagenet(case["color"], case["layout"]), pixels(case["color"], case["layout"], seed=case["seed"])
    want = evaluate(draw(case, DOUBLE), "x", reference.apply(steps, x))
    for kind, tolerance in ((DOUBLE, 1e-9), (FLOAT, 2e-5)):
        made = draw(case, kind)
        done = graph.attach(made, steps, spec(case["color"], case["layout"]), fold="require")
        assert done.folded
        got = evaluate(made, "pixels", x)
        assert np.abs(got - want).max() <= tolerance * np.abs(want).max()


def test_a_weight_that_is_an_output_too_is_not_replaced():
    made = model([conv(**PAD1)], {"w": W}, outputs=("y", "w"))
    assert "w is an output of the model" in str(graph.attach(made, imagenet(), spec()).reason)


def test_a_weight_that_three_convolutions_share_gets_three_copies():
    nodes = [conv(output=f"p{i}", **PAD1) for i in range(3)] + [node("Sum", "p0 p1 p2", "y")]
    made, x = model(nodes, {"w": W}), pixels()
    want = evaluate(made, "x", reference.apply(imagenet(), x))
    graph.attach(made, imagenet(), spec(), fold="require")
    np.testing.assert_allclose(evaluate(made, "pixels", x), want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("color", ["GRAY", "RGBA"])
def test_a_backbone_that_handles_its_channels_keeps_their_number(color):
    nodes, constants = [node("Mul", "x k", "m"), conv(source="m", **PAD1)], {"k": np.ones((1, 3, 1, 1)), "w": W}
    made, x = model(nodes, constants), pixels(color)
    want = evaluate(made, "x", reference.apply(imagenet(color), x))
    assert graph.attach(made, imagenet(color), spec(color)).selected == {"GRAY": (0, 0, 0), "RGBA": (0, 1, 2)}[color]
    np.testing.assert_allclose(evaluate(made, "pixels", x), want, rtol=1e-10, atol=1e-10)


def test_a_weight_that_callers_may_override_is_not_folded():
    """Old files list initializers among the inputs: a caller may then pass its own."""
    listed = helper.make_tensor_value_info("w", DOUBLE, W.shape)
    made = model([conv()], {"w": W}, inputs=[listed])
    assert "can be overridden" in str(graph.attach(made, imagenet(), spec()).reason)


def test_a_weight_that_others_read_too_stays_for_them():
    nodes = [conv(output="p", **PAD1), node("ReduceMax", "w", "m"), node("Add", "p m", "y")]
    made, x, steps = model(nodes, {"w": W}), pixels(), imagenet()
    want = evaluate(made, "x", reference.apply(steps, x))
    graph.attach(made, steps, spec(), fold="require")
    np.testing.assert_allclose(evaluate(made, "pixels", x), want, rtol=1e-10)


def test_a_product_of_whole_numbers_computes_what_it_did():
    def whole():
        return model([node("Transpose", "x", "t", perm=[0, 2, 3, 1]), node("MatMul", "t k", "y")], {"k": k}, kind=TensorProto.INT32)

    k = np.random.default_rng(0).integers(-3, 4, (3, 4)).astype(np.int32)
    made, x, steps = whole(), pixels() // 2 * 2, [FromPixels(layout="NHWC", color="RGB"), Rescale(scale=1 / 2)]
    want = evaluate(whole(), "x", reference.apply(steps, x).astype(np.int32))
    assert "whole numbers, int32" in str(graph.attach(made, steps, spec()).reason)
    np.testing.assert_array_equal(evaluate(made, "pixels", x), want)


def test_a_fold_that_fails_half_way_changes_nothing():
    """Two readers, of which the second cannot be folded for its weights, which callers may override."""
    nodes = [conv(output="p", **PAD1), conv(weight="w3", output="q", **PAD1), node("Concat", "p q", "y", axis=1)]
    made = model(nodes, {"w": W, "w3": W[:3]}, inputs=[helper.make_tensor_value_info("w3", DOUBLE, W[:3].shape)])
    steps, x = imagenet("BGR"), pixels("BGR")
    want = evaluate(made, "x", reference.apply(steps, x))
    assert "can be overridden" in str(graph.attach(made, steps, spec("BGR")).reason)
    np.testing.assert_allclose(evaluate(made, "pixels", x), want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: model([conv()], {"w": W}, channels=4), "expected a model that takes 3 channels, as the steps make, got 4 in x"),
        (lambda: model([conv()], {"w": W}, inputs=[helper.make_tensor_value_info("z", DOUBLE, [1, 3, 4, 4])]), "one input"),
        (lambda: model([node("Gather", "x i", "y")], {"i": np.array([0])}, kind=TensorProto.BOOL), "a float picture"),
    ],
)
def test_models_that_do_not_fit_are_refused(make, message):
    with pytest.raises(PreprocError, match=message):
        graph.attach(make(), imagenet(), spec())


def test_a_size_other_than_the_models_is_refused():
    made = model([conv()], {"w": W})
    made.graph.inputs[0].shape = ir.Shape(["N", 3, 8, 8])
    with pytest.raises(PreprocError, match="expected height 8, which the model's input x has, got 9"):
        graph.attach(made, imagenet(), spec(size=(9, 8)))


def test_the_negative_control_makes_just_the_border_wrong():
    from preproc import steps as vocabulary

    sequence, x = imagenet(), pixels()
    made, wrong = (model([conv(**PAD1)], {"w": W}) for _ in range(2))
    affine = vocabulary.compose(sequence, 3)
    assert affine is not None
    minus = graph.uncorrected_border(graph.picture_input(wrong), affine)
    assert minus is not None
    ready = reference.apply(sequence, x)
    error = np.abs(evaluate(wrong, "x", ready - minus[:, None, None]) - evaluate(made, "x", ready))
    assert error[:, :, 1:-1, 1:-1].max() < 1e-10
    assert error[:, :, 0].max() > 0.1
    assert graph.uncorrected_border(graph.picture_input(model([conv()], {"w": W})), affine) is None
