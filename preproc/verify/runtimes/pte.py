"""What ExecuTorch's files hold, read from their bytes: a program (.pte), or one with test cases around it (.bpte). Nothing of them runs.

Both are flatbuffers, whose tables are read as executorch/schema/program.fbs and devtools' bundled_program_schema.fbs number their fields.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import BundleError, first_line

PROGRAM, BUNDLED = b"ET12", b"BP08"
"""What stands behind the first offset of a file."""
HEADER = b"eh00"
"""What follows in a program whose weights lie behind its tables, as executorch/runtime/executor/program.cpp reads it: the header's
length, the tables', where the weights begin and how long they are."""
HEADER_LENGTH = 32
"""From which on it tells how long the weights are."""
MOST = 1_000_000
"""Tables and entries of lists that are looked at: a file that claims more is none."""
ENTRY = 64
"""Bytes of a text that count as one entry."""
DTYPES = "uint8 int8 int16 int32 int64 float16 float32 float64 complex32 complex64 complex128 bool"
_DTYPES = dict(enumerate(DTYPES.split())) | {15: "bfloat16", 27: "uint16", 28: "uint32", 29: "uint64"}
"""By torch's numbers."""
NOTHING = memoryview(b"")
_TENSOR, _TEXT = 5, 6
"""Of the union KernelTypes."""
_KERNEL = 1
"""Of the union InstructionArguments."""


@dataclass(frozen=True)
class Values:
    """A tensor: its dtype and its shape, which of what a program takes or answers is the largest one where `bounded`."""

    dtype: str
    shape: tuple[int, ...]
    bounded: bool = False
    data: memoryview = NOTHING


@dataclass(frozen=True)
class Method:
    """text: what it answers where that is one constant text.  backends: the one of each part that is delegated.  kernels: how many calls
    there are of ExecuTorch's own kernels.  operators: which."""

    name: str
    inputs: tuple[Values | None, ...]
    outputs: tuple[Values | None, ...]
    text: str | None
    backends: tuple[str, ...]
    kernels: int
    operators: tuple[str, ...]


@dataclass(frozen=True)
class BundledCase:
    """Of a method: what it is given and has to answer."""

    method: str
    inputs: tuple[Values | None, ...]
    expected: tuple[Values | None, ...]


@dataclass(frozen=True)
class Program:
    """cases: the test cases around it.  data: the program's own bytes in such a file."""

    methods: tuple[Method, ...]
    cases: tuple[BundledCase, ...] = ()
    data: memoryview = NOTHING

    def text(self, method: str) -> str | None:
        """What a method without inputs answers; None where there is none that answers one text."""
        return next((each.text for each in self.methods if each.name == method), None)

    def method(self, name: str) -> Method:
        """Raises KeyError."""
        return {each.name: each for each in self.methods}[name]


def read_program(path: Path) -> Program:
    """Raises BundleError for a file that is none of ExecuTorch's, or is damaged."""
    data = memoryview(path.read_bytes())
    try:
        if data[4:8] == PROGRAM:
            return Program(_methods(data))
        if data[4:8] == BUNDLED:
            return _bundled(data)
    except (ValueError, IndexError) as error:
        raise BundleError(
            f"{path}: expected a program of ExecuTorch, got a damaged one: {first_line(error)}", name="not-a-model"
        ) from error
    known = f"{PROGRAM.decode()} or {BUNDLED.decode()} behind its first four bytes"
    raise BundleError(f"{path}: expected a program of ExecuTorch, {known}, got another file", name="not-a-model")


def _bundled(data: memoryview) -> Program:
    root = _root(data)
    inner = root.bytes(2)
    if inner[4:8] != PROGRAM:
        raise ValueError("test cases around something else")
    cases = [
        BundledCase(suite.text(0), *(tuple(_values(value.union(0), 0, 1, 2) for value in case.tables(side)) for side in (0, 1)))
        for suite in root.tables(1)
        for case in suite.tables(1)
    ]
    return Program(_methods(inner), tuple(cases), inner)


def _methods(data: memoryview) -> tuple[Method, ...]:
    root, base = _root(data), _base(data)
    for held in (2, 3):  # the constants and the parts of backends that lie in the tables
        for each in root.tables(held):
            each.bytes(0)
    for segment in root.tables(4):
        _within(data, base + segment.number(0, "Q") + segment.number(1, "Q"))
    return tuple(map(_method, root.tables(1)))


def _base(data: memoryview) -> int:
    """Where what lies behind the tables begins. Raises ValueError where the header tells of more bytes than there are."""
    if data[8:12] != HEADER:
        return 0
    length, tables, base = (_unpack(data, kind, place) for kind, place in (("I", 12), ("Q", 16), ("Q", 24)))
    behind = _unpack(data, "Q", 32) if length >= HEADER_LENGTH else 0
    _within(data, max(tables, base + behind))
    return base


