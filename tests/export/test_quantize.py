"""Networks brought to 8 bits: uint8 pixels are the quantized tensor, and the bundle is verified."""

import dataclasses
import functools
import re
import shutil

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from preproc.bundle import open_bundle
from preproc.bundle.inspection import describe
from preproc.errors import PreprocError, VerificationError
from preproc.export import behind, quantize, quantize_bundle, verify_bundle
from tests.calibrations import TABLE, nodes, pictures, recipe
from tests.damage import edit_onnx
from tests.folders import names
from tests.onnx_files import hand_made


@pytest.fixture
def folder(tmp_path):
    return pictures(tmp_path / "p", 12, size=(24, 20))


def test_pixels_are_the_quantized_tensor_and_the_bundle_is_verified_again(tmp_path, folder):
    hand_made(tmp_path)
    bundle = quantize_bundle(recipe(tmp_path), tmp_path / "out", images=folder, per_channel=True)
    assert {result.runtime: result.verdict for result in bundle.report.results if result.verdict != "absent"}["ort-cpu"] == "passed"
    contract = bundle.contract
    assert contract["precision"] == "int8"
    assert contract["quantization"] == {
        "format": "qdq",
        "per_channel": True,
        "method": "minmax",
        "border": "exact",
        "target": "any",
        "pictures": 12,
    }
    assert contract["fold"]["onnx"]["form"] == "append"
    assert any(note.startswith("calibrated with 12 pictures") for note in contract["notes"])
    graph, held = nodes(bundle.folder / "model.onnx")
    made = {value: node for node in graph.node for value in node.output}
    front, node = [], made[next(node for node in graph.node if node.op_type == "Conv").input[0]]
    while node is not None:
        front, node = [node, *front], made.get(node.input[0])
    assert [node.op_type for node in front] == ["Transpose", "Concat", "DequantizeLinear"]
    scale, zero = (held[name] for name in front[-1].input[1:])
    assert (scale, zero) == (1.0, np.rint(255 * np.mean([0.5, 0.4, 0.3])))
    assert not graph.output[0].name.endswith("Output")
    assert made[graph.output[0].name].op_type == "MatMul"  # scores are not rounded
    assert verify_bundle(bundle.folder, runtimes=["ort-cpu"]).ok
    assert open_bundle(bundle.folder).report.ok


def test_a_quantized_file_that_somebody_changed_does_what_its_contract_says_no_more(tmp_path, folder):
    """By what the graph does, not only by its digest; and the first three by what it answers."""
    hand_made(tmp_path)
    made = quantize_bundle(recipe(tmp_path), tmp_path / "out", images=folder)
    assert describe(made.folder)["agreement"]["agrees"]
    changes = {
        "first_zero_point": (lambda zero: zero + 40, "expected in front of the first convolution"),
        "first_scale": (lambda scale: scale * 1.5, "expected in front of the first convolution"),
        "w_scale": (lambda scale: scale * 1.5, "expected the convolutions that took the normalization up"),
        "w_zero_point": (lambda zero: zero + 1, "expected the convolutions that took the normalization up"),
        "preproc/3_Pad/2_Expand/0": (lambda level: level + 1, "expected the nodes that make "),
    }
    for at, (name, (change, told)) in enumerate(changes.items()):
        copy = shutil.copytree(made.folder, tmp_path / f"copy{at}")
        edit_onnx(copy, functools.partial(changed, name=name, change=change))
        assert describe(copy)["agreement"]["wrong"][0].startswith(told), name
        (result,) = [each for each in verify_bundle(copy, runtimes=["ort-cpu"]).results if each.runtime == "ort-cpu"]
        assert at > 2 or result.verdict == "failed", name


def changed(model, *, name, change):
    value = model.graph.initializers[name]
    array = value.const_value.numpy()
    value.const_value = ir.tensor(np.asarray(change(array), array.dtype), name=name)


def test_a_channel_without_its_weights_is_noticed(tmp_path, folder, monkeypatch):
    """Padding that is 25 levels off, then: by the first layer alone, and by the whole network."""
    from preproc.graph import folded

    monkeypatch.setattr(folded, "with_fine_constant", lambda plan, _: dataclasses.replace(plan, extra=0 * plan.extra))
    hand_made(tmp_path)
    with pytest.raises(VerificationError, match="its first layer, alone, is off by") as told:
        quantize_bundle(recipe(tmp_path), tmp_path / "out", images=folder)
    assert {result.runtime: result.verdict for result in told.value.report.results}["ort-cpu"] == "failed"
    assert not (tmp_path / "out").exists()


