"""What inspect tells of a file: what it does to its pixels."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from preproc.bundle.inspection import describe, lines
from preproc.errors import BundleError, PreprocError
from tests.onnx_files import hand_made, put


def constant(name, values):
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(values, np.float32).reshape(1, -1, 1, 1)))


def normalizing(mean, std, *, first="image", last="first"):
    return [
        constant("m", mean),
        constant("s", std),
        helper.make_node("Sub", [first, "m"], ["d"]),
        helper.make_node("Div", ["d", "s"], [last]),
    ]


def picture(tmp_path, nodes, **options):
    description = describe(hand_made(tmp_path, nodes=nodes, **options))
    assert json.loads(json.dumps(description)) == description
    return description["picture"], "\n".join(lines(description))


CAST = helper.make_node("Cast", ["image"], ["c"], to=TensorProto.FLOAT)
NCHW = helper.make_node("Transpose", ["c"], ["t"], perm=[0, 3, 1, 2])
SWAP = [
    helper.make_node("Constant", [], ["i"], value=numpy_helper.from_array(np.int64([2, 1, 0]))),
    helper.make_node("Gather", ["t", "i"], ["g"], axis=1),
]


def test_raw_pixels_with_a_preset_of_another_unit_in_another_order(tmp_path):
    rng = np.random.default_rng(2)
    nodes = [CAST, NCHW, *SWAP, *normalizing([123.675, 116.28, 103.53], [58.395, 57.12, 57.375], first="g")]
    weights = [numpy_helper.from_array(rng.normal(size=(8, 3, 3, 3)).astype(np.float32), "w")]
    made = helper.make_graph(
        [*nodes, helper.make_node("Conv", ["first", "w"], ["y"])],
        "net",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 24, 20, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        weights,
    )
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), tmp_path / "raw.onnx")
    told = describe(tmp_path / "raw.onnx")["picture"]
    assert (told["layout"], told["takes"], told["normalizes"]) == ("NHWC", "raw pixels, 0-255", True)
    assert told["operations"] == ["Cast c", "Transpose t", "Gather g", "Sub d", "Div first", "Conv y"]
    (first,) = told["maps"]
    assert (first["preset"], first["color"], first["unit"], first["channels"]) == ("imagenet", "BGR", "0-255", [2, 1, 0])
    assert first["mean"] == pytest.approx([123.675, 116.28, 103.53])
    assert first["std"] == pytest.approx([58.395, 57.12, 57.375])
    with pytest.raises(PreprocError, match=r"takes raw pixels already: image: UINT8 .*; `preproc inspect` tells more"):
        put(tmp_path / "raw.onnx", tmp_path / "out")


def test_constants_that_are_nearly_a_presets_are_not_called_by_its_name(tmp_path):
    told, text = picture(tmp_path, normalizing([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    assert (told["maps"][0]["preset"], told["maps"][0]["color"]) == ("imagenet", "RGB")
    assert "which is imagenet, of RGB values in 0-1" in text
    told, text = picture(tmp_path, normalizing([0.406, 0.456, 0.485], [0.225, 0.224, 0.229]))
    assert (told["maps"][0]["preset"], told["maps"][0]["color"]) == ("imagenet", "BGR")
    told, text = picture(tmp_path, normalizing([0.485, 0.456, 0.416], [0.229, 0.224, 0.225]))
    assert told["maps"][0]["preset"] is None
    assert "values in 0-1" in text


def test_a_re_mapping_and_a_batch_norm_are_notes(tmp_path):
    told, text = picture(tmp_path, normalizing([0.03, 0.09, 0.19], [2.18, 2.23, 2.22]))
    assert not told["normalizes"]
    assert "note     the network re-maps its input, (x - [0.03, 0.09, 0.19]) / [2.18, 2.23, 2.22]" in text
    statistics = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.float32([value] * 3)))
        for name, value in {"scale": 1.5, "bias": 0.1, "mean": 0.45, "var": 0.05}.items()
    ]
    told, text = picture(
        tmp_path, [*statistics, helper.make_node("BatchNormalization", ["image", "scale", "bias", "mean", "var"], ["first"])]
    )
    assert not told["normalizes"]
    assert "note     the network starts with a BatchNorm" in text
    bundle = put(tmp_path / "m.onnx", tmp_path / "out")
    assert bundle.contract["notes"] == ["the network starts with a BatchNorm"]
    assert bundle.report.ok


def test_several_inputs_need_a_name(tmp_path):
    file = hand_made(tmp_path, extra=[helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["N", 1, 24, 20])])
    assert "choose with --input NAME" in describe(file)["picture"]["reason"]
    assert describe(file, input_name="image")["picture"]["operations"] == ["Identity first", "Conv conv"]
    with pytest.raises(PreprocError, match="expected the name of an input, got 'picture'; the model has image"):
        describe(file, input_name="picture")


def number(name, value):
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.float32(value)))


@pytest.mark.parametrize(
    ("nodes", "unit"),
    [
        ([number("k", 127.5), helper.make_node("Div", ["image", "k"], ["first"])], "0-255"),
        ([number("k", 255), helper.make_node("Sub", ["k", "image"], ["q"]), helper.make_node("Div", ["q", "k"], ["first"])], "0-255"),
        ([number("k", 255), helper.make_node("Mul", ["image", "k"], ["first"])], "0-1"),
    ],
)
def test_scalings_of_raw_pixels_are_seen(tmp_path, nodes, unit):
    told, _ = picture(tmp_path, nodes)
    assert told["maps"][0]["unit"] == unit
    with pytest.raises(PreprocError, match="normalizes its input itself"):
        put(tmp_path / "m.onnx", tmp_path / "out")


def test_a_cast_behind_a_rounding_is_seen(tmp_path):
    nodes = [
        number("k", 255),
        helper.make_node("Mul", ["image", "k"], ["a"]),
        helper.make_node("Round", ["a"], ["r2"]),
        helper.make_node("Cast", ["r2"], ["u"], to=TensorProto.UINT8),
        helper.make_node("Cast", ["u"], ["first"], to=1),
    ]
    told, _ = picture(tmp_path, nodes)
    assert told["normalizes"]
    assert told["casts_to"] == "raw pixels, 0-255"


def test_channels_sliced_as_up_to_opset_9(tmp_path):
    nodes = []
    for i, (mean, std) in enumerate(zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)):
        nodes += [
            number(f"m{i}", mean),
            number(f"d{i}", std),
            helper.make_node("Slice", ["image"], [f"c{i}"], starts=[i], ends=[i + 1], axes=[1]),
        ]
        nodes += [helper.make_node("Sub", [f"c{i}", f"m{i}"], [f"s{i}"]), helper.make_node("Div", [f"s{i}", f"d{i}"], [f"n{i}"])]
    nodes.append(helper.make_node("Concat", ["n0", "n1", "n2"], ["first"], axis=1))
    told, _ = picture(tmp_path, nodes, opset=9, ir_version=4)
    assert (told["maps"][0]["preset"], told["foldable"]) == ("imagenet", True)


def test_odd_graphs_are_one_line(tmp_path):
    model = onnx.load(hand_made(tmp_path))
    model.opset_import.append(helper.make_opsetid("my", 1))
    model.graph.node.append(helper.make_node("Log", ["image"], [], domain="my"))
    onnx.save(model, tmp_path / "log.onnx")
    assert "Log  reads the input" in describe(tmp_path / "log.onnx")["picture"]["why_not"]
    none = helper.make_graph(
        [],
        "none",
        [helper.make_tensor_value_info("image", 1, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("o", 1, [2])],
        [numpy_helper.from_array(np.ones(2, np.float32), "o")],
    )
    onnx.save(helper.make_model(none, ir_version=10, opset_imports=[helper.make_opsetid("", 18)]), tmp_path / "none.onnx")
    with pytest.raises(PreprocError, match="computes something, got one without nodes"):
        put(tmp_path / "none.onnx", tmp_path / "out.onnx", size=(8, 8), verify=False)
    with pytest.raises(BundleError, match="got text that is not JSON"):
        describe(hand_made(tmp_path, metadata={"preproc.contract": "[" * 100_000}))
