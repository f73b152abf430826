"""The pixel as the quantized tensor: where it is, at every level; and why not, where it is not."""

import re
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from preproc import graph
from preproc.bundle.inspection import describe
from preproc.errors import NotFoldableError
from preproc.graph.pixels import quantize_pixels
from preproc.steps import FromPixels, Normalize, Rescale, Resize
from preproc.verify.runtimes import onnxruntime
from tests.graph.models import spec
from tests.graph.quantizing import LAYOUTS, appended, node, quantizing, saved

UNIT = (Rescale(),)
CENTRED = (Normalize(mean=(128,) * 3, std=(128,) * 3, unit="0-255"),)
"""Whose values are on the grid of a scale of 1 / 128."""
LEVELS = np.stack([np.roll(np.arange(256, dtype=np.uint8), shift) for shift in (0, 85, 170)], axis=-1).reshape(1, 16, 16, 3)
"""Every level in every channel."""


def put(file, steps=UNIT, *, fold="auto", color="BGR", **pixels):
    """The attached model as it is read from its file, and what was done."""
    model = graph.load(file)
    first = FromPixels(layout="NHWC", color=color, to="RGB", pixel_dtype=pixels.get("dtype", "uint8"))
    done = graph.attach(model, [first, *steps], spec(color, **pixels), fold=fold)
    graph.check(model, file)
    graph.save(model, Path(f"{file}.out"))
    return onnx.load(f"{file}.out"), done


def kinds(proto):
    return [each.op_type for each in proto.graph.node]


def answer(proto, **feeds):
    return onnxruntime().InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, feeds)[0]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("steps", "scale", "zero", "dtype", "operator"),
    [
        (UNIT, 1 / 255, 0, np.uint8, "qdq"),
        (CENTRED, 1 / 128, 128, np.uint8, "qdq"),
        (CENTRED, 1 / 128, 0, np.int8, "qdq"),
        (UNIT, 1 / 255, -128, np.int8, "qdq"),
        (CENTRED, [1 / 128] * 3, [128] * 3, np.uint8, "qdq"),
        (CENTRED, [1 / 128] * 3, [0] * 3, np.int8, "qdq"),
        (UNIT, 1 / 255.3, 0, np.uint8, "qdq"),
        (UNIT, 1 / 255, 0, np.uint8, "QLinearConv"),
        (CENTRED, 1 / 128, 128, np.uint8, "ConvInteger"),
    ],
)
def test_nothing_is_left_of_the_steps_and_every_level_is_what_it_was(layout, steps, scale, zero, dtype, operator, tmp_path):
    file = quantizing(tmp_path / "m.onnx", scale, zero, dtype=dtype, layout=layout, operator=operator)
    whole, kept = put(file, steps, fold="off")
    made, done = put(file, steps, fold="require")
    assert (done.folded, done.form, done.convolutions) == (True, "quantized", ())
    assert done.why == "each of the 256 levels of each channel is the number that first would make of it"
    assert (kept.folded, "QuantizeLinear" in kinds(whole)) == (False, True)
    assert not {"Cast", "QuantizeLinear", "Mul", "Sub", "Div"} & set(kinds(made)[:3])
    known = {value.name: value.type.tensor_type.elem_type for value in made.graph.value_info}
    assert known.get("qt", TensorProto.UINT8) == TensorProto.UINT8
    np.testing.assert_array_equal(answer(made, pixels=LEVELS), answer(whole, pixels=LEVELS))


@pytest.mark.parametrize(
    ("steps", "scale", "zero", "told"),
    [
        (UNIT, 1 / 255 * 1.01, 0, r"level 253 of channel 0 becomes 250, not 253, 3 off; 205 of 256 levels differ"),
        (UNIT, 1 / 255, 1, "level 0 of channel 0 becomes 1, not 0, 1 off; 255 of 256"),
        (CENTRED, [1 / 128, 1 / 128, 1 / 126], [128] * 3, "level 0 of channel 0 becomes 2, not 0, 2 off; 193 of 256"),
        (
            (Normalize(mean=(127.5,) * 3, std=(127.5,) * 3, unit="0-255"),),
            2 / 255,
            128,
            "becomes 0 or 1, for it lies on a tie, not 0, 1 off",
        ),
        ((Rescale(), Normalize.preset("imagenet")), 4.76 / 255, 114, r"level 255 of channel 2 becomes 234, not 255, 21 off"),
    ],
    ids=["scale off by 1 %", "zero off by one", "one channel of another scale", "ties", "imagenet"],
)
def test_a_level_that_becomes_another_number_is_named(steps, scale, zero, told, tmp_path):
    file = quantizing(tmp_path / "m.onnx", scale, zero)
    whole, done = put(file, steps)
    assert (done.folded, done.form, "QuantizeLinear" in kinds(whole)) == (False, None, True)
    assert re.search(told, done.reason), done.reason
    with pytest.raises(NotFoldableError, match=told) as caught:
        put(file, steps, fold="require")
    assert caught.value.name == "fold-quantized-grid"


