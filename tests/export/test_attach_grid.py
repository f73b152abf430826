"""attach over the whole width of ONNX: every opset and IR version, convolution attributes at random, several inputs."""

import json

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from preproc import graph
from preproc.bundle import golden_files, open_bundle
from preproc.errors import PreprocError, RecipeError
from preproc.export import verify_bundle
from preproc.oracle import reference
from preproc.sources import PixelsSpec
from preproc.steps import FromPixels, LocalResponseNorm, MinMaxNormalize, MinMaxScale, Normalize, Rescale, Standardize
from preproc.verify.runtimes import onnxruntime
from tests.onnx_files import AUTO_PADS, STEPS, hand_made, in_one_thread, put, several

OPSETS = range(7, onnx.defs.onnx_opset_version() + 1)


def runs(file):
    """Whether this ONNX Runtime knows the opset and the IR version at all."""
    options = onnxruntime().SessionOptions()
    options.log_severity_level = 4
    try:
        onnxruntime().InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001 - onnxruntime's classes are not exported
        return False
    return True


@pytest.mark.parametrize("opset", OPSETS)
def test_every_opset_with_its_first_and_its_newest_ir_version(tmp_path, opset):
    first = helper.find_min_ir_version_for([helper.make_opsetid("", opset)])
    for ir_version in {first, 3 if opset < 9 else first, onnx.IR_VERSION}:
        file = hand_made(tmp_path, opset=opset, ir_version=ir_version)
        if not runs(file):
            assert opset > 22 or ir_version > 10  # only what is newer than this ONNX Runtime
            continue
        bundle = put(file, tmp_path / f"out{ir_version}")
        assert bundle.report.ok, [result.reason for result in bundle.report.results]
        entry = bundle.contract["fold"]["onnx"]
        assert entry["form"] == "subtract"
        assert [("listed as inputs" in note) for note in bundle.contract["notes"]] == ([True] if ir_version < 4 else [])
        model = onnx.load(bundle.folder / "model.onnx")
        assert (model.ir_version, model.opset_import[0].version) == (ir_version, opset)


STEPS_AND_OPSETS = {
    "standardize": ((Standardize(),), 8),
    "standardize-channel": ((Standardize(per="channel", correction=1),), 8),
    "min_max_normalize": ((MinMaxNormalize(),), 9),
    "min_max_scale": ((MinMaxScale(low=10, high=200, out=(-1, 1), clip=True),), 8),
    "min_max_scale-unclipped": ((MinMaxScale(low=10, high=200),), 7),
    "local_response_norm": ((Rescale(), LocalResponseNorm(size=5, alpha=0.5)), 7),
    "local_response_norm-spatial": ((Rescale(), LocalResponseNorm(size=3, alpha=0.5, region="spatial")), 7),
}


@pytest.mark.parametrize("name", STEPS_AND_OPSETS)
@pytest.mark.parametrize("opset", [7, 8, 9, 10, 11, 13, 18])
def test_every_step_at_every_opset_which_is_raised_as_far_as_it_needs(tmp_path, name, opset):
    steps, needed = STEPS_AND_OPSETS[name]
    bundle = put(hand_made(tmp_path, opset=opset, ir_version=8), tmp_path / "out", steps=steps)
    assert bundle.report.ok
    assert onnx.load(bundle.folder / "model.onnx").opset_import[0].version == max(opset, needed)
    told = [note for note in bundle.contract["notes"] if "opset" in note]
    raised = f"the model's opset was raised from {opset} to {needed}, which {steps[-1].name} needs; no operator had to be written otherwise"
    assert told == ([raised] if opset < needed else [])


def test_opsets_before_broadcasting_are_refused(tmp_path):
    with pytest.raises(PreprocError, match="expected a model of opset 7 or newer for from_pixels, whose Cast came with it, got opset 6"):
        put(hand_made(tmp_path, opset=6, ir_version=3), tmp_path / "out")


