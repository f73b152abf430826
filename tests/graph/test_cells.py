"""What cameras give, folded in an ONNX file: planes of Y, U and V through the graph against the oracle's picture through the graph as it
was."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from preproc import graph
from preproc.errors import NotFoldableError
from preproc.folding import FOLDED
from preproc.oracle import reference
from preproc.sources import PixelsSpec
from preproc.steps import YUV, CenterCrop, FromPixels, Normalize, Rescale, Resize, layouts_of
from preproc.verify.runtimes import evaluate as in_onnxruntime
from tests import yuv
from tests.graph.models import FLOAT, conv, doubled, evaluate, model, node
from tests.onnx_files import hand_made

RNG = np.random.default_rng(3)
W3, W7, W4 = (RNG.normal(size=(4, 3, side, side)) for side in (3, 7, 4))
B = RNG.normal(size=4)
PADS = {"pads": [1, 1, 1, 1], "strides": [2, 2]}
AS_NHWC = [node("Transpose", "x", "t", perm=[0, 3, 1, 2]), conv(source="t", **PADS)]
SIZED = [
    node("Identity", "x", "i"),
    conv(source="i", output="c", **PADS),
    node("Shape", "i", "s"),
    node("Shape", "x", "last", start=2),
    node("Gather", "s zero", "n"),
    node("Concat", "n four last", "whole", axis=0),
    node("Resize", "c empty empty whole", "y", mode="nearest"),
]
SIZES = {"zero": np.array([0]), "four": np.array([4]), "empty": np.zeros(0, np.float32)}
READING = {
    "7x7": ([conv("w", "b", pads=[3, 3, 3, 3], strides=[2, 2])], {"w": W7, "b": B}),
    "patches": ([conv(strides=[4, 4])], {"w": W4}),
    "dilated": ([conv(pads=[2, 3, 1, 0], strides=[2, 4], dilations=[3, 2])], {"w": W3}),
    "same": ([conv(auto_pad="SAME_UPPER", strides=[2, 2])], {"w": W4}),
    "same-lower": ([conv(auto_pad="SAME_LOWER", strides=[2, 2])], {"w": W3}),
    "valid": ([conv(auto_pad="VALID", strides=[2, 2])], {"w": W3}),
    "two": ([conv(output="c", **PADS), conv("v", output="d", strides=[2, 2]), node("Add", "c d", "y")], {"w": W3, "v": W3[..., :1, :1]}),
    "sized": (SIZED, {"w": W3} | SIZES),
}
STAYING = {
    "stride-1": ([conv(pads=[1] * 4)], {"w": W3}, "the stride 1 down, and 2 pixels share one chroma value"),
    "padded": (
        [node("Pad", "x p", "t"), conv(source="t", strides=[2, 2])],
        {"w": W3, "p": np.array([0, 0, 1, 1, 0, 0, 1, 1])},
        "padded or",
    ),
    "space-to-depth": (
        [node("SpaceToDepth", "x", "t", blocksize=2), conv(source="t")],
        {"w": RNG.normal(size=(4, 12, 3, 3))},
        "it is moved, padded or mapped in front",
    ),
    "same-4": ([conv(auto_pad="SAME_UPPER", strides=[4, 4])], {"w": W3}, "it is moved, padded or mapped in front"),
    "a-moved-shape": (
        [
            conv(output="c", **PADS),
            node("Slice", "x a a b", "m"),
            node("Shape", "m", "s"),
            node("Cast", "s", "f", to=11),
            node("Add", "c f", "y"),
        ],
        {"w": W3, "a": np.array([1]), "b": np.array([2])},
        "asks for the shape of what is made of the picture",
    ),
}
MOVES = {
    "a fixed size": ((20, 28), [Resize(size=20, form="exact"), CenterCrop(size=(12, 16))]),
    "a crop": ((20, 28), [CenterCrop(size=(12, 16))]),
    "free sizes": (None, [Resize(size=(16, 20), interpolation="nearest"), CenterCrop(size=(12, 16))]),
}
"""Of planes: the pixels' size, and the steps."""


def asked(color, moves=(), **said):
    layout = layouts_of(color)[0]
    first = FromPixels(layout=layout, color=color, **{"matrix": "bt709", "range": "limited"} | said)
    return [first, *moves, Rescale(), Normalize.preset("imagenet")], layout


def attached(made, color="NV12", *, size=None, fold="auto", moves=(), **said):
    """What was done to the model, in place; and the pixels' steps."""
    steps, _ = asked(color, moves, **said)
    return graph.attach(made, steps, PixelsSpec.of(steps[0], size=size, channels=3), fold=fold), steps


