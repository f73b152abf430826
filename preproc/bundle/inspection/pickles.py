"""What a pickle holds. Its opcodes are read as a list and never run: of what would be called the name is known, and nothing else."""

import pickletools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

MOST_OPCODES = 3_000_000
"""More than a pickle of a network's names needs."""
_MARK = object()


@dataclass(frozen=True)
class Named:
    """What a pickle would call: module and name."""

    name: str

    @property
    def is_tensor(self) -> bool:
        return self.name.startswith(("torch._utils._rebuild_", "torch._tensor._rebuild_"))


def objects(value: object) -> Iterator[Named]:
    """All in a value, however deep."""
    seen, left = set[int](), [value]
    while left:
        item = left.pop()
        if isinstance(item, Named):
            yield item
        elif isinstance(item, (Mapping, list)) and id(item) not in seen:
            seen.add(id(item))
            left += [*item.values()] if isinstance(item, Mapping) else item


def values(file: IO[bytes], count: int) -> list[Any]:
    """What so many pickles behind one another hold: tables and lists as they are, text and numbers, and for everything else the name of
    what would be called. Raises ValueError for what is no pickle."""
    return [_value(file) for _ in range(count)]


def _value(file: IO[bytes]) -> Any:
    stack = _Stack()
    for number, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if number > MOST_OPCODES:
            raise ValueError("a pickle longer than a network's names need")
        if opcode.name == "STOP":
            return stack.items.pop()
        rule = _RULES.get(opcode.name)
        if rule is None:
            stack.by_signature(opcode, argument)
        else:
            rule(stack, opcode.name, argument)
    raise ValueError("a pickle without an end")


class _Stack:
    """What a pickle has made so far, and what of it it has kept by number. The methods are what opcodes do, each by its name."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.kept: dict[Any, Any] = {}

    def taken(self, count: int) -> list[Any]:
        return [self.items.pop() for _ in range(count)][::-1]

    def behind_mark(self) -> list[Any]:
        position = max(index for index, item in enumerate(self.items) if item is _MARK)
        items = self.items[position + 1 :]
        del self.items[position:]
        return items

    def nothing(self, name: str, argument: Any) -> None:
        pass

    def mark(self, name: str, argument: Any) -> None:  # noqa: ARG002
        self.items.append(_MARK)

    def keep(self, name: str, argument: Any) -> None:
        self.kept[len(self.kept) if name == "MEMOIZE" else int(argument)] = self.items[-1]

    def get(self, name: str, argument: Any) -> None:  # noqa: ARG002
        self.items.append(self.kept[int(argument)])

    def named(self, name: str, argument: Any) -> None:
        if name == "INST":
            self.behind_mark()
        self.items.append(Named(str(argument).replace(" ", ".")))

    def named_before(self, name: str, argument: Any) -> None:  # noqa: ARG002
        module, attribute = self.taken(2)
        self.items.append(Named(f"{module}.{attribute}"))

    def called(self, name: str, argument: Any) -> None:  # noqa: ARG002
        """Of what is called with what: the first alone, a table for one of the tables."""
        self.items.pop()
        self.items[-1] = {} if self.items[-1] == Named("collections.OrderedDict") else self.items[-1]

    def table(self, name: str, argument: Any) -> None:  # noqa: ARG002
        self.items.append(_table(self.behind_mark() if name == "DICT" else []))

    def set_items(self, name: str, argument: Any) -> None:  # noqa: ARG002
        items = self.behind_mark() if name == "SETITEMS" else self.taken(2)
        if isinstance(self.items[-1], dict):
            self.items[-1].update(_table(items))

    def sequence(self, name: str, argument: Any) -> None:  # noqa: ARG002
        size = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}.get(name, 0)
        self.items.append(self.behind_mark() if name in ("LIST", "TUPLE") else self.taken(size))

    def append(self, name: str, argument: Any) -> None:  # noqa: ARG002
        items = self.behind_mark() if name == "APPENDS" else self.taken(1)
        if isinstance(self.items[-1], list):
            self.items[-1].extend(items)

    def by_signature(self, opcode: Any, argument: Any) -> None:
        """Any other opcode: takes and leaves as many as pickletools says; its argument, or the name of what it made."""
        taken = len(opcode.stack_before)
        if pickletools.stackslice in opcode.stack_before:
            self.behind_mark()
            taken -= 2
        given = self.items[len(self.items) - taken :]
        del self.items[len(self.items) - taken :]
        parts = [part for item in given for part in (item if isinstance(item, list) else [item])]
        named = next((part for part in parts if isinstance(part, Named)), opcode.name)
        self.items += [named if argument is None else argument for _ in opcode.stack_after]


_RULES: dict[str, Callable[[_Stack, str, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME"), _Stack.nothing),
    "MARK": _Stack.mark,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Stack.keep),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Stack.get),
    **dict.fromkeys(("GLOBAL", "INST"), _Stack.named),
    "STACK_GLOBAL": _Stack.named_before,
    **dict.fromkeys(("REDUCE", "NEWOBJ", "BUILD"), _Stack.called),
    **dict.fromkeys(("EMPTY_DICT", "DICT"), _Stack.table),
    **dict.fromkeys(("SETITEM", "SETITEMS"), _Stack.set_items),
    **dict.fromkeys(("EMPTY_LIST", "EMPTY_TUPLE", "LIST", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"), _Stack.sequence),
    **dict.fromkeys(("APPEND", "APPENDS"), _Stack.append),
}


def _table(items: list[Any]) -> dict[Any, Any]:
    return {key if isinstance(key, (str, int)) else repr(key): value for key, value in zip(items[::2], items[1::2], strict=True)}
