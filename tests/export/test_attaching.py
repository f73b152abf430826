"""attach on hand-made files: what stays, what is verified, and what does not fit."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

from preproc import graph
from preproc.bundle.inspection import describe, lines
from preproc.errors import PreprocError, VerificationError
from preproc.export import exporter, verify_bundle
from preproc.graph import picture_input
from preproc.sources import parse_recipe, replace
from preproc.steps import FromPixels, Normalize, Rescale, Resize
from tests.folding.mistakes import as_unpadded
from tests.onnx_files import hand_made, put

NHWC = [helper.make_node("Transpose", ["image"], ["first"], perm=[0, 3, 1, 2])]


@pytest.mark.parametrize(
    ("options", "input_shape"),
    [
        ({}, ["N", 24, 20, 3]),
        ({"shape": (1, 3, 24, 20)}, [1, 24, 20, 3]),
        ({"shape": (3, 3, 24, 20)}, [3, 24, 20, 3]),
        ({"shape": ("batch", 24, 20, 3), "nodes": NHWC}, ["N", 24, 20, 3]),
        ({"shape": ("N", 3, "h", "w")}, ["N", "height", "width", 3]),
        ({"shape": (None, 3, None, None)}, ["N", "height", "width", 3]),
        ({"opset": 9, "ir_version": 3}, ["N", 24, 20, 3]),
        ({"opset": 13, "ir_version": 7}, ["N", 24, 20, 3]),
        ({"opset": 22, "ir_version": 10}, ["N", 24, 20, 3]),
    ],
    ids=str,
)
def test_the_inputs_own_shape_type_and_versions_are_kept(tmp_path, options, input_shape):
    file = hand_made(tmp_path, **options)
    before = file.read_bytes()
    bundle = put(file, tmp_path / "out")
    assert bundle.report.ok, [result.reason for result in bundle.report.results]
    assert bundle.contract["fold"]["onnx"]["form"] == "subtract"
    assert bundle.contract["input"]["shape"] == input_shape
    assert [output["name"] for output in bundle.contract["outputs"]] == ["scores/out:0"]
    assert file.read_bytes() == before
    old, new = ir.load(file), ir.load(bundle.folder / "model.onnx")
    assert (new.opset_imports, new.ir_version) == (old.opset_imports, old.ir_version)
    assert picture_input(old).batch == (input_shape[0] if isinstance(input_shape[0], int) else None)
    assert verify_bundle(bundle.folder, runtimes=["ort-cpu"]).ok


def test_what_is_not_touched_stays(tmp_path):
    file = hand_made(tmp_path, metadata={"author": "somebody", "license": "MIT"})
    old, new = ir.load(file), ir.load(put(file, tmp_path / "out").folder / "model.onnx")
    assert dict(old.metadata_props).items() <= dict(new.metadata_props).items()
    assert (old.producer_name, old.graph.name, old.graph.doc_string) == (new.producer_name, new.graph.name, new.graph.doc_string)
    theirs = [node for node in new.graph if not node.name.startswith("preproc/")]
    assert [
        (node.op_type, node.name, node.doc_string, [v.name for v in node.outputs], dict(node.attributes).keys()) for node in theirs
    ] == [(node.op_type, node.name, node.doc_string, [v.name for v in node.outputs], dict(node.attributes).keys()) for node in old.graph]
    assert np.array_equal(new.graph.initializers["h"].const_value.numpy(), old.graph.initializers["h"].const_value.numpy())
    assert not np.array_equal(new.graph.initializers["w"].const_value.numpy(), old.graph.initializers["w"].const_value.numpy())


def test_a_bare_file_may_replace_one_of_ours_and_its_weights(tmp_path):
    (tmp_path / "external").mkdir()
    proto = onnx.load(hand_made(tmp_path / "external"))
    onnx.save(proto, tmp_path / "external" / "m.onnx", save_as_external_data=True, size_threshold=0)
    put(tmp_path / "external" / "m.onnx", tmp_path / "new" / "o.onnx")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["o.onnx", "o.onnx.data"]
    put(hand_made(tmp_path), tmp_path / "new" / "o.onnx")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["o.onnx"]


def test_raw_pixels_in_front_of_a_network_that_normalizes_itself(tmp_path):
    """The everyday case of a torchvision Normalize inside the file: steps that end in 0..1."""
    bundle = put(hand_made(tmp_path, nodes=TWICE), tmp_path / "out", steps=[Rescale()])
    assert bundle.report.ok
    assert bundle.contract["notes"] == [
        "the network normalizes its input itself, (x - 0.5) / 0.5, which is inception or siglip, of values in 0-1"
    ]


def test_a_bare_file_is_the_one_that_was_verified(tmp_path):
    file = hand_made(tmp_path)
    bundle = put(file, tmp_path / "bundle")
    assert put(file, tmp_path / "bundle.onnx").ok
    assert (tmp_path / "bundle.onnx").read_bytes() == (bundle.folder / "model.onnx").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "bundle.onnx", "m.onnx"]


@pytest.mark.parametrize("mistake", ["swapped", "shifted"])
def test_a_wrong_file_is_not_written(tmp_path, monkeypatch, mistake):
    real = graph.attach
    wrong = {
        "swapped": lambda steps: [FromPixels(layout="NHWC", color="RGB"), *steps[1:]],
        "shifted": lambda steps: [*steps[:2], Normalize(mean=[m + 1 / 255 for m in steps[2].mean], std=steps[2].std, unit="0-1")],
    }[mistake]
    monkeypatch.setattr(graph, "attach", lambda model, steps, *rest, **options: real(model, wrong(steps), *rest, **options))
    for out in ("out", "out.onnx"):
        with pytest.raises(VerificationError, match=r"ort-cpu: error .*tolerance"):
            put(hand_made(tmp_path), tmp_path / out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx"]


def test_a_file_in_half_precision_passes_and_a_mean_in_its_bias_does_not(tmp_path, monkeypatch):
    file = hand_made(tmp_path, dtype=TensorProto.FLOAT16)
    bundle = put(file, tmp_path / "out")
    fold = bundle.contract["fold"]["onnx"]
    assert (bundle.report.ok, bundle.contract["precision"], fold["form"]) == (True, "float16", "append")
    assert fold["why"].startswith("whole numbers are exact in half precision")
    assert {output["dtype"] for output in bundle.contract["outputs"]} == {"float16"}
    description = describe(bundle.folder)
    assert description["agreement"] == {"agrees": True, "wrong": [], "not_compared": []}
    assert f"         for {fold['why']}" in lines(description)
    as_unpadded(monkeypatch)
    with pytest.raises(VerificationError, match=r"ort-cpu: error .*tolerance"):
        put(file, tmp_path / "wrong")


SECOND = helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["N", 1, 24, 20])
TWICE = [
    helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(np.float32([0.5]))),
    helper.make_node("Sub", ["image", "k"], ["s"]),
]
TWICE += [helper.make_node("Div", ["s", "k"], ["first"])]
BYTES = [helper.make_node("Cast", ["image"], ["bytes"], to=TensorProto.UINT8), helper.make_node("Cast", ["bytes"], ["first"], to=1)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": TensorProto.DOUBLE}, "expected a model that ONNX Runtime can run, got: .*Could not find an implementation for Conv"),
        ({"shape": ("N", 72)}, r"a float picture, \(N, C, H, W\) or \(C, H, W\), got: image"),
        ({"extra": [SECOND]}, "expected one input that takes a picture, got 2: .*; choose with --input NAME"),
        ({"shape": ("N", 1, 24, 20)}, "takes 3 channels, as the steps make, got 1 in image"),
        ({"nodes": TWICE}, r"the network normalizes its input itself, \(x - 0\.5\) / 0\.5, which is inception or siglip, of values in 0-1"),
        ({"nodes": BYTES}, "the network casts its input to raw pixels of 0-255, and the steps hand it values in -2.1"),
        ({"metadata": {"preproc.contract": "{}"}}, "whose input is not that contract's any more; --force"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_models_that_do_not_fit_are_refused(tmp_path, options, message):
    file = hand_made(tmp_path, **options)
    with pytest.raises(PreprocError, match=message) as caught:
        put(file, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_force_attaches_all_the_same_and_the_contract_says_so(tmp_path):
    bundle = put(hand_made(tmp_path, nodes=TWICE), tmp_path / "out", force=True)
    assert bundle.report.ok
    assert bundle.contract["backbone"]["override"] == "--force"


def test_force_that_nothing_asks_for_is_said(tmp_path):
    told = put(hand_made(tmp_path), tmp_path / "out", force=True).contract["notes"]
    assert "--force: not needed, for nothing was seen that normalizes the values a second time" in told


@pytest.mark.parametrize(
    ("form", "step"), [("exact", Rescale()), ("fast", Rescale()), ("fast", Resize(size=(20, 24), interpolation="lanczos"))]
)
def test_a_form_that_no_resize_has_is_refused(tmp_path, form, step):
    with pytest.raises(PreprocError, match=f"--form {form} .*expected with a resize that has this form") as caught:
        put(hand_made(tmp_path), tmp_path / "out", steps=(step,), form=form)
    assert caught.value.name == "option-without-effect"
    assert not (tmp_path / "out").exists()


def test_a_second_attach_is_refused(tmp_path):
    bundle = put(hand_made(tmp_path), tmp_path / "out")
    with pytest.raises(PreprocError, match=r"takes raw pixels already: .*; it was made by preproc: attach to the original instead"):
        put(bundle.folder / "model.onnx", tmp_path / "again")


@pytest.mark.parametrize("location", ["../secret.bin", "/secret.bin", "none.bin", "link.bin"])
def test_weights_outside_of_the_models_folder_are_not_read(tmp_path, location):
    folder = tmp_path / "sub"
    folder.mkdir()
    file, secret = hand_made(folder), tmp_path / "secret.bin"
    secret.write_bytes(bytes(864))
    (folder / "link.bin").symlink_to(secret)
    proto = onnx.load(file)
    tensor = proto.graph.initializer[0]
    set_external_data(
        tensor, location=location.replace("/secret.bin", str(secret)) if location[0] == "/" else location, offset=0, length=864
    )
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    file.write_bytes(proto.SerializeToString())
    with pytest.raises(PreprocError, match=r"m\.onnx: expected its weights in the files that it names") as caught:
        put(file, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_inspect_tells_what_a_bare_file_does_to_its_picture(tmp_path):
    told = "\n".join(lines(describe(hand_made(tmp_path))))
    assert "picture  image, NCHW\nreads    Identity first\nreads    Conv conv" in told
    assert "does not normalize raw pixels itself" in told
    assert "can be folded into its first convolution" in told
    twice = describe(hand_made(tmp_path, nodes=TWICE))
    assert twice["picture"]["normalizes"]
    assert "does     (x - 0.5) / 0.5, which is inception or siglip, of values in 0-1" in lines(twice)
    relu = describe(hand_made(tmp_path, nodes=[helper.make_node("Relu", ["image"], ["first"])]))
    assert "cannot be folded: Relu reads the input" in "\n".join(lines(relu))
    assert "no input takes a picture" in "\n".join(lines(describe(hand_made(tmp_path, shape=("N", 72)))))


def two_outputs(tmp_path):
    proto = onnx.load(hand_made(tmp_path))
    proto.graph.output.append(helper.make_tensor_value_info("r", TensorProto.FLOAT, ["N", 8, 12, 10]))
    onnx.save(proto, tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def test_outputs_are_chosen_by_their_own_names(tmp_path):
    """Never renamed by position: a recipe that lists them in another order must not swap them."""
    file = two_outputs(tmp_path)
    recipe = parse_recipe(
        {
            "name": "m",
            "backbone": {"source": "onnx", "weights": "m.onnx", "color": "RGB", "outputs": ["r"]},
            "pixels": {"layout": "NHWC", "color": "RGB", "size": [24, 20]},
            "steps": [{"step": "rescale"}, {"step": "normalize", "preset": "imagenet"}],
            "export": {"formats": ["onnx"]},
        },
        folder=tmp_path,
    )
    bundle = exporter.export_bundle(recipe, tmp_path / "one")
    assert bundle.report.ok
    assert [output["shape"] for output in bundle.contract["outputs"]] == [["N", 8, 12, 10]]
    both = put(file, tmp_path / "both")
    assert [output["name"] for output in both.contract["outputs"]] == ["scores/out:0", "r"]
    with pytest.raises(PreprocError, match="expected some of scores/out:0, r, which the file has, got 'logits'"):
        exporter.export_bundle(replace(recipe, backbone={"outputs": ("logits",)}), tmp_path / "renamed")
    with pytest.raises(PreprocError, match="precision: expected float32, in which the file computes and which stays as it is, got float16"):
        exporter.export_bundle(recipe, tmp_path / "half", precision="float16")


def test_a_weight_made_by_broken_nodes_is_a_reason_not_a_traceback(tmp_path):
    file = hand_made(tmp_path)
    proto = onnx.load(file)
    proto.graph.initializer.append(numpy_helper.from_array(np.array([8, 3, 3, 2]), "wrong shape"))
    proto.graph.node.insert(0, helper.make_node("Reshape", ["w", "wrong shape"], ["bad"]))
    next(node for node in proto.graph.node if node.op_type == "Conv").input[1] = "bad"
    onnx.save(proto, file)
    with pytest.raises(PreprocError) as caught:
        put(file, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_value_called_pixels_is_in_the_way(tmp_path):
    nodes = [helper.make_node("Identity", ["image"], ["pixels"]), helper.make_node("Identity", ["pixels"], ["first"])]
    with pytest.raises(PreprocError, match="expected a model without a value named 'pixels'"):
        put(hand_made(tmp_path, nodes=nodes), tmp_path / "out")