def pixels(color="NV12", size=(12, 16), seed=0):
    return yuv.pixels(color, layouts_of(color)[0], size, seed=seed)


def off(got, want):
    return np.abs(got - want).max() / np.abs(want).max()


def answers(nodes, constants, color, **options):
    """(what was done, how far the file is from the truth, the file), at two sizes if they are free."""
    made, error = model(nodes, constants), 0.0
    done, steps = attached(made, color, **options)
    for size in [(12, 16)] if options.get("size") else [(12, 16), (16, 8)]:
        x = pixels(color, size)
        want = evaluate(model(nodes, constants), "x", reference.apply(steps, x))
        error = max(error, off(evaluate(made, "pixels", x), want))
    return done, error, made


@pytest.mark.parametrize("size", [None, (12, 16)], ids=["free", "fixed"])
@pytest.mark.parametrize("color", ["NV12", "I420", "YUYV"])
@pytest.mark.parametrize("name", READING)
def test_folded_equals_the_oracle_and_the_graph_as_it_was(name, color, size):
    nodes, constants = READING[name]
    done, error, made = answers(nodes, constants, color, size=size)
    assert (done.folded, done.chroma) == (True, FOLDED), done.reason
    assert error <= 1e-12
    front = [each.op_type for each in made.graph if str(each.outputs[0].name).startswith("preproc")]
    assert "Resize" not in front
    assert [each.op_type for each in made.graph].count("Conv") == 2 * [each.op_type for each in nodes].count("Conv")


@pytest.mark.parametrize("color", sorted(color for color in YUV if YUV[color].block != (1, 1)))
def test_every_colour_that_shares_its_chroma_folds(color):
    done, error, _ = answers(*READING["7x7"], color, to="BGR", matrix="bt2020", range="full")
    assert done.chroma == FOLDED
    assert error <= 1e-12


@pytest.mark.parametrize("color", ["NV12", "I420"])
@pytest.mark.parametrize("name", STAYING)
def test_else_each_pixel_gets_its_chroma_in_front_and_the_matrix_folds(name, color):
    nodes, constants, reason = STAYING[name]
    if name == "a-moved-shape":
        made = model(nodes, constants)
        assert reason in attached(made, color)[0].chroma
        return
    done, error, made = answers(nodes, constants, color)
    assert done.folded
    assert reason in done.chroma
    assert error <= 1e-12
    assert "Resize" in {each.op_type for each in made.graph}


@pytest.mark.parametrize("moves", MOVES)
@pytest.mark.parametrize("color", ["NV12", "YV12", "UYVY"])
@pytest.mark.parametrize("name", READING)
def test_planes_that_are_resized_and_cropped_fold_as_well(name, color, moves):
    """And whoever asks how large the picture is gets to know how large it is then."""
    size, steps = MOVES[moves]
    made = model(*READING[name])
    done, steps = attached(made, color, size=size, moves=steps)
    assert (done.folded, done.chroma) == (True, FOLDED), done.reason
    assert [each.op_type for each in made.graph].count("Conv") == 2 * [each.op_type for each in READING[name][0]].count("Conv")
    for taken in [size] if size else [(20, 28), (32, 24)]:
        x = pixels(color, taken)
        (want,), (got,) = doubled(model(*READING[name]), "x", reference.apply(steps, x)), doubled(made, "pixels", x)
        assert off(got, want) <= 1e-12


@pytest.mark.parametrize("name", ["stride-1", "space-to-depth"])
def test_else_the_chroma_that_was_moved_is_given_to_each_pixel(name):
    nodes, constants, reason = STAYING[name]
    made, (size, moves) = model(nodes, constants), MOVES["a fixed size"]
    done, steps = attached(made, size=size, moves=moves)
    assert done.folded
    assert reason in done.chroma
    x = pixels(size=size)
    (want,), (got,) = doubled(model(nodes, constants), "x", reference.apply(steps, x)), doubled(made, "pixels", x)
    assert off(got, want) <= 1e-12


def test_same_padding_of_a_known_size_folds_at_other_strides():
    done, error, _ = answers(*STAYING["same-4"][:2], "NV12", size=(12, 16))
    assert done.chroma == FOLDED
    assert error <= 1e-12