def test_for_tensorrt_there_is_int8_alone_zero_points_are_0_and_pixels_go_into_a_cast(tmp_path, folder):
    hand_made(tmp_path)
    bundle = quantize_bundle(recipe(tmp_path), tmp_path / "out", images=folder, target="tensorrt")
    graph, held = nodes(bundle.folder / "model.onnx")
    (reader,) = [node for node in graph.node if "pixels" in node.input]
    assert reader.op_type == "Cast"
    quantizing = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    zeros = [held[node.input[2]] for node in quantizing]
    assert {zero.dtype for zero in zeros} == {np.dtype(np.int8)}
    assert not any(zero.any() for zero in zeros)
    assert "TensorRT itself was not run" in " ".join(bundle.contract["notes"])
    assert held["b"].dtype == np.float32
    (absent,) = [result for result in bundle.report.results if result.runtime == "openvino-cpu"]
    assert (absent.verdict, absent.reason) == ("absent", "its products of int8 and int8 saturate on x86 without VNNI")
    told = describe(bundle.folder)
    assert told["agreement"] == {"agrees": True, "wrong": [], "not_compared": []}
    (grid,) = told["quantized"]
    assert (grid["dtype"], set(grid["zero"]), set(grid["low"]), set(grid["high"])) == ("int8", {128}, {0}, {255})
    edit_onnx(bundle.folder, functools.partial(changed, name="first_scale", change=lambda scale: scale * 1.5))
    assert describe(bundle.folder)["agreement"]["wrong"][0].startswith("expected the nodes that make ")


@pytest.mark.parametrize(("mean", "form", "size"), [([0.5, 0.4, 0.3], "append", "fast"), ([0.4, 0.4, 0.4], "subtract", "exact")])
def test_whole_grey_levels_behind_a_resize_are_the_quantized_tensor(mean, form, size, tmp_path):
    """Also of pictures whose levels do not reach 0 and 255, of which a quantizer would make a finer grid."""
    hand_made(tmp_path)
    resize = {"step": "resize", "size": [24, 20], "interpolation": "bilinear", "form": size}
    steps = [resize, {"step": "rescale"}, {"step": "normalize", "mean": mean, "std": [0.2, 0.2, 0.2], "unit": "0-1"}]
    taken = {"layout": "NHWC", "color": "RGB", "size": [48, 40]}
    images = pictures(tmp_path / "large", 12, size=(48, 40), std=10)
    bundle = quantize_bundle(recipe(tmp_path, steps=steps, pixels=taken), tmp_path / "out", images=images)
    fold = bundle.contract["fold"]["onnx"]
    assert (fold["form"], fold["moved"]["dtype"], fold["effective"]["matrix"][0][0]) == (form, "uint8", 1)
    graph, held = nodes(bundle.folder / "model.onnx")
    made = {value: node for node in graph.node for value in node.output}
    node = made[next(node for node in graph.node if node.op_type == "Conv").input[0]]
    assert (node.op_type, held[node.input[1]]) == ("DequantizeLinear", 1.0)
    levels = made[node.input[0]]
    levels = made[levels.input[0]] if form == "append" else levels
    assert (levels.op_type, levels.attribute[0].i) == ("Cast", TensorProto.UINT8)
    unasked = any(note.startswith("OpenVINO is not asked: it reads a resize") for note in bundle.contract["notes"])
    assert unasked == (size == "fast")
    (told,) = [result for result in bundle.report.results if result.runtime == "openvino-cpu"]
    assert told.verdict in ("absent", "passed")
    if unasked and "not installed" not in str(told.reason):
        assert re.fullmatch("it reads a resize .*; the rest, fed with what ONNX Runtime resizes: error .*, tolerance .*", str(told.reason))
    assert describe(bundle.folder)["agreement"]["agrees"]


def test_what_does_not_fold_is_quantized_behind_its_steps(tmp_path, folder):
    hand_made(tmp_path)
    steps = [{"step": "rescale"}, {"step": "standardize"}]
    bundle = quantize_bundle(recipe(tmp_path, steps=steps), tmp_path / "out", images=folder, method="percentile")
    assert not bundle.contract["fold"]["onnx"]["folded"]
    assert any(note.startswith("the pixels are not the quantized tensor: ") for note in bundle.contract["notes"])


