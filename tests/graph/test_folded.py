"""Networks that handle their channels one by one, behind pixels in another order or of another number: a selection stays in front."""

import numpy as np
import pytest
from onnx import helper

from preproc import graph
from preproc.oracle import reference
from preproc.steps import Affine, ChannelAffine, FromPixels, Rescale
from tests.folding.mistakes import as_unpadded
from tests.graph.models import PAD1, W, conv, evaluate, imagenet, model, node, pixels, spec

RNG = np.random.default_rng(5)
DEPTHWISE = RNG.normal(size=(6, 1, 3, 3))
THREE = {"m": np.array([0.4, 0.5, 0.3]).reshape(3, 1, 1), "s": np.array([2.0, 0.5, 1.5]).reshape(3, 1, 1)}
SPLIT = [
    helper.make_node("Split", ["x"], ["r", "g", "b"], axis=1, num_outputs=3),
    node("Concat", "b r g", "t", axis=1),
    conv(source="t", **PAD1),
]
ONE_BY_ONE = {
    "depthwise": ([conv(group=3, **PAD1)], {"w": DEPTHWISE}),
    "a split": (SPLIT, {"w": W}),
    "constants of three channels": ([node("Sub", "x m", "c"), node("Mul", "c s", "t"), conv(source="t", **PAD1)], {"w": W} | THREE),
    "a shape": (
        [node("Reshape", "x one", "f"), node("Reshape", "f back", "t"), conv(source="t", **PAD1)],
        {"w": W, "one": np.array([-1, 3, 9 * 7]), "back": np.array([-1, 3, 9, 7])},
    ),
    "a border in front of a map": (
        [node("Pad", "x pads", "p"), node("Mul", "p s", "t"), conv(source="t")],
        {"w": W, "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1])} | THREE,
    ),
}


def attached(name, color):
    """The model, what it should answer, and what was done."""
    nodes, constants = ONE_BY_ONE[name]
    made, x = model(nodes, constants), pixels(color)
    want = evaluate(made, "x", reference.apply(imagenet(color), x))
    done = graph.attach(made, imagenet(color), spec(color, size=(9, 7)))
    return made, want, done, x


@pytest.mark.parametrize("color", ["BGR", "RGBA", "GRAY"])
@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_channels_are_selected_in_front_and_the_rest_folds_border_included(name, color):
    made, want, done, x = attached(name, color)
    assert done.folded, done.reason
    assert not {"Div", "Mul"} & {each.op_type for each in made.graph if str(each.outputs[0].name).startswith("preproc")}
    assert np.abs(evaluate(made, "pixels", x) - want).max() <= 1e-9 * np.abs(want).max()
    wrong = evaluate(made, "pixels", np.roll(x, 1, axis=3)) if color != "GRAY" else evaluate(made, "pixels", x ^ 1)
    assert np.abs(wrong - want).max() > 1e-3 * np.abs(want).max()


def test_a_selection_is_told_only_where_one_is_left():
    left = {("depthwise", "BGR"): (2, 1, 0), ("depthwise", "RGBA"): (0, 1, 2), ("a split", "GRAY"): (0, 0, 0)}
    assert {case: attached(*case)[2].selected for case in left} == left
    for color in ("RGB", "BGR"):  # the weights take up the order
        assert attached("a split", color)[2].selected == ()


@pytest.mark.parametrize("name", ["depthwise", "a split", "a border in front of a map"])
def test_the_mean_in_the_bias_behind_a_selection_would_be_seen(name, monkeypatch):
    as_unpadded(monkeypatch)
    made, want, done, x = attached(name, "GRAY")
    assert done.folded
    assert np.abs(evaluate(made, "pixels", x) - want).max() > 1e-2 * np.abs(want).max()


def test_channels_that_are_mixed_have_no_selection():
    mixed = ChannelAffine(matrix=((0.5, 0.5, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5)))
    made = model([conv(group=3, **PAD1)], {"w": DEPTHWISE})
    done = graph.attach(made, [FromPixels(layout="NHWC", color="RGB"), Rescale(), mixed], spec())
    assert "3 groups and the pipeline mixes or reorders channels" in str(done.reason)


def test_what_is_taken_apart_comes_to_the_same():
    affine = Affine(np.array([[0, 0, -2.0, 0], [0.5, 0, 0, 0], [0, 0, 3.0, 0]]), np.array([1.0, 2.0, 3.0]))
    selection, scaled = affine.apart()
    assert np.array_equal(selection.then(scaled).matrix, affine.matrix)
    assert np.array_equal(selection.then(scaled).offset, affine.offset)
    assert np.array_equal(np.sort(selection.matrix, axis=1)[:, -1], np.ones(3))
    assert scaled.is_diagonal
    assert Affine(affine.matrix + 1, affine.offset).apart() is None
    assert Affine.diagonal([1.0, 2.0], [0.0, 0.0]).apart() is None
    assert Affine(np.array([[0.0, 0.0], [1.0, 0.0]]), np.zeros(2)).apart() is None
