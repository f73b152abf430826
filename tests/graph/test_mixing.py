"""Resizes, averages and maxima between the picture and the first convolutions, several of them side by side, border included."""

import copy

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from preproc import graph
from preproc.errors import NotFoldableError
from preproc.folding import Tracked
from preproc.oracle import reference
from preproc.steps import FromPixels, Rescale
from tests.graph.models import W, conv, doubled, evaluate, imagenet, model, node, pixels, spec

SIZE = (12, 11)
ROI = {"roi": np.float32([0.2, -0.1, 1.3, 0.8])}


def resize(sizes, **options):
    """scales where they are floats."""
    array = np.asarray(sizes)
    if array.dtype.kind == "f":
        return [helper.make_node("Resize", ["in", "", "k"], ["out"], **options)], {"k": array.astype(np.float32)}
    names = ["in", "roi" if options["coordinate_transformation_mode"] == "tf_crop_and_resize" else "", "", "k"]
    return [helper.make_node("Resize", names, ["out"], axes=[2, 3], **options)], ROI | {"k": array}


pools = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["AveragePool", "MaxPool"]),
        "kernel_shape": st.tuples(st.integers(2, 4), st.integers(2, 4)).map(list),
        "strides": st.tuples(st.integers(1, 3), st.integers(1, 3)).map(list),
        "pads": st.sampled_from([[0, 0, 0, 0], [1, 0, 0, 1], [1, 1, 1, 1]]),
        "count_include_pad": st.integers(0, 1),
    }
)
resizes = st.fixed_dictionaries(
    {
        "sizes": st.sampled_from([[5, 13], [14, 6], [1.0, 1.0, 0.6, 1.4], [1.0, 1.0, 2.0, 1.0]]),
        "mode": st.sampled_from(["nearest", "linear", "cubic"]),
        "coordinate_transformation_mode": st.sampled_from(["half_pixel", "asymmetric", "align_corners", "tf_crop_and_resize"]),
        "extrapolation_value": st.sampled_from([0.0, 7.0]),
    }
)


