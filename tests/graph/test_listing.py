"""Which outputs are made of the lists of a NonMaxSuppression or a TopK, and a file in which these change places."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from preproc import graph
from tests.onnx_files import in_one_thread

node = helper.make_node
X = np.array([[3.0, 1.0, 2.0, 5.0]], np.float32)


def top_k(in_order):
    return node("TopK", ["x", "k"], ["values", "indices"], sorted=in_order)


def within(*nodes):
    """In the branch of an If."""
    outputs = [helper.make_tensor_value_info("inner", TensorProto.FLOAT, ["N", 3])]
    then = helper.make_graph([*nodes, node("Identity", ["values"], ["inner"])], "then", [], outputs)
    other = helper.make_graph([node("Identity", ["x"], ["inner"])], "other", [], outputs)
    return node("If", ["yes"], ["values"], then_branch=then, else_branch=other)


def saved(folder, *nodes, outputs=("values",)):
    kinds = {"indices": TensorProto.INT64, "sides": TensorProto.INT64}
    made = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), None) for name in outputs],
        [numpy_helper.from_array(np.array([3]), "k"), numpy_helper.from_array(np.array(True), "yes")],
    )
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), folder / "m.onnx")
    return graph.load(folder / "m.onnx")


def run(model):
    return in_one_thread(model).run(None, {"x": X})


@pytest.mark.parametrize(
    ("nodes", "listing", "expected"),
    [
        ([top_k(1)], graph.Listing.BY_SCORE, [[5, 3, 2], [3, 5, 2]]),
        ([top_k(0)], graph.Listing.IN_ANY_ORDER, None),
        ([within(top_k(1))], graph.Listing.BY_SCORE, [[5, 3, 2], [3, 5, 2]]),
    ],
    ids=["sorted", "not sorted", "in a branch"],
)
def test_the_first_two_rows_change_places(nodes, listing, expected, tmp_path):
    model = saved(tmp_path, *nodes)
    (before,), (after,) = run(graph.to_bytes(model)), run(graph.exchanged(model, listing))
    assert np.array_equal(after, before[:, [1, 0, 2]])
    assert expected is None or [before.tolist()[0], after.tolist()[0]] == expected
    assert graph.listed(model, listing) == [frozenset(["values"])]
    (other,) = set(graph.Listing) - {listing}
    assert graph.listed(model, other) == []
    assert np.array_equal(run(graph.exchanged(model, other))[0], before)
    assert np.array_equal(run(graph.to_bytes(model))[0], before)  # the model itself is as it was


def test_scores_alone_leave_the_indices(tmp_path):
    model = saved(tmp_path, top_k(1), outputs=("values", "indices"))
    values, indices = run(graph.exchanged(model, graph.Listing.BY_SCORE, scores_alone=True))
    assert values.tolist() == [[3, 5, 2]]
    assert indices.tolist() == [[3, 0, 2]]
    assert graph.listed(model, graph.Listing.BY_SCORE) == [frozenset(["values", "indices"])]


def test_outputs_of_other_lists_are_apart_and_what_reads_how_many_there_are_is_of_none(tmp_path):
    other = node("TopK", ["x", "k"], ["least", "of_least"], largest=0)
    model = saved(tmp_path, top_k(1), other, node("Shape", ["values"], ["sides"]), outputs=("values", "least", "sides"))
    assert sorted(map(sorted, graph.listed(model, graph.Listing.BY_SCORE))) == [["least"], ["values"]]


def test_outputs_that_have_a_list_in_common_are_together_whatever_else_they_read(tmp_path):
    """`sum` reads both lists, `double` that alone which `values` does not read."""
    least, both = node("TopK", ["x", "k"], ["least", "of_least"], largest=0), node("Add", ["values", "least"], ["sum"])
    model = saved(tmp_path, top_k(1), least, both, node("Add", ["least", "least"], ["double"]), outputs=("values", "double", "sum"))
    assert graph.listed(model, graph.Listing.BY_SCORE) == [frozenset(["values", "double", "sum"])]
