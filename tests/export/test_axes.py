"""Pictures without a batch, and batches of frames: attached, verified, looked at; and what is wrong is noticed."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from preproc import graph
from preproc.bundle.inspection import describe, lines
from preproc.errors import PreprocError, VerificationError
from preproc.export import attach, verify_bundle
from preproc.export.serving import package
from preproc.graph import axes as edges
from preproc.sources import PixelsSpec
from preproc.steps import Letterbox, Normalize, Rescale, Standardize
from tests.damage import edit_onnx, replace_weight
from tests.inputs_of_files import CASES, COMPUTED, SECOND, TOGETHER, TURNED, UNSQUEEZED, W2, W3, network, node
from tests.onnx_files import in_one_thread

STEPS = (Rescale(), Normalize.preset("imagenet"))


def put(file, out, **options):
    spec = PixelsSpec(layout="NHWC", color="BGR", dtype="uint8", size=options.pop("size", None), channels=3)
    return attach(file, out, steps=options.pop("steps", STEPS), pixels=spec, **options)


@pytest.mark.parametrize("case", CASES)
def test_a_picture_without_a_batch_and_frames_are_attached_and_verified(tmp_path, case):
    shape, front, options, layout, promised, folded = CASES[case]
    file = network(tmp_path, shape, front, **options)
    bundle = put(file, tmp_path / "out")
    contract = bundle.contract
    assert bundle.report.ok, [result.reason for result in bundle.report.results]
    assert (contract["input"]["layout"], contract["input"]["shape"]) == (layout, promised)
    assert contract["fold"]["onnx"]["folded"] == folded, contract["fold"]["onnx"]["reason"]
    told = describe(bundle.folder / "model.onnx")
    assert told["agreement"] == {"agrees": True, "wrong": [], "not_compared": told["agreement"]["not_compared"]}
    assert f"input    pixels: uint8 {layout} BGR" in "\n".join(lines(told))
    assert verify_bundle(bundle.folder, runtimes=["ort-cpu"]).ok
    assert verify_bundle(bundle.folder, recipe=file).ok
    golden = bundle.golden()[0]
    assert golden.pixels.ndim == len(layout)
    if "batch" not in options or options["batch"] is None or layout == "HWC":
        return
    (answer,) = in_one_thread(bundle.folder / "model.onnx").run(None, {"pixels": np.concatenate([golden.pixels] * 2)})
    np.testing.assert_allclose(answer[0], answer[1], rtol=1e-5)


@pytest.mark.parametrize("case", ["CHW", "NTCHW", "NTCHW as pictures", "NCTHW, free frames"])
def test_resizes_and_statistics_are_of_each_picture(tmp_path, case):
    """A network of fixed sides behind a letterbox: pixels of any size, each frame by itself."""
    shape, front, options, layout, _, _ = CASES[case]
    steps = (Letterbox(size=(12, 16), interpolation="bilinear"), Rescale(), Standardize(per="image"))
    bundle = put(network(tmp_path, shape, front, **{**options, "opset": 18}), tmp_path / "out", steps=steps)
    assert bundle.report.ok, [result.reason for result in bundle.report.results]
    assert bundle.contract["input"]["layout"] == layout
    sides = dict(zip(layout, bundle.contract["input"]["shape"], strict=True))
    assert (sides["H"], sides["W"]) == ("height", "width")
    assert describe(bundle.folder)["agreement"]["agrees"]


def test_a_wrong_file_is_noticed(tmp_path, monkeypatch):
    """Frames for channels where the nodes end, and a weight that was changed since."""
    file = network(tmp_path, *CASES["NTCHW"][:2], **CASES["NTCHW"][2])
    bundle = put(file, tmp_path / "out")
    edit_onnx(bundle.folder, lambda model: replace_weight(model, lambda weight: weight[:, ::-1]))
    assert not verify_bundle(bundle.folder, runtimes=["ort-cpu"]).ok
    assert not describe(bundle.folder / "model.onnx")["agreement"]["agrees"]
    three = network(tmp_path, ["N", 3, 3, 12, 16], SECOND, weight=W3, batch="N")  # so many frames as channels
    real = edges.leaving

    def confused(builder, value, *rest, **options):
        made = real(builder, value, *rest, **options)
        return builder.add("Transpose", made, perm=[0, 2, 1, 3, 4])

    monkeypatch.setattr("preproc.graph.editing.leaving", confused)
    for fold in ("off", "auto"):
        with pytest.raises(VerificationError, match="ort-cpu: error"):
            put(three, tmp_path / "wrong", model_layout="NTCHW", fold=fold)
    assert not (tmp_path / "wrong").exists()


@pytest.mark.parametrize("mistake", ["turned", "doubled"])
def test_nodes_that_another_program_changed_do_not_agree(tmp_path, mistake):
    bundle = put(network(tmp_path, *CASES["NTCHW"][:2], **CASES["NTCHW"][2]), tmp_path / "out", fold="off")
    proto = onnx.load(bundle.folder / "model.onnx")
    if mistake == "turned":
        found = next(each for each in proto.graph.node if each.op_type == "Transpose")
        found.attribute[0].ints[:] = [0, 3, 2, 1]
    else:
        name = next(each.input[1] for each in proto.graph.node if each.op_type == "Mul")
        found = next(tensor for tensor in proto.graph.initializer if tensor.name == name)
        found.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(found) * 2, name))
    onnx.save(proto, tmp_path / "changed.onnx")
    assert not describe(tmp_path / "changed.onnx")["agreement"]["agrees"]


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ([3, "h", "w"], "CHW"),
        (["h", "w", 3], "HWC"),
        ([4, 32, 32], "CHW"),
        (["N", 8, 3, 32, 32], "NTCHW"),
        (["N", 3, 8, 32, 32], "NCTHW"),
        (["N", 8, 32, 32, 3], "NTHWC"),
        ([3, 32, 3], None),
        (["N", 3, 4, 32, 32], None),
        (["N", 5, 6, 7, 8], None),
        ([1, 80, 3000], None),
        (["N", 80, "time"], None),
    ],
)
def test_a_shape_tells_only_what_little_else_has(tmp_path, shape, layout):
    """No convolution is reached; a sound (1, 80, 3000) is no picture by itself."""
    end = [node("ReduceMean", ["image"], ["y"], axes=list(range(len(shape))), keepdims=0)]
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)]
    made = helper.make_graph(end, "g", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "m.onnx")
    model = graph.load(tmp_path / "m.onnx")
    if layout is not None:
        assert graph.any_picture(model).layout == layout
        return
    with pytest.raises(PreprocError, match=r"input for a float picture, \(N, C, H, W\) or \(C, H, W\), got: image"):
        graph.picture_input(model)
    for said in ("CHW", "HWC") if len(shape) == 3 else ("NTCHW", "NCTHW", "NTHWC"):
        assert graph.any_picture(model, None, said).layout == said
    with pytest.raises(PreprocError, match="no input takes a picture"):
        graph.any_picture(model, None, "NCHW")


def test_what_the_graph_reads_is_told(tmp_path):
    """Whatever the shape looks like: 3 frames, 3 pixels high."""
    for shape, front, weight, layout in (
        (["N", 3, 3, 12, 16], TOGETHER, W2, "NTCHW"),
        (["N", 4, 3, 12, 16], COMPUTED, W2, "NTCHW"),
        (["N", 3, 3, 12, 16], [], W3, "NCTHW"),
        (["N", 3, 3, 12, 16], SECOND, W3, "NTCHW"),
        ([3, 3, 3], UNSQUEEZED, W2, "CHW"),
        ([3, 3, 3], TURNED, W2, "HWC"),
    ):
        picture = graph.picture_input(graph.load(network(tmp_path, shape, front, weight=weight)))
        assert (picture.layout, picture.seen) == (layout, layout)
    with pytest.raises(PreprocError, match=r"the layout HWC, in which the graph reads image, got CHW \(--model-layout\)"):
        put(network(tmp_path, [3, 3, 3], TURNED), tmp_path / "out", model_layout="CHW")


def test_a_server_is_told_that_there_is_no_batch(tmp_path):
    """Height is no number of pictures, be it free."""
    pytest.importorskip("tritonclient.grpc", reason="Triton's schema is the extra serve")
    for case, most in (("CHW", 0), ("CHW, free sides", 0), ("NTCHW", 8)):
        shape, front, options, *_ = CASES[case]
        bundle = put(network(tmp_path, shape, front, **options), tmp_path / f"m{len(case)}")
        told = []
        version = package(bundle.folder, tmp_path / "repository", progress=told.append)
        config = (version.parent / "config.pbtxt").read_text()
        assert (f"max_batch_size: {most}" in config) == (most > 0)
        assert told == ([] if most else ["note: requests are not put together: pixels is one picture, without a batch"])


def test_the_contract_of_a_picture_without_a_batch_says_what_stays_as_it_is(tmp_path):
    """An output that has one row is no batch."""
    bundle = put(network(tmp_path, *CASES["CHW"][:2]), tmp_path / "out")
    assert bundle.contract["outputs"] == [{"name": "y", "dtype": "float32", "shape": [1, 4]}]
    assert json.loads((bundle.folder / "manifest.json").read_text())["report"]["results"][0]["pictures"] > 0


@pytest.mark.parametrize("declared", [0, -1])
def test_a_batch_that_is_declared_as_none_is_free(tmp_path, declared):
    """As some exporters write it: ONNX Runtime runs no file whose batch is 0."""
    file = network(tmp_path, [declared, 3, 12, 16], [], batch=declared)
    bundle = put(file, tmp_path / "out")
    assert bundle.report.ok, [result.reason for result in bundle.report.results]
    assert bundle.contract["input"]["shape"][0] == bundle.contract["outputs"][0]["shape"][0] == "N"
    assert bundle.contract["notes"] == ["sides of image that are declared as 0 or -1 are free"]
    assert describe(bundle.folder)["agreement"]["agrees"]
    assert verify_bundle(bundle.folder, recipe=file).ok
    assert put(file, tmp_path / "o.onnx").ok