@st.composite
def convolutions(draw):
    """A model in double precision whose first convolution, and what stands before it, are drawn at random."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    layout, groups = draw(st.sampled_from(["NCHW", "NHWC"])), draw(st.sampled_from([1, 3]))
    kernel = [draw(st.integers(1, 4)), draw(st.integers(1, 4))]
    attributes = {"kernel_shape": kernel} if draw(st.booleans()) else {}
    attributes |= {"strides": [draw(st.integers(1, 3)), draw(st.integers(1, 3))]} if draw(st.booleans()) else {}
    attributes |= {"dilations": [draw(st.integers(1, 2)), draw(st.integers(1, 2))]} if draw(st.booleans()) else {}
    attributes |= {"group": groups} if groups > 1 else {}
    padding = draw(st.sampled_from(["none", "pads", *AUTO_PADS, "node"]))
    if padding in AUTO_PADS:
        assume("dilations" not in attributes)  # onnx's reference pads dilated convolutions wrongly there
        attributes["auto_pad"] = padding
    if padding == "pads":
        attributes["pads"] = [draw(st.integers(0, 2)) for _ in range(4)]
    nodes, weights, value = [], {"w": rng.normal(size=(6, 3 // groups, *kernel))}, "x"
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", [value], ["nchw"], perm=[0, 3, 1, 2]))
        value = "nchw"
    if draw(st.booleans()):
        weights |= {"scale": rng.uniform(0.5, 2, (1, 3, 1, 1)), "shift": rng.normal(size=(3, 1, 1))}
        nodes += [helper.make_node("Mul", [value, "scale"], ["scaled"]), helper.make_node("Sub", ["scaled", "shift"], ["shifted"])]
        value = "shifted"
    if padding == "node":
        weights |= {"sides": np.array([0, 0, 1, 2, 0, 0, 0, 1]), "filled": np.array(draw(st.sampled_from([0.0, -1.5])))}
        nodes.append(helper.make_node("Pad", [value, "sides", "filled"], ["padded"]))
        value = "padded"
    biased = draw(st.booleans())
    weights |= {"b": rng.normal(size=6)} if biased else {}
    nodes.append(helper.make_node("Conv", [value, "w", *(["b"] if biased else [])], ["y"], name="conv", **attributes))
    shape = ["N", 3, "h", "w_"] if layout == "NCHW" else ["N", "h", "w_", 3]
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, shape)],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, [None] * 4)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), layout, groups


@settings(max_examples=150, deadline=None)
@given(convolutions(), st.sampled_from(["NHWC", "NCHW"]), st.sampled_from(["RGB", "BGR"]), st.integers(0, 2**31))
def test_any_convolution_gives_the_same_in_double_precision(drawn, layout, color, seed):
    from onnx.reference import ReferenceEvaluator

    proto, own, groups = drawn
    steps = (FromPixels(layout=layout, color=color), *STEPS)
    made = ir.from_proto(proto)
    done = graph.attach(made, steps, PixelsSpec(layout=layout, color=color, dtype="uint8", size=None, channels=3))
    assert done.folded, done.reason
    assert done.selected == ((2, 1, 0) if groups > 1 and color == "BGR" else ())  # a swap across groups is no change of weights
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 255, (2, 11, 9, 3) if layout == "NHWC" else (2, 3, 11, 9), dtype=np.uint8)
    ready = reference.apply(steps, x)
    (want,) = ReferenceEvaluator(proto).run(None, {"x": ready.transpose(0, 2, 3, 1) if own == "NHWC" else ready})
    run = ReferenceEvaluator(ir.to_proto(made))
    (got,) = run.run(None, {"pixels": x})
    assert np.abs(got - want).max() <= 1e-9 * np.abs(want).max()
    (wrong,) = run.run(None, {"pixels": x + 1})
    assert np.abs(wrong - want).max() > 1e-6 * np.abs(want).max()


def test_of_several_inputs_one_is_the_picture(tmp_path):
    file = several(tmp_path)
    with pytest.raises(PreprocError, match=r"expected one input that takes a picture, got 2: .*--input NAME"):
        put(file, tmp_path / "out")
    with pytest.raises(PreprocError, match="expected the name of an input, got 'imag'; the model has image"):
        put(file, tmp_path / "out", input_name="imag")
    with pytest.raises(PreprocError, match="expected a model with an input for a float picture"):
        put(file, tmp_path / "out", input_name="count")
    bundle = put(file, tmp_path / "out", input_name="image")
    assert bundle.report.ok
    assert bundle.contract["fold"]["onnx"]["folded"]
    assert bundle.contract["backbone"]["input"] == "image"
    assert bundle.contract["other_inputs"] == [
        {"name": "mask", "dtype": "float32", "shape": ["N", 1, 24, 20]},
        {"name": "info/row", "dtype": "float32", "shape": ["N", 4]},
        {"name": "count", "dtype": "int64", "shape": []},
    ]
    assert [value.name for value in onnx.load(bundle.folder / "model.onnx").graph.input] == ["pixels", "mask", "info/row", "count"]
    assert verify_bundle(bundle.folder, runtimes=["ort-cpu"]).ok
    files = golden_files(["scores/out:0", "mask", "info/row", "count"])
    assert all((bundle.folder / "golden" / "noise" / name).is_file() for name in files.values())


def test_the_other_inputs_of_golden_samples_count(tmp_path):
    """With other values than those stored, the same file fails."""
    bundle = put(several(tmp_path), tmp_path / "out", input_name="image")
    case = bundle.golden()[0]
    wrong = {**case.others, "info/row": case.others["info/row"] + 1}
    session = in_one_thread(bundle.folder / "model.onnx")
    (right,) = session.run(None, {"pixels": case.pixels, **case.others})
    (other,) = session.run(None, {"pixels": case.pixels, **wrong})
    assert np.abs(right - case.expected["scores/out:0"]).max() < 1e-3
    assert np.abs(other - right).max() > 0.1


def test_a_recipe_names_the_input(tmp_path):
    from preproc.export import export_bundle
    from preproc.sources import parse_recipe

    several(tmp_path)
    table = {
        "name": "m",
        "backbone": {"source": "onnx", "weights": "m.onnx", "color": "RGB", "input": "image"},
        "pixels": {"layout": "NHWC", "color": "RGB", "size": [24, 20]},
        "steps": [{"step": "rescale"}, {"step": "normalize", "preset": "imagenet"}],
        "export": {"formats": ["onnx"]},
    }
    bundle = export_bundle(parse_recipe(table, folder=tmp_path), tmp_path / "out")
    assert bundle.report.ok
    assert open_bundle(bundle.folder).contract["backbone"]["input"] == "image"
    table["backbone"] = {"source": "torchvision", "name": "resnet18", "weights": "random", "seed": 0, "color": "RGB", "input": "x"}
    with pytest.raises(RecipeError, match=r"\[backbone\] input: expected for an .onnx file only"):
        parse_recipe(json.loads(json.dumps(table)), folder=tmp_path)


def test_a_size_for_a_model_that_leaves_it_open(tmp_path):
    file = hand_made(tmp_path, shape=("N", 3, "h", "w"))
    bundle = put(file, tmp_path / "out", size=(32, 48))
    assert bundle.contract["input"]["shape"] == ["N", 32, 48, 3]
    with pytest.raises(PreprocError, match="expected height 24, which the model's input image has, got 32"):
        put(hand_made(tmp_path), tmp_path / "other", size=(32, 20))


def test_normalize_in_the_other_unit(tmp_path):
    """The same model, constants in grey levels: the same file."""
    file = hand_made(tmp_path)
    known = Normalize.preset("imagenet")
    grey = Normalize(mean=[m * 255 for m in known.mean], std=[s * 255 for s in known.std], unit="0-255")
    put(file, tmp_path / "a.onnx")
    put(file, tmp_path / "b.onnx", steps=(grey,))
    weights = [ir.load(tmp_path / name).graph.initializers["w"].const_value.numpy() for name in ("a.onnx", "b.onnx")]
    np.testing.assert_allclose(weights[0], weights[1], rtol=1e-6)
