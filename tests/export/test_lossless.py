"""attach changes what it must and nothing else: training information, functions, other domains."""

import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from preproc.errors import PreprocError
from preproc.export import attach
from preproc.sources import PixelsSpec
from preproc.steps import Rescale
from tests.onnx_files import STEPS, hand_made, put


def everything(tmp_path, **options):
    """A file with all that ONNX has beside nodes and weights."""
    proto = onnx.load(hand_made(tmp_path, metadata={"author": "somebody", "license": "MIT"}, **options))
    trained = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["w_new"])], "step", [], [helper.make_empty_tensor_value_info("w_new")]
    )
    proto.training_info.append(helper.make_training_info(trained, [("w", "w_new")], None, None))
    values = numpy_helper.from_array(np.float32([1, 2]), "sparse")
    indices = numpy_helper.from_array(np.int64([1, 3]), "sparse_indices")
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [6]))
    annotation = proto.graph.quantization_annotation.add(tensor_name="r")
    annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="h")
    proto.functions.append(
        helper.make_function("theirs", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], proto.opset_import, [])
    )
    proto.opset_import.append(helper.make_opsetid("theirs", 3))
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    proto.domain, proto.model_version, proto.producer_version, proto.doc_string = "org.example", 7, "1.2", "the model"
    proto.graph.value_info.append(helper.make_tensor_value_info("r", TensorProto.FLOAT, ["N", 8, 12, 10], doc_string="after the stem"))
    proto.graph.node[1].metadata_props.add(key="namespace", value="net/stem")
    proto.graph.initializer[2].doc_string = "the head"
    proto.graph.metadata_props.add(key="pkg.torch", value="kept")
    onnx.save(proto, tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def untouched(proto):
    """The messages, by field, that no attach has a reason to change."""
    found = {field.name: value for field, value in proto.ListFields() if field.name not in ("graph", "metadata_props")}
    found |= {f"graph.{field.name}": value for field, value in proto.graph.ListFields()}
    for touched in ("node", "initializer", "input"):
        del found[f"graph.{touched}"]
    found["metadata"] = {entry.key: entry.value for entry in proto.metadata_props if not entry.key.startswith(("preproc.", "Image."))}
    found["nodes"] = [
        node.SerializeToString()
        for node in proto.graph.node
        if not node.name.startswith("preproc/") and node.name != "conv" and node.output[0] != "first"
    ]
    found["initializers"] = [
        tensor.SerializeToString()
        for tensor in proto.graph.initializer
        if tensor.name not in ("w", "b") and not tensor.name.startswith("preproc/")
    ]
    return found


@pytest.mark.parametrize("fold", ["auto", "off"])
def test_everything_else_stays_as_it_was(tmp_path, fold):
    file = everything(tmp_path)
    old = onnx.load(file)
    attach(
        file,
        tmp_path / "o.onnx",
        steps=STEPS,
        pixels=PixelsSpec(layout="NHWC", color="BGR", dtype="uint8", size=None, channels=3),
        fold=fold,
    )
    new = onnx.load(tmp_path / "o.onnx")
    before, after = untouched(old), untouched(new)
    assert {
        "training_info",
        "functions",
        "graph.sparse_initializer",
        "graph.quantization_annotation",
        "graph.metadata_props",
    } <= before.keys()
    for field, value in before.items():
        assert after[field] == value, field
    assert before.keys() == after.keys()
    assert [value.name for value in new.graph.input] == ["pixels"]
    stem = next(node for node in new.graph.node if node.name == "conv")
    assert stem.doc_string == "the stem"
    changed = {tensor.name for tensor in new.graph.initializer} - {tensor.name for tensor in old.graph.initializer}
    assert all(name.startswith("preproc/") for name in changed)


def test_the_comparison_notices_a_loss(tmp_path):
    """onnx-ir alone drops the training information and the sparse initializers."""
    import onnx_ir as ir

    file = everything(tmp_path)
    old, through = onnx.load(file), ir.to_proto(ir.load(file))
    lost = {field for field, value in untouched(old).items() if untouched(through).get(field) != value}
    assert {"training_info", "graph.sparse_initializer"} <= lost


def test_quantized_nodes_and_other_domains_stay(tmp_path):
    """A quantized stem, whose weight is folded as floats, something else that is quantized, and a node of ONNX Runtime's own."""
    proto = onnx.load(hand_made(tmp_path))
    weight = numpy_helper.to_array(next(tensor for tensor in proto.graph.initializer if tensor.name == "w"))
    stored = {"w_q": np.rint(weight * 32).clip(-127, 127).astype(np.int8), "row_q": np.int8([3, -5, 7, 9]), "scale": np.float32(1 / 32)}
    proto.graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in stored.items())
    for name in ("w", "row"):
        proto.graph.node.insert(0, helper.make_node("DequantizeLinear", [f"{name}_q", "scale"], [f"{name}_d"], name=f"dq_{name}"))
    next(node for node in proto.graph.node if node.op_type == "Conv").input[1] = "w_d"
    proto.graph.node[-1].output[0] = "scores"
    proto.graph.node.append(helper.make_node("Add", ["scores", "row_d"], ["scores/out:0"]))
    relu = next(node for node in proto.graph.node if node.op_type == "Relu")
    relu.op_type, relu.domain = "Gelu", "com.microsoft"
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(proto, tmp_path / "q.onnx")
    bundle = put(tmp_path / "q.onnx", tmp_path / "out")
    assert bundle.report.ok
    new = onnx.load(bundle.folder / "model.onnx")
    assert [node.name for node in new.graph.node if node.op_type == "DequantizeLinear"] == ["dq_row"]
    assert ("com.microsoft", "Gelu") in [(node.domain, node.op_type) for node in new.graph.node]
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in new.graph.initializer}
    assert "w_q" not in tensors
    assert np.array_equal(tensors["row_q"], stored["row_q"])


