"""A normalization inside an .onnx file is seen however it is spelt: by both of torch's exporters, and by others."""

import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from preproc import graph
from preproc.bundle.inspection import describe, effect, graph_effect
from preproc.folding import guard
from tests.normalizing import MEAN, SPELLINGS, STD, M, Net, S, check
from tests.onnx_files import hand_made, put


def exported(spelling, file, *, dynamo):
    net, example = Net(SPELLINGS[spelling]).eval(), torch.zeros(2, 3, 24, 24)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            torch.onnx.export(net, (example,), file, dynamo=True, verbose=False)
        else:
            torch.onnx.export(net, (example,), file, dynamo=False, opset_version=18)
    return graph.load(file)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_file_of_torchs_older_exporter(spelling, tmp_path):
    if spelling == "resized first":
        pytest.skip("the older exporter has no antialias")
    check(graph_effect(exported(spelling, tmp_path / "m.onnx", dynamo=False), 3), spelling)


@pytest.mark.parametrize("spelling", ["as kornia", "a fifth axis", "unbound", "picture by picture", "where and clamp", "resized first"])
def test_a_file_of_torchs_newer_exporter(spelling, tmp_path):
    check(graph_effect(exported(spelling, tmp_path / "m.onnx", dynamo=True), 3), spelling)


def test_half_precision_in_a_float32_file(tmp_path):
    halves = [number(name, array.numpy().astype(np.float16)) for name, array in (("m", M), ("s", S))]
    cast = [helper.make_node("Cast", [old], [new], to=to) for old, new, to in (("image", "x16", 10), ("d", "first", 1))]
    nodes = [*halves, cast[0], helper.make_node("Sub", ["x16", "m"], ["u"]), helper.make_node("Div", ["u", "s"], ["d"]), cast[1]]
    (found,) = graph_effect(graph.load(hand_made(tmp_path, nodes=nodes)), 3).maps
    assert guard.preset(found) == ("imagenet", "RGB")


def number(name, values):
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(values)))


def floats(name, values):
    return number(name, np.float32(values))


KERAS = [
    helper.make_node("Transpose", ["image"], ["t"], perm=[0, 2, 3, 1]),
    floats("m", MEAN.numpy().reshape(1, 1, 1, 3)),
    floats("v", STD.numpy().reshape(1, 1, 1, 3)),
    floats("e", 1e-7),
    helper.make_node("Sub", ["t", "m"], ["d"]),
    helper.make_node("Max", ["v", "e"], ["larger"]),
    helper.make_node("Div", ["d", "larger"], ["n"]),
    helper.make_node("Transpose", ["n"], ["first"], perm=[0, 3, 1, 2]),
]
"""keras.layers.Normalization, as tf2onnx writes it, in front of a convolution of (N, C, H, W)."""
PADDLE = [
    number("axes", [2]),
    number("back", [2]),
    number("sizes", [1, 1, 1]),
    floats("zero", 0),
    helper.make_node("Split", ["image", "sizes"], ["p0", "p1", "p2"], axis=1),
    *[
        node
        for i in range(3)
        for node in (
            floats(f"scale{i}", [1 / float(STD[i])]),
            floats(f"bias{i}", [-float(MEAN[i]) / float(STD[i])]),
            helper.make_node("Mul", [f"p{i}", f"scale{i}"], [f"s{i}"]),
            helper.make_node("Add", [f"s{i}", f"bias{i}"], [f"n{i}"]),
        )
    ],
    helper.make_node("Concat", ["n0", "n1", "n2"], ["joined"], axis=1),
    helper.make_node("Unsqueeze", ["joined", "axes"], ["five"]),
    helper.make_node("Sum", ["five", "zero"], ["summed"]),
    helper.make_node("Squeeze", ["summed", "back"], ["first"]),
]
"""As paddle2onnx writes scale operators."""
QUANTIZED = [
    floats("m", M.numpy()),
    floats("s", S.numpy()),
    floats("step", 1 / 255),
    number("point", np.uint8(0)),
    helper.make_node("QuantizeLinear", ["image", "step", "point"], ["q"]),
    helper.make_node("DequantizeLinear", ["q", "step", "point"], ["x"]),
    helper.make_node("Sub", ["x", "m"], ["d"]),
    helper.make_node("Div", ["d", "s"], ["first"]),
]
DEQUANTIZED = [
    floats("one", 1),
    floats("step", 1 / 127.5),
    number("none", np.uint8(0)),
    number("middle", np.uint8(128)),
    helper.make_node("QuantizeLinear", ["image", "one", "none"], ["q"]),
    helper.make_node("DequantizeLinear", ["q", "step", "middle"], ["first"]),
]
SHAPES = [
    floats("m", MEAN.numpy().reshape(1, 3, 1)),
    floats("s", STD.numpy().reshape(1, 3, 1)),
    number("minus", [-1]),
    number("two", np.int64([0, 1])),
    helper.make_node("Shape", ["image"], ["shape"]),
    helper.make_node("Gather", ["shape", "two"], ["front"], axis=0),
    helper.make_node("Concat", ["front", "minus"], ["flat"], axis=0),
    helper.make_node("Reshape", ["image", "flat"], ["rows"]),
    helper.make_node("Sub", ["rows", "m"], ["d"]),
    helper.make_node("Div", ["d", "s"], ["n"]),
    helper.make_node("Reshape", ["n", "shape"], ["first"]),
]