def test_chroma_between_its_samples_and_rounded_colours_stay_in_front():
    for said, told in (
        ({"chroma": "bilinear", "siting": "center"}, "gives each pixel a chroma of its own"),
        ({"conversion": "rgb8"}, "clips and rounds"),
    ):
        done, error, _ = answers(*READING["patches"], "NV12", **said)
        assert done.folded
        assert told in done.chroma
        assert done.chroma != FOLDED
        assert error <= 1e-12


def test_pixels_beside_pixels_fold_as_well():
    """A network that turns its picture first: what turned it goes."""
    steps, _ = asked("NV12")
    made = model(AS_NHWC, {"w": W3}, channels="h")
    made.graph.inputs[0].shape = ir.Shape(["N", "h", "w", 3])
    bare = ir.from_proto(ir.to_proto(made))
    done = graph.attach(made, steps, PixelsSpec.of(steps[0], size=None, channels=3))
    assert done.chroma == FOLDED
    assert "Transpose" not in {each.op_type for each in made.graph if not str(each.outputs[0].name).startswith("preproc")}
    x = pixels()
    want = evaluate(bare, "x", reference.apply(steps, x).transpose(0, 2, 3, 1))
    assert off(evaluate(made, "pixels", x), want) <= 1e-12


def test_a_fold_that_is_off_or_impossible_leaves_the_conversion_in_front():
    for nodes, constants, fold, reason in (
        (*READING["7x7"], "off", "fold = off"),
        ([conv(group=3, **PADS)], {"w": RNG.normal(size=(6, 1, 3, 3))}, "auto", "3 groups and the pipeline mixes"),
    ):
        done, error, _ = answers(nodes, constants, "NV12", fold=fold)
        assert not done.folded
        assert reason in done.reason
        assert error <= 1e-12
    with pytest.raises(NotFoldableError, match="3 groups"):
        attached(model([conv(group=3, **PADS)], {"w": RNG.normal(size=(6, 1, 3, 3))}), fold="require")


@pytest.mark.parametrize("mistake", ["none", *("another matrix", "the other range", "U and V exchanged", "one weight", "a pad")])
def test_mistakes_in_the_planes_show(mistake):
    said = {"another matrix": {"matrix": "bt601"}, "the other range": {"range": "full"}}.get(mistake, {})
    made = model(*READING["7x7"])
    attached(made, "NV21" if mistake == "U and V exchanged" else "NV12", **said)
    first = next(each for each in made.graph if each.op_type == "Conv" and each.inputs[1].shape[1] == 2)
    if mistake == "one weight":
        changed = first.inputs[1].const_value.numpy().copy()
        changed[0, 1, 1, 1] *= 1.05
        first.inputs[1].const_value = ir.tensor(changed)
    if mistake == "a pad":
        first.attributes["pads"] = ir.AttrInt64s("pads", [1, 2, 2, 1])
    x, (steps, _) = pixels(), asked("NV12")
    want = evaluate(model(*READING["7x7"]), "x", reference.apply(steps, x))
    error = off(evaluate(made, "pixels", x), want)
    assert error <= 1e-12 if mistake == "none" else error > 1e-3


@pytest.mark.parametrize("moves", [(), (Resize(size=(12, 16), antialias=False),)], ids=["as they are", "resized"])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_in_onnxruntime_in_single_and_half_precision(tmp_path, kind, moves):
    steps, _ = asked("NV12", moves)
    bare, made = (graph.load(hand_made(tmp_path, dtype=kind, shape=("N", 3, "h", "w"))) for _ in range(2))
    done = graph.attach(made, steps, PixelsSpec.of(steps[0], size=None, channels=3))
    assert (done.form, done.chroma) == ("subtract" if kind == FLOAT else "append", FOLDED)
    x = pixels(size=(24, 20))
    ((want,),) = in_onnxruntime(graph.to_bytes(bare), [{"image": reference.apply(steps, x).astype(helper.tensor_dtype_to_np_dtype(kind))}])
    ((got,),) = in_onnxruntime(graph.to_bytes(made), [{"pixels": x}])
    assert off(got.astype(np.float64), want.astype(np.float64)) <= (1e-5 if kind == FLOAT else 3e-3)


def test_a_convolution_in_a_branch_has_none_beside_it():
    inner = helper.make_graph([conv(output="z", **PADS)], "then", [], [helper.make_tensor_value_info("z", TensorProto.DOUBLE, None)])
    branch = helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner)
    done, error, _ = answers([branch], {"w": W3, "yes": np.array(True)}, "NV12")
    assert "is in a branch of the graph" in done.chroma
    assert error <= 1e-12
