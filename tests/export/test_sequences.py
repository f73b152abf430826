"""Outputs that are sequences of tensors, and maps: compared as what they are, item by item and key by key."""

import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from preproc.bundle import open_bundle, outputs_of
from preproc.bundle.inspection import describe, lines
from preproc.errors import PreprocError, VerificationError
from preproc.export import verify_bundle
from preproc.verify.runtimes import named
from tests.export.kinds import behind, damaged, of_ort
from tests.onnx_files import put
from tests.verify.fake import Answers, made_of

node = helper.make_node
RNG = np.random.default_rng(3)
WEIGHTS = {
    "w": RNG.normal(size=(6, 3, 3, 3)).astype(np.float32),
    "m": (0.3 * RNG.normal(size=(6, 4))).astype(np.float32),
    "two": np.array(2),
    "names": np.array(["cat", "dog", "eel", "fox"], dtype=object),
    "flat": np.array([-1]),
}
SEQUENCE = [
    node("Relu", ["c"], ["r"]),
    node("SplitToSequence", ["r", "two"], ["parts"], axis=1),
    node("GlobalMaxPool", ["r"], ["g"]),
    node("SequenceConstruct", ["g", "r"], ["both"]),
    node("SequenceAt", ["parts", "zero"], ["first"]),
]
CLASSES = [
    node("GlobalAveragePool", ["c"], ["p"]),
    node("Flatten", ["p"], ["f"]),
    node("MatMul", ["f", "m"], ["l"]),
    node("Softmax", ["l"], ["s"], axis=1),
    node("ArgMax", ["s"], ["a"], axis=1, keepdims=0),
    node("ArrayFeatureExtractor", ["names", "a"], ["word"], domain="ai.onnx.ml"),
    node("Reshape", ["word", "flat"], ["label"]),
    node("Identity", ["s"], ["t"]),
    node("ZipMap", ["t"], ["share"], domain="ai.onnx.ml", classlabels_strings=["cat", "dog", "eel", "fox"]),
]
MAPS = helper.make_sequence_type_proto(helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, [])))
OUTPUTS = {
    "sequence": [
        helper.make_tensor_sequence_value_info("parts", TensorProto.FLOAT, ["N", 2, 12, 10]),
        helper.make_tensor_sequence_value_info("both", TensorProto.FLOAT, None),
        helper.make_tensor_value_info("first", TensorProto.FLOAT, ["N", 2, 12, 10]),
    ],
    "maps": [helper.make_tensor_value_info("label", TensorProto.STRING, ["N"]), helper.make_value_info("share", MAPS)],
}


def file_of(folder, kind):
    constants = WEIGHTS | {"zero": np.array(0)}
    nodes = [node("Conv", ["x", "w"], ["c"], pads=[1] * 4), *(SEQUENCE if kind == "sequence" else CLASSES)]
    used = {name for made in nodes for name in made.input}
    held = [numpy_helper.from_array(value, name) for name, value in constants.items() if name in used]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 12, 10])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 2)]
    onnx.save(
        helper.make_model(helper.make_graph(nodes, "g", [x], OUTPUTS[kind], held), opset_imports=opsets, ir_version=9),
        folder / f"{kind}.onnx",
    )
    return folder / f"{kind}.onnx"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sequences")
    return {kind: put(file_of(folder, kind), folder / f"{kind}-out") for kind in OUTPUTS}


PARTS = {
    "sequence": ["parts[0]", "parts[1]", "parts[2]", "both[0]", "both[1]", "first"],
    "maps": ["label", "share[keys]", "share[values]"],
}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_each_item_is_verified_against_float64_and_promised(kind, bundles):
    bundle = bundles[kind]
    found = of_ort(bundle.report)
    assert found.verdict == "passed", found.reason
    assert [*found.parts] == PARTS[kind]
    assert {truth.kind for truth in bundle.report.power.truths.values()} == {"float64"}
    assert [output["name"] for output in bundle.contract["outputs"]] == PARTS[kind]
    assert outputs_of(bundle.contract) == (("parts", "both", "first") if kind == "sequence" else ("label", "share"))
    assert [*bundle.golden()[0].expected] == PARTS[kind]
    kinds = {output["name"]: (output["dtype"], output["shape"]) for output in bundle.contract["outputs"]}
    if kind == "sequence":
        assert kinds["parts[2]"] == ("float32", ["N", 2, 12, 10])
        assert kinds["both[0]"] == ("float32", ["N", 6, 1, 1])
    else:
        assert kinds["share[values]"] == ("float32", ["N", 4])
        assert bundle.report.power.untouched == ("share[keys]",)
        assert bundle.golden()[0].expected["share[keys]"].tolist() == [["cat", "dog", "eel", "fox"]]
    declared = {value.name: value.type for value in onnx.load(bundle.folder / "model.onnx").graph.output}
    assert declared == {value.name: value.type for value in OUTPUTS[kind]}
    assert any("agree" in line or PARTS[kind][0] in line for line in lines(describe(bundle.folder / "model.onnx")))


