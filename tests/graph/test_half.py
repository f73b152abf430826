"""Files in half precision: what the fold leaves in front is exact in it, per-picture sums are float32, and all else stays as it was."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from preproc import graph
from preproc.errors import NotFoldableError
from preproc.oracle import reference
from preproc.oracle.files import DoubleFile
from preproc.steps import FromPixels, MinMaxScale, Normalize, Rescale, Resize, Standardize
from preproc.verify.runtimes import evaluate
from tests.graph.models import FLOAT, PAD1, W, conv, imagenet, node, pixels, spec

HALF, BRAIN = TensorProto.FLOAT16, TensorProto.BFLOAT16
SPACE_TO_DEPTH = node("SpaceToDepth", "x", "f", blocksize=2)
W = W + np.sign(W) / 8
"""Divided by 58, all are more than 2^-14, the least normal number of half precision; a hundredth of them is not."""


def model(nodes, constants, *, kind=HALF, io=None, channels=3):
    """Hand-made nodes that read x: (N, channels, 10, 12). io: of the graph's input and output, where `nodes` cast themselves."""
    io = kind if io is None else io
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", io, ["N", channels, 10, 12])],
        [helper.make_tensor_value_info("y", io, [None] * 4)],
        [
            helper.make_tensor(name, kind if value.dtype.kind == "f" else TensorProto.INT64, value.shape, value.ravel().tolist())
            for name, value in constants.items()
        ],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)


def keeping_io(weights=HALF):
    """As converters write it: float32 outside, casts in front and behind. weights: of the convolution, behind a second cast if FLOAT."""
    through = [node("Cast", "x", "h", to=HALF)] + ([node("Cast", "h", "s", to=FLOAT)] if weights == FLOAT else [])
    back = [] if weights == FLOAT else [node("Cast", "c", "y", to=FLOAT)]
    made = conv(bias="b", source="s" if weights == FLOAT else "h", output="y" if weights == FLOAT else "c", **PAD1)
    return model([*through, made, *back], {"w": W, "b": W[:, 0, 0, 0]}, kind=weights, io=FLOAT)


FILES = {
    "float16": lambda: model([conv(bias="b", **PAD1)], {"w": W, "b": W[:, 0, 0, 0]}),
    "float16 with small weights": lambda: model([conv(**PAD1)], {"w": W / 100}),
    "bfloat16": lambda: model([conv(bias="b", **PAD1)], {"w": W, "b": W[:, 0, 0, 0]}, kind=BRAIN),
    "float32 outside": keeping_io,
    "float32 outside and in the first convolution": lambda: keeping_io(FLOAT),
    "not padded": lambda: model([conv(bias="b")], {"w": W, "b": W[:, 0, 0, 0]}),
    "in groups": lambda: model([conv(bias="b", group=3, **PAD1)], {"w": W[:3, :1], "b": W[:3, 0, 0, 0]}),
    "in patches": lambda: model([SPACE_TO_DEPTH, conv(source="f", **PAD1)], {"w": np.tile(W, (1, 4, 1, 1))}),
    "mapped again in front": lambda: model(
        [node("Mul", "x two", "t"), node("Sub", "t one", "s"), conv(source="s", **PAD1)],
        {"w": W, "two": np.array(2.0), "one": np.array(1.0)},
    ),
    "padded by itself": lambda: model(
        [node("Pad", "x p v", "q"), conv(source="q")], {"w": W, "p": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "v": np.array(0.25)}
    ),
}


def attached(proto, folder, steps=None, *, fold="require", wide=None, **options):
    """What was done, the file that was made of it, and the original one."""
    onnx.save(proto, folder / "m.onnx")
    read = graph.load(folder / "m.onnx")
    done = graph.attach(read, steps or imagenet(), spec(size=(10, 12), **options), fold=fold, wide=wide)
    graph.check(read, "o.onnx")
    graph.save(read, folder / "o.onnx")
    return done, folder / "o.onnx", folder / "m.onnx"


def answers(file, name, value):
    return DoubleFile(file)({name: value}, ("y",))["y"]


def narrowed(values, kind):
    return values.astype(helper.tensor_dtype_to_np_dtype(kind)).astype(np.float64)


