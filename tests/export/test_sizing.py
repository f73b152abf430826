"""Free sides, one by one, and the sizes that such files are verified with."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from preproc.bundle import open_bundle
from preproc.bundle.inspection import describe, lines
from preproc.errors import BundleError, PreprocError
from preproc.export import verify_bundle
from preproc.export.finding import rebuild
from preproc.export.serving.triton import make_config
from preproc.sources import PixelsSpec
from preproc.steps import Pad, Resize
from preproc.verify import inputs
from tests.onnx_files import STEPS, hand_made, in_one_thread, put

NOISE = np.random.default_rng(4).integers(0, 256, (2, 16, 50, 3), dtype=np.uint8)


def of_nodes(tmp_path, nodes, weights, *, shape, answer=("N", None, None)):
    made = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, answer)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def recognizer(tmp_path, *, shape=("N", 3, 16, "W"), bake=None):
    """A text recognizer's kind: lines of 16 rows, a column of scores for every column of pixels. bake: answers that many columns only."""
    weights = {"w": np.random.default_rng(5).normal(size=(4, 3, 16, 3)).astype(np.float32), "axis": np.array([2])}
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], pads=[0, 1, 0, 1]), helper.make_node("Squeeze", ["c", "axis"], ["y"])]
    if bake:
        weights |= {"from": np.array([0]), "to": np.array([bake]), "columns": np.array([2])}
        nodes[-1].output[0] = "s"
        nodes.append(helper.make_node("Slice", ["s", "from", "to", "columns"], ["y"]))
    return of_nodes(tmp_path, nodes, weights, shape=shape)


def skipping(tmp_path, multiple, *, shape=("N", 3, "h", "w")):
    """A U-Net's kind: what is made smaller by `multiple`, and large again, is added to what was not."""
    rng, side = np.random.default_rng(6), [multiple, multiple]
    weights = {"w": rng.normal(size=(4, 3, 3, 3)), "u": rng.normal(size=(4, 1, *side)), "h": rng.normal(size=(4, 2))}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("AveragePool", ["c"], ["d"], kernel_shape=side, strides=side),
        helper.make_node("ConvTranspose", ["d", "u"], ["l"], strides=side, group=4),
        helper.make_node("Add", ["c", "l"], ["a"], name="the skip"),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("MatMul", ["f", "h"], ["y"]),
    ]
    return of_nodes(tmp_path, nodes, {name: value.astype(np.float32) for name, value in weights.items()}, shape=shape, answer=("N", 2))


def sizes(bundle):
    return [tuple(size) for size in bundle.contract["verified_sizes"]]


def run(file, **feeds):
    (answer,) = in_one_thread(file).run(None, feeds)
    return answer


def test_a_file_with_one_free_side_is_attached_as_it_is(tmp_path):
    file, told = recognizer(tmp_path), []
    bundle = put(file, tmp_path / "out", progress=told.append)
    assert [result.verdict for result in bundle.report.results if result.runtime == "ort-cpu"] == ["passed"]
    assert bundle.contract["input"]["shape"] == ["N", 16, "width", 3]
    assert sizes(bundle) == [(16, 128), (16, 112)]
    assert "sizes to verify with: 16x128, 16x112" in told
    assert "sizes    verified with 16x128, 16x112" in lines(describe(bundle.folder))
    assert "noise-16x112" in bundle.report.inputs
    ready = (NOISE[..., ::-1].transpose(0, 3, 1, 2) / 255 - np.reshape(STEPS[1].mean, (3, 1, 1))) / np.reshape(STEPS[1].std, (3, 1, 1))
    expected = run(file, x=ready.astype(np.float32))  # another width than those that were verified
    assert np.abs(run(bundle.folder / "model.onnx", pixels=NOISE) - expected).max() < 1e-5 * np.abs(expected).max()
    told.clear()
    assert verify_bundle(bundle.folder, recipe=file, runtimes=["ort-cpu"], progress=told.append).ok
    assert verify_bundle(bundle.folder, runtimes=["ort-cpu"]).ok  # the golden samples
    assert not any("sizes to verify with" in line for line in told)  # those of the contract


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        (("N", 3, "h", "w"), (16, None), ["N", 16, "width", 3]),
        (("N", 3, 16, "w"), (None, 40), ["N", 16, 40, 3]),
        (("N", 3, "h", 40), (16, None), ["N", 16, 40, 3]),
        (("N", 3, "h", "w"), (16, 40), ["N", 16, 40, 3]),
    ],
    ids=str,
)
def test_each_side_is_fixed_by_the_pixels_or_by_the_file(tmp_path, shape, size, expected):
    bundle = put(recognizer(tmp_path, shape=shape), tmp_path / "out", size=size)
    assert bundle.report.ok
    assert bundle.contract["input"]["shape"] == expected
    sides = onnx.load(bundle.folder / "model.onnx").graph.input[0].type.tensor_type.shape.dim
    assert [side.dim_value or None for side in sides] == [None, 16, expected[2] if expected[2] == 40 else None, 3]
    assert ("verified_sizes" in bundle.contract) == (expected[2] == "width")


