"""The layout of an .onnx file's picture is said, or seen in the graph; it is guessed nowhere."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from preproc import graph
from preproc.bundle.inspection import describe
from preproc.cli import main
from preproc.errors import PreprocError, RecipeError
from preproc.export import attach, verify_bundle
from preproc.sources import PixelsSpec, parse_recipe
from preproc.steps import Normalize, Rescale
from tests.onnx_files import in_one_thread

node = helper.make_node


def file(tmp_path, shape, nodes, weights=(), *, functions=(), opset=13):
    """A network on a picture "x" of that shape; `nodes` make "y"."""
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    arrays = [numpy_helper.from_array(np.asarray(array), name) for name, array in dict(weights).items()]
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("own", 1)]
    made = helper.make_graph(list(nodes), "g", inputs, outputs, arrays)
    onnx.save(helper.make_model(made, opset_imports=opsets, ir_version=8, functions=list(functions)), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def conv(channels, source="t"):
    """A convolution of so many channels up to the scores."""
    weights = {"w": np.random.default_rng(0).normal(size=(8, channels, 3, 3)).astype(np.float32)}
    nodes = [node("Conv", [source, "w"], ["c"], pads=[1] * 4), node("Relu", ["c"], ["r"]), node("GlobalAveragePool", ["r"], ["p"])]
    return [*nodes, node("Flatten", ["p"], ["y"])], weights


def keras(channels, before=()):
    nodes, weights = conv(channels)
    return [*before, node("Transpose", [before[-1].output[0] if before else "x"], ["t"], perm=[0, 3, 1, 2]), *nodes], weights


def dense(tmp_path, shape, before=(), weights=(), opset=13):
    """What comes behind tells nothing of channels."""
    end = [node("ReduceMean", [before[-1].output[0] if before else "x"], ["y"], axes=[1, 2, 3], keepdims=0)]
    return file(tmp_path, shape, [*before, *end], weights, opset=opset)


ROWS = {"k3": np.full(3, 0.5, np.float32), "k311": np.full((3, 1, 1), 0.5, np.float32), "k1113": np.full((1, 1, 1, 3), 0.5, np.float32)}
ROWS |= {"one": np.float32(2), "minus": np.array([0], np.int64), "bgr": np.array([2, 1, 0], np.int64), "first": np.int64(0)}
ROWS |= {"zero": np.array([0], np.int64)}


@pytest.mark.parametrize("height", [1, 3, 4, 48])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 12, 13])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_the_first_convolution_tells(tmp_path, layout, channels, height):
    """Whatever the shape looks like, free sides and all."""
    for sides in ((height, 40), (height, "w"), ("h", "w")):
        shape = ["N", *sides, channels] if layout == "NHWC" else ["N", channels, *sides]
        network = keras(channels) if layout == "NHWC" else conv(channels, "x")
        picture = graph.picture_input(graph.load(file(tmp_path, shape, *network)))
        assert (picture.layout, picture.seen, picture.channels) == (layout, layout, channels)
        assert (picture.height, picture.width) == tuple(side if isinstance(side, int) else None for side in sides)


BEFORE = {
    "a cast and arithmetic": [node("Cast", ["x"], ["a"], to=TensorProto.FLOAT), node("Mul", ["a", "one"], ["b"])],
    "constants of the channels": [node("Sub", ["x", "k3"], ["b"])],
    "an identity and a pad": [node("Identity", ["x"], ["a"]), node("Clip", ["a"], ["b"])],
    "a swap of colours": [node("Gather", ["x", "bgr"], ["b"], axis=3)],
    "there and back": [node("Transpose", ["x"], ["a"], perm=[0, 3, 1, 2]), node("Transpose", ["a"], ["b"], perm=[0, 2, 3, 1])],
    "a fifth axis": [node("Unsqueeze", ["x", "zero"], ["a"]), node("Squeeze", ["a", "zero"], ["b"])],
    "a part": [node("Split", ["x"], ["b"], axis=0)],
    "a function": [node("own", ["x"], ["b"], domain="own")],
}


@pytest.mark.parametrize("before", BEFORE)
def test_it_tells_through_what_keeps_the_axes(tmp_path, before):
    nodes, weights = keras(3, BEFORE[before])
    own = helper.make_function("own", "own", ["in"], ["out"], [node("Neg", ["in"], ["out"])], [helper.make_opsetid("", 13)])
    made = file(tmp_path, ["N", 3, 640, 3], nodes, {**weights, **ROWS}, functions=[own])
    assert graph.any_picture(graph.load(made)).layout == "NHWC"


def test_it_tells_inside_a_function(tmp_path):
    nodes, weights = keras(3)
    inner = [*nodes[:-1], node("Flatten", ["p"], ["out"])]
    inner[0].input[0] = "in"
    own = helper.make_function("own", "own", ["in", "w"], ["out"], inner, [helper.make_opsetid("", 13)])
    made = file(tmp_path, ["N", 3, 640, 3], [node("own", ["x", "w"], ["y"], domain="own")], weights, functions=[own])
    assert graph.any_picture(graph.load(made)).layout == "NHWC"


@pytest.mark.parametrize(
    ("before", "layout"),
    [
        ([node("Sub", ["x", "k3"], ["b"])], "NHWC"),
        ([node("Sub", ["x", "k1113"], ["b"])], "NHWC"),
        ([node("Sub", ["x", "k311"], ["b"])], "NCHW"),
        ([node("Mul", ["x", "one"], ["a"]), node("Div", ["a", "k311"], ["b"])], "NCHW"),
        ([node("Gather", ["x", "first"], ["a"], axis=0), node("Sub", ["a", "k311"], ["b0"]), node("Unsqueeze", ["b0", "zero"], ["b"])],
         "NCHW"),
        ([node("Transpose", ["x"], ["b"], perm=[0, 3, 1, 2])], "NHWC"),
        ([node("Transpose", ["x"], ["b"], perm=[0, 2, 3, 1])], "NCHW"),
    ],
)  # fmt: skip
def test_constants_and_a_transpose_tell_where_no_convolution_is_reached(tmp_path, before, layout):
    assert graph.any_picture(graph.load(dense(tmp_path, ["N", 3, 640, 3], before, ROWS))).layout == layout


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        (["N", 3, 640, 480], "NCHW"),
        (["N", 640, 480, 3], "NHWC"),
        (["N", 1, "h", "w"], "NCHW"),
        (["N", "h", "w", 4], "NHWC"),
        (["N", 2, "h", "w"], "NCHW"),
        (["N", "h", "w", 13], "NHWC"),
        (["N", 3, 640, 3], None),
        (["N", 1, 640, 3], None),
        (["N", 48, 64, 13], None),
        (["N", 13, 48, 64], None),
        (["N", "a", "b", "c"], None),
        ([None, None, None, None], None),
        (["N", 2, 32, "w"], None),
    ],
)
def test_a_shape_tells_only_what_is_no_guess(tmp_path, shape, layout):
    model = graph.load(dense(tmp_path, shape))
    if layout is None:
        with pytest.raises(PreprocError, match="which may be either: write --model-layout NCHW or NHWC"):
            graph.any_picture(model)
    else:
        assert graph.any_picture(model).layout == layout
    for said in ("NCHW", "NHWC"):
        assert graph.any_picture(model, None, said).layout == said


def test_two_convolutions_that_disagree_tell_nothing(tmp_path):
    nodes, weights = keras(3)
    other = [node("Conv", ["x", "w"], ["o"], pads=[1] * 4), node("GlobalAveragePool", ["o"], ["oo"]), node("Flatten", ["oo"], ["z"])]
    nodes[-1].output[0] = "y0"
    made = file(tmp_path, ["N", 3, 40, 3], [*nodes, *other, node("Add", ["y0", "z"], ["y"])], weights)
    with pytest.raises(PreprocError, match="--model-layout"):
        graph.picture_input(graph.load(made))


@given(st.integers(1, 5), st.integers(1, 9), st.integers(1, 5), st.sampled_from(["NHWC", "NCHW"]))
def test_the_constants_are_the_channels(tmp_path_factory, height, width, channels, layout):
    """Small pictures of any shape: what the file computes is what the network gets from normalized pixels."""
    folder = tmp_path_factory.mktemp("m")
    shape = ["N", height, width, channels] if layout == "NHWC" else ["N", channels, height, width]
    made = file(folder, shape, *(keras(channels) if layout == "NHWC" else conv(channels, "x")))
    mean, std = np.linspace(0.2, 0.6, channels), np.linspace(0.1, 0.3, channels)
    pixels = PixelsSpec(layout=layout, color="ANY", dtype="uint8", size=None, channels=channels)
    steps = [Rescale(), Normalize(mean=mean, std=std, unit="0-1")]
    attach(made, folder / "o.onnx", steps=steps, pixels=pixels, model_color="ANY", verify=False)
    x = np.random.default_rng(0).integers(0, 256, (2, *shape[1:]), dtype=np.uint8)
    axis = layout.index("C")
    turned = [-1 if at == axis else 1 for at in range(4)]
    ready = ((x / 255 - mean.reshape(turned)) / std.reshape(turned)).astype(np.float32)
    run = [in_one_thread(folder / name) for name in ("o.onnx", "m.onnx")]
    assert run[0].get_inputs()[0].shape[1:] == shape[1:]
    got, expected = run[0].run(None, {"pixels": x})[0], run[1].run(None, {"x": ready})[0]
    np.testing.assert_allclose(got, expected, atol=1e-4 * max(np.abs(expected).max(), 1))


def test_what_is_said_goes_all_the_way(tmp_path):
    """Into the contract, the reference, and a later verify; inspect takes it, too."""
    weights = {"k": np.random.default_rng(1).normal(size=(3 * 20 * 3, 4)).astype(np.float32), "flat": np.array([0, -1], np.int64)}
    made = file(tmp_path, ["N", 3, 20, 3], [node("Reshape", ["x", "flat"], ["f"]), node("MatMul", ["f", "k"], ["y"])], weights)
    pixels = PixelsSpec(layout="NHWC", color="RGB", dtype="uint8", size=None, channels=3)
    steps = [Rescale(), Normalize.preset("imagenet")]
    with pytest.raises(PreprocError, match="--model-layout"):
        attach(made, tmp_path / "b", steps=steps, pixels=pixels)
    told = {}
    for layout in ("NHWC", "NCHW"):
        bundle = attach(made, tmp_path / layout, steps=steps, pixels=pixels, model_layout=layout)
        assert bundle.contract["backbone"]["layout"] == layout
        assert verify_bundle(tmp_path / layout, recipe=made).ok
        session = in_one_thread(tmp_path / layout / "model.onnx")
        assert session.get_inputs()[0].shape[1:] == ([3, 20, 3] if layout == "NHWC" else [20, 3, 3])
        told[layout] = describe(made, model_layout=layout)["picture"]["layout"]
        assert describe(tmp_path / layout)["agreement"]["agrees"]
        assert describe(tmp_path / layout / "model.onnx")["picture"]["layout"] == "NHWC"
    assert told == {"NHWC": "NHWC", "NCHW": "NCHW"}
    assert "write --model-layout" in describe(made)["picture"]["reason"]


def test_what_is_said_against_the_graph_is_refused(tmp_path):
    made = file(tmp_path, ["N", 3, 640, 3], *keras(3))
    pixels = PixelsSpec(layout="NHWC", color="RGB", dtype="uint8", size=None, channels=3)
    with pytest.raises(PreprocError, match=r"expected the layout NHWC, in which the graph reads x, got NCHW \(--model-layout\)"):
        attach(made, tmp_path / "b", steps=[Rescale()], pixels=pixels, model_layout="NCHW")
    with pytest.raises(PreprocError, match=r"model_layout to be one of NCHW, NHWC, CHW, .*, got 'NHCW'"):
        attach(made, tmp_path / "b", steps=[Rescale()], pixels=pixels, model_layout="NHCW")
    assert not (tmp_path / "b").exists()


def test_recipes_and_options_say_it(tmp_path, monkeypatch, capsys):
    made = dense(tmp_path, ["N", "a", "b", "c"])
    pixels = {"layout": "NHWC", "color": "RGB", "dtype": "uint8", "size": [8, 9]}
    recipe = {
        "name": "r",
        "pixels": pixels,
        "steps": [],
        "backbone": {"source": "onnx", "weights": "m.onnx", "color": "RGB", "layout": "NHWC"},
    }
    assert parse_recipe(recipe, folder=tmp_path).backbone.layout == "NHWC"
    with pytest.raises(RecipeError, match=r"\[backbone\] layout: expected one of NCHW, NHWC, CHW, .*, got 'NHCW'"):
        parse_recipe(recipe | {"backbone": recipe["backbone"] | {"layout": "NHCW"}}, folder=tmp_path)
    with pytest.raises(RecipeError, match=r"\[backbone\] layout: expected for an .onnx file only"):
        parse_recipe(
            recipe | {"backbone": {"source": "embedded", "name": "digits", "weights": "w", "color": "RGB", "layout": "NHWC"}},
            folder=tmp_path,
        )

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["preproc", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code

    options = ["attach", made, "-o", tmp_path / "o.onnx", "--preset", "imagenet", "--size", "8,9", "--no-verify"]
    assert run(*options) == 1
    assert "write --model-layout NCHW or NHWC" in capsys.readouterr().err
    assert not (tmp_path / "o.onnx").exists()
    assert run(*options, "--model-layout", "nhwc") == 0
    assert run("inspect", made, "--model-layout", "NHWC") == 0
    assert "picture  x, NHWC" in capsys.readouterr().out
