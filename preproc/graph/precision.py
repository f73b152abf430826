"""The precision that a file computes in: what the numbers on the way from its inputs to its outputs are rounded to.

A file is judged in half precision where any number on that way is: one convolution in half gives its noise to whatever reads it, and a
Sigmoid in half at the end of a float32 network rounds the answer to 11 bits all the same. Weights that are only kept in half, sliced or
gathered, and widened before anything is computed with them add no noise, and what ends nowhere, or is only asked for its shape, neither.

The dtypes are followed forward, through branches, loops and functions, by what ONNX's schemas say of each operator's outputs: many files
tell none of their values'. Operators without a schema are taken to answer in the dtype of their first floats.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import onnx
import onnx_ir as ir

from .handling import PRODUCTS
from .subgraphs import graphs_of

HALF = {ir.DataType.BFLOAT16: "bfloat16", ir.DataType.FLOAT16: "float16"}
"""The coarsest first, whose noise is the noise of a file with both."""
ASKING = frozenset({"Shape", "Size"})
"""Operators whose answer has nothing of the values in it."""
SAYING = ("to", "dtype", "output_dtype", "value")
"""The attributes in which operators are told the dtype of their output."""
CONTROL = {"If": 1, "Loop": 2}
"""How many of the inputs say what is run, and are none of what is computed with."""
PARTLY = "computes partly in "
"""How it is told of a file, and in the notes of what was made of one."""
Attributes = Mapping[str, ir.Attr]


@dataclass(frozen=True)
class Precision:
    """name: "float32", "float16" or "bfloat16", what a file is judged in.  partly: whether some of the operators that multiply, or where
    none does some of all, take other floats."""

    name: str
    partly: bool = False

    def __str__(self) -> str:
        return f"{PARTLY if self.partly else 'computes in '}{self.name}"


@dataclass(frozen=True)
class _Known:
    """Of a value. follows: whether an input's values are in it.  rounded: the dtypes that what is in it of an input was rounded to."""

    dtype: ir.DataType | None = None
    follows: bool = False
    rounded: frozenset[ir.DataType] = frozenset()

    def joined(self, others: Iterable["_Known"]) -> "_Known":
        met = [self, *others]
        dtype = next((each.dtype for each in met if each.dtype is not None), None)
        return _Known(dtype, any(each.follows for each in met), frozenset().union(*(each.rounded for each in met)))


def precision(model: ir.Model, inputs: Iterable[str] = ()) -> Precision:
    """inputs: the names of those whose way is followed, the pictures'; none: of all."""
    followed, names = _Forward(model), set(inputs)
    for value in model.graph.inputs:
        if value.name not in model.graph.initializers and (not names or value.name in names):
            followed.known[value] = _input(_Known(value.dtype, follows=True))
    followed.run(model.graph, {}, model.opset_imports)
    rounded = _Known().joined(map(followed.of, model.graph.outputs)).rounded
    for dtype, name in HALF.items():
        if dtype in rounded:
            taken = followed.multiply or followed.take
            return Precision(name, partly=bool(taken - {dtype}))
    return Precision("float32")


def _input(known: _Known) -> _Known:
    """With its own dtype among those that it was rounded to, where that is half precision."""
    return known.joined([_Known(rounded=frozenset({known.dtype} & set(HALF)))]) if known.follows and known.dtype else known


