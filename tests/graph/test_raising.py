"""Opsets that are raised: what ONNX Runtime computes is the same to the last bit, all else is refused by name, nothing else is touched."""

import numpy as np
import onnx
import onnx.defs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from preproc import graph
from preproc.errors import PreprocError
from preproc.graph.operators import REWRITES
from preproc.graph.raising import NEWEST, OLDEST
from preproc.verify.runtimes import onnxruntime

FLOAT = TensorProto.FLOAT
SILENT = {("OneHot", 11), ("Resize", 13), ("RoiAlign", 16), ("Split", 18)}
"""Definitions that say another thing, which no signature shows."""
NARROWER = {("Erf", 13)}
"""Less dtypes: ONNX's check refuses the others."""


def signature(schema):
    """The attributes with their defaults, and the inputs, outputs and dtypes that it takes."""
    attributes = {name: (held.type.name, str(held.default_value)) for name, held in schema.attributes.items()}
    types = {held.type_param_str: set(held.allowed_type_strs) for held in schema.type_constraints}
    values = [[types.get(value.type_str, {value.type_str}) for value in kind] for kind in (schema.inputs, schema.outputs)]
    least = [schema.min_input, -schema.max_input, -schema.max_output]
    return attributes, values, least


def takes_all(new, old):
    """Whether whatever the old definition takes is taken by the new one, and means no other default."""
    (attributes, values, least), (before, values_before, least_before) = signature(new), signature(old)
    same = all(attributes.get(name) == held for name, held in before.items())
    wider = all(was <= now for kind, past in zip(values, values_before, strict=True) for now, was in zip(kind, past, strict=False))
    return same and wider and not new.deprecated and all(now <= was for now, was in zip(least, least_before, strict=True))


def test_every_definition_that_changed_in_more_than_what_it_takes_is_rewritten():
    history = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            history.setdefault(schema.name, {})[schema.since_version] = schema
    changed = set()
    for op, versions in history.items():
        for version in versions:
            older = [other for other in versions if other < version]
            if OLDEST < version <= NEWEST and older and not takes_all(versions[version], versions[max(older)]):
                changed.add((op, version))
    assert changed - NARROWER | SILENT == set(REWRITES)


def file(tmp_path, nodes, *, opset, shape=(2, 3, 4, 6), weights=(), out=FLOAT, domains=(), functions=()):
    """x -> y."""
    made = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_tensor_value_info("y", out, None)],
        [numpy_helper.from_array(value, name) for name, value in dict(weights).items()],
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    onnx.save(helper.make_model(made, opset_imports=opsets, ir_version=8, functions=list(functions)), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def answers(model, x):
    """Of a file's path or bytes, unoptimized."""
    options = onnxruntime().SessionOptions()
    options.graph_optimization_level = onnxruntime().GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime().InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})


def raised(path, opset=NEWEST):
    model, told = graph.raised(graph.load(path), opset)
    graph.check(model, path)
    return graph.to_bytes(model), told


def node(op, inputs="x", outputs="y", **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), name=f"the_{op}", **attributes)


