"""What an .onnx file computes, in float64: node by node, in NumPy."""

from collections import Counter
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .erf import WORK
from .integers import INTEGERS, ROUNDING, UNROUNDED
from .moving import MOVING, widened
from .pointwise import POINTWISE, Form
from .reading import Array, Graph, Node, NotInDoubleError, read
from .recurrent import RECURRENT
from .resizing import RESIZING
from .sums import SUMS
from .windows import WINDOWS

FORMS: Mapping[str, Form] = POINTWISE | MOVING | SUMS | WINDOWS | RESIZING | RECURRENT | INTEGERS  # type: ignore[operator]
CONTROL = ("If", "Loop")
Values = Callable[[str], Any]
"""Those of the graph around a subgraph, as they are asked for."""


class DoubleFile:
    """An .onnx file whose float32, float16 and bfloat16 are float64: weights, constants, inputs, all that is computed from them, what it
    casts to one of them. Integers stay integers, and a scale is the number that the file has. Independent of ONNX Runtime, of
    `onnx.reference` and of our own graphs: tests compare it.

    rounds: whether QuantizeLinear rounds; False: a quantized network with its own weights, and nothing rounded in between.
    Raises NotInDoubleError where an operator has no form here, or rounds to less than 16 bits itself; with rounds=False also where one
    rounds that has no form without it.
    """

    def __init__(self, path: Path, *, rounds: bool = True) -> None:
        self.graph, self.forms = read(path), FORMS if rounds else {**FORMS, **UNROUNDED}
        _check(self.graph, ROUNDING if not rounds else ())

    def __call__(self, feeds: Mapping[str, Array], names: tuple[str, ...], *, most: float = np.inf) -> dict[str, Any]:
        """feeds: every input that is no weight; floats as float64; and values inside, in place of what makes them.
        names: of the outputs that are wanted; those that are sequences are lists of arrays, or of
        maps.
        most: multiply-adds, beyond which NotInDoubleError is raised: counted from shapes, so the same on every machine."""
        run = _Run(most, self.forms)
        values = run.graph(self.graph, {name: widened(value) for name, value in feeds.items()}, _nothing, names)
        return values


def _check(graph: Graph, refused: Container[str] = ()) -> None:
    for node in graph.nodes:
        if node.kind not in FORMS and node.kind not in CONTROL:
            raise NotInDoubleError(f"there is no float64 form of {node.kind}")
        if node.kind in refused:
            raise NotInDoubleError(f"there is no form of {node.kind} that does not round")
        for value in node.attributes.values():
            if isinstance(value, Graph):
                _check(value, refused)


class _Run:
    """One evaluation. left: multiply-adds that may still be made."""

    def __init__(self, most: float, forms: Mapping[str, Form]) -> None:
        self.most, self.left, self.forms = most, most, forms

    def graph(self, graph: Graph, feeds: Mapping[str, Array], outer: Values, names: tuple[str, ...]) -> dict[str, Any]:
        """The outputs `names`. outer: values of the graph around it. Values that nobody reads any more go at once."""
        values, weights = dict(feeds), graph.weights
        readers = Counter(name for node in graph.nodes for name in node.reads)
        readers.update(names)
        inputs = {*feeds}

        def value(name: str) -> Any:
            """None: an input that is left out."""
            if not name:
                return None
            if name in values:
                return values[name]
            return widened(weights[name]) if name in weights else outer(name)

        for node in graph.nodes:
            if any(name in inputs for name in node.outputs):
                continue
            if node.kind in CONTROL:
                made = self._if(node, value) if node.kind == "If" else self._loop(node, value)
            else:
                made = self._plain(node, [value(name) for name in node.inputs])
            for name in node.reads:
                readers[name] -= 1
                if not readers[name] and name not in inputs:
                    values.pop(name, None)
            values.update({name: _checked(node, array) for name, array in zip(node.outputs, made, strict=False) if name and readers[name]})
        return {name: found if isinstance(found := value(name), list) else np.asarray(found) for name in names}

    def _plain(self, node: Node, given: list[Array | None]) -> tuple[Array, ...]:
        self.left -= multiply_adds(node, given)
        if self.left < 0:
            raise NotInDoubleError(f"it takes more than {self.most:.1e} multiply-adds a batch")
        with np.errstate(all="ignore"):
            made = self.forms[node.kind](node, *given)
        return made if isinstance(made, tuple) else (made,)

    def _if(self, node: Node, around: Values) -> tuple[Array, ...]:
        branch = node.get("then_branch" if around(node.inputs[0]).reshape(-1)[0] else "else_branch")
        made = self.graph(branch, {}, around, branch.outputs)
        return tuple(made[name] for name in branch.outputs)

    def _loop(self, node: Node, around: Values) -> tuple[Array, ...]:
        body = node.get("body")
        trips = int(around(node.inputs[0]).reshape(-1)[0]) if node.inputs[0] else np.iinfo(np.int64).max
        go_on = bool(around(node.inputs[1]).reshape(-1)[0]) if len(node.inputs) > 1 and node.inputs[1] else True
        carried = [around(name) for name in node.inputs[2:]]
        scanned: list[list[Array]] = [[] for _ in body.outputs[1 + len(carried) :]]
        trip = 0
        while go_on and trip < trips:
            feeds = dict(zip(body.inputs, [np.array(trip), np.array(go_on), *carried], strict=True))
            made = self.graph(body, feeds, around, body.outputs)
            condition, *rest = (made[name] for name in body.outputs)
            go_on, carried, trip = bool(condition.reshape(-1)[0]), rest[: len(carried)], trip + 1
            for found, array in zip(scanned, rest[len(carried) :], strict=True):
                found.append(array)
        if not all(scanned):
            raise node.refuse("runs no time")
        return (*carried, *(np.stack(found) for found in scanned))


def _nothing(name: str) -> Array:
    raise KeyError(name)


def _checked(node: Node, array: Any) -> Any:
    if isinstance(array, list):
        return [_checked(node, item) for item in array]
    if isinstance(array, dict):
        return array
    if array.dtype.kind == "f" and array.dtype != np.float64:
        raise node.refuse(f"answers {array.dtype}")
    return array


def multiply_adds(node: Node, given: list[Array | None]) -> float:
    """About how many a node makes, or takes the time of; 0 of those that make few."""
    x, w = (*given, None, None)[:2]
    if x is not None and node.kind.rpartition(":")[2] in ("Erf", "Gelu", "BiasGelu"):
        return float(x.size * WORK)
    if node.kind.startswith("com.microsoft:QLinear") or x is None or w is None:
        return 0
    if node.kind in ("QLinearConv", "QLinearMatMul"):
        w = given[3]
        assert w is not None
    if node.kind.endswith("MatMul") or node.kind in ("MatMulInteger", "Gemm"):
        return float(x.size * w.shape[0 if node.get("transB", 0) else -1])
    if node.kind.endswith(("Conv", "ConvInteger")):
        return float(np.prod([len(x), *x.shape[2:]], dtype=float)) * w.size / float(np.prod(node.get("strides", [1])))
    if node.kind == "ConvTranspose":
        return float(x.size * w.size / w.shape[0])
    if node.kind in ("LSTM", "GRU", "RNN"):
        r = given[2]
        assert r is not None
        return float(np.prod(x.shape[:2], dtype=float)) * (w.size + r.size)
    if node.kind == "Einsum":
        return float(x.size * max(w.shape[-1], 1))
    return 0