def errors(got, want):
    """RMS over RMS, inside and in the outermost ring."""
    ring = np.ones(want.shape[-2:], bool)
    ring[1:-1, 1:-1] = False
    return np.array([np.sqrt(((got - want)[..., at] ** 2).mean() / (want[..., at] ** 2).mean()) for at in (~ring, ring)])


def constants_in_front(file):
    made = onnx.load(file)
    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    read = {name for each in made.graph.node if each.name.startswith("preproc/") for name in each.input}
    return {name: held[name] for name in read & held.keys()}


@pytest.mark.parametrize("name", FILES)
def test_folded_it_errs_no_more_than_the_bare_network_border_included(name, tmp_path):
    """Evaluated in float64, so that what is lost is in the pixels and the weights alone: rounded once in the fold, or the ready values
    that a bare network is fed with."""
    kind = BRAIN if name == "bfloat16" else HALF
    done, new, old = attached(FILES[name](), tmp_path)
    x = pixels(size=(10, 12))
    ready = reference.apply(imagenet(), x)
    want = answers(old, "x", ready)
    assert (errors(answers(new, "pixels", x), want) < 1.3 * errors(answers(old, "x", narrowed(ready, kind)), want)).all()
    assert done.form == ("subtract" if name == "not padded" else "append")
    assert "whole numbers are exact in half precision" in done.why
    unit = {"float16 with small weights": 32}.get(name, 1)
    (shift,) = [value for value in constants_in_front(new).values() if value.size == 3 and value.dtype.kind == "f" and (value < 0).all()]
    others = {"padded by itself": [-138, -131, -118], "mapped again in front": [-153, -145, -132]}  # 0.25 in the padding, and 0.5
    grey = others.get(name, [-124, -116, -104])
    np.testing.assert_array_equal(shift.ravel() * unit, grey)
    wrong = answers(new, "pixels", x[..., ::-1])
    assert (errors(wrong, want) > 0.1).all()


def test_all_that_is_in_front_of_the_one_cast_is_float32(tmp_path):
    for fold in ("off", "require"):
        _, new, _ = attached(FILES["float16"](), tmp_path, fold=fold)
        assert {value.dtype.name for value in constants_in_front(new).values() if value.dtype.kind == "f"} == {"float32"}
        casts = [each for each in onnx.load(new).graph.node if each.op_type == "Cast"]
        assert [each.attribute[0].i for each in casts] == [FLOAT, HALF]


def test_unfolded_the_network_reads_what_the_steps_make_rounded_once(tmp_path):
    """0..255 and its squares never are in half precision, whose sums of a picture would be infinite: 120 pixels of 200."""
    steps = [FromPixels(layout="NHWC", color="RGB"), Standardize(per="image"), MinMaxScale(low=-3, high=3, out=(0, 1))]
    x = np.full((1, 10, 12, 3), 200, np.uint8) + pixels(size=(10, 12))[:1] // 8
    made = model([node("Identity", "x", "y")], {})
    _, new, _ = attached(made, tmp_path, steps, fold="off")
    got = evaluate(new.read_bytes(), [{"pixels": x}])[0][0]
    np.testing.assert_array_max_ulp(got, reference.apply(steps, x).astype(np.float16), 1)


def test_what_nobody_touched_keeps_its_message(tmp_path):
    nodes = [conv(output="a", **PAD1), helper.make_node("Relu", ["a"], ["r"], doc_string="kept"), conv("v", source="r")]
    _, new, old = attached(model(nodes, {"w": W, "v": np.tile(W, (1, 2, 1, 1))[:, :4]}), tmp_path)
    after, before = onnx.load(new).graph, onnx.load(old).graph
    assert [each for each in after.node if not each.name.startswith("preproc/")][1:] == list(before.node)[1:]
    (kept,) = [tensor for tensor in before.initializer if tensor.name == "v"]
    assert [tensor for tensor in after.initializer if tensor.name == "v"] == [kept]
    assert {tensor.name: tensor.data_type for tensor in after.initializer}["w"] == HALF
    assert after.output == before.output


