"""First layers that are convolutions by another name: transposed ones, products spelt as Einsum, stacks of one matrix."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preproc import graph
from preproc.errors import NotFoldableError
from preproc.oracle import reference
from tests.folding.mistakes import as_unpadded
from tests.graph.models import doubled, imagenet, model, node, pixels, spec

SIZE, RNG = (8, 6), np.random.default_rng(3)


def difference(nodes, constants, color="BGR", *, rank=4):
    """The fold's error as a share, and what was done."""
    sequence, x = imagenet(color), pixels(color, size=SIZE)
    bare, made = (model(nodes, constants, rank=rank) for _ in range(2))
    want = doubled(bare, "x", reference.apply(sequence, x))[0]
    done = graph.attach(made, sequence, spec(color, size=SIZE), fold="require")
    onnx.checker.check_model(ir.to_proto(made), full_check=True)
    return np.abs(doubled(made, "pixels", x)[0] - want).max() / np.abs(want).max(), done


transposed = st.fixed_dictionaries(
    {
        "kernel": st.tuples(st.integers(1, 4), st.integers(1, 4)),
        "strides": st.tuples(st.integers(1, 3), st.integers(1, 3)).map(list),
        "dilations": st.sampled_from([[1, 1], [2, 1]]),
        "pads": st.sampled_from([[0] * 4, [1, 0, 0, 1], [1] * 4]),
        "extra": st.booleans(),
        "group": st.sampled_from([1, 3]),
        "bias": st.booleans(),
        "color": st.sampled_from(["BGR", "RGBA", "GRAY"]),
    }
)


def of_transposed(case):
    weight = RNG.normal(size=(3, 2, *case["kernel"]))
    options = {name: case[name] for name in ("strides", "dilations", "pads", "group")}
    options |= {"output_padding": [stride - 1 for stride in case["strides"]]} if case["extra"] else {}
    constants = {"w": weight} | ({"b": RNG.normal(size=2 * case["group"])} if case["bias"] else {})
    return [node("ConvTranspose", "x w b" if case["bias"] else "x w", "y", **options)], constants


@settings(max_examples=30)
@given(transposed)
def test_a_transposed_convolution_folds_exactly_border_included(case):
    color = "RGB" if case["group"] > 1 else case["color"]
    error, done = difference(*of_transposed(case), color)
    assert error <= 1e-9
    reads_zeros = max(*case["kernel"], *case["strides"]) > 1
    assert done.form == (("append" if color == "GRAY" else "subtract") if reads_zeros else "cast")


@pytest.mark.parametrize("more", [{"strides": [2, 2]}, {"kernel": (1, 2)}, {"extra": True, "strides": [1, 2]}])
def test_the_mean_in_the_bias_of_a_transposed_convolution_would_be_seen(more, monkeypatch):
    case = {"kernel": (1, 1), "strides": [1, 1], "dilations": [1, 1], "pads": [0] * 4, "extra": False, "group": 1, "bias": True} | more
    assert difference(*of_transposed(case))[0] <= 1e-9
    as_unpadded(monkeypatch)
    assert difference(*of_transposed(case))[0] > 1e-2