def labels(model):
    (zipped,) = [made for made in model.graph.node if made.op_type == "ZipMap"]
    zipped.attribute[0].strings[:] = [b"cat", b"eel", b"dog", b"fox"]


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("sequence", None),
        ("sequence", behind("g", "Mul", np.float32(1.001))),
        ("sequence", behind("r", "Mul", np.float32(1.001))),
        ("maps", None),
        ("maps", behind("t", "Mul", np.float32(1.001))),
        ("maps", labels),
    ],
    ids=["right", "an item", "all of them", "right maps", "a value", "a key"],
)
@pytest.mark.parametrize("original", [False, True], ids=["golden samples", "the original"])
def test_a_wrong_item_fails(kind, change, original, bundles, tmp_path):
    shutil.copytree(bundles[kind].folder, tmp_path / "damaged")
    place = tmp_path / "damaged" if change is None else damaged(open_bundle(tmp_path / "damaged"), change)
    options = {"recipe": bundles[kind].folder.parent / f"{kind}.onnx"} if original else {}
    result = of_ort(verify_bundle(place, runtimes=["ort-cpu"], **options))
    assert result.verdict == ("passed" if change is None else "failed"), result.reason


def counting(path, limit, over, under):
    """A sequence of so many channels each, whether the mean of all their values is over the limit or not."""
    held = {"w": WEIGHTS["w"], "limit": np.float32(limit), "over": np.array(over), "under": np.array(under)}
    nodes = [
        node("Conv", ["x", "w"], ["c"], pads=[1] * 4),
        node("Abs", ["c"], ["r"]),
        node("ReduceMean", ["r"], ["mean"], keepdims=0),
        node("Greater", ["mean", "limit"], ["high"]),
        node("Where", ["high", "over", "under"], ["size"]),
        node("SplitToSequence", ["r", "size"], ["parts"], axis=1),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 12, 10])
    parts = helper.make_tensor_sequence_value_info("parts", TensorProto.FLOAT, None)
    outputs = [parts, helper.make_tensor_value_info("r", TensorProto.FLOAT, ["N", 6, 12, 10])]
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()]
    graph = helper.make_graph(nodes, "g", [x], outputs, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize(("over", "under"), [(3, 2), (2, 3)], ids=["fewer", "more"])
def test_a_mistake_may_make_another_number_of_tensors(over, under, tmp_path):
    bundle = put(counting(tmp_path / "m.onnx", 50, over, under), tmp_path / "out")
    assert of_ort(bundle.report).verdict == "passed"
    (missing,) = [control for control in bundle.report.power.controls if control.name == "rescale missing"]
    assert missing.movements["parts[2]" if over == 3 else "parts[0]"] >= 1.0
    assert ("parts[2]" in missing.movements) == (over == 3)


def test_a_number_of_tensors_that_depends_on_the_picture_is_refused():
    class Varying(Answers):
        def __call__(self, x):
            found = super().__call__(x)["y"]
            return named(["y"], [[found] * (1 + int(found[0, 0] > found[0, 1]))])

    with pytest.raises(PreprocError, match="expected sequences of as many tensors for"):
        made_of(Varying(lambda x: x.mean((2, 3))), count=6)


def test_maps_of_other_numbers_of_keys_are_told():
    with pytest.raises(VerificationError, match=r"as many keys for each picture in m, got \[1, 2\]"):
        named(["m"], [[{"a": 1.0}, {"a": 1.0, "b": 2.0}]])
    found = named(["m", "n"], [{1: 0.5, 2: 0.25}, np.zeros(2)])
    assert (found["m[keys]"].tolist(), found["m[values]"].tolist()) == ([1, 2], [0.5, 0.25])


def test_names_that_mean_two_things_are_refused(tmp_path):
    model = onnx.load(file_of(tmp_path, "sequence"))
    model.graph.node.append(node("Identity", ["r"], ["parts[0]"]))
    model.graph.output.append(helper.make_tensor_value_info("parts[0]", TensorProto.FLOAT, ["N", 6, 12, 10]))
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(PreprocError, match=r"tell them from the parts of parts, got parts\[0\]"):
        put(tmp_path / "m.onnx", tmp_path / "out")