@pytest.mark.parametrize(
    "steps",
    [[Resize(size=(10, 12), torch="float32")], [Rescale(), MinMaxScale(low=0, high=1, clip=True)]],
    ids=["resized without rounding", "no pixels any more"],
)
def test_values_that_are_not_whole_lose_nothing_by_fractions(steps, tmp_path):
    steps = [FromPixels(layout="NHWC", color="RGB"), *steps]
    done, new, old = attached(FILES["float16"](), tmp_path, [*steps, Normalize.preset("imagenet")])
    assert (done.form, done.why) == ("subtract", "")
    x = pixels(size=(10, 12))
    ready = reference.apply([*steps, Normalize.preset("imagenet")], x)
    want = answers(old, "x", ready)
    # what is cast to half precision is rounded here by nobody: the weights' rounding is seen
    assert (errors(answers(new, "pixels", x), want) < 1e-3).all()


def test_pixels_of_16_bits_stay_below_the_end_of_half_precision(tmp_path):
    steps = [FromPixels(layout="NHWC", color="RGB", pixel_dtype="uint16"), Rescale(scale=1 / 65535)]
    done, new, _ = attached(FILES["float16"](), tmp_path, steps, dtype="uint16")
    assert done.form == "cast"
    (unit,) = [value for value in constants_in_front(new).values() if value.dtype.kind == "f"]
    assert set(unit.ravel()) == {2.0**-15}


def test_a_bias_that_would_overflow_is_refused_with_the_largest():
    """Weights do not grow; half a level of each of 147 pixels is too much here."""
    made = ir.from_proto(model([conv()], {"w": np.full((4, 3, 7, 7), 6e4)}))
    steps = [FromPixels(layout="NHWC", color="RGB"), Normalize(mean=[123.5] * 3, std=[58.0] * 3, unit="0-255")]
    with pytest.raises(NotFoldableError, match=r"no finite float16 numbers, the largest 7\.6e\+04"):
        graph.attach(made, steps, spec(size=(10, 12)), fold="require")


def test_a_cast_to_whole_numbers_is_not_folded_through():
    nodes = [node("Cast", "x", "i", to=TensorProto.INT32), node("Cast", "i", "d", to=HALF), conv(source="d")]
    assert "cast to another type" in str(graph.attach(ir.from_proto(model(nodes, {"w": W})), imagenet(), spec(size=(10, 12))).reason)


@pytest.mark.parametrize("kind", [HALF, BRAIN])
def test_weights_from_before_the_network_was_narrowed_are_rounded_once(kind, tmp_path):
    """Of the two roundings that a bare network has, of the pixels and of the weights, one is left."""
    wide = ir.from_proto(model([conv(bias="b", **PAD1)], {"w": W, "b": W[:, 0, 0, 0]}, kind=FLOAT))
    narrow = model([conv(bias="b", **PAD1)], {"w": W, "b": W[:, 0, 0, 0]}, kind=kind)
    x = pixels(size=(10, 12))
    ready = reference.apply(imagenet(), x)
    want = evaluate(ir.to_proto(wide).SerializeToString(), [{"x": ready.astype(np.float32)}])[0][0]
    _, once, old = attached(narrow, tmp_path, wide=wide)
    one = errors(answers(once, "pixels", x), want)
    assert (one < 0.85 * errors(answers(old, "x", narrowed(ready, kind)), want)).all()
    assert (one < 0.85 * errors(answers(attached(narrow, tmp_path)[1], "pixels", x), want)).all()


@pytest.mark.parametrize("other", ["other weights", "two convolutions", "no picture"])
def test_weights_of_another_network_are_not_taken(other, tmp_path):
    wide = {
        "other weights": lambda: model([conv(bias="b", **PAD1)], {"w": W * 1.1, "b": W[:, 0, 0, 0]}, kind=FLOAT),
        "two convolutions": lambda: model([conv(output="a"), conv("v"), node("Add", "a y", "s")], {"w": W, "v": W}, kind=FLOAT),
        "no picture": lambda: model([node("Identity", "x", "y")], {}, kind=FLOAT),
    }[other]()
    _, alone, _ = attached(FILES["float16"](), tmp_path)
    before = alone.read_bytes()
    _, beside, _ = attached(FILES["float16"](), tmp_path, wide=ir.from_proto(wide))
    assert beside.read_bytes() == before