def test_pixels_of_16_bits_stay_in_front_in_floats_and_a_note_says_so(tmp_path):
    hand_made(tmp_path)
    (tmp_path / "p").mkdir()
    rng = np.random.default_rng(1)
    for number in range(8):
        made = np.clip(257 * rng.normal(255 * np.array([0.5, 0.4, 0.3]), 51, (24, 20, 3)), 0, 65535).astype(np.uint16)
        np.save(tmp_path / "p" / f"{number}.npy", made)
    pixels = {"layout": "NHWC", "color": "RGB", "size": [24, 20], "dtype": "uint16"}
    deep = recipe(tmp_path, pixels=pixels, steps=[{"step": "rescale", "scale": 1 / 65535}, TABLE["steps"][1]])
    bundle = quantize_bundle(deep, tmp_path / "out", images=tmp_path / "p")
    assert bundle.report.ok
    assert bundle.contract["input"]["dtype"] == "uint16"
    assert "the pixels are not the quantized tensor: pixels of uint16 are no tensor of 8 bits" in bundle.contract["notes"]
    (cast,) = [node for node in onnx.load(bundle.folder / "model.onnx").graph.node if "pixels" in node.input]
    assert cast.op_type == "Cast"


@pytest.mark.parametrize("target", ["any", "tensorrt"])
def test_a_cast_on_the_way_leaves_the_pixels_on_their_grid(tmp_path, folder, target):
    hand_made(tmp_path, nodes=[helper.make_node("Cast", ["image"], ["first"], to=TensorProto.FLOAT)])
    bundle = quantize_bundle(recipe(tmp_path), tmp_path / "out", images=folder, target=target)
    graph, held = nodes(bundle.folder / "model.onnx")
    made = {value: node for node in graph.node for value in node.output}
    node = made[next(node for node in graph.node if node.op_type == "Conv").input[0]]
    assert held[node.input[1]] == 1.0
    assert any("pixels less 128 are its int8" in note for note in bundle.contract["notes"]) == (target == "tensorrt")


def test_a_border_that_is_near_is_told(tmp_path, folder):
    hand_made(tmp_path)
    steps = [{"step": "rescale"}, {"step": "normalize", "mean": [0.41, 0.4, 0.39], "std": [0.2, 0.2, 0.2], "unit": "0-1"}]
    bundle = quantize_bundle(recipe(tmp_path, steps=steps), tmp_path / "out", images=folder, border="nearest")
    assert bundle.contract["fold"]["onnx"]["form"] == "subtract"
    (note,) = [note for note in bundle.contract["notes"] if note.startswith("border: ")]
    told = re.fullmatch(
        "border: nearest: padding is up to 2.55 grey levels from the mean that it stands for; the first layer's largest error by that is "
        r"(\S+), (\S+) of the largest value that it makes of the pictures",
        note,
    )
    _, held = nodes(bundle.folder / "model.onnx")
    weight = (held["w_quantized"].astype(float) - 128) * held["w_scale"].reshape(-1, 1, 1, 1)
    ring = np.zeros((1, 3, 26, 22)) + np.array([2.55, 0, -2.55]).reshape(1, 3, 1, 1)
    ring[:, :, 1:-1, 1:-1] = 0
    worst = np.abs(products(ring, weight)).max()  # what padding has in the exact form, and not here
    assert float(told[1]) == pytest.approx(worst, rel=5e-3)
    photos = np.stack([np.asarray(Image.open(file), float) for file in sorted(folder.iterdir())]).transpose(0, 3, 1, 2)
    ready = (photos / 255 - np.array([0.41, 0.4, 0.39]).reshape(1, 3, 1, 1)) / 0.2
    _, before = nodes(tmp_path / "m.onnx")
    seen = products(np.pad(ready, [(0, 0), (0, 0), (1, 1), (1, 1)]), before["w"]) + before["b"]
    assert float(told[2]) == pytest.approx(worst / np.abs(seen).max(), rel=0.05)