PATCHES = np.array([0, 3, SIZE[0] // 2, 2, SIZE[1] // 2, 2])
PRODUCTS = {
    "a 1x1 convolution": ("nchw,oc->nohw", (5, 3), (1, 5, 1, 1)),
    "channels last": ("nchw,co->nhwo", (3, 5), (5,)),
    "of whatever is in front": ("...chw,oc->...ohw", (5, 3), (5, 1, 1)),
    "the constant first": ("oc,nchw->nohw", (5, 3), None),
    "without an arrow": ("acdw,oc", (5, 3), None),
    "patches": ("nchpwq,ocpq->nohw", (5, 3, 2, 2), (5, 1, 1)),
    "patches in another order": ("nchpwq,qopc->nhwo", (2, 5, 2, 3), (5,)),
    "to two axes": ("nchw,cop->nophw", (3, 5, 2), None),
    "to none": ("nchw,c->nhw", (3,), None),
    "a bias for something else": ("nchw,oc->nohw", (5, 3), (6,)),
}


def of_product(name):
    equation, shape, bias = PRODUCTS[name]
    given_first = equation.startswith("oc,")
    read = "six" if "p" in equation.split("->")[0].split(",")[0] else "x"
    nodes = [node("Reshape", "x sides", "six")] if read == "six" else []
    nodes.append(node("Einsum", f"w {read}" if given_first else f"{read} w", "y" if bias is None else "e", equation=equation))
    constants = {"w": RNG.normal(size=shape)} | ({"sides": PATCHES} if read == "six" else {})
    if bias is not None:
        nodes, constants["b"] = [*nodes, node("Add", "b e", "y")], RNG.normal(size=bias)
    return nodes, constants


@pytest.mark.parametrize("color", ["BGR", "RGBA", "GRAY"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_by_letters_folds_exactly(name, color):
    rank = 5 if name == "to two axes" else 3 if name == "to none" else 4
    error, done = difference(*of_product(name), color, rank=rank)
    assert error <= 1e-9
    none = PRODUCTS[name][2] is None or "something else" in name
    assert done.form == (("append" if color == "GRAY" else "subtract") if none else "cast")


@pytest.mark.parametrize("name", ["a 1x1 convolution", "of whatever is in front"])
def test_a_product_by_letters_behind_a_border_folds_and_the_mean_in_the_bias_would_be_seen(name, monkeypatch):
    nodes, constants = of_product(name)
    nodes = [node("Pad", "x pads", "p"), *nodes]
    nodes[1].input[0] = "p"
    constants["pads"] = np.array([0, 0, 1, 2, 0, 0, 1, 0])
    assert difference(nodes, constants)[0] <= 1e-9
    as_unpadded(monkeypatch)
    assert difference(nodes, constants)[0] > 1e-2


@pytest.mark.parametrize("weight", [RNG.normal(size=(1, 1, 6, 5)), RNG.normal(size=(1, 6, 4))])
def test_a_stack_of_one_matrix_is_a_matrix(weight):
    constants = {"w": weight, "flat": np.array([0, 0, -1]), "b": RNG.normal(size=weight.shape[-1]), "axis": np.array([2])}
    nodes = [
        node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
        node("Slice", "t zero two axis", "s"),
        node("Reshape", "s flat", "f"),
        node("MatMul", "f w", "m"),
        node("Add", "m b", "y"),
    ]
    constants |= {"zero": np.array([0]), "two": np.array([2])}
    error, done = difference(nodes, constants, rank=max(weight.ndim, 3))
    assert (error <= 1e-9, done.form) == (True, "cast")


@pytest.mark.parametrize("times", [0.5, 2, 3])
def test_a_matrix_that_is_larger_or_smaller_by_a_whole_factor_is_not_reshaped(times):
    """It is one for pictures of another size, whose numbers divide evenly."""
    numbers = int(3 * np.prod(SIZE) * times)
    for op, weight, options in (("MatMul", (numbers, 5), {}), ("Gemm", (5, numbers), {"transB": 1})):
        made = model([node("Flatten", "x", "f"), node(op, "f w", "y", **options)], {"w": np.ones(weight)}, rank=2)
        with pytest.raises(NotFoldableError, match=f"sums over {numbers} numbers, and the picture has {3 * np.prod(SIZE)} there"):
            graph.attach(made, imagenet(), spec(size=SIZE), fold="require")


REFUSED = {
    "a weight for each channel": ("nchw,cd->ncdhw", (3, 2)),
    "a sum of what is not weighted": ("nchw,oc->noh", (5, 3)),
    "a sum of the weight alone": ("nchw,ocd->nohw", (5, 3, 2)),
    "a trace": ("ncss,oc->no", (5, 3)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_product_with_a_matrix_is_refused(name):
    equation, shape = REFUSED[name]
    made = model([node("Einsum", "x w", "y", equation=equation)], {"w": np.ones(shape)})
    assert "no product with a matrix" in graph.attach(made, imagenet(), spec(size=SIZE)).reason