def test_int8_pixels_have_no_reader_but_a_dequantizelinear(tmp_path):
    _, done = put(quantizing(tmp_path / "m.onnx", 1 / 128, 0, dtype=np.int8, operator="QLinearConv"), CENTRED)
    assert done.reason.startswith("QLinearConv c8 reads the picture as INT8, which pixels are not")


SAME = node("Identity", ["x"], ["ready"])
OTHERS = {
    "relu": ([node("Relu", ["x"], ["ready"])], {}, "Relu reads the input"),
    "border": (
        [node("Pad", ["x", "pads"], ["ready"], mode="constant")],
        {"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1])},
        "QuantizeLinear reads the input",
    ),
    "average": ([node("AveragePool", ["x"], ["ready"], kernel_shape=[2, 2])], {}, "QuantizeLinear reads the input"),
    "two readers": ([SAME, node("GlobalMaxPool", ["x"], ["top"])], {}, "it reads the picture before it is quantized .at GlobalMaxPool top"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_else_reads_the_picture_keeps_it(name, tmp_path):
    front, arrays, told = OTHERS[name]
    file = quantizing(tmp_path / "m.onnx", front=front)
    proto = onnx.load(file)
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, key) for key, array in arrays.items())
    if name == "two readers":
        proto.graph.output.append(helper.make_tensor_value_info("top", TensorProto.FLOAT, ["N", 3, 1, 1]))
    onnx.save(proto, file)
    made, done = put(file)
    assert (done.folded, "QuantizeLinear" in kinds(made)) == (False, True)
    assert re.search(told, done.reason), done.reason


@pytest.mark.parametrize("factors", [[0, 0, 0], [1, 0, 1]])
def test_a_channel_that_is_multiplied_by_0_is_no_pixel(factors, tmp_path):
    file = quantizing(tmp_path / "m.onnx", front=[node("Mul", ["x", "factors"], ["ready"])])
    proto = onnx.load(file)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array(factors, np.float32).reshape(1, 3, 1, 1), "factors"))
    onnx.save(proto, file)
    made, done = put(file)
    assert (done.folded, "QuantizeLinear" in kinds(made)) == (False, True)
    assert re.search(r"level 255 of channel \d becomes 0, not 255, 255 off", done.reason)
    assert describe(file)["picture"]["quantized"] or not any(factors)


def test_a_grey_channel_that_becomes_three_is_kept(tmp_path):
    file = quantizing(tmp_path / "m.onnx", front=[node("Mul", ["x", "thrice"], ["ready"])])
    proto = onnx.load(file)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((1, 3, 1, 1), np.float32), "thrice"))
    proto.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, "h", "w"]))
    onnx.save(proto, file)
    done = graph.attach(graph.load(file), [FromPixels(layout="NHWC", color="GRAY", to="GRAY"), *UNIT], spec("GRAY"))
    assert done.reason.startswith("it repeats the picture before it is quantized")


def test_a_quantized_picture_that_is_returned_is_kept(tmp_path):
    more = [helper.make_tensor_value_info("q", TensorProto.UINT8, LAYOUTS["NCHW"])]
    made, done = put(quantizing(tmp_path / "m.onnx", more=more))
    assert (done.reason, "QuantizeLinear" in kinds(made)) == ("the model returns its quantized input q", True)


def test_a_channel_that_a_fold_appended_is_a_pixel_too(tmp_path):
    """In front, or behind; an initializer of the Pad's goes with it."""
    for dtype, zero, before in ((np.uint8, 118, 0), (np.int8, -10, 1)):
        proto = onnx.load(appended(tmp_path / "m.onnx", dtype, zero, before=before))
        model = graph.load(tmp_path / "m.onnx")
        quantize_pixels(graph.any_picture(model, "pixels", "NHWC"), 3)
        graph.check(model, tmp_path / "m.onnx")
        graph.save(model, tmp_path / "out.onnx")
        made = onnx.load(tmp_path / "out.onnx")
        assert kinds(made)[:6] == ["Transpose", "Slice", "Shape", "Expand", "Concat", "DequantizeLinear"]
        assert not {"pads", "one", "middle"} & {each.name for each in made.graph.initializer}
        np.testing.assert_array_equal(answer(made, pixels=LEVELS), answer(proto, pixels=LEVELS))


def test_grey_levels_behind_a_resize_are_the_quantized_numbers_where_they_are_whole(tmp_path):
    file = quantizing(tmp_path / "m.onnx", opset=18)
    shrink = {"size": (8, 8), "interpolation": "bilinear", "antialias": True}
    whole, _ = put(file, (Resize(**shrink), *UNIT), fold="off", size=(16, 16))
    made, done = put(file, (Resize(**shrink), *UNIT), size=(16, 16))
    assert (done.form, done.moved.to in {name for each in made.graph.node for name in each.output}) == ("quantized", True)
    assert "QuantizeLinear" not in kinds(made)
    np.testing.assert_array_equal(answer(made, pixels=LEVELS), answer(whole, pixels=LEVELS))
    made, done = put(file, (Resize(**shrink, torch="float32"), *UNIT), size=(16, 16))
    assert (done.folded, "QuantizeLinear" in kinds(made)) == (False, True)


