"""A file of preproc that has pictures without preprocessing, still: what of its contract goes on to hold."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import graph
from ..bundle import KEY, further_of
from ..bundle import contract as contracts
from ..errors import PreprocError
from ..sources import FurtherPicture

if TYPE_CHECKING:
    import onnx_ir as ir


def contract_before(
    model: "ir.Model", file: Path, names: tuple[str, ...], layout: str | None
) -> tuple[Mapping[str, Any] | None, tuple[str, ...]]:
    """The contract of a model whose graph does what that says, and of whose pictures the named inputs are none; else None. And the names,
    or that of the one input that takes prepared values. layout: of these inputs, as attach() has it."""
    if KEY not in model.metadata_props:
        return None, names
    try:
        others = names or (str(graph.picture_input(model, None, layout).value.name),)
        contract = contracts.read(model.metadata_props[KEY], file)
        wrong = [text for view in contracts.views_of(contract) for text in graph.disagreements(view, model)[0]]
    except PreprocError:
        return None, names
    return (None, names) if wrong or set(others) & set(_pictures(contract)) else (contract, others)


def given_of(contract: Mapping[str, Any] | None) -> list[FurtherPicture]:
    """The pictures that the model of this contract takes as pixels."""
    return [] if contract is None else further_of(contract, given=_pictures(contract))


def _pictures(contract: Mapping[str, Any]) -> list[str]:
    return [view["input"]["name"] for view in contracts.views_of(contract)]
