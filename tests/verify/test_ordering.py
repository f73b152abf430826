"""Which outputs list rows in an order that nothing defines: told by what changes places with the lists."""

import numpy as np
import pytest

from preproc.errors import PreprocError
from preproc.verify import Case, Lists
from preproc.verify.ordering import found_rows

PIXELS = np.zeros((1, 2, 2, 3), np.uint8)
READY = np.zeros((1, 3, 2, 2))
SCORES = np.array([[0.9, 0.7, 0.5, 0.2]])
BOXES = np.arange(16.0).reshape(1, 4, 4)
OUTPUTS = {"boxes": BOXES, "scores": SCORES, "labels": np.array([[1, 1, 2, 3]]), "total": np.array([2.3])}


def case(outputs=OUTPUTS):
    return Case("one", PIXELS, outputs, ready=READY)


def swapped(*names):
    return {name: values[:, [1, 0, 2, 3]] if name in names else values for name, values in OUTPUTS.items()}


def lists(answer, alone=None, names=tuple(OUTPUTS)):
    return Lists(frozenset(names), lambda: lambda _: answer, None if alone is None else lambda: lambda _: alone)


def test_what_changes_places_with_the_lists_is_in_any_order_and_so_is_what_has_as_many_rows():
    (rows,) = found_rows([case()], [lists(swapped("boxes", "scores"))])
    assert rows.axes == {"boxes": 1, "scores": 1, "labels": 1}
    assert rows.keys == {}


def test_sorted_rows_have_the_scores_as_keys():
    (rows,) = found_rows([case()], [lists(swapped("boxes", "scores"), swapped("scores"))])
    assert rows.keys == {"scores": (0,)}


@pytest.mark.parametrize(
    ("answer", "alone"),
    [
        (OUTPUTS, None),
        (OUTPUTS | {"boxes": BOXES + 1}, None),
        (OUTPUTS | {"boxes": BOXES[:, [0, 0, 2, 3]]}, None),
        (OUTPUTS | {"total": np.array([9.9])}, None),
        (swapped("boxes"), OUTPUTS),
    ],
    ids=["nothing changes", "other values", "another row", "no rows", "sorted by what is no output"],
)
def test_the_order_of_anything_else_is_its_own(answer, alone):
    assert found_rows([case()], [lists(answer, alone)]) == ()


def test_it_is_looked_for_where_there_are_rows():
    one, several = (case({name: OUTPUTS[name][:, :count] for name in ("scores", "labels")}) for count in (1, 4))
    asked = []

    def opened():
        asked.append(1)
        return lambda _: swapped("scores")

    by_picture = [Lists(frozenset(["scores", "labels"]), opened, None)]
    assert found_rows([one], by_picture) == ()
    assert asked == []
    assert [*found_rows([one, several], by_picture)[0].axes] == ["scores", "labels"]


def test_a_file_that_does_not_run_with_other_nodes_keeps_its_order():
    def refuse():
        raise PreprocError("no")

    assert found_rows([case()], [Lists(frozenset(OUTPUTS), refuse, None)]) == ()


def test_outputs_of_other_lists_have_orders_of_their_own():
    found = found_rows([case()], [lists(swapped("boxes"), names=("boxes",)), lists(swapped("scores"), names=("scores",))])
    assert [[*rows.axes] for rows in found] == [["boxes"], ["scores"]]


def test_outputs_of_a_list_in_common_that_have_not_as_many_rows_are_compared_where_they_stand():
    """In one case they have: by chance."""
    fewer = OUTPUTS | {"scores": SCORES[:, :3]}
    for outputs in (fewer, OUTPUTS):
        answer = swapped("boxes") | {"scores": outputs["scores"][:, [1, 0, *range(2, outputs["scores"].shape[1])]]}
        assert found_rows([case(outputs), case(fewer)], [lists(answer, names=("boxes", "scores"))]) == ()


def test_outputs_of_a_list_in_common_whose_rows_do_not_change_places_together_are_compared_where_they_stand():
    apart = OUTPUTS | {"boxes": BOXES[:, [1, 0, 2, 3]], "scores": SCORES[:, [0, 2, 1, 3]]}
    assert found_rows([case()], [lists(apart, names=("boxes", "scores"))]) == ()
