"""Inputs that take prepared values as float64, or as whole numbers: quantized networks take int8 of -128..127."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from preproc.bundle.inspection import describe, lines
from preproc.errors import PreprocError, VerificationError
from preproc.export import attach, verify_bundle
from preproc.sources import PixelsSpec
from preproc.steps import Letterbox, MinMaxNormalize, Normalize, Rescale
from tests.damage import edit_onnx
from tests.onnx_files import in_one_thread

node = helper.make_node
CENTRED = (Normalize(mean=(128,) * 3, std=(1,) * 3, unit="0-255"),)
IMAGENET = (Rescale(), Normalize.preset("imagenet"))
SHAPE = ["N", 3, 8, 10]


def network(folder, dtype, front, *, shape=SHAPE):
    """front: nodes that make floats, "first", of "x"."""
    rng = np.random.default_rng(4)
    kind = np.float64 if dtype == TensorProto.DOUBLE else np.float32
    arrays = {"scale": np.float32(1 / 64), "h": rng.normal(size=(3 * 8 * 10, 4)).astype(kind) / 50}
    arrays |= {"zero": np.zeros((), helper.tensor_dtype_to_np_dtype(dtype))}
    nodes = [*front, node("Flatten", ["first" if front else "x"], ["f"]), node("MatMul", ["f", "h"], ["y"])]
    inputs = [helper.make_tensor_value_info("x", dtype, shape)]
    outputs = [helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(np.dtype(kind)), ["N", 4])]
    made = helper.make_graph(
        nodes, "g", inputs, outputs, [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    )
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), folder / "m.onnx")
    return folder / "m.onnx"


DEQUANTIZED = [node("DequantizeLinear", ["x", "scale", "zero"], ["first"])]
CAST = [node("Cast", ["x"], ["first"], to=TensorProto.FLOAT)]


def put(file, out, steps=CENTRED, *, dtype="uint8", **options):
    spec = PixelsSpec(layout="NHWC", color="BGR", dtype=dtype, size=None, channels=3)
    return attach(file, out, steps=steps, pixels=spec, model_layout="NCHW", **options)


def test_float64_values_are_computed_in_float64(tmp_path):
    file = network(tmp_path, TensorProto.DOUBLE, [])
    bundle = put(file, tmp_path / "out", IMAGENET)
    assert bundle.report.ok, [result.reason for result in bundle.report.results]
    x = np.random.default_rng(0).integers(0, 256, (2, 8, 10, 3), dtype=np.uint8)
    ready = np.moveaxis((x[..., ::-1] / 255 - IMAGENET[1].mean) / IMAGENET[1].std, 3, 1)
    (got,) = in_one_thread(bundle.folder / "model.onnx").run(None, {"pixels": x})
    (expected,) = in_one_thread(file).run(None, {"x": ready})
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    assert verify_bundle(bundle.folder, recipe=file).ok


@pytest.mark.parametrize(
    ("dtype", "front", "steps"),
    [
        (TensorProto.INT8, DEQUANTIZED, CENTRED),
        (TensorProto.INT8, DEQUANTIZED, (Letterbox(size=(8, 10), interpolation="bilinear"), *CENTRED)),
        (TensorProto.INT8, DEQUANTIZED, (Rescale(), Normalize(mean=(128 / 255,) * 3, std=(1 / 255,) * 3, unit="0-1"))),
        (TensorProto.INT32, CAST, CENTRED),
        (TensorProto.INT64, CAST, ()),
    ],
    ids=["int8", "int8 behind a letterbox", "int8 through 0-1", "int32", "int64 as it is"],
)
def test_whole_numbers_are_made_of_pixels(tmp_path, dtype, front, steps):
    file = network(tmp_path, dtype, front)
    bundle = put(file, tmp_path / "out", steps)
    assert bundle.report.ok, [result.reason for result in bundle.report.results]
    assert describe(bundle.folder / "model.onnx")["agreement"]["agrees"]
    assert verify_bundle(bundle.folder, recipe=file).ok
    if any(isinstance(step, Letterbox) for step in steps):
        return
    x = np.random.default_rng(0).integers(0, 256, (2, 8, 10, 3), dtype=np.uint8)
    whole = np.moveaxis(x[..., ::-1].astype(np.int64) - (128 if steps else 0), 3, 1).astype(helper.tensor_dtype_to_np_dtype(dtype))
    (got,) = in_one_thread(bundle.folder / "model.onnx").run(None, {"pixels": x})
    (expected,) = in_one_thread(file).run(None, {"x": whole})
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("steps", "options", "got"),
    [
        (IMAGENET, {}, r"got \(x - \[123\.7, 116\.3, 103\.5\]\)"),
        ((Normalize(mean=(127.5,) * 3, std=(1,) * 3, unit="0-255"),), {}, r"got \(x - 127\.5\) / 1 "),
        ((Normalize(mean=(64,) * 3, std=(1,) * 3, unit="0-255"),), {}, r"got values in -64\.\.191"),
        ((), {}, r"got values in 0\.\.255"),
        ((MinMaxNormalize(per="image"),), {}, "got min_max_normalize, whose values are not"),
        (CENTRED, {"dtype": "uint16"}, "got values in"),
    ],
)
def test_steps_that_make_no_whole_numbers_of_the_range_are_refused(tmp_path, steps, options, got):
    file = network(tmp_path, TensorProto.INT8, DEQUANTIZED)
    if options:
        steps = (Normalize(mean=(128,) * 3, std=(1,) * 3, unit="0-65535"),)
    with pytest.raises(PreprocError, match=rf"whole numbers of -128\.\.127, which x takes, {got}"):
        put(file, tmp_path / "out", steps, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize(("fold", "operators"), [("off", ("Sub", "Add")), ("require", ("DequantizeLinear",))])
def test_a_number_that_is_off_by_one_is_noticed(fold, operators, tmp_path):
    """What is subtracted, or the zero point that took it up."""
    bundle = put(network(tmp_path, TensorProto.INT8, DEQUANTIZED), tmp_path / "out", fold=fold)

    def change(model):
        name = next(each for each in model.graph if each.op_type in operators).inputs[-1].name
        value = model.graph.initializers[name]
        value.const_value = ir.tensor(value.const_value.numpy() + value.const_value.numpy().dtype.type(1), name=name)

    edit_onnx(bundle.folder, change)
    assert not verify_bundle(bundle.folder, runtimes=["ort-cpu"]).ok
    assert not describe(bundle.folder / "model.onnx")["agreement"]["agrees"]


def test_a_wrong_cast_is_not_published(tmp_path, monkeypatch):
    """Truncated, -128 + 0.9999 would be another number."""
    from preproc.graph.builder import Builder

    real = Builder.add
    monkeypatch.setattr(
        Builder, "add", lambda b, op, *inputs, **attributes: real(b, "Ceil" if op == "Floor" else op, *inputs, **attributes)
    )
    with pytest.raises(VerificationError, match="ort-cpu: error"):
        put(network(tmp_path, TensorProto.INT8, DEQUANTIZED), tmp_path / "out")


def test_inspect_says_no_more_than_it_knows(tmp_path):
    """Whole numbers behind which there is a zero point may be raw pixels, or not."""
    told = "\n".join(lines(describe(network(tmp_path, TensorProto.INT8, DEQUANTIZED), model_layout="NCHW")))
    assert "picture  x, NCHW, whole numbers of int8" in told
    assert "expects  not told" in told
    told = "\n".join(lines(describe(network(tmp_path, TensorProto.UINT8, DEQUANTIZED), model_layout="NCHW")))
    assert "picture  x, NCHW, raw pixels, 0-255, or values quantized to them" in told
    told = "\n".join(lines(describe(network(tmp_path, TensorProto.UINT8, CAST), model_layout="NCHW")))
    assert "picture  x, NCHW, raw pixels, 0-255\n" in told
    with pytest.raises(PreprocError, match="takes raw pixels, or values quantized to their range, already"):
        put(network(tmp_path, TensorProto.UINT8, DEQUANTIZED), tmp_path / "out")
