"""The input is followed to its convolutions, through subgraphs too, or the fold is refused with the reason."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from preproc import graph
from preproc.errors import NotFoldableError
from preproc.oracle import reference
from tests.graph.models import DOUBLE, PAD1, W, conv, evaluate, imagenet, model, node, pixels, spec

HALF = numpy_helper.from_array(np.array([0.5]))
TRANSPARENT = {
    "transform_input": (
        [
            *(node("Gather", f"x i{c}", f"g{c}", axis=1) for c in range(3)),
            *(node("Unsqueeze", f"g{c} one", f"u{c}") for c in range(3)),
            *(node("Mul", f"u{c} s{c}", f"m{c}") for c in range(3)),
            *(node("Add", f"m{c} o{c}", f"a{c}") for c in range(3)),
            node("Concat", "a0 a1 a2", "c", axis=1),
            conv(source="c", **PAD1),
        ],
        {"one": np.array([1])}
        | {f"i{c}": np.array(c) for c in range(3)}
        | {f"s{c}": np.array(0.4 + c) for c in range(3)}
        | {f"o{c}": np.array(0.1 * c) for c in range(3)},
    ),
    "sub and div": (
        [node("Sub", "x m", "a"), node("Div", "a s", "b"), conv(source="b", **PAD1)],
        {"m": np.array([0.1, 0.2, 0.3]).reshape(3, 1, 1), "s": np.array([0.5, 2, 3.0]).reshape(1, 3, 1, 1)},
    ),
    "swapped operands": ([node("Sub", "m x", "a"), conv(source="a", **PAD1)], {"m": np.array(0.5)}),
    "there and back": (
        [
            node("Transpose", "x", "a", perm=[0, 2, 3, 1]),
            node("Identity", "a", "b"),
            node("Transpose", "b", "c", perm=[0, 3, 1, 2]),
            conv(source="c", **PAD1),
        ],
        {},
    ),
    "slice and join": (
        [
            node("Slice", "x two three one", "a"),
            node("Gather", "x rest", "b", axis=1),
            node("Concat", "a b", "c", axis=1),
            conv(source="c", **PAD1),
        ],
        {"one": np.array([1]), "two": np.array([2]), "three": np.array([3]), "rest": np.array([1, 0])},
    ),
    "two readers": (
        [conv(output="p", **PAD1), conv(weight="w1", output="q"), node("Add", "p q", "y")],
        {"w1": W[:, :, :1, :1]},
    ),
    "shape read": (
        [
            node("Shape", "x", "s"),
            node("Cast", "s", "f", to=DOUBLE),
            node("ReduceMax", "f", "k"),
            conv(output="p", **PAD1),
            node("Mul", "p k", "y"),
        ],
        {},
    ),
    "batch norm": (
        [node("BatchNormalization", "x s b m v", "n", epsilon=1e-3), conv(source="n", **PAD1)],
        {"s": np.array([1, 2, 0.5]), "b": np.array([0.1, 0, -1]), "m": np.array([0.4, 0.5, 0.3]), "v": np.array([0.1, 0.2, 0.5])},
    ),
    "weights made by nodes": (
        [node("Mul", "w two", "k"), node("Add", "k k", "kk"), node("ConstantOfShape", "shape", "c", value=HALF), conv("kk", "c", **PAD1)],
        {"two": np.array(2.0), "shape": np.array([4])},
    ),
    "constant node": ([node("Constant", "", "k", value=numpy_helper.from_array(W * 2)), conv(weight="k", **PAD1)], {}),
}


@pytest.mark.parametrize("name", TRANSPARENT)
def test_the_channel_axis_is_followed(name):
    nodes, constants = TRANSPARENT[name]
    steps, x = imagenet("BGR"), pixels("BGR")
    want = evaluate(model(nodes, {"w": W} | constants), "x", reference.apply(steps, x))
    made = model(nodes, {"w": W} | constants)
    graph.attach(made, steps, spec("BGR"), fold="require")
    onnx.checker.check_model(ir.to_proto(made), full_check=True)
    assert np.abs(evaluate(made, "pixels", x) - want).max() <= 1e-10 * np.abs(want).max()


REFUSED = {
    "nonlinear": ([node("Relu", "x", "r"), conv(source="r")], {}, "Relu reads the input"),
    "computed weight": ([node("RandomNormalLike", "w", "r"), node("Neg", "r", "k"), conv(weight="k")], {}, "k is computed"),
    "weight of the input": ([node("ReduceMean", "x", "r"), node("Mul", "w r", "k"), conv(weight="k")], {}, "ReduceMean mixes the channels"),
    "another reader": ([conv(output="p"), node("ReduceMean", "x", "r"), node("Add", "p r", "y")], {}, "ReduceMean mixes the channels"),
    "itself": ([node("Mul", "x x", "s"), conv(source="s")], {}, "combined with itself"),
    "computed factor": (
        [node("RandomUniform", "", "r", shape=[1], dtype=DOUBLE), node("Mul", "x r", "s"), conv(source="s")],
        {},
        "r is computed",
    ),
    "division by 0": (
        [node("Div", "x s", "d"), conv(source="d")],
        {"s": np.array([1, 0, 2.0]).reshape(3, 1, 1)},
        r"no finite number, such as 1 / 0, .* \(at Div d\)",
    ),
    "as weight": ([node("Conv", "k x", "y")], {"k": W}, "used as the weight"),
    "cast": (
        [node("Cast", "x", "h", to=TensorProto.UINT8), node("Cast", "h", "d", to=DOUBLE), conv(source="d")],
        {},
        "cast to another type",
    ),
    "channel pad": ([node("Pad", "x pads", "p"), conv(source="p")], {"pads": np.array([0, 0, 0, 0, 0, 1, 0, 0])}, "channels are padded"),
    "cast behind a node": (
        [node("Identity", "x", "i"), node("Cast", "i", "j", to=TensorProto.INT32), node("Cast", "j", "d", to=DOUBLE), conv(source="d")],
        {},
        "cast to another type",
    ),
    "none": ([node("Identity", "x", "a"), node("Shape", "a", "s"), node("Cast", "s", "y", to=DOUBLE)], {}, "no convolution"),
}


def branch(op):
    """A subgraph that reads x from outside."""
    return helper.make_graph([node(op, "x", "b")], op, [], [helper.make_tensor_value_info("b", DOUBLE, [None] * 4)])


def test_convolutions_in_subgraphs_are_folded():
    """Both branches of an If read the picture from outside: the weights are the model's, or a branch's own."""
    own = helper.make_graph(
        [helper.make_node("Conv", ["x", "v"], ["b"], name="inner", **PAD1)],
        "own",
        [],
        [helper.make_tensor_value_info("b", DOUBLE, [None] * 4)],
        [numpy_helper.from_array(W[:, ::-1] * 2, "v")],
    )
    outer = helper.make_graph([conv(output="b", **PAD1)], "outer", [], [helper.make_tensor_value_info("b", DOUBLE, [None] * 4)])
    for which in (True, False):
        nodes = [node("If", "yes", "y", then_branch=own, else_branch=outer)]
        bare, made = (model(nodes, {"w": W, "yes": np.array(which)}) for _ in range(2))
        done = graph.attach(made, imagenet(), spec())
        assert done.folded, done.reason
        assert done.convolutions == ("v/preproc", "w")  # the branch's own gives way to one of the model's
        x = pixels()
        want = evaluate(bare, "x", reference.apply(imagenet(), x))
        assert np.abs(evaluate(made, "pixels", x) - want).max() < 1e-9
        assert np.abs(evaluate(made, "pixels", x ^ 1) - want).max() > 1e-3


def test_a_subgraph_that_reads_the_input_is_seen():
    nodes = [
        node("If", "yes", "z", then_branch=branch("ReduceMean"), else_branch=branch("ReduceMax")),
        conv(output="p", **PAD1),
        node("Add", "p z", "y"),
    ]
    made = model(nodes, {"w": W, "yes": np.array(True)})
    assert "ReduceMax mixes the channels" in str(graph.attach(made, imagenet(), spec()).reason)


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_why(name):
    nodes, constants, reason = REFUSED[name]
    with pytest.raises(NotFoldableError, match=reason):
        graph.attach(model(nodes, {"w": W} | constants), imagenet(), spec(), fold="require")
    done = graph.attach(model(nodes, {"w": W} | constants), imagenet(), spec(), fold="auto")
    assert not done.folded