F, WHOLE = np.float32, np.int64
BN = {name: np.linspace(0.5, 1.5, 3, dtype=F) for name in "abcd"}
CASES = {
    "relu": (7, [node("Relu")], {}, ()),
    "batch_norm": (7, [node("BatchNormalization", "x a b c d", spatial=1, epsilon=1e-3)], BN, ("BatchNormalization",)),
    "clip": (7, [node("Clip", min=0.0, max=0.5)], {}, ("Clip",)),
    "clip-below": (10, [node("Clip", min=0.0)], {}, ("Clip",)),
    "dropout": (7, [node("Dropout", "x", "y mask", ratio=0.4)], {}, ("Dropout",)),
    "dropout-10": (10, [node("Dropout")], {}, ()),
    "pad": (7, [node("Pad", pads=[0, 0, 1, 2, 0, 0, 0, 1], value=-1.5)], {}, ("Pad",)),
    "pad-reflect": (9, [node("Pad", pads=[0, 0, 1, 2, 0, 0, 0, 1], mode="reflect")], {}, ("Pad",)),
    "slice": (7, [node("Slice", starts=[1, -3], ends=[3, 1000], axes=[1, 3])], {}, ("Slice",)),
    "slice-first": (9, [node("Slice", starts=[0, 1], ends=[1, 3])], {}, ("Slice",)),
    "split": (11, [node("Split", "x", "y z", axis=1, split=[1, 2])], {}, ("Split",)),
    "split-equal": (13, [node("Split", "x", "y z", axis=2)], {}, ("Split",)),
    "squeeze": (11, [node("Unsqueeze", "x", "u", axes=[0, 2]), node("Squeeze", "u", axes=[0])], {}, ("Squeeze", "Unsqueeze")),
    "squeeze-all": (11, [node("Unsqueeze", "x", "u", axes=[0]), node("Squeeze", "u")], {}, ("Unsqueeze",)),
    "top_k": (9, [node("TopK", "x", "y places", axis=3, k=2)], {}, ("TopK",)),
    "reduce": (11, [node("ReduceMean", axes=[1, -1], keepdims=0)], {}, ("ReduceMean",)),
    "reduce-all": (11, [node("ReduceMax"), node("ReduceSum", "x", "z", axes=[0])], {}, ("ReduceSum",)),
    "upsample": (7, [node("Upsample", scales=[1.0, 1.0, 2.0, 1.5])], {}, ("Upsample",)),
    "upsample-linear": (9, [node("Upsample", "x s", mode="linear")], {"s": F([1, 1, 2.5, 2])}, ("Upsample",)),
    "resize-smaller": (10, [node("Resize", "x s")], {"s": F([1, 1, 0.5, 0.7])}, ("Resize",)),
    "resize-linear": (10, [node("Resize", "x s", mode="linear")], {"s": F([1, 1, 0.5, 1.7])}, ("Resize",)),
    "resize-sizes": (11, [node("Resize", "x r s n")], {"r": F([]), "s": F([]), "n": WHOLE([2, 3, 5, 9])}, ("Resize",)),
    "resize-scales": (11, [node("Resize", "x r s", mode="cubic")], {"r": F([]), "s": F([1, 1, 2, 2])}, ()),
    "roi_align": (10, [node("RoiAlign", "x r i")], {"r": F([[0, 0, 3, 2]]), "i": WHOLE([1])}, ("RoiAlign",)),
    "scatter": (9, [node("Scatter", "x i u", axis=3)], {"i": WHOLE([[[[4, 0]]]]), "u": F([[[[7, 8]]]])}, ("Scatter",)),
    "lrn": (7, [node("LRN", size=3), node("AveragePool", "y", "z", kernel_shape=[2, 2])], {}, ()),
}


@pytest.mark.parametrize("name", CASES)
def test_what_it_computes_stays_to_the_last_bit(tmp_path, name, rng):
    opset, nodes, weights, expected = CASES[name]
    path, x = file(tmp_path, nodes, opset=opset, weights=weights), rng.normal(size=(2, 3, 4, 6)).astype(F)
    for target in (11, 13, NEWEST):
        if target > opset:
            new, told = raised(path, target)
            assert onnx.load_from_string(new).opset_import[0].version == target
            assert answers(new, x)[0].tobytes() == answers(path, x)[0].tobytes()
    assert told == expected


