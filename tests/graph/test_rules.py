"""What stands in front of a padded convolution, operator by operator: it folds exactly, border included."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from preproc import graph
from preproc.oracle import reference
from preproc.steps import FromPixels, Rescale
from tests.folding.mistakes import as_unpadded
from tests.graph.models import PAD1, W, conv, imagenet, model, node, pixels, spec

SIZE, RNG = (8, 12), np.random.default_rng(5)
SCALE, OFFSET = RNG.uniform(0.5, 2, (1, 3, 1, 1)), RNG.normal(size=(1, 3, 1, 1))
PADS = np.array([0, 0, 1, 0, 0, 0, 0, 2])
BLOCKS = np.array([0, 3, SIZE[0] // 2, 2, SIZE[1] // 2, 2])
PATHS = {
    "Neg": ([node("Neg", "x", "a")], {}),
    "Sum with constants": ([node("Sum", "o x k", "a")], {"o": OFFSET, "k": SCALE}),
    "Sum of one": ([node("Sum", "x", "a")], {}),
    "Sum with itself": (
        [node("Neg", "x", "n"), node("Mul", "n two", "t"), node("Sum", "x t k x x", "a")],
        {"two": np.array(7.0), "k": OFFSET},
    ),
    "Sub of itself": ([node("Mul", "x s", "t"), node("Sub", "t x", "a")], {"s": SCALE + 1.5}),
    "a contrast": ([node("ReduceMean", "x axes", "m"), node("Sub", "x m", "a")], {"axes": np.array([2, 3])}),
    "neighbours": (
        [node("Slice", "x one end axes", "p"), node("Slice", "x zero less axes", "q"), node("Sub", "p q", "d"), node("Mul", "d s", "a")],
        {"one": np.array([1]), "end": np.array([99]), "axes": np.array([3]), "zero": np.array([0]), "less": np.array([-1]), "s": SCALE},
    ),
    "a border with its own inside": (
        [
            node("Pad", "x pads v", "p"),
            node("AveragePool", "p", "b", kernel_shape=[2, 2]),
            node("Slice", "p o e axes", "c"),
            node("Add", "b c", "a"),
        ],
        {"pads": PADS, "v": np.array(0.5), "o": np.array([1, 1]), "e": np.array([99, 99]), "axes": np.array([2, 3])},
    ),
    "Tile": ([node("Tile", "x times", "a")], {"times": np.array([1, 1, 2, 1])}),
    "Tile of channels": (
        [node("Tile", "x times", "t"), node("Slice", "t one four axes", "a")],
        {"times": np.array([1, 2, 1, 1]), "one": np.array([1]), "four": np.array([4]), "axes": np.array([1])},
    ),
    "ReduceSum of blocks": (
        [node("Reshape", "x six", "r"), node("ReduceSum", "r axes", "a", keepdims=0)],
        {"six": BLOCKS, "axes": np.array([3, 5])},
    ),
    "ReduceSum of rows, scaled": (
        [node("ReduceSum", "x axes", "r"), node("Mul", "r s", "m"), node("Add", "m o", "a")],
        {"axes": np.array([2]), "s": SCALE, "o": OFFSET},
    ),
    "ReduceMin of blocks": (
        [node("Reshape", "x six", "r"), node("ReduceMin", "r axes", "a", keepdims=0)],
        {"six": BLOCKS, "axes": np.array([3, 5])},
    ),
    "Pad, then a map": (
        [node("Pad", "x pads", "p"), node("Mul", "p s", "m"), node("Add", "m o", "a")],
        {"pads": PADS, "s": SCALE, "o": OFFSET - OFFSET},
    ),
    "Pad, and the map's own zero": (
        [node("Pad", "x pads v", "p"), node("Sub", "p v3", "a")],
        {"pads": PADS, "v": np.array(0.25), "v3": np.array(0.25).reshape(1, 1, 1, 1)},
    ),
}


def network(name):
    nodes, constants = PATHS[name]
    return model([*nodes, conv(source="a", **PAD1)], constants | {"w": W})


def difference(make, color="BGR", steps=imagenet):
    """The fold's error, as a share."""
    sequence, x = steps(color), pixels(color, size=SIZE)
    want = ReferenceEvaluator(ir.to_proto(make())).run(None, {"x": reference.apply(sequence, x)})
    made = make()
    done = graph.attach(made, sequence, spec(color, size=SIZE), fold="require")
    got = ReferenceEvaluator(ir.to_proto(made)).run(None, {"pixels": x})
    return max(np.abs(one - other).max() / np.abs(other).max() for one, other in zip(got, want, strict=True)), done


