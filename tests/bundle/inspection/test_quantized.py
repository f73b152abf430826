"""What inspect tells of a file's first quantization: scale and zero point, in grey levels where it can."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from preproc.bundle.inspection import describe, lines
from preproc.export import attach
from preproc.sources import PixelsSpec
from preproc.steps import Letterbox, Normalize, Rescale
from tests.graph.quantizing import LAYOUTS, node, quantizing, saved

IMAGENET = (Rescale(), Normalize.preset("imagenet"))
PIXELS = PixelsSpec(layout="NHWC", color="RGB", dtype="uint8", size=None, channels=3)


def told(file):
    return [line for line in lines(describe(file)) if line.startswith(("quantize", "         in", "         with", "fold"))]


def test_a_bare_file_tells_the_range_of_its_values_and_whose_preset_it_may_be(tmp_path):
    file = quantizing(tmp_path / "m.onnx", 4.757 / 255, 114)
    (entry,) = describe(file)["picture"]["quantized"]
    assert (entry["by"], entry["dtype"], entry["zero_point"], entry["unit"]) == ("QuantizeLinear first", "uint8", [114], None)
    assert entry["scale"] == pytest.approx([4.757 / 255], rel=1e-5)
    assert entry["like"]["preset"] == "imagenet"
    assert entry["like"]["step"] == pytest.approx([4.757 * std for std in (0.229, 0.224, 0.225)], rel=1e-4)
    assert told(file) == [
        "quantize QuantizeLinear first: uint8, scale 0.01865, zero point 114",
        "         in steps of 0.01865, zero at 0, from -2.127 to 2.63",
        "         with the preset imagenet, whose range that is: steps of 1.089, 1.066, 1.07 grey levels, zero at 123.7, 116.3, 103.5",
        "fold     a normalization in front of it goes where each grey level becomes itself there, or stays",
    ]
    assert "         with the preset" not in "\n".join(told(quantizing(tmp_path / "m.onnx", 5.5 / 255, 114)))


@pytest.mark.parametrize("operator", ["qdq", "QLinearConv"])
def test_a_file_of_ours_tells_it_in_the_grey_levels_of_its_pixels(operator, tmp_path):
    file = quantizing(tmp_path / "m.onnx", 4.757 / 255, 114, operator=operator)
    attach(file, tmp_path / "out.onnx", steps=IMAGENET, pixels=PIXELS, verify=False)
    (entry,) = describe(tmp_path / "out.onnx")["quantized"]
    std, mean = np.array([0.229, 0.224, 0.225]), np.array([0.485, 0.456, 0.406])
    assert (entry["unit"], entry["channels"]) == ("grey levels", [0, 1, 2])
    np.testing.assert_allclose(entry["step"], 4.757 * std, rtol=1e-4)
    np.testing.assert_allclose(entry["zero"], 255 * mean, rtol=1e-4)
    np.testing.assert_allclose(entry["low"], 255 * (mean - std * 114 * 4.757 / 255), rtol=1e-4, atol=1e-3)
    assert told(tmp_path / "out.onnx")[-1].startswith(
        "         in steps of 1.089, 1.066, 1.07 grey levels, zero at 123.7, 116.3, 103.5, from "
    )


@pytest.mark.parametrize("steps", [(), (Letterbox(size=(16, 16), interpolation="bilinear"),)], ids=["as they are", "behind a letterbox"])
def test_pixels_that_are_the_quantized_numbers(steps, tmp_path):
    file = quantizing(tmp_path / "m.onnx", 1 / 128, 0, dtype=np.int8, opset=18)
    centred = Normalize(mean=(128,) * 3, std=(128,) * 3, unit="0-255")
    attach(file, tmp_path / "out.onnx", steps=(*steps, centred), pixels=PIXELS, verify=False)
    assert told(tmp_path / "out.onnx") == [
        "fold     onnx: folded, nothing left: the pixels are the quantized numbers",
        "quantize DequantizeLinear back: uint8, scale 0.007812, zero point 128",
        "         in steps of 1 grey levels, zero at 128, from 0 to 255",
    ]
    assert "would make of it" in describe(tmp_path / "out.onnx")["contract"]["fold"]["onnx"]["why"]


def test_a_scale_of_each_batch_is_told_as_that(tmp_path):
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"], name="dynamic"),
        node("ConvInteger", ["q", "w", "z"], ["c"]),
        node("Cast", ["c"], ["f"], to=TensorProto.FLOAT),
        node("Mul", ["f", "s"], ["m"]),
        node("GlobalAveragePool", ["m"], ["g"]),
        node("Flatten", ["g"], ["y"]),
    ]
    file = saved(tmp_path / "m.onnx", nodes, {"w": np.ones((5, 3, 3, 3), np.int8)}, LAYOUTS["NCHW"])
    assert told(file)[0] == "quantize DynamicQuantizeLinear dynamic: with a scale for each batch, from its own values"
    attach(file, tmp_path / "out.onnx", steps=IMAGENET, pixels=PIXELS, verify=False)
    fold = describe(tmp_path / "out.onnx")["contract"]["fold"]["onnx"]
    assert fold["reason"].startswith("DynamicQuantizeLinear finds a scale for each batch, from its own values")


def test_the_scale_of_a_qlinearconv_is_no_normalization_of_the_networks_own(tmp_path):
    """Where whole numbers come from and what they are for is one map, there and back."""
    assert describe(quantizing(tmp_path / "m.onnx", 1 / 255, 0, operator="QLinearConv"))["picture"]["maps"] == []
    proto = onnx.load(tmp_path / "m.onnx")
    proto.graph.node[1].input[1] = "other"
    proto.graph.initializer.append(numpy_helper.from_array(np.float32(1 / 85), "other"))
    onnx.save(proto, tmp_path / "m.onnx")
    (found,) = describe(tmp_path / "m.onnx")["picture"]["maps"]
    assert found["std"] == pytest.approx([1 / 3] * 3, rel=1e-3)


def test_pixels_with_a_zero_point_are_told(tmp_path):
    nodes = [node("QLinearConv", ["x", "s", "z", "w", "s", "wz", "s", "z"], ["c"]), node("DequantizeLinear", ["c", "s", "z"], ["d"])]
    nodes += [node("GlobalAveragePool", ["d"], ["g"]), node("Flatten", ["g"], ["y"])]
    arrays = {"s": np.float32(0.5), "z": np.uint8(100), "w": np.ones((5, 3, 1, 1), np.int8), "wz": np.int8(0)}
    file = saved(tmp_path / "m.onnx", nodes, arrays, LAYOUTS["NCHW"], kind=TensorProto.UINT8)
    (entry,) = describe(file)["picture"]["quantized"]
    assert (entry["by"], entry["scale"], entry["step"], entry["zero"]) == ("QLinearConv c", [0.5], [1.0] * 3, [100.0] * 3)