def test_a_side_that_the_file_fixes_is_not_another_one(tmp_path):
    with pytest.raises(PreprocError, match="expected height 16, which the model's input x has, got 17"):
        put(recognizer(tmp_path), tmp_path / "out", size=(17, None))
    steps = [Resize(size=16), *STEPS]  # of the shorter side, which may be any
    with pytest.raises(PreprocError, match="the steps: expected height 16, which the model's input x has, got dynamic"):
        put(recognizer(tmp_path), tmp_path / "out", steps=steps, size=(32, None))
    assert put(recognizer(tmp_path), tmp_path / "out", steps=[Pad(padding=(0, 2)), *STEPS], size=(12, None)).report.ok


def test_a_damaged_file_with_one_free_side_fails(tmp_path):
    """One that answers for the first width alone, and one with other weights: neither can be seen with a single picture of another kind."""
    bundle = put(recognizer(tmp_path, bake=128), tmp_path / "baked")
    right = put(recognizer(tmp_path), tmp_path / "right")
    report = verify_bundle(right.folder, recipe=tmp_path / "m.onnx", model=bundle.folder / "model.onnx", runtimes=["ort-cpu"])
    assert report.results[0].verdict == "passed"  # up to 128 columns it is the same
    narrow = put(recognizer(tmp_path, bake=120), tmp_path / "narrow")
    recognizer(tmp_path)
    report = verify_bundle(right.folder, recipe=tmp_path / "m.onnx", model=narrow.folder / "model.onnx", runtimes=["ort-cpu"])
    assert report.results[0].verdict == "failed"
    wide = put(recognizer(tmp_path, bake=90), tmp_path / "wide", verify_sizes=[(16, 70), (16, 90)])  # where the second size alone tells
    recognizer(tmp_path)
    right = put(tmp_path / "m.onnx", tmp_path / "small", verify_sizes=[(16, 70), (16, 100)])
    for asked in ({"recipe": tmp_path / "m.onnx"}, {}):  # and among the golden samples, too
        report = verify_bundle(right.folder, model=wide.folder / "model.onnx", runtimes=["ort-cpu"], **asked)
        assert (report.results[0].verdict, "100" in report.results[0].worst) == ("failed", True)
    damaged = onnx.load(right.folder / "model.onnx")
    weight = next(tensor for tensor in damaged.graph.initializer if len(tensor.dims) == 4 and tensor.dims[2] == 16)
    values = numpy_helper.to_array(weight).copy()
    values[0, 0, 0, 0] += 0.1 * np.abs(values).max()
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(damaged, tmp_path / "damaged.onnx")
    report = verify_bundle(right.folder, recipe=tmp_path / "m.onnx", model=tmp_path / "damaged.onnx", runtimes=["ort-cpu"])
    assert report.results[0].verdict == "failed"


