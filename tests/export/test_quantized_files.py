"""Files that come quantized: attached, verified, and their damage noticed."""

import importlib
import logging
import shutil

import numpy as np
import onnx_ir as ir
import pytest

from preproc.bundle.inspection import describe
from preproc.errors import VerificationError
from preproc.export import attach, verify_bundle
from preproc.graph.pixels import quantize_pixels
from preproc.sources import PixelsSpec
from preproc.steps import Rescale
from preproc.verify import FLOAT64
from preproc.verify.runtimes import onnxruntime
from tests.damage import edit_onnx
from tests.graph.quantizing import quantizing
from tests.onnx_files import hand_made

PIXELS = PixelsSpec(layout="NHWC", color="BGR", dtype="uint8", size=None, channels=3)
UNIT = (Rescale(),)


def form(bundle):
    return bundle.contract["fold"]["onnx"]["form"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quantized")
    return attach(quantizing(folder / "m.onnx", 1 / 255, -128, dtype=np.int8), folder / "out", steps=UNIT, pixels=PIXELS)


def test_it_is_compared_with_the_file_in_float64(bundle):
    (truth,) = bundle.report.power.truths.values()
    assert (form(bundle), truth.kind) == ("quantized", FLOAT64)
    assert {result.verdict for result in bundle.report.results if result.runtime == "ort-cpu"} == {"passed"}
    (swapped,) = [control for control in bundle.report.power.controls if control.name == "channels swapped"]
    assert describe(bundle.folder)["agreement"] == {"agrees": True, "wrong": [], "not_compared": []}
    assert swapped.movement > 10 * bundle.report.power.tolerance


def turned(model):
    """Another order of the channels."""
    gather = next(node for node in model.graph if node.op_type == "Gather")
    index = gather.inputs[1]
    index.const_value = ir.tensor(np.arange(3), name=index.name)


def other(name, change):
    def damage(model):
        value = next(node for node in model.graph if node.name == "back").inputs[{"scale": 1, "zero": 2}[name]]
        value.const_value = ir.tensor(change(value.const_value.numpy()), name=value.name)

    return damage


@pytest.mark.parametrize(
    "damage",
    [turned, other("scale", lambda scale: scale * np.float32(1.01)), other("zero", lambda zero: zero + np.uint8(1))],
    ids=["channels swapped", "scale off by 1 %", "zero point off by one"],
)
def test_damage_is_noticed(damage, bundle, tmp_path):
    folder = shutil.copytree(bundle.folder, tmp_path / "out")
    edit_onnx(folder, damage)
    (result,) = [each for each in verify_bundle(folder, runtimes=["ort-cpu"]).results if each.runtime == "ort-cpu"]
    assert result.verdict == "failed"
    told = describe(folder)["agreement"]["wrong"]
    assert told[0].startswith("expected in front of the first convolution x / 255"), told


def test_swapped_channels_are_not_published(tmp_path, monkeypatch):
    real = quantize_pixels

    def wrong(*given):
        done = real(*given)
        turned(type("Model", (), {"graph": given[0].value.graph}))
        return done

    monkeypatch.setattr("preproc.graph.editing.quantize_pixels", wrong)
    with pytest.raises(VerificationError, match="ort-cpu: error"):
        attach(quantizing(tmp_path / "m.onnx"), tmp_path / "out", steps=UNIT, pixels=PIXELS)


@pytest.mark.parametrize(
    ("style", "kind", "expected"),
    [("QDQ", "QUInt8", "quantized"), ("QDQ", "QInt8", "quantized"), ("QOperator", "QUInt8", "quantized"), ("QOperator", "QInt8", None)],
)
def test_what_onnx_runtimes_quantizer_writes(style, kind, expected, tmp_path):
    onnxruntime()
    quantization = importlib.import_module("onnxruntime.quantization")
    file, rng = hand_made(tmp_path), np.random.default_rng(0)
    pictures = [rng.uniform(0, 1, (1, 3, 24, 20)).astype(np.float32) for _ in range(2)]
    pictures += [np.full((1, 3, 24, 20), level, np.float32) for level in (0, 1)]

    class Reader(quantization.CalibrationDataReader):
        def get_next(self):
            return {"image": pictures.pop()} if pictures else None

    logging.getLogger().addHandler(logging.NullHandler())  # the quantizer would call basicConfig()
    quantization.quantize_static(
        str(file),
        str(tmp_path / "quantized.onnx"),
        Reader(),
        quant_format=quantization.QuantFormat[style],
        activation_type=quantization.QuantType[kind],
        weight_type=quantization.QuantType[kind],
        per_channel=True,
    )
    made = attach(tmp_path / "quantized.onnx", tmp_path / "out", steps=UNIT, pixels=PIXELS)
    assert (form(made), made.report.ok) == (expected, True)
    if expected is None:
        assert "reads the picture as INT8" in made.contract["fold"]["onnx"]["reason"]