def with_function(tmp_path, *, twice=False):
    """The stem is a call of a model-local function."""
    proto = onnx.load(hand_made(tmp_path))
    conv = next(node for node in proto.graph.node if node.op_type == "Conv")
    body = helper.make_node("Conv", ["x", "kernel", "bias"], ["y"], name="inner", pads=[1, 1, 1, 1], strides=[2, 2])
    scaled = [helper.make_node("Constant", [], ["half"], value_float=0.5), helper.make_node("Mul", ["x", "half"], ["h"])]
    body.input[0] = "h"
    proto.functions.append(helper.make_function("theirs", "Stem", ["x", "kernel", "bias"], ["y"], [*scaled, body], proto.opset_import, []))
    proto.functions.append(
        helper.make_function("theirs", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], proto.opset_import, [])
    )
    proto.opset_import.append(helper.make_opsetid("theirs", 1))
    conv.op_type, conv.domain = "Stem", "theirs"
    del conv.attribute[:]
    relu = next(node for node in proto.graph.node if node.op_type == "Relu")
    relu.op_type, relu.domain = "Twice", "theirs"
    if twice:  # the picture is read by something that cannot be folded, too
        proto.graph.initializer.append(numpy_helper.from_array(np.int64([1, 2, 3]), "axes"))
        proto.graph.node.insert(0, helper.make_node("ReduceMax", ["image", "axes"], ["reduced"]))
        proto.graph.node.insert(1, helper.make_node("Flatten", ["reduced"], ["max"]))
        proto.graph.node[-1].output[0] = "scores"
        proto.graph.node.append(helper.make_node("Add", ["scores", "max"], ["scores/out:0"]))
    onnx.save(proto, tmp_path / "f.onnx")
    return tmp_path / "f.onnx"


def test_the_fold_looks_into_functions(tmp_path):
    """The function that the picture enters gives way to its nodes; the others stay."""
    bundle = put(with_function(tmp_path), tmp_path / "out")
    assert bundle.report.ok
    entry = bundle.contract["fold"]["onnx"]
    assert (entry["folded"], entry["convolutions"]) == (True, ["w"])
    assert bundle.contract["notes"] == [
        "the network re-maps its input, x / 2",
        "in place of their calls: the functions theirs::Stem",
    ]
    assert [function.name for function in onnx.load(bundle.folder / "model.onnx").functions] == ["Twice"]
    off = put(with_function(tmp_path), tmp_path / "off", fold="off")
    assert [function.name for function in onnx.load(off.folder / "model.onnx").functions] == ["Stem", "Twice"]


def test_functions_stay_where_nothing_is_folded(tmp_path):
    bundle = put(with_function(tmp_path, twice=True), tmp_path / "out")
    assert bundle.report.ok
    assert "ReduceMax mixes the channels" in bundle.contract["fold"]["onnx"]["reason"]
    assert [function.name for function in onnx.load(bundle.folder / "model.onnx").functions] == ["Stem", "Twice"]