@settings(deadline=None, max_examples=30)
@given(op=st.sampled_from(["Softmax", "LogSoftmax", "Hardmax"]), rank=st.integers(1, 4), data=st.data(), told=st.booleans())
def test_the_softmax_of_rows_stays_at_any_axis(tmp_path_factory, op, rank, data, told):
    axis = data.draw(st.integers(0, rank - 1) | st.integers(-rank, -1) | st.none())
    opset = 11 if (axis or 0) < 0 else data.draw(st.integers(7, 12))
    axis = 0 if rank == 1 and axis is None else axis
    shape, x = [2, 3, 1, 4][:rank], np.random.default_rng(rank).normal(size=[2, 3, 1, 4][:rank]).astype(F)
    path = file(
        tmp_path_factory.mktemp("softmax"),
        [node(op, **({} if axis is None else {"axis": axis}))],
        opset=opset,
        shape=shape if told else [f"s{side}" for side in range(rank)],
    )
    for target in (13, NEWEST):
        np.testing.assert_allclose(answers(raised(path, target)[0], x)[0], answers(path, x)[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("opset", "nodes", "weights", "reason"),
    [
        (7, [node("BatchNormalization", "x a b c d", spatial=0)], BN, "BatchNormalization 'the_BatchNormalization': spatial = 0"),
        (9, [node("BatchNormalization", "x a b c d", "y m v s t")], BN, "it has the outputs of training"),
        (7, [node("Dropout", "x", "z m"), node("Relu", "m", "y")], {}, "somebody reads its mask"),
        (9, [node("ArgMax", "x", "i"), node("OneHot", "i n v", "y")], {"n": WHOLE(3), "v": F([0, 1])}, "indices below 0"),
        (10, [node("Resize", "x s")], {"s": F([1, 1, 0.5, 2])}, "which pixel is the nearest is told for scales"),
        (10, [node("Shape", "x", "h"), node("Cast", "h", "s", to=FLOAT), node("Resize", "x s")], {}, "scales that are constants"),
        (11, [node("Resize", "x r s", coordinate_transformation_mode="tf_half_pixel_for_nn")], {"r": F([]), "s": F([1] * 4)}, "tf_half"),
        (8, [node("Unheard")], {}, "Unheard 'the_Unheard': ONNX has no such operator in opset 8"),
    ],
)
def test_what_means_another_thing_is_refused(tmp_path, opset, nodes, weights, reason):
    path = file(tmp_path, nodes, opset=opset, weights=weights)
    proto = onnx.load(path)
    model = graph.messages.model_of(proto, tmp_path, ())  # graph.load() refuses an operator that ONNX does not have
    before = graph.to_bytes(model)
    with pytest.raises(PreprocError, match=reason) as caught:
        graph.raised(model, NEWEST)
    assert caught.value.name == "opset-too-old"
    assert graph.to_bytes(model) == before


def test_subgraphs_functions_and_other_domains_go_with_it(tmp_path, rng):
    """The function is of an opset of its own; what it does not need to change keeps its message."""
    branch = [
        helper.make_graph([node("ReduceMean", "x", out, axes=[axis])], out, [], [helper.make_tensor_value_info(out, FLOAT, None)])
        for axis, out in enumerate(("first", "second"))
    ]
    own = helper.make_function(
        "own", "Rows", ["in"], ["out"], [node("Unsqueeze", "in", "u", axes=[0]), node("Softmax", "u", "out")], [helper.make_opsetid("", 12)]
    )
    nodes = [
        node("If", "yes", "r", then_branch=branch[0], else_branch=branch[1]),
        helper.make_node("Rows", ["r"], ["s"], domain="own"),
        helper.make_node("Gelu", ["s"], ["y"], domain="com.microsoft", doc_string="theirs"),
    ]
    path = file(tmp_path, nodes, opset=12, weights={"yes": np.array(True)}, domains=["own", "com.microsoft"], functions=[own])
    new, told = raised(path)
    assert told == ("ReduceMean (2)", "Softmax", "Unsqueeze")
    x = rng.normal(size=(2, 3, 4, 6)).astype(F)
    assert answers(new, x)[0].tobytes() == answers(path, x)[0].tobytes()
    old, made = onnx.load(path), onnx.load_from_string(new)
    assert [entry.version for entry in made.opset_import] == [NEWEST, 1, 1]
    assert made.functions[0].opset_import[0].version == NEWEST
    assert (made.graph.node[-1], made.graph.initializer[0]) == (old.graph.node[-1], old.graph.initializer[0])


def test_an_attribute_that_the_caller_says_is_refused(tmp_path):
    inner = node("Unsqueeze", "in", "out")
    inner.attribute.append(onnx.AttributeProto(name="axes", ref_attr_name="where", type=onnx.AttributeProto.INTS))
    own = helper.make_function("own", "Up", ["in"], ["out"], [inner], [helper.make_opsetid("", 12)], ["where"])
    path = file(tmp_path, [helper.make_node("Up", ["x"], ["y"], domain="own", where=[0])], opset=12, domains=["own"], functions=[own])
    with pytest.raises(PreprocError, match="Unsqueeze 'the_Unsqueeze': its axes is said by whoever calls its function"):
        raised(path)


@pytest.mark.parametrize(("start", "end"), [(6, 18), (13, 19), (18, 17)])
def test_no_further_than_the_definitions_were_read(tmp_path, start, end):
    with pytest.raises(PreprocError, match=f"expected to raise an opset of 7 to 18, got one from {start} to {end}"):
        graph.raised(graph.load(file(tmp_path, [node("Relu")], opset=start)), end)


def test_names_that_are_taken_are_left_alone(tmp_path):
    path = file(tmp_path, [node("Squeeze", "x", "y", axes=[2]), node("Relu", "x", "y/axes")], opset=11, shape=(2, 3, 1, 6))
    made = onnx.load_from_string(raised(path)[0])
    assert [list(each.output) for each in made.graph.node] == [["y/axes_"], ["y"], ["y/axes"]]


def nameless(op, inputs, outputs, **attributes):
    """ONNX Runtime takes a name of nodes once."""
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


def part(nodes, out, inputs=(), outputs=()):
    """A graph in a node."""
    return helper.make_graph(nodes, out, list(inputs), [*outputs, helper.make_tensor_value_info(out, FLOAT, None)])


def rows_of(op, out):
    """Both values before `out` have the same names in every graph, `t` as many axes as that operator makes."""
    return [nameless(op, "x", "t"), nameless("Softmax", "t", "u", axis=1), nameless("Reshape", "u row", out)]


def loop(nodes, out, name, shape):
    """The nodes, once, on what its body calls `name`."""
    inputs = [
        helper.make_tensor_value_info(*each) for each in (("i", TensorProto.INT64, []), ("on", TensorProto.BOOL, []), (name, FLOAT, shape))
    ]
    outputs = [helper.make_tensor_value_info("on_", TensorProto.BOOL, [])]
    return part([*nodes, nameless("Identity", "on", "on_")], out, inputs, outputs)


ROW, ONCE = {"row": WHOLE([-1])}, {"once": WHOLE(1), "yes": np.array(True)}


@pytest.mark.parametrize("yes", [True, False])
@pytest.mark.parametrize("ops", [("Identity", "Flatten"), ("Flatten", "Identity")])
def test_branches_that_share_names_share_nothing_else(tmp_path, rng, yes, ops):
    """The axis is the last one of two, and not of four."""
    first, second = (part(rows_of(op, out), out) for op, out in zip(ops, ("a", "b"), strict=True))
    nodes = [nameless("If", "yes", "y", then_branch=first, else_branch=second)]
    path, x = file(tmp_path, nodes, opset=11, weights={"yes": np.array(yes), **ROW}), rng.normal(size=(2, 3, 4, 6)).astype(F)
    np.testing.assert_allclose(answers(raised(path)[0], x)[0], answers(path, x)[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("inner", "shape", "outer"), [("Flatten", [2, 72], "Identity"), ("Identity", [2, 3, 4, 6], "Flatten")])
def test_a_name_of_an_inner_graph_hides_the_outer_one_in_there_only(tmp_path, rng, inner, shape, outer):
    """The loop's `t`, which a branch in it reads, has other axes than the graph's."""
    branches = [part([nameless("Softmax", "t", out, axis=1)], out) for out in ("d", "e")]
    body = loop([nameless("If", "yes", "f", then_branch=branches[0], else_branch=branches[1])], "f", "t", shape)
    looped = [nameless(inner, "x", "in"), nameless("Loop", "once yes in", "z", body=body), nameless("Reshape", "z row", "w")]
    nodes = [*rows_of(outer, "v"), *looped, nameless("Concat", "v w", "y", axis=0)]
    path, x = file(tmp_path, nodes, opset=11, weights={**ROW, **ONCE}), rng.normal(size=(2, 3, 4, 6)).astype(F)
    np.testing.assert_allclose(answers(raised(path)[0], x)[0], answers(path, x)[0], rtol=1e-6, atol=1e-6)


def test_a_constant_of_the_graph_is_none_where_a_loop_has_its_name(tmp_path):
    body = loop([node("Resize", "x s", "r"), nameless("Identity", "s", "s_")], "s_", "s", [4])
    nodes = [nameless("Loop", "once yes small", "z", body=body), nameless("Resize", "x s", "y")]
    path = file(tmp_path, nodes, opset=10, weights={"s": F([1, 1, 2, 2]), "small": F([1, 1, 0.5, 0.5]), **ONCE})
    with pytest.raises(PreprocError, match="Resize 'the_Resize': which pixel is the nearest is told for scales that are constants"):
        raised(path)


def test_a_function_sees_nothing_of_the_graph(tmp_path, rng):
    """Its `t` has four axes, the graph's two."""
    body = [nameless("Identity", "in", "t"), nameless("Softmax", "t", "out", axis=1)]
    own = helper.make_function("own", "Soft", ["in"], ["out"], body, [helper.make_opsetid("", 11)])
    nodes = [helper.make_node("Soft", ["x"], ["s"], domain="own"), nameless("Flatten", "s", "t"), nameless("Softmax", "t", "y", axis=1)]
    path, x = file(tmp_path, nodes, opset=11, domains=["own"], functions=[own]), rng.normal(size=(2, 3, 4, 6)).astype(F)
    np.testing.assert_allclose(answers(raised(path)[0], x)[0], answers(path, x)[0], rtol=1e-6, atol=1e-6)


def test_a_constant_of_the_graph_is_none_in_a_function(tmp_path):
    own = helper.make_function("own", "Up", ["in", "s"], ["out"], [node("Resize", "in s", "out")], [helper.make_opsetid("", 10)])
    nodes = [helper.make_node("Up", ["x", "r"], ["y"], domain="own")]
    weights = {"s": F([1, 1, 2, 2]), "r": F([1, 1, 0.5, 0.5])}
    path = file(tmp_path, nodes, opset=10, weights=weights, domains=["own"], functions=[own])
    with pytest.raises(PreprocError, match="Resize 'the_Resize': which pixel is the nearest is told for scales that are constants"):
        raised(path)