@pytest.mark.parametrize("nodes", [KERAS, PADDLE, QUANTIZED, SHAPES], ids=["keras", "paddle", "quantized", "shapes"])
def test_nodes_as_other_converters_write_them(nodes, tmp_path):
    file = hand_made(tmp_path, nodes=nodes)
    check(graph_effect(graph.load(file), 3), "plain")
    assert describe(file)["picture"]["maps"][0]["preset"] == "imagenet"


def test_a_pair_of_other_scales_is_a_normalization(tmp_path):
    effect = graph_effect(graph.load(hand_made(tmp_path, nodes=DEQUANTIZED)), 3)
    assert [guard.described(first) for first in effect.maps] == ["(x - 128) / 127.5 of values in 0-255"]


def test_model_local_functions_are_opened(tmp_path):
    model = onnx.load(hand_made(tmp_path, nodes=[helper.make_node("Prepare", ["image"], ["first"], domain="my")]))
    body = [floats("two", 2), floats("one", 1), helper.make_node("Mul", ["x", "two"], ["d"]), helper.make_node("Sub", ["d", "one"], ["y"])]
    opsets = [helper.make_opsetid("", 18)]
    model.functions.append(helper.make_function("my", "Prepare", ["x"], ["y"], body, opsets))
    model.opset_import.append(helper.make_opsetid("my", 1))
    onnx.save(model, tmp_path / "m.onnx")
    effect = graph_effect(graph.load(tmp_path / "m.onnx"), 3)
    assert [guard.expected_unit(first) for first in effect.maps] == ["0-1"]


def test_a_branch_that_takes_the_picture_is_not_passed_over(tmp_path):
    two = numpy_helper.from_array(np.float32(2), "two")
    then = helper.make_graph(
        [helper.make_node("Mul", ["image", "two"], ["a"])], "then", [], [helper.make_empty_tensor_value_info("a")], [two]
    )
    other = helper.make_graph([helper.make_node("Identity", ["image"], ["e"])], "else", [], [helper.make_empty_tensor_value_info("e")])
    nodes = [number("yes", np.array(True)), helper.make_node("If", ["yes"], ["first"], name="fork", then_branch=then, else_branch=other)]
    file = hand_made(tmp_path, nodes=nodes)
    told = describe(file)["picture"]
    assert (told["normalizes"], told["not_told"]) == (None, "followed no further than If fork")


def test_a_long_way_is_not_followed_to_its_end(tmp_path, monkeypatch):
    """Each operation is a session of ONNX Runtime's: of many thousands nothing is told. Identities cost none."""
    identities = [helper.make_node("Identity", ["image" if n == 0 else f"i{n}"], [f"i{n + 1}"]) for n in range(50)]
    nodes = [*identities, floats("z", 1e-3), *(helper.make_node("Add", [f"a{n}" if n else "i50", "z"], [f"a{n + 1}"]) for n in range(3))]
    file = hand_made(tmp_path, nodes=[*nodes, helper.make_node("Identity", ["a3"], ["first"])])
    monkeypatch.setattr(effect, "MOST_NODES", 3)
    assert graph_effect(graph.load(file), 3).stopped == ()
    monkeypatch.setattr(effect, "MOST_NODES", 2)
    assert graph_effect(graph.load(file), 3).stopped == ("Add a3",)


def test_attach_says_what_it_cannot_tell(tmp_path):
    """In its notes, in the contract and in inspect's lines."""
    nodes = [floats("p", 2), helper.make_node("Pow", ["image", "p"], ["first"])]
    said = []
    bundle = put(hand_made(tmp_path, nodes=nodes), tmp_path / "out", progress=said.append)
    note = "not told whether the network normalizes its input itself: followed no further than Pow first"
    assert note in bundle.contract["notes"]
    assert f"note: {note}" in said
