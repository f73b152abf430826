"""The ONNX side: nodes equal to the oracle, the fold exact over random convolutions, refusals with the reason."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from preproc import graph
from preproc.errors import BundleError, NotFoldableError, PreprocError
from preproc.graph.builder import Builder
from preproc.graph.editing import insert
from preproc.graph.nodes import build
from preproc.oracle import reference
from preproc.sources import PixelsSpec
from preproc.steps import ChannelAffine, FromPixels, LocalResponseNorm, MinMaxNormalize, MinMaxScale, Normalize, Rescale, Standardize
from preproc.verify.runtimes import onnxruntime
from tests.onnx_files import AUTO_PADS

CHANNELS = {"RGB": 3, "BGR": 3, "RGBA": 4, "GRAY": 1}
DOUBLE, FLOAT = TensorProto.DOUBLE, TensorProto.FLOAT


def spec(color="RGB", layout="NHWC", dtype="uint8", size=None, channels=None):
    return PixelsSpec(layout=layout, color=color, dtype=dtype, size=size, channels=channels or CHANNELS[color])


def pixels(color="RGB", layout="NHWC", size=(9, 7), seed=0, dtype="uint8"):
    shape = (2, *size, CHANNELS[color]) if layout == "NHWC" else (2, CHANNELS[color], *size)
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def imagenet(color="RGB", layout="NHWC"):
    return [FromPixels(layout=layout, color=color), Rescale(), Normalize.preset("imagenet")]


def model(nodes, constants, *, kind=DOUBLE, opset=18, outputs=("y",), channels=3, inputs=()):
    """A model of hand-made nodes that reads `x` (N, channels, h, w)."""
    np_type = helper.tensor_dtype_to_np_dtype(kind)
    initializers = [
        numpy_helper.from_array(value.astype(np_type) if value.dtype.kind == "f" else value, name) for name, value in constants.items()
    ]
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, ["N", channels, "h", "w"]), *inputs],
        [helper.make_tensor_value_info(name, kind, [None] * 4) for name in outputs],
        initializers,
    )
    return ir.from_proto(helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=10))


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs.split(), [output], **attributes)


def conv(weight="w", bias=None, source="x", output="y", **attributes):
    return helper.make_node("Conv", [source, weight, *([bias] if bias else [])], [output], name=f"conv_{output}", **attributes)


def evaluate(made, name, value):
    """onnx's own reference implementation, in the model's precision: no runtime of ours."""
    return ReferenceEvaluator(ir.to_proto(made)).run(None, {name: value})[0]


NODES = {
    "rescale": ([Rescale(scale=1 / 127.5, offset=-1)], "RGB"),
    "normalize": ([Rescale(), Normalize.preset("imagenet")], "BGR"),
    "min-max-scale": ([MinMaxScale(low=10, high=200, out=(-1, 1), clip=True)], "RGB"),
    "min-max-normalize": ([Rescale(), MinMaxNormalize()], "RGB"),
    "min-max-normalize-channel": ([MinMaxNormalize(per="channel", out=(-1, 1))], "BGR"),
    "standardize": ([Standardize()], "RGB"),
    "standardize-channel": ([Rescale(), Standardize(per="channel", min_std=0.01, correction=1)], "GRAY"),
    "lrn": ([Rescale(), LocalResponseNorm(size=5, alpha=0.3, k=2)], "RGB"),
    "lrn-even-beta": ([Rescale(), LocalResponseNorm(size=2, alpha=0.3, beta=0.6)], "RGB"),
    "lrn-spatial": ([Rescale(), LocalResponseNorm(size=3, alpha=0.3, region="spatial")], "RGB"),
    "affine-mixing": ([ChannelAffine(matrix=((0.3, 0.6, 0.1), (0.5, -0.4, 0.2)), offset=(1, 2))], "RGB"),
    "affine-monomial": ([ChannelAffine(matrix=((0, 0, 2), (0, 3, 0), (4, 0, 0)), offset=(1, 2, 3))], "RGB"),
    "gray": ([Rescale(), Normalize.preset("imagenet")], "GRAY"),
    "rgba": ([Rescale(), Normalize.preset("imagenet")], "RGBA"),
}


def prepended(steps, color, layout, channels):
    """A model that returns what `steps` make, negated; no step collapsed."""
    made = model([node("Neg", "x", "y")], {}, kind=FLOAT, channels=channels)
    if layout == "collapsed":
        graph.attach(made, steps, spec(color), fold="off")
        return made
    builder = Builder(ir.DataType.FLOAT, CHANNELS[color])
    value = ir.Value(name="pixels", shape=ir.Shape(["N", None, None, None]), type=ir.TensorType(ir.DataType.UINT8))
    insert(made.graph, made.graph.inputs[0], value, builder, build(builder, steps, value))
    return made


@pytest.mark.parametrize("layout", ["NHWC", "NCHW", "collapsed"])
@pytest.mark.parametrize("name", NODES)
def test_nodes_equal_the_oracle_in_onnxruntime(name, layout):
    later, color = NODES[name]
    order = "NHWC" if layout == "collapsed" else layout
    steps = [FromPixels(layout=order, color=color), *later]
    made = prepended(steps, color, layout, 2 if name == "affine-mixing" else 3)
    session = onnxruntime().InferenceSession(graph.to_bytes(made), providers=["CPUExecutionProvider"])
    for size in ((9, 7), (6, 11)):
        x = pixels(color, order, size)
        (got,) = session.run(None, {"pixels": x})
        want = -reference.apply(steps, x)
        np.testing.assert_allclose(got, want, rtol=0, atol=2e-6 * np.abs(want).max())


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


W = np.random.default_rng(1).normal(size=(4, 3, 3, 3))
PAD1 = {"pads": [1, 1, 1, 1]}
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
    "weight of the input": ([node("ReduceMean", "x", "r"), node("Mul", "w r", "k"), conv(weight="k")], {}, "ReduceMean reads the input"),
    "another reader": ([conv(output="p"), node("ReduceMean", "x", "r"), node("Add", "p r", "y")], {}, "ReduceMean reads the input"),
    "itself": ([node("Mul", "x x", "s"), conv(source="s")], {}, "combined with itself"),
    "computed factor": (
        [node("RandomUniform", "", "r", shape=[1], dtype=DOUBLE), node("Mul", "x r", "s"), conv(source="s")],
        {},
        "r is computed",
    ),
    "as weight": ([node("Conv", "k x", "y")], {"k": W}, "used as the weight"),
    "cast": (
        [node("Cast", "x", "h", to=TensorProto.FLOAT16), node("Cast", "h", "d", to=DOUBLE), conv(source="d")],
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
    assert "ReduceMax reads the input" in str(graph.attach(made, imagenet(), spec()).reason)


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
    assert not graph.attach(made, imagenet(color), spec(color)).folded
    np.testing.assert_allclose(evaluate(made, "pixels", x), want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_why(name):
    nodes, constants, reason = REFUSED[name]
    with pytest.raises(NotFoldableError, match=reason):
        graph.attach(model(nodes, {"w": W} | constants), imagenet(), spec(), fold="require")
    done = graph.attach(model(nodes, {"w": W} | constants), imagenet(), spec(), fold="auto")
    assert not done.folded


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


def test_a_fold_that_fails_half_way_changes_nothing():
    """Two readers, of which the second cannot be folded for its groups."""
    nodes = [conv(output="p", **PAD1), conv(weight="w3", output="q", group=3, **PAD1), node("Concat", "p q", "y", axis=1)]
    made = model(nodes, {"w": W, "w3": W[:3, :1]})
    steps, x = imagenet("BGR"), pixels("BGR")
    want = evaluate(made, "x", reference.apply(steps, x))
    assert "mixes or reorders" in str(graph.attach(made, steps, spec("BGR")).reason)
    np.testing.assert_allclose(evaluate(made, "pixels", x), want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: model([conv()], {"w": W}, channels=4), "expected a model that takes 3 channels, as the steps make, got 4 in x"),
        (lambda: model([conv()], {"w": W}, inputs=[helper.make_tensor_value_info("z", DOUBLE, [1, 3, 4, 4])]), "one input"),
        (lambda: model([node("Gather", "x i", "y")], {"i": np.array([0])}, kind=TensorProto.INT64), "a float picture"),
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


@pytest.mark.parametrize("content", [b"", b"not protobuf at all", None, b"\x08\x0a\xff\xff\xff"])
def test_a_file_that_is_no_model_gets_one_line(tmp_path, content):
    file = tmp_path / "bad.onnx"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BundleError, match="expected an ONNX file") as caught:
        graph.load(file)
    assert "\n" not in str(caught.value)