def test_bundles_are_always_verified(tmp_path):
    with pytest.raises(PreprocError, match="bundles always are"):
        put(hand_made(tmp_path), tmp_path / "out", verify=False)


def test_a_bundle_with_somebodys_own_file_in_it_is_not_replaced(tmp_path):
    bundle = put(hand_made(tmp_path), tmp_path / "out")
    shutil.copy(tmp_path / "m.onnx", bundle.folder / "original.onnx")
    with pytest.raises(PreprocError, match=r"expected a bundle's files only, got original\.onnx too"):
        put(bundle.folder / "original.onnx", bundle.folder)
    assert (bundle.folder / "original.onnx").is_file()


def test_initializers_of_one_name_are_refused(tmp_path):
    proto = onnx.load(hand_made(tmp_path))
    proto.graph.initializer.append(proto.graph.initializer[0])
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(PreprocError, match="expected initializers of different names, got 'w' twice"):
        put(tmp_path / "m.onnx", tmp_path / "out")


def test_a_model_that_counts_its_channels_is_not_given_others(tmp_path):
    """Behind the fold there would be one grey channel where there were three, and Shape would say so: three are selected in front."""
    nodes = [
        helper.make_node("Shape", ["image"], ["shape"]),
        helper.make_node("Constant", [], ["one"], value=numpy_helper.from_array(np.int64(1))),
        helper.make_node("Gather", ["shape", "one"], ["channels"]),
        helper.make_node("Cast", ["channels"], ["count"], to=TensorProto.FLOAT),
        helper.make_node("Identity", ["image"], ["first"]),
    ]
    proto = onnx.load(hand_made(tmp_path, nodes=nodes))
    proto.graph.node[-1].output[0] = "scores"
    proto.graph.node.append(helper.make_node("Mul", ["scores", "count"], ["scores/out:0"]))
    onnx.save(proto, tmp_path / "m.onnx")
    gray = PixelsSpec(layout="NHWC", color="GRAY", dtype="uint8", size=None, channels=1)
    bundle = attach(tmp_path / "m.onnx", tmp_path / "out", steps=STEPS, pixels=gray)
    assert bundle.report.ok
    assert bundle.contract["fold"]["onnx"]["selected"] == [0, 0, 0]


def test_a_free_channel_count_is_told_by_the_first_convolution(tmp_path):
    file = hand_made(tmp_path, shape=("N", "C", 24, 20))
    assert put(file, tmp_path / "out").report.ok
    gray = PixelsSpec(layout="NHWC", color="GRAY", dtype="uint8", size=None, channels=1)
    with pytest.raises(PreprocError, match="expected steps that make the 3 channels which the first convolution reads, got 1"):
        attach(file, tmp_path / "gray.onnx", steps=[Rescale()], pixels=gray, model_color="GRAY", verify=False)


def test_an_input_that_is_called_pixels_already(tmp_path):
    proto = onnx.load(hand_made(tmp_path))
    proto.graph.input[0].name = proto.graph.node[0].input[0] = "pixels"
    onnx.save(proto, tmp_path / "m.onnx")
    assert put(tmp_path / "m.onnx", tmp_path / "out").report.ok
    proto.graph.node[0].output[0] = proto.graph.node[1].input[0] = "preproc/0_Cast"
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(PreprocError, match=r"without values named preproc/\.\.\. or \.\.\./preproc, got 'preproc/0_Cast'; rename it"):
        put(tmp_path / "m.onnx", tmp_path / "again")


def test_what_the_old_input_says_of_itself_goes_over_to_the_new_one(tmp_path):
    proto = onnx.load(hand_made(tmp_path))
    image = proto.graph.input[0]
    image.doc_string, image.type.denotation = "the picture", "IMAGE"
    image.metadata_props.add(key="a", value="b")
    proto.graph.value_info.append(helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 24, 20]))
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    new = onnx.load(put(tmp_path / "m.onnx", tmp_path / "out").folder / "model.onnx").graph
    assert (new.input[0].name, new.input[0].doc_string, new.input[0].type.denotation) == ("pixels", "the picture", "IMAGE")
    assert [(entry.key, entry.value) for entry in new.input[0].metadata_props] == [("a", "b")]
    assert "image" not in [info.name for info in new.value_info]
