"""Space-to-depth stems and linear patch embeddings fold, however they are spelt, exactly and border included."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preproc import graph, steps
from preproc.errors import NotFoldableError
from preproc.graph.walk import first_convolutions
from preproc.oracle import reference
from tests.graph.models import conv, evaluate, imagenet, model, node, pixels, spec

SIZE = (8, 12)
RNG = np.random.default_rng(2)
MATRIX, BIAS = RNG.normal(size=(12, 5)), RNG.normal(size=5)


def focus(order=((0, 0), (1, 0), (0, 1), (1, 1))):
    """YOLOv5's and YOLOX's stem: strided slices of both axes at once, or one behind the other."""
    nodes, constants = [], {"twos": np.array([2, 2]), "axes": np.array([2, 3]), "ends": np.array([2**31 - 1, 2**31 - 1])}
    for number, start in enumerate(order):
        constants[f"start{number}"] = np.array(start)
        nodes.append(node("Slice", f"x start{number} ends axes twos", f"part{number}"))
    return [*nodes, node("Concat", " ".join(f"part{number}" for number in range(len(order))), "deep", axis=1)], constants


def free_size():
    """TResNet's, as torch exports it with free sides: the shape is computed of the picture's."""
    constants = {
        name: np.array(value) for name, value in (("c", [3]), ("two", [2]), ("twelve", [12]), ("i0", 0), ("i2", 2), ("i3", 3), ("a", [0]))
    }
    nodes = [node("Shape", "x", "s")]
    for side in "023":
        nodes += [node("Gather", f"s i{side}", f"g{side}", axis=0), node("Unsqueeze", f"g{side} a", f"u{side}")]
    nodes += [node("Div", f"u{side} two", f"h{side}") for side in "23"]
    nodes += [
        node("Concat", "u0 c h2 two h3 two", "six", axis=0),
        node("Reshape", "x six", "split"),
        node("Transpose", "split", "turned", perm=[0, 3, 5, 1, 2, 4]),
        node("Concat", "u0 twelve h2 h3", "four", axis=0),
        node("Reshape", "turned four", "deep"),
    ]
    return nodes, constants


def blocks(order, *, last=("deep", [-1, 12, SIZE[0] // 2, SIZE[1] // 2])):
    """Reshape, Transpose, Reshape with the sides written down."""
    name, shape = last
    constants = {"split6": np.array([-1, 3, SIZE[0] // 2, 2, SIZE[1] // 2, 2]), "merged": np.array(shape)}
    return [node("Reshape", "x split6", "t6"), node("Transpose", "t6", "u6", perm=order), node("Reshape", "u6 merged", name)], constants


STEMS = {
    "focus": focus(),
    "focus in rows": focus(((0, 0), (0, 1), (1, 0), (1, 1))),
    "focus of three": focus(((1, 1), (0, 0), (0, 1))),
    "SpaceToDepth": ([node("SpaceToDepth", "x", "deep", blocksize=2)], {}),
    "pixels in rows, then channels": blocks([0, 3, 5, 1, 2, 4]),
    "channels, then pixels in rows": blocks([0, 1, 3, 5, 2, 4]),
    "free sides": free_size(),
}
stems = st.fixed_dictionaries(
    {
        "stem": st.sampled_from(sorted(STEMS)),
        "color": st.sampled_from(["RGB", "BGR"]),
        "kernel": st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "stride": st.integers(1, 2),
        "pads": st.tuples(*[st.integers(0, 2)] * 4),
        "explicit": st.sampled_from([None, 0.0, 1.5]),
        "bias": st.booleans(),
        "group": st.sampled_from([1, 3]),
        "seed": st.integers(0, 2**16),
    }
)


def fold_of(nodes, constants, color, *, fold="require", size=SIZE, rank=4):
    """The relative error of the folded model at its output, and what was done. No border is left out."""
    sequence, x = imagenet(color), pixels(color, size=SIZE)
    bare, made = (model(nodes, constants, rank=rank) for _ in range(2))
    want = evaluate(bare, "x", reference.apply(sequence, x))
    done = graph.attach(made, sequence, spec(color, size=size), fold=fold)
    onnx.checker.check_model(ir.to_proto(made), full_check=True)
    return np.abs(evaluate(made, "pixels", x) - want).max() / np.abs(want).max(), done


@settings(max_examples=40)
@given(stems)
def test_a_stem_folds_exactly_border_included(case):
    rng, (nodes, constants) = np.random.default_rng(case["seed"]), STEMS[case["stem"]]
    channels = 9 if case["stem"] == "focus of three" else 12
    group = case["group"] if case["color"] == "RGB" and case["stem"].startswith("channels") else 1  # a channel's pixels together
    constants = (
        constants | {"w": rng.normal(size=(6, channels // group, *case["kernel"]))} | ({"b": rng.normal(size=6)} if case["bias"] else {})
    )
    options, source = {"group": group, "strides": [case["stride"]] * 2, "pads": list(case["pads"])}, "deep"
    if case["explicit"] is not None:
        constants |= {"pads": np.array([0, 0, 1, 2, 0, 0, 0, 1]), "value": np.array(case["explicit"])}
        nodes, source, options["pads"] = [*nodes, node("Pad", "deep pads value", "padded")], "padded", [0] * 4
    nodes = [*nodes, conv(bias="b" if case["bias"] else None, source=source, **options)]
    written = "then" in case["stem"]  # of which the sides are written down
    error, _ = fold_of(nodes, constants, case["color"], size=SIZE if written else None)
    assert error <= 1e-9


def embedding(*, order=(0, 2, 4, 3, 5, 1)):
    nodes, constants = blocks(list(order), last=("rows", [-1, SIZE[0] * SIZE[1] // 4, 12]))
    return nodes, constants | {"w": MATRIX, "b": BIAS}


def unfolded():
    """torch's Unfold, as its older exporter writes it: tables of rows and columns."""
    tables = {f"t{axis}": np.arange(side).reshape(side // 2, 2).T for axis, side in zip("23", SIZE, strict=True)}
    nodes = [
        node("Gather", "x t2", "g2", axis=2),
        node("Gather", "g2 t3", "g3", axis=4),
        node("Transpose", "g3", "t", perm=[0, 1, 2, 4, 3, 5]),
    ]
    nodes += [node("Reshape", "t flat", "columns")]
    return nodes, tables | {"flat": np.array([-1, 12, SIZE[0] * SIZE[1] // 4]), "w": MATRIX.T.copy(), "b": BIAS.reshape(5, 1)}


LINEAR = {
    "MatMul and Add": (*embedding(), [node("MatMul", "rows w", "m"), node("Add", "b m", "y")], "cast"),
    "channels first": (*embedding(order=(0, 2, 4, 1, 3, 5)), [node("MatMul", "rows w", "m"), node("Add", "m b", "y")], "cast"),
    "MatMul alone": (*embedding(), [node("MatMul", "rows w", "y")], "subtract"),
    "Add of something else": (*embedding(), [node("MatMul", "rows w", "m"), node("Add", "m m", "y")], "subtract"),
    "two readers": (*embedding(), [node("MatMul", "rows w", "m"), node("Add", "m b", "n"), node("Mul", "m n", "y")], "subtract"),
    "weight in front": (*unfolded(), [node("MatMul", "w columns", "m"), node("Add", "m b", "y")], "cast"),
    "normalized in rows": (
        embedding()[0],
        embedding()[1] | {"mean": np.tile([0.2, -0.1, 0.3], 4), "std": np.tile([0.5, 2.0, 1.5], 4)},
        [node("Sub", "rows mean", "d"), node("Div", "d std", "e"), node("MatMul", "e w", "m"), node("Add", "m b", "y")],
        "cast",
    ),
}


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_a_linear_patch_embedding_folds_exactly(name, color):
    nodes, constants, product, form = LINEAR[name]
    error, done = fold_of([*nodes, *product], constants, color, rank=3)
    assert error <= 1e-9
    assert done.form == form


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("options", "form"), [({}, "cast"), ({"alpha": 0.5}, "subtract"), ({"beta": 2.0}, "subtract")])
def test_a_picture_that_is_flattened_folds_into_a_gemm(turned, options, form):
    side = 3 * SIZE[0] * SIZE[1]
    weight = np.random.default_rng(3).normal(size=(4, side) if turned else (side, 4))
    nodes = [node("Flatten", "x", "flat"), node("Gemm", "flat w b", "y", transB=int(turned), **options)]
    error, done = fold_of(nodes, {"w": weight, "b": BIAS[:4]}, "BGR", rank=2)
    assert error <= 1e-9
    assert done.form == form


@pytest.mark.parametrize("color", ["RGBA", "GRAY"])
def test_pixels_of_other_channels_fold_where_no_number_of_channels_is_written_down(color):
    nodes, constants = STEMS["focus"]
    error, done = fold_of([*nodes, conv(source="deep", pads=[1] * 4)], constants | {"w": np.ones((2, 12, 3, 3))}, color)
    assert error <= 1e-9
    assert done.form == {"RGBA": "subtract", "GRAY": "append"}[color]
    nodes, constants = STEMS["channels, then pixels in rows"]
    nodes = [*nodes, conv(source="deep", pads=[1] * 4)]
    error, done = fold_of(nodes, constants | {"w": np.ones((2, 12, 3, 3))}, color, fold="auto")
    assert error <= 1e-9
    assert done.selected == {"RGBA": (0, 1, 2), "GRAY": (0, 0, 0)}[color]  # in front, for the shape is written down


REFUSED = {
    "phases that are scaled differently": (
        [*STEMS["SpaceToDepth"][0], node("Add", "deep o", "e"), conv(source="e", pads=[1] * 4)],
        {"o": np.arange(12.0).reshape(12, 1, 1), "w": np.ones((2, 12, 3, 3))},
        "no pixel maps to the padding value -11, .*, 0 behind",
    ),
    "the picture with itself": ([node("MatMul", "x x", "y")], {}, "x can be overridden by callers"),
    "a matrix for each": ([node("Flatten", "x", "f"), node("MatMul", "f w", "y")], {"w": np.ones((2, 288, 4))}, "MatMul reads the input"),
    "Gemm, turned": ([node("Flatten", "x", "f"), node("Gemm", "f w", "y", transA=1)], {"w": np.ones((2, 4))}, "Gemm reads the input"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_why(name):
    nodes, constants, reason = REFUSED[name]
    with pytest.raises(NotFoldableError, match=reason):
        graph.attach(model(nodes, constants), imagenet("RGB"), spec("RGB", size=SIZE), fold="require")


def test_a_swap_that_groups_would_mix_is_selected_in_front():
    nodes = [*STEMS["SpaceToDepth"][0], conv(source="deep", group=12)]
    error, done = fold_of(nodes, {"w": np.ones((12, 1, 3, 3))}, "BGR")
    assert error <= 1e-9
    assert done.selected == (2, 1, 0)


def test_the_known_mistake_is_made_behind_a_focus_on_the_border_only():
    nodes, constants = STEMS["focus"]
    nodes, constants = [*nodes, conv(source="deep", pads=[1] * 4)], constants | {"w": RNG.normal(size=(4, 12, 3, 3))}
    sequence, x = imagenet(), pixels(size=SIZE)
    made, wrong = (model(nodes, constants) for _ in range(2))
    minus = graph.uncorrected_border(graph.picture_input(wrong), steps.compose(sequence, 3))
    ready = reference.apply(sequence, x)
    error = np.abs(evaluate(wrong, "x", ready - minus[:, None, None]) - evaluate(made, "x", ready))
    assert error[:, :, 1:-1, 1:-1].max() < 1e-10
    assert error[:, :, 0].max() > 0.1


def test_a_phase_that_is_taken_for_another_is_an_error_that_shows():
    """The check above, on weights that are folded as if the pixels of a block stood in another order."""
    nodes, constants = STEMS["SpaceToDepth"]
    made = model([*nodes, conv(source="deep")], constants | {"w": RNG.normal(size=(4, 12, 1, 1))})
    (first,) = first_convolutions(graph.picture_input(made), 3)
    assert first.reader.slots.channel.tolist() == [0, 1, 2] * 4
    sequence, x = imagenet("BGR"), pixels("BGR", size=SIZE)
    want = evaluate(made, "x", reference.apply(sequence, x))
    graph.attach(made, sequence, spec("BGR"), fold="require")
    weight, _ = first.weights()
    first.put(weight[:, [3, 1, 2, 0, *range(4, 12)]], None)
    assert np.abs(evaluate(made, "pixels", x) - want).max() > 1e-2 * np.abs(want).max()


def test_what_a_file_declares_of_shapes_does_not_outlive_another_number_of_channels(tmp_path):
    nodes, constants = STEMS["focus"]
    made = ir.to_proto(model([*nodes, conv(source="deep")], constants | {"w": np.ones((2, 12, 3, 3))}))
    made = onnx.shape_inference.infer_shapes(made)
    assert {info.name for info in made.graph.value_info} > {"part0", "deep"}
    onnx.save(made, tmp_path / "m.onnx")
    loaded = graph.load(tmp_path / "m.onnx")
    graph.attach(loaded, imagenet("RGBA"), spec("RGBA"), fold="require")
    graph.save(loaded, tmp_path / "out.onnx")
    onnx.checker.check_model(onnx.load(tmp_path / "out.onnx"), full_check=True)