def test_pixels_of_16_bits_are_quantized(tmp_path):
    made, done = put(quantizing(tmp_path / "m.onnx"), (Rescale(scale=1 / 65535),), dtype="uint16")
    assert (done.reason, "QuantizeLinear" in kinds(made)) == ("the pixels are uint16, of more levels than 8 bits hold", True)


@pytest.mark.parametrize("zero", [0, -3])
def test_a_network_of_int8_reads_the_pixels_with_another_zero_point(zero, tmp_path):
    """What takes prepared whole numbers of -128..127 dequantizes them itself."""
    nodes = [node("DequantizeLinear", ["x", "s", "z"], ["ready"], name="first"), node("Flatten", ["ready"], ["f"])]
    nodes.append(node("MatMul", ["f", "h"], ["y"]))
    arrays = {"s": np.float32(1 / 64), "z": np.int8(zero), "h": np.random.default_rng(0).normal(size=(768, 5)).astype(np.float32)}
    file = saved(tmp_path / "m.onnx", nodes, arrays, ["N", 3, 16, 16], kind=TensorProto.INT8)
    steps = (Normalize(mean=(128,) * 3, std=(1,) * 3, unit="0-255"),)
    model = graph.load(file)
    done = graph.attach(model, [FromPixels(layout="NHWC", color="RGB"), *steps], spec(size=(16, 16)), layout="NCHW")
    graph.save(model, tmp_path / "out.onnx")
    made = onnx.load(tmp_path / "out.onnx")
    assert (done.form, kinds(made)) == ("quantized", ["Transpose", "DequantizeLinear", "Flatten", "MatMul"])
    whole = np.moveaxis(LEVELS.astype(np.int64) - 128, 3, 1).astype(np.int8)
    np.testing.assert_array_equal(answer(made, pixels=LEVELS), answer(onnx.load(file), x=whole))


@pytest.mark.parametrize(("scale", "zero", "left"), [(1.0, 0, 2), (1 / 64 / 255, 0, 5), (1 / 127, 0, None)])
def test_a_grid_that_was_made_for_other_values_is_told(scale, zero, left, tmp_path):
    """For 0..255, for a little of 0..1; and one of int8 around 0."""
    _, done = put(quantizing(tmp_path / "m.onnx", scale, zero, dtype=np.uint8 if left else np.int8))
    told = f"first tells {left} of the 256 levels of channel 0 apart: was it calibrated with the values that these steps make?"
    assert done.notes == ((told,) if left else ())


@given(
    std=st.sampled_from([1.0, 64.0, 127.5, 128.0, 255.0]),
    mean=st.integers(0, 255),
    off=st.floats(-0.4, 0.4),
    stretch=st.floats(-2e-3, 2e-3),
    fifths=st.booleans(),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_what_goes_would_have_made_each_level_of_itself_in_float32(std, mean, off, stretch, fifths):
    """Near the grid, to both sides; and what stays would have made another number, or comes too near to a tie."""
    mean_255 = mean + (0.5 if fifths else off)
    made = quantized_levels(std, mean_255, (1 + stretch) / std, mean)
    exact = np.arange(256) * (1 / (1 + stretch)) - mean_255 / (1 + stretch) + mean
    worst = np.abs(exact - np.arange(256)).max()
    assert made is None or np.array_equal(made, np.arange(256)), "float32 rounds a level to another number"
    assert (made is not None) == (worst < 0.5) or abs(worst - 0.5) < 2e-3


def quantized_levels(std, mean, scale, zero):
    """What float32 makes of each level, where the pixel takes its place; None where it does not."""
    step = np.float32(scale)
    arrays = {"m": np.float32(mean), "d": np.float32(std), "s": step, "z": np.uint8(zero)}
    nodes = [
        node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        node("Sub", ["f", "m"], ["u"]),
        node("Div", ["u", "d"], ["v"]),
        node("QuantizeLinear", ["v", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    weights = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    x, y = (
        helper.make_tensor_value_info(name, kind, [1, 1, 16, 16]) for name, kind in (("x", TensorProto.UINT8), ("y", TensorProto.FLOAT))
    )
    proto = helper.make_model(helper.make_graph(nodes, "g", [x], [y], weights), opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model = ir.from_proto(proto)
    try:
        quantize_pixels(graph.any_picture(model, "x", "NCHW"), 1)
    except NotFoldableError:
        return None
    assert [each.op_type for each in model.graph] == ["DequantizeLinear"]
    value = (np.arange(256, dtype=np.float32) - arrays["m"]) / arrays["d"]
    return np.clip(np.rint(value / step) + zero, 0, 255)