def test_a_border_that_is_too_far_off_is_named_with_its_error_and_the_mend(tmp_path, folder):
    hand_made(tmp_path)
    with pytest.raises(VerificationError, match="ort-cpu: error") as told:
        quantize_bundle(recipe(tmp_path), tmp_path / "out", images=folder, border="nearest")
    assert "; border: nearest: padding is up to 25.5 grey levels from the mean that it stands for; the first layer's" in str(told.value)
    assert 'with border = "exact" (--border exact) padding stays the mean; nothing was published' in str(told.value)
    assert "\n" not in str(told.value)


def products(padded, weight):
    """The convolution of hand_made(), behind its padding."""
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
    return np.einsum("nchwij,ocij->nhwo", windows, weight)


def fixed(tmp_path):
    return hand_made(tmp_path, shape=(4, 3, 24, 20))


def two_inputs(tmp_path):
    node = helper.make_node("Add", ["image", "more"], ["first"])
    return hand_made(tmp_path, nodes=[node], extra=[helper.make_tensor_value_info("more", TensorProto.FLOAT, ["N", 3, 24, 20])])


def quantized_already(tmp_path):
    rounded = [("QuantizeLinear", "image", "rounded"), ("DequantizeLinear", "rounded", "first")]
    file = hand_made(tmp_path, nodes=[helper.make_node(kind, [source, "scale", "zero"], [made]) for kind, source, made in rounded])
    model = onnx.load(file)
    model.graph.initializer.extend([numpy_helper.from_array(np.float32(0.1), "scale"), numpy_helper.from_array(np.uint8(128), "zero")])
    onnx.save(model, file)


@pytest.mark.parametrize(
    ("made", "changes", "told"),
    [
        (fixed, {}, "expected a model that takes pictures one by one, got one that takes 4 at once"),
        (two_inputs, {"backbone": TABLE["backbone"] | {"input": "image"}}, "expected a model with one input, got image, more"),
        (quantized_already, {}, "expected a model in floats, got one that is quantized already: QuantizeLinear"),
    ],
    ids=["batch", "inputs", "quantized"],
)
def test_what_cannot_be_quantized_is_refused_in_a_line(tmp_path, folder, made, changes, told):
    made(tmp_path)
    before = names(tmp_path)
    with pytest.raises(PreprocError, match=told) as refused:
        quantize_bundle(recipe(tmp_path, **changes), tmp_path / "out", images=folder)
    assert refused.value.name == "not-quantizable"
    assert "\n" not in str(refused.value)
    assert names(tmp_path) == before


def test_words_pictures_and_places_are_looked_at_first(tmp_path, folder, exported, monkeypatch):
    monkeypatch.setattr(quantize, "publish_bundle", None)
    hand_made(tmp_path)
    for word in ("format", "method", "border", "target"):
        with pytest.raises(PreprocError, match=f"expected .*{word}.* to be one of"):
            quantize_bundle(recipe(tmp_path), tmp_path / "out", images=folder, **{word: "other"})
    with pytest.raises(PreprocError, match="expected a folder of pictures, got nothing there"):
        quantize_bundle(recipe(tmp_path), tmp_path / "out", images=tmp_path / "no")
    with pytest.raises(PreprocError, match="expected a bundle to replace or nothing"):
        quantize_bundle(recipe(tmp_path), folder, images=folder)
    with pytest.raises(PreprocError, match="expected no bundle there, or one in 8 bits, got one in float32, which would be lost"):
        quantize_bundle(exported.folder, exported.folder, images=folder)


def test_what_openvino_makes_of_the_rest_behind_a_resize_fails_where_it_is_something_else(tmp_path, monkeypatch):
    """Whatever it would make of the resize itself."""
    right = behind.evaluate
    monkeypatch.setattr(behind, "evaluate", lambda *given: [[made[:, ::-1] for made in each] for each in right(*given)])
    pytest.importorskip("openvino", reason="OpenVINO is asked")
    hand_made(tmp_path)
    steps = [{"step": "resize", "size": [24, 20], "interpolation": "bilinear", "form": "fast"}, *TABLE["steps"]]
    images = pictures(tmp_path / "large", 8, size=(48, 40))
    taken = {"layout": "NHWC", "color": "RGB", "size": [48, 40]}
    with pytest.raises(VerificationError, match=r"openvino-cpu: it reads a resize .*; the rest, .* failed: error .* on image-"):
        quantize_bundle(recipe(tmp_path, steps=steps, pixels=taken), tmp_path / "out", images=images)