@pytest.mark.parametrize(
    ("multiple", "expected"), [(16, [(96, 128), (160, 112)]), (32, [(64, 128), (128, 64)]), (7, [(224, 448), (448, 224)])]
)
def test_networks_that_want_multiples_get_them(tmp_path, multiple, expected):
    told = []
    bundle = put(skipping(tmp_path, multiple), tmp_path / "out", progress=told.append)
    assert bundle.report.ok
    assert sizes(bundle) == expected
    (line,) = [line for line in told if line.startswith("sizes to verify with")]
    assert ("for the network refuses" in line and "the skip" in line) == (multiple != 16)


def test_multiples_behind_a_resize_of_the_shorter_side(tmp_path):
    bundle = put(skipping(tmp_path, 32), tmp_path / "out", steps=[Resize(size=32), *STEPS])
    assert bundle.report.ok
    assert sizes(bundle) == [(64, 128), (128, 64)]


def test_sizes_that_somebody_says(tmp_path):
    file = skipping(tmp_path, 10)
    with pytest.raises(
        PreprocError,
        match=r"got none among 96x128, .*, 448x224: it refuses 224x448: .*the skip.*; say some that it takes with --verify-size H,W",
    ) as refusal:
        put(file, tmp_path / "out")
    assert refusal.value.name == "network-refuses-picture"
    with pytest.raises(PreprocError, match=r"got none among 20x30, 20x35: it refuses 20x35: .*the skip.*; say others"):
        put(file, tmp_path / "out", verify_sizes=[(20, 30), (20, 35)])
    with pytest.raises(PreprocError, match="at most 200,000,000 values"):
        put(file, tmp_path / "out", verify_sizes=[(20, 30), (20_000, 20_000)])
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    bundle = put(file, tmp_path / "out", verify_sizes=[(20, 30), (30, 20)])
    assert bundle.report.ok
    assert sizes(bundle) == [(20, 30), (30, 20)]
    assert [case.pixels.shape[1:3] for case in bundle.golden()] == [(20, 30)] * 4 + [(30, 20)]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ([(17, 30)], "verify_sizes: expected sizes that the pixels can have, 16xany, got 17x30"),
        ([], None),
        ([(16, 0)], r"verify_sizes: expected a list of \[height, width\]"),
        ([(16,)], r"verify_sizes: expected a list of \[height, width\]"),
        (["16,30"], r"verify_sizes: expected a list of \[height, width\]"),
        ("16", r"verify_sizes: expected a list of \[height, width\]"),
    ],
    ids=str,
)
def test_sizes_that_cannot_be(tmp_path, said, message):
    if message is None:
        assert put(recognizer(tmp_path), tmp_path / "out", verify_sizes=said).report.ok
        return
    with pytest.raises(PreprocError, match=message):
        put(recognizer(tmp_path), tmp_path / "out", verify_sizes=said)
    assert not (tmp_path / "out").exists()


def test_a_file_whose_height_is_not_free_whatever_it_says(tmp_path):
    """As PP-OCR's recognizer: the refusal says what to write, and that works."""
    model = onnx.load(recognizer(tmp_path, shape=("N", 3, "h", "W")))
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.full((4, 3, 48, 3), 0.1, np.float32), "w"))
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(PreprocError, match=r"or fix the size of the pixels: it takes --size 48,\*\n"):
        put(tmp_path / "m.onnx", tmp_path / "out")
    assert put(tmp_path / "m.onnx", tmp_path / "out", size=(48, None)).contract["input"]["shape"] == ["N", 48, "width", 3]