def _within(data: memoryview, end: int) -> None:
    if end > len(data):
        raise ValueError(f"it is cut off, for it has {len(data):,} bytes of {end:,}")


def _method(plan: "_Table") -> Method:
    values = list(plan.tables(2))
    inputs, outputs = ([values[_whole(number)].union(0) for number in plan.numbers(side)] for side in (3, 4))
    calls = [call.union(0) for chain in plan.tables(5) for call in chain.tables(2)]
    text = None
    if len(outputs) == 1 and not inputs and outputs[0] is not None and outputs[0].kind == _TEXT:
        text = outputs[0].text(0)
    return Method(
        plan.text(0),
        tuple(_values(value, 0, 2, None) for value in inputs),
        tuple(_values(value, 0, 2, None) for value in outputs),
        text,
        tuple(part.text(0) for part in plan.tables(7)),
        sum(call is not None and call.kind == _KERNEL for call in calls),
        tuple(".".join(filter(None, (operator.text(0), operator.text(1)))) for operator in plan.tables(6)),
    )


def _values(table: "_Table | None", dtype: int, sizes: int, data: int | None) -> Values | None:
    """None for what is no tensor. The numbers are those of its fields."""
    if table is None or table.kind != (_TENSOR if data is None else 1):
        return None
    number = table.number(dtype, "b")
    name = _DTYPES.get(number, f"dtype {number}")
    held = NOTHING if data is None else table.bytes(data)
    return Values(name, tuple(table.numbers(sizes)), data is None and table.number(8, "b") > 0, held)


def _root(data: memoryview) -> "_Table":
    return _Table(data, _unpack(data, "I", 0), [0])


def _whole(number: int) -> int:
    if number < 0:
        raise ValueError("a value of a negative number")
    return number


def _unpack(data: memoryview, kind: str, place: int) -> int:
    if place < 0:
        raise ValueError("a place before its beginning")
    if place + struct.calcsize(kind) > len(data):
        raise ValueError("a number beyond its end")
    (value,) = struct.unpack_from(f"<{kind}", data, place)
    return int(value)


class _Table:
    """A table in a flatbuffer: its fields by their numbers in the schema. kind: where it is a union's value, which. seen: counts tables and
    entries of lists and, as such, each ENTRY bytes of texts, of all of a file together."""

    def __init__(self, data: memoryview, place: int, seen: list[int], kind: int = 0) -> None:
        self.data, self.place, self.seen, self.kind = data, place, seen, kind
        self.fields = place - _unpack(data, "i", place)
        self.size = _unpack(data, "H", self.fields)
        self._count(1)

    def _count(self, more: int) -> None:
        self.seen[0] += more
        if self.seen[0] > MOST:
            raise ValueError(f"more than {MOST:,} tables")

    def _at(self, field: int) -> int | None:
        """Where a field's value stands; None where it has its default."""
        entry = 4 + 2 * field
        offset = _unpack(self.data, "H", self.fields + entry) if entry + 2 <= self.size else 0
        return self.place + offset if offset else None

    def _behind(self, field: int) -> int | None:
        place = self._at(field)
        return None if place is None else place + _unpack(self.data, "I", place)

    def number(self, field: int, kind: str) -> int:
        place = self._at(field)
        return 0 if place is None else _unpack(self.data, kind, place)

    def bytes(self, field: int) -> memoryview:
        """No copy: many tables may name one list."""
        place = self._behind(field)
        if place is None:
            return NOTHING
        start, length = place + 4, _unpack(self.data, "I", place)
        if start + length > len(self.data):
            raise ValueError("a list beyond its end")
        return self.data[start : start + length]

    def text(self, field: int) -> str:
        found = self.bytes(field)
        place = self._behind(field)
        if place is not None and _unpack(self.data, "B", place + 4 + len(found)):
            raise ValueError("a text that does not end")
        self._count(len(found) // ENTRY)  # many tables may name one text, and each of them is a copy
        return str(found, "utf-8")

    def _entries(self, field: int) -> Sequence[int]:
        """The places of a list's entries of four bytes."""
        place = self._behind(field)
        if place is None:
            return ()
        length = _unpack(self.data, "I", place)
        self._count(length)
        return range(place + 4, place + 4 + 4 * length, 4)

    def numbers(self, field: int) -> list[int]:
        return [_unpack(self.data, "i", place) for place in self._entries(field)]

    def tables(self, field: int) -> "Iterator[_Table]":
        return (_Table(self.data, place + _unpack(self.data, "I", place), self.seen) for place in self._entries(field))

    def union(self, field: int) -> "_Table | None":
        """The value of a union, whose kind stands in `field` and which stands in the next one."""
        place = self._behind(field + 1)
        return None if place is None else _Table(self.data, place, self.seen, self.number(field, "B"))
