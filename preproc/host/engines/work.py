"""What is done to chunks of items, told so that another process or machine can do it."""

import functools
import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Chunk = Sequence[Any]
"""Items, each plain data, as JSON has it."""
Options = Mapping[str, Any]
"""Plain data, too."""


@dataclass(frozen=True)
class Work:
    """begin: called with `options` once in every process; it returns what makes an answer, plain data, of a chunk.  merge: makes one answer
    of several.  Both are functions of a module, which another process finds by their names.  begun: what `begin` would return, where this
    process has it already."""

    begin: Callable[[Options], Callable[[Chunk], Any]]
    merge: Callable[[Sequence[Any]], Any]
    options: Options
    begun: Callable[[Chunk], Any] | None = None

    def to_json(self) -> str:
        return json.dumps({"begin": _name(self.begin), "merge": _name(self.merge), "options": dict(self.options)}, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> "Work":
        data = json.loads(text)
        return Work(_named(data["begin"]), _named(data["merge"]), data["options"])


def _name(function: Callable[..., Any]) -> str:
    return f"{function.__module__}:{function.__qualname__}"


def _named(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


@functools.lru_cache(maxsize=1)
def begin(work: str) -> Callable[[Chunk], Any]:
    """Once in a process for all of its chunks."""
    told = Work.from_json(work)
    return told.begin(told.options)


def do(work: str, chunk: Chunk) -> Any:
    """The answer for one chunk. work: as to_json() has it."""
    return begin(work)(chunk)


def merge(work: str, answers: Sequence[Any]) -> Any:
    """One answer of several."""
    return Work.from_json(work).merge(answers)