def test_sizes_of_pixels_in_front_of_a_resize_to_one_size(tmp_path):
    """The network gets that size, whatever the pixels have; nothing is searched."""
    told, steps = [], [Resize(size=(20, 30)), *STEPS]
    bundle = put(skipping(tmp_path, 10), tmp_path / "out", steps=steps, verify_sizes=[(33, 44)], progress=told.append)
    assert sizes(bundle) == [(33, 44)]
    found = put(skipping(tmp_path, 10), tmp_path / "found", steps=steps, progress=told.append)
    assert sizes(found) == [(31, 63), (85, 40), (11, 22)]
    assert not any("sizes to verify with" in line for line in told)


def test_sizes_for_pixels_of_one_size_have_no_effect(tmp_path):
    with pytest.raises(
        PreprocError, match="verify_sizes: expected with a side of the pixels that is free, got 24x20 for pixels of one size"
    ) as refusal:
        put(hand_made(tmp_path), tmp_path / "out", verify_sizes=[(24, 20)])
    assert refusal.value.name == "option-without-effect"


def test_a_nan_is_no_question_of_the_size(tmp_path):
    """It is there at every size, and said as it always was."""
    file = recognizer(tmp_path)
    model = onnx.load(file)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.full((4, 3, 16, 3), np.nan, np.float32), "w"))
    onnx.save(model, file)
    with pytest.raises(PreprocError, match="expected a backbone that answers finite numbers") as refusal:
        put(file, tmp_path / "out")
    assert refusal.value.name == "not-finite"


def test_nothing_is_run_for_a_file_that_is_not_verified(tmp_path):
    told = []
    put(skipping(tmp_path, 10), tmp_path / "out.onnx", verify=False, progress=told.append)
    assert not any("sizes" in line for line in told)
    assert "verified_sizes" not in describe(tmp_path / "out.onnx")["contract"]
    with pytest.raises(PreprocError, match="expected for a file that is verified") as refusal:
        put(skipping(tmp_path, 10), tmp_path / "out.onnx", verify=False, verify_sizes=[(20, 30)])
    assert refusal.value.name == "option-without-effect"


def test_bundles_from_before_are_verified_with_the_usual_sizes(tmp_path):
    file = skipping(tmp_path, 4)
    made = put(file, tmp_path / "out", verify_sizes=[(20, 32)])
    assert rebuild(made, file)[0].export.verify_sizes == ((20, 32),)
    del made.manifest["contract"]["verified_sizes"]
    assert rebuild(made, file)[0].export.verify_sizes == ((96, 128), (160, 112))


@pytest.mark.parametrize("wrong", [[], [[20]], [[20, "32"]], "20x32", None, [[20, -1]]], ids=str)
def test_a_contract_with_sizes_that_are_none_is_refused(tmp_path, wrong):
    made = put(recognizer(tmp_path), tmp_path / "out")
    manifest = json.loads((made.folder / "manifest.json").read_text())
    manifest["contract"]["verified_sizes"] = wrong
    (made.folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="contract of preproc"):
        open_bundle(made.folder)


def test_a_server_is_told_the_free_side_alone(tmp_path):
    bundle = put(recognizer(tmp_path), tmp_path / "out")
    config = make_config(bundle, bundle.golden(), "m", backend="onnxruntime", kind="cpu", max_batch=None)
    assert list(config.input[0].dims) == [16, -1, 3]


def test_a_picture_is_shown_as_high_as_the_model_takes_it(tmp_path):
    np.save(tmp_path / "a.npy", NOISE[0])
    pixels = PixelsSpec(layout="NHWC", color="RGB", dtype="uint8", size=(32, None), channels=3)
    assert inputs.one_picture(tmp_path / "a.npy", pixels).shape == (1, 32, 100, 3)
    pixels = PixelsSpec(layout="NHWC", color="RGB", dtype="uint8", size=(None, 25), channels=3)
    assert inputs.one_picture(tmp_path / "a.npy", pixels).shape == (1, 8, 25, 3)
    assert inputs.one_picture(tmp_path / "a.npy", PixelsSpec(layout="NHWC", color="RGB", dtype="uint8", size=None, channels=3)).shape == (
        1,
        16,
        50,
        3,
    )