def path(case):
    """Nodes from `in` to `out`."""
    if isinstance(case, list):
        return copy.deepcopy(case), {"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1])}
    if "sizes" in case:
        options = {key: value for key, value in case.items() if key != "sizes"}
        crops = case["coordinate_transformation_mode"] == "tf_crop_and_resize"
        if not crops or isinstance(case["sizes"][0], float):
            options.pop("extrapolation_value")
            options |= {"coordinate_transformation_mode": "half_pixel"} if crops else {}
        return resize(case["sizes"], **options)
    options = {key: value for key, value in case.items() if key not in ("op", "count_include_pad")}
    options |= {"count_include_pad": case["count_include_pad"]} if case["op"] == "AveragePool" else {}
    return [helper.make_node(case["op"], ["in"], ["out"], **options)], {}


def through(*nodes, source="x", name="a", **constants):
    """The nodes between `source` and `name`, their own values and constants called after that."""
    names = {"in": source, "out": name, "": ""}
    for each in nodes:
        each.input[:] = [names.get(value, f"{name}/{value}") for value in each.input]
        each.output[:] = [names.get(value, f"{name}/{value}") for value in each.output]
    return list(nodes), {f"{name}/{key}": value for key, value in constants.items()}


def network(cases, pads):
    """A stem for each of the ways, and one of the picture itself; their outputs, one behind the other."""
    nodes, constants, outputs = [conv("w", output="y0", pads=pads)], {"w": W}, ["y0"]
    for turn, case in enumerate(cases, start=1):
        made, values = path(case)
        more, given = through(*made, name=f"a{turn}", **values)
        nodes += [*more, conv("w", source=f"a{turn}", output=f"y{turn}", pads=pads)]
        constants |= given
        outputs.append(f"y{turn}")
    return model(nodes, constants, outputs=outputs)


def answers(made, name, value):
    """By onnx's own reference, which is slow, where pixels are those of a region."""
    regions = any(attribute.value == "tf_crop_and_resize" for node in made.graph for attribute in node.attributes.values())
    return ReferenceEvaluator(ir.to_proto(made)).run(None, {name: value}) if regions else doubled(made, name, value)


def difference(case, cases, pads, color="BGR"):
    """The fold's largest error, as a share; or why it is refused."""
    steps, x = imagenet(color), pixels(color, size=SIZE, seed=case)
    want = answers(network(cases, pads), "x", reference.apply(steps, x))
    made = network(cases, pads)
    done = graph.attach(made, steps, spec(color), fold="auto")
    if not done.folded:
        return done.reason
    return max(np.abs(one - other).max() / np.abs(other).max() for one, other in zip(answers(made, "pixels", x), want, strict=True))


@settings(max_examples=25)
@given(
    st.integers(0, 2**16),
    st.lists(st.one_of(pools, resizes), min_size=1, max_size=2),
    st.sampled_from([[0] * 4, [1] * 4]),
    st.sampled_from(["BGR", "RGBA", "GRAY"]),
)
def test_several_scales_of_a_picture_fold_border_included(seed, cases, pads, color):
    got = difference(seed, cases, pads, color)
    if isinstance(got, str):
        assert color == "GRAY", got
        assert any(case.get("extrapolation_value") for case in cases), got
    else:
        assert got <= (2e-6 if any(case.get("mode") == "cubic" for case in cases) else 1e-9)  # onnx's cubic weights are float32


AVERAGE = {"op": "AveragePool", "kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1}
EXTRAPOLATED = {"sizes": [5, 13], "mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 7.0}
OF_A_BORDER = [helper.make_node("Pad", ["in", "pads"], ["p"]), helper.make_node("MaxPool", ["p"], ["out"], kernel_shape=[2, 2])]
MAXIMA = {"op": "MaxPool", "kernel_shape": [2, 3], "strides": [1, 2], "pads": [0, 0, 0, 0]}


@pytest.mark.parametrize("case", [AVERAGE, EXTRAPOLATED], ids=["zero-padded average", "extrapolation"])
def test_a_border_that_is_not_followed_is_seen(case, monkeypatch):
    """The wrong fold: as if the weights summed to one at the border, too."""
    assert difference(0, [case], [0] * 4) <= 1e-9
    monkeypatch.setattr(Tracked, "holding", lambda self, _: self)
    assert difference(0, [case], [0] * 4) > 1e-2


def summed_windows(op, equation, **options):
    """Of 12x11: the windows of a pool, added up along one side, and a product with those along the other."""
    nodes = [
        helper.make_node(op, ["x"], ["p"], ceil_mode=1, **options),
        node("ReduceSum", "p down", "s", keepdims=1),
        node("Einsum", "s k", "q", equation=equation),
        node("Add", "q b", "y"),
    ]
    rng = np.random.default_rng(0)
    return model(nodes, {"down": np.array([2]), "k": rng.normal(size=(3, 4, 4)), "b": rng.normal(size=(1, 1, 4))}, rank=3)


@pytest.mark.parametrize("op", ["AveragePool", "MaxPool"])
def test_a_last_window_that_would_begin_in_the_padding_behind_is_none(op):
    """Along both sides: the sixth of 12 rows in steps of 3 from -1, the fifth of 11 columns in steps of 3 from -1."""
    pool = {"kernel_shape": [2, 2], "strides": [3, 3], "pads": [1, 1, 1, 1]}
    steps, x = imagenet("BGR"), pixels("BGR", size=SIZE)
    (want,) = doubled(summed_windows(op, "nchw,ckw->nhk", **pool), "x", reference.apply(steps, x))
    made = summed_windows(op, "nchw,ckw->nhk", **pool)
    graph.attach(made, steps, spec("BGR", size=SIZE), fold="require")
    (got,) = doubled(made, "pixels", x)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9 * np.abs(want).max())


def test_a_product_that_does_not_fit_what_was_followed_is_refused():
    made = summed_windows("MaxPool", "nchw,ckw->nhk", kernel_shape=[1, 1], strides=[1, 2])  # six columns, and a matrix for four
    with pytest.raises(NotFoldableError, match=r"k, of the shape \(3, 4, 4\), sums over 12 numbers, .* has 18 there"):
        graph.attach(made, imagenet("BGR"), spec("BGR", size=SIZE), fold="require")


def negated(color):
    return [FromPixels(layout="NHWC", color=color), Rescale(scale=-1 / 255), Rescale(offset=0.5, scale=1)]


def test_maxima_of_values_whose_order_the_steps_turn_around_are_refused_and_their_fold_would_be_seen(monkeypatch):
    monkeypatch.setattr("tests.graph.test_mixing.imagenet", negated)
    assert "turn their order around" in difference(0, [MAXIMA], [0] * 4)
    monkeypatch.setattr(Tracked, "compared", Tracked.mixed)
    assert difference(0, [MAXIMA], [0] * 4) > 1e-2


def test_borders_of_different_constants_fold_where_a_pixel_maps_to_zero():
    assert difference(0, [EXTRAPOLATED], [1] * 4) <= 1e-9
    assert difference(0, [EXTRAPOLATED, AVERAGE], [0] * 4) <= 1e-9
    assert difference(0, [EXTRAPOLATED], [1] * 4, "GRAY") <= 1e-9  # three equal channels in front, from which each mean is subtracted
    assert difference(0, [MAXIMA], [1] * 4, "GRAY") <= 1e-9  # the border comes later
    assert difference(0, [OF_A_BORDER], [0] * 4, "GRAY") <= 1e-9
    assert difference(0, [OF_A_BORDER], [0] * 4) <= 1e-9


def cropped(roi, name, **options):
    """A region of `in`, resized to 6x5."""
    (made,), held = resize([6, 5], mode="linear", coordinate_transformation_mode="tf_crop_and_resize", **options)
    return through(made, name=name, **held | {"roi": np.float32(roi)})


def of_two_regions(one, other):
    """Channel 0 of one region beside 1 and 2 of another."""
    nodes, constants = [], {"w": W, "i": np.array([0]), "j": np.array([1, 2])}
    for name, roi, rows in (("a", one, "i"), ("b", other, "j")):
        made, held = cropped(roi, name)
        nodes += [*made, node("Gather", f"{name} {rows}", f"{name}{rows}", axis=1)]
        constants |= held
    return model([*nodes, node("Concat", "ai bj", "c", axis=1), conv(source="c")], constants)


@pytest.mark.parametrize(("other", "same"), [([0, 0, 0.5, 0.5], True), ([0.5, 0.5, 1, 1], False)], ids=["the same", "another"])
def test_pixels_of_different_regions_are_not_taken_for_one(other, same):
    """Red and blue change places, which is right in the weights only where both stand in the same pixel."""
    steps, x = [FromPixels(layout="NHWC", color="BGR"), Rescale()], pixels("BGR", size=SIZE)
    (want,) = answers(of_two_regions([0, 0, 0.5, 0.5], other), "x", reference.apply(steps, x))
    made = of_two_regions([0, 0, 0.5, 0.5], other)
    done = graph.attach(made, steps, spec("BGR"))
    assert (done.folded, done.selected) == (True, () if same else (2, 1, 0))
    (got,) = answers(made, "pixels", x)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


def test_a_region_that_is_computed_is_refused():
    (made,), held = cropped([0, 0, 1, 1], "a")
    made.input[1] = "r"
    nodes = [node("RandomUniform", "", "r", shape=[4], dtype=TensorProto.FLOAT), made, conv(source="a")]
    with pytest.raises(NotFoldableError, match="r is computed"):
        graph.attach(model(nodes, {"w": W} | held), imagenet(), spec(), fold="require")


@pytest.mark.parametrize("behind", [[], [""], ["nothing"]], ids=["left off", "left out", "of no numbers"])
@pytest.mark.parametrize("roi", ["", "roi"])
def test_a_resize_by_scales_folds_wherever_its_sizes_are_not(roi, behind):
    constants = {"w": W, "roi": np.float32([0] * 4 + [1] * 4), "k": np.float32([1, 1, 0.5, 0.5]), "nothing": np.array([], np.int64)}
    nodes = [helper.make_node("Resize", ["x", roi, "k", *behind], ["a"], mode="linear"), conv(source="a")]
    assert graph.attach(model(nodes, constants), imagenet("BGR"), spec("BGR"), fold="require").folded


def test_what_is_read_besides_is_refused():
    region = helper.make_node("Resize", ["x", "r", "k"], ["a"], mode="nearest", coordinate_transformation_mode="tf_crop_and_resize")
    for nodes, constants, reason in (
        (
            [helper.make_node("Resize", ["x", "", "k"], ["a"]), conv(source="a")],
            {"k": np.float32([1, 1.33, 1, 1])},
            "Resize mixes the channels",
        ),
        (
            [region, conv(source="a")],
            {"r": np.float32([0, 1, 0, 0, 1, 0, 1, 1]), "k": np.float32([1, 1, 1, 1])},
            "Resize mixes the channels",
        ),
        (
            [helper.make_node("MaxPool", ["x"], ["a", "places"], kernel_shape=[2, 2]), conv(source="a")],
            {},
            "where the picture's maxima are",
        ),
        (
            [node("MaxPool", "x", "a", kernel_shape=[2, 2], dilations=[2, 1], auto_pad="SAME_UPPER"), conv(source="a")],
            {},
            "size of a dilated MaxPool",
        ),
        ([node("ReduceMean", "x axes", "a"), conv(source="a")], {"axes": np.array([1])}, "ReduceMean mixes the channels"),
        (
            [node("Transpose", "x", "t", perm=[0, 2, 3, 1]), node("AveragePool", "t", "a", kernel_shape=[2, 2]), conv(source="a")],
            {},
            "AveragePool mixes the channels",
        ),
        ([node("GlobalMaxPool", "x", "g"), node("Mul", "x g", "a"), conv(source="a")], {}, "combined with itself by Mul, which is not"),
        (
            [helper.make_node("Resize", ["x", "", "k"], ["a"]), conv(source="a")],
            {"k": np.float32([1, 2, 1, 1])},
            "Resize mixes the channels",
        ),
    ):
        made = model(nodes, {"w": W} | constants)
        with pytest.raises(NotFoldableError, match=reason):
            graph.attach(made, imagenet(), spec(), fold="require")


def test_global_averages_fold():
    nodes = [
        node("GlobalAveragePool", "x", "g"),
        node("ReduceMean", "x axes", "m"),
        conv("w1", source="g", output="p"),
        conv("w1", source="m", output="q"),
        node("Add", "p q", "y"),
    ]
    made, x = model(nodes, {"w1": W[:, :, :1, :1], "axes": np.array([2, -1])}), pixels("BGR")
    want = evaluate(made, "x", reference.apply(imagenet("BGR"), x))
    graph.attach(made, imagenet("BGR"), spec("BGR"), fold="require")
    assert np.abs(evaluate(made, "pixels", x) - want).max() <= 1e-9 * np.abs(want).max()