@pytest.mark.parametrize("name", PATHS)
def test_an_operator_in_front_folds_exactly_border_included(name):
    assert difference(lambda: network(name), "RGB" if name == "Tile of channels" else "BGR")[0] <= 1e-9


@pytest.mark.parametrize("name", PATHS)
def test_the_mean_in_the_bias_would_be_seen(name, monkeypatch):
    as_unpadded(monkeypatch)
    assert difference(lambda: network(name), "RGB" if name == "Tile of channels" else "BGR")[0] > 1e-3


def test_a_sum_of_a_free_side_folds_whatever_its_length():
    """With one subtraction, for nobody knows how many offsets there are."""

    def made():
        return model([node("ReduceSum", "x axes", "a"), conv(source="a", **PAD1)], {"axes": np.array([3]), "w": W})

    sequence, file = imagenet("BGR"), made()
    assert graph.attach(file, sequence, spec("BGR"), fold="require").form == "subtract"
    for size in ((4, 5), (3, 11)):
        x = pixels("BGR", size=size)
        want, got = (
            ReferenceEvaluator(ir.to_proto(each)).run(None, given)[0]
            for each, given in ((made(), {"x": reference.apply(sequence, x)}), (file, {"pixels": x}))
        )
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


def test_a_weight_that_a_branch_computes_is_folded_in_every_branch():
    def branch(name, factor):
        return helper.make_graph(
            [helper.make_node("Mul", ["w", f"k{name}"], [f"w{name}"]), helper.make_node("Conv", ["x", f"w{name}"], [f"y{name}"], **PAD1)],
            name,
            [],
            [helper.make_tensor_value_info(f"y{name}", TensorProto.DOUBLE, None)],
            [numpy_helper.from_array(np.array(factor), f"k{name}")],
        )

    def made():
        choose = [
            helper.make_node(
                "If", ["yes" if yes else "no"], [f"y{yes}"], then_branch=branch(f"a{yes}", 2.0), else_branch=branch(f"b{yes}", 3.0)
            )
            for yes in (0, 1)
        ]
        return model(choose, {"w": W, "yes": np.array(True), "no": np.array(False)}, outputs=["y0", "y1"])

    error, done = difference(made)
    assert error <= 1e-9
    assert len(done.convolutions) == 4


REFUSED = {
    "channels": ([node("ReduceSum", "x axes", "a")], {"axes": np.array([1])}, "ReduceSum mixes the channels"),
    "a product with itself": ([node("Mul", "x x", "a")], {}, "combined with itself by Mul, which is not affine"),
    "channels to each other": (
        [node("Gather", "x order", "g", axis=1), node("Add", "x g", "a")],
        {"order": np.array([1, 2, 0])},
        "weights that are no layer's",
    ),
    "channels in their own ways": (
        [node("ReduceMean", "x axes", "m"), node("Mul", "m s", "t"), node("Sub", "x t", "a")],
        {"axes": np.array([2, 3]), "s": SCALE},
        "each channel in another way",
    ),
    "nothing left": ([node("Sub", "x x", "a")], {}, "multiplies a channel by 0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_weights_could_undo_is_refused(name):
    nodes, constants, reason = REFUSED[name]
    made = model([*nodes, conv(source="a", **PAD1)], constants | {"w": W[:, :1] if name == "channels" else W})
    assert reason in graph.attach(made, imagenet(), spec()).reason


def negated(color):
    return [FromPixels(layout="NHWC", color=color), Rescale(scale=-1 / 255), Rescale(offset=0.5, scale=1)]


def test_minima_of_values_whose_order_the_steps_turn_around_are_refused():
    assert "turn their order around" in graph.attach(network("ReduceMin of blocks"), negated("RGB"), spec(size=SIZE)).reason
