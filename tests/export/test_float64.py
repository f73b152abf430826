"""Files are compared with the original in float64: small damage that ONNX Runtime's own float32 would hide is refused; steps that one
rounding decides are no excuse where none is made."""

import json
from dataclasses import asdict

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from preproc import graph
from preproc.cli.tables import print_report
from preproc.errors import VerificationError
from preproc.export import attach, verify_bundle
from preproc.sources import PixelsSpec
from preproc.steps import Normalize, Rescale
from preproc.verify import FLOAT64, NOISE, Report
from preproc.verify.precision import LEAST, MOST
from tests.onnx_files import hand_made, put

SHRINK = [helper.make_node("Shrink", ["image"], ["first"], lambd=0.01)]
"""An operator without a float64 form of ours."""


def test_the_report_says_what_each_output_was_compared_with(tmp_path, capsys):
    made = put(hand_made(tmp_path), tmp_path / "out")
    (truth,) = made.report.power.truths.values()
    assert (truth.kind, made.report.against.split(",")[0]) == (FLOAT64, "the original file in float64")
    assert 0 < truth.error < 3e-6
    assert LEAST <= made.report.power.tolerance < MOST
    print_report(made.report)
    assert "scores/out:0: compared with float64; the original's own float32 is" in capsys.readouterr().out
    told = json.loads((tmp_path / "out" / "manifest.json").read_text())["report"]
    assert (
        told["power"]["truths"]["scores/out:0"]
        == asdict(truth)
        == {
            "kind": FLOAT64,
            "error": truth.error,
            "reason": "",
            "rounding": truth.rounding,
            "precision": "float32",
            "drawn": 0.0,
        }
    )
    assert 0 < truth.rounding < 3e-6
    for later in ("truths", "steps", "room"):  # as reports were before
        del told["power"][later]
    assert Report.from_json(told).power.truths == {}
    assert verify_bundle(tmp_path / "out", runtimes=["ort-cpu"]).ok


def test_an_operator_without_a_float64_form_is_compared_with_the_file_itself(tmp_path, capsys):
    made = put(hand_made(tmp_path, nodes=SHRINK), tmp_path / "out")
    (truth,) = made.report.power.truths.values()
    assert (truth.kind, truth.reason) == (NOISE, "there is no float64 form of Shrink")
    assert made.report.against.startswith("the original file in its own float32,")
    assert 0 < truth.error < 3e-6
    assert LEAST <= made.report.power.tolerance < MOST
    print_report(made.report)
    assert "compared with the original in its own float32, whose noise is" in capsys.readouterr().out


def heavier(model):
    """The weights of the last layer a little off."""
    weight = model.graph.initializers["h"]
    weight.const_value = ir.tensor(weight.const_value.numpy() * np.float32(1 + 6e-5), name="h")


@pytest.mark.parametrize("nodes", [None, SHRINK], ids=[FLOAT64, NOISE])
@pytest.mark.parametrize("damage", ["weights", "the mean"])
def test_damage_that_a_fixed_tolerance_of_1e_4_would_have_passed_is_refused(damage, nodes, tmp_path, monkeypatch):
    file, real = hand_made(tmp_path, nodes=nodes), graph.attach
    shift = 3 * put(file, tmp_path / "right").report.power.smallest_shift / 255

    def wrong(model, steps, *rest, **options):
        if damage == "weights":
            heavier(model)
            return real(model, steps, *rest, **options)
        return real(model, [steps[0], Rescale(offset=shift), *steps[2:]], *rest, **options)

    monkeypatch.setattr(graph, "attach", wrong)
    with pytest.raises(VerificationError, match=r"ort-cpu: error .* nothing was published") as caught:
        put(file, tmp_path / "out")
    (failed,) = [result for result in caught.value.report.results if result.verdict == "failed"]
    assert failed.tolerance < failed.error < MOST


def quantized(folder, scale, zero):
    """Its first operator is a QuantizeLinear, and grey levels lie on its ties."""
    rng, file = np.random.default_rng(0), folder / "q.onnx"
    weights = {"s": np.float32(scale), "z": np.uint8(zero), "w": (rng.normal(size=(8, 3, 3, 3)) / 5).astype(np.float32)}
    weights["h"] = rng.normal(size=(8, 5)).astype(np.float32)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("Conv", ["d", "w"], ["c"], strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("MatMul", ["f", "h"], ["y"]),
    ]
    values = (
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5])],
    )
    made = helper.make_graph(nodes, "q", *values, [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()])
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    return file


def constants(mean, std):
    return (Normalize(mean=(mean,) * 3, std=(std,) * 3, unit="0-255"),)


TIED = {"-1..1": (2 / 255, 128, 127.5, 127.5), "0..1": (2 / 255, 0, 0.0, 255.0)}
PIXELS = PixelsSpec(layout="NHWC", color="RGB", dtype="uint8", size=None, channels=3)


@pytest.mark.parametrize("name", TIED)
def test_levels_on_the_ties_of_a_quantization_are_rounded_as_the_original_rounds_them(name, tmp_path):
    scale, zero, mean, std = TIED[name]
    made = attach(quantized(tmp_path, scale, zero), tmp_path / "out", steps=constants(mean, std), pixels=PIXELS)
    power = made.report.power
    assert made.report.ok
    assert power.steps > MOST
    assert power.room == 0
    assert power.tolerance <= MOST


@pytest.mark.parametrize(("mean", "std"), [(127.0, 127.5), (127.5, 128.0), (127.5, 127.6)])
def test_they_are_no_excuse_for_other_constants(mean, std, tmp_path, monkeypatch):
    real = graph.attach
    monkeypatch.setattr(
        graph, "attach", lambda model, steps, *rest, **options: real(model, [steps[0], *constants(mean, std)], *rest, **options)
    )
    with pytest.raises(VerificationError, match=r"ort-cpu: error .* nothing was published"):
        attach(quantized(tmp_path, 2 / 255, 128), tmp_path / "out", steps=constants(127.5, 127.5), pixels=PIXELS)


def test_a_batch_is_evaluated_itself_where_its_answer_is_not_that_of_its_pictures(tmp_path):
    """A little of the batch's mean in every row: less than what is taken for rounding, and more than the smallest tolerance."""
    proto = onnx.load(hand_made(tmp_path))
    proto.graph.node[-1].output[0] = "rows"
    little = numpy_helper.from_array(np.array(1e-4, np.float32), "little")
    proto.graph.initializer.extend([little, numpy_helper.from_array(np.array([0]), "batch")])
    proto.graph.node.extend(
        [
            helper.make_node("ReduceMean", ["rows", "batch"], ["mean"]),
            helper.make_node("Mul", ["mean", "little"], ["of it"]),
            helper.make_node("Add", ["rows", "of it"], ["scores/out:0"]),
        ]
    )
    onnx.save(proto, tmp_path / "m.onnx")
    report = put(tmp_path / "m.onnx", tmp_path / "out").report
    (truth,) = report.power.truths.values()
    assert (truth.kind, report.power.tolerance < 2e-5) == (FLOAT64, True)
    (result,) = [result for result in report.results if result.runtime == "ort-cpu"]
    assert (result.verdict, result.error < 4e-6) == ("passed", True)