class _Forward:
    """multiply, take: the dtypes of the floats that the operators take which read what follows the inputs: those that multiply, and all but
    casts."""

    def __init__(self, model: ir.Model) -> None:
        self.functions = model.functions
        self.known, self.multiply, self.take = dict[ir.Value, _Known](), set[ir.DataType](), set[ir.DataType]()

    def of(self, value: ir.Value | None) -> _Known:
        if value is None:
            return _Known()
        return self.known.get(value) or _Known(value.const_value.dtype if value.const_value is not None else value.dtype)

    def run(self, nodes: Iterable[ir.Node], given: Attributes, opsets: Mapping[str, int]) -> None:
        """given: the attributes of the call whose function the nodes are in."""
        for node in nodes:
            attributes = {name: given.get(str(each.ref_attr_name), each) for name, each in node.attributes.items()}
            sources = [self.of(value) for value in node.inputs]
            function = self.functions.get(node.op_identifier())
            bodies = [graph for each in attributes.values() if not each.is_ref() for graph in graphs_of(each)]
            if function is not None:
                self.known |= zip(function.inputs, [*sources, *[_Known()] * len(function.inputs)], strict=False)
                self.run(function, {**function.attributes, **attributes}, function.opset_imports)
                made = [self.of(value) for value in function.outputs]
            elif bodies:
                made = self._bodies(node, bodies, sources, given, opsets)
            else:
                self._count(node, sources)
                made = _made(node, sources, attributes, opsets.get(node.domain))
            for output, known in zip(node.outputs, made, strict=False):
                self.known[output] = _input(_Known(output.dtype).joined([known]))

    def _bodies(
        self, node: ir.Node, bodies: Sequence[ir.Graph], sources: list[_Known], given: Attributes, opsets: Mapping[str, int]
    ) -> list[_Known]:
        """What branches, or a loop's body, answer. Their inputs are the last ones of the node's, and their outputs the node's are."""
        control = [_Known(None, each.follows, each.rounded) for each in sources[: CONTROL.get(node.op_type, 0)]]
        made = [_Known() for _ in node.outputs]
        for body in bodies:
            bound = len(body.inputs)
            given_in = sources[-bound:] if bound else []
            entering = [*[_Known()] * (bound - len(given_in)), *given_in]
            while True:
                self.known |= zip(body.inputs, entering, strict=True)
                self.run(body, given, opsets)
                left = [self.of(value) for value in body.outputs]
                again = list(entering)
                for taken, back in _carried(node, bound):
                    again[taken] = again[taken].joined([left[back]])
                if again == entering:
                    break
                entering = again
            made = [one.joined([other, *control]) for one, other in zip(made, left[-len(made) :], strict=False)]
        return made

    def _count(self, node: ir.Node, sources: Sequence[_Known]) -> None:
        floats = [each.dtype for each in sources if each.dtype is not None and each.dtype.is_floating_point()]
        if floats and any(each.follows for each in sources) and node.op_type not in ("Cast", "CastLike"):
            self.take.add(floats[0])
            if node.op_type in PRODUCTS:
                self.multiply.add(floats[0])


def _carried(node: ir.Node, bound: int) -> list[tuple[int, int]]:
    """The places of a body's inputs that take what its outputs had the round before, and the places of these."""
    if node.op_type == "Loop":
        return [(place, place - 1) for place in range(2, bound)]
    if node.op_type == "Scan":
        return [(place, place) for place in range(bound - node.attributes["num_scan_inputs"].as_int())]
    return []


def _made(node: ir.Node, sources: Sequence[_Known], attributes: Attributes, opset: int | None) -> list[_Known]:
    """What an operator without a body answers."""
    met = _Known() if node.op_type in ASKING else _Known().joined(_Known(None, each.follows, each.rounded) for each in sources)
    schema = _schema(node.op_type, node.domain, opset)
    told = _told(attributes)
    floats = next((each.dtype for each in sources if each.dtype is not None and each.dtype.is_floating_point()), None)
    found = []
    for place in range(len(node.outputs)):
        dtype = told or floats
        if schema is not None and schema.outputs:
            word = schema.outputs[min(place, len(schema.outputs) - 1)].type_str
            alike = [each.dtype for at, each in enumerate(sources) if _type_of(schema, at) == word and each.dtype is not None]
            dtype = alike[0] if alike else dtype
            dtype = dtype if dtype is not None and _may_be(schema, word, dtype) else None
        found.append(_Known(dtype, met.follows, met.rounded))
    return found


def _told(attributes: Attributes) -> ir.DataType | None:
    for name in SAYING:
        each = attributes.get(name)
        if each is None or each.is_ref():
            continue
        if each.type == ir.AttributeType.TENSOR:
            return each.as_tensor().dtype
        if each.type == ir.AttributeType.INT and each.as_int():
            return ir.DataType(each.as_int())
    return None


def _type_of(schema: onnx.defs.OpSchema, place: int) -> str | None:
    """The word for the type of an input; the last one may stand for many."""
    return schema.inputs[min(place, len(schema.inputs) - 1)].type_str if schema.inputs else None


def _may_be(schema: onnx.defs.OpSchema, word: str, dtype: ir.DataType) -> bool:
    """Whether an output may have elements of the dtype, which is in a sequence, too."""
    allowed = next((each.allowed_type_strs for each in schema.type_constraints if each.type_param_str == word), [word])
    return any(f"tensor({dtype.name.lower()})" in each for each in allowed)


@cache
def _schema(operator: str, domain: str, opset: int | None) -> onnx.defs.OpSchema | None:
    try:
        return onnx.defs.get_schema(operator, opset or onnx.defs.onnx_opset_version(), "" if domain == "ai.onnx" else domain)
    except onnx.defs.SchemaError:
        return None
