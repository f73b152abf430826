"""What a contract promises of each output."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from .. import graph
from ..verify import Case, is_exact
from ..verify.runtimes import items_of
from .proof import Proof

if TYPE_CHECKING:
    import onnx_ir as ir


def promised(name: str, declared: "ir.Value | None", proof: Proof | None, batch: int | None, *, floats: str) -> list[dict[str, Any]]:
    """An output, or each tensor of a sequence, `of` which it is then: see _one()."""
    if proof is None:
        return [{"name": name, "dtype": _dtype(declared, None, floats), "shape": graph.sides(declared)}]
    entries = [_one(item, declared, proof, batch, floats=floats) for item in items_of(name, proof.cases[0].expected)]
    return [entry | ({} if entry["name"] == name else {"of": name}) for entry in entries]


def _one(name: str, declared: "ir.Value | None", proof: Proof, batch: int | None, *, floats: str) -> dict[str, Any]:
    """Its name, dtype and shape, whether it is of the batch as a whole, and which rows it lists. The shape is what the reference answered,
    else what an .onnx file declares: a free batch is "N", and what depends on the picture is the file's word for it, or one of ours.
    floats: what the formats of torch answer floats in."""
    shape = _shape(name, graph.sides(declared), proof.cases, batch)
    whole = any(name in case.whole for case in proof.cases)
    made: dict[str, Any] = {"name": name, "dtype": _dtype(declared, proof.cases[0].expected[name], floats), "shape": shape}
    made |= {"whole": True} if whole else {}
    return made | _order(name, proof)


def _order(name: str, proof: Proof) -> dict[str, Any]:
    """Of the rows that it lists, if nothing defines it."""
    for rows in proof.power.rows:
        if name in rows.axes:
            return {
                "rows": {"axis": rows.axes[name], "listed_with": [other for other in rows.axes if other != name], "sorted_by": [*rows.keys]}
            }
    return {}


def _dtype(declared: "ir.Value | None", answered: NDArray[Any] | None, floats: str) -> str:
    if declared is not None and declared.dtype is not None:
        return "string" if declared.dtype.name == "STRING" else declared.dtype.numpy().name
    return floats if answered is None or not is_exact(answered) else str(answered.dtype)


def _shape(name: str, told: Sequence[int | str | None] | None, cases: Sequence[Case], batch: int | None) -> list[int | str | None] | None:
    shapes = [case.expected[name].shape for case in cases]
    if len({len(shape) for shape in shapes}) > 1:
        return None if told is None else list(told)
    sides: list[int | str | None] = []
    for axis, lengths in enumerate(zip(*shapes, strict=True)):
        word = told[axis] if told is not None and len(told) == len(shapes[0]) else None
        if batch is None and all(length == case.batch for length, case in zip(lengths, cases, strict=True)):
            sides.append("N")
        elif len(set(lengths)) == 1:
            sides.append(lengths[0])
        else:
            sides.append(word if isinstance(word, str) and word != "N" else f"{name}_{axis}")
    return sides
