"""Which dimensions of an exported graph are free, and the one refusal where a backbone does not allow it."""

import contextlib
import re
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import torch

from ...errors import PreprocError
from ...folding.modules import reason, unheard
from ...steps import Sides

SECONDS = 120.0
"""How long an export with dynamic height and width may take: some backbones would not finish in hours."""
AGAIN = 1.0
"""Seconds until what has not ended is told again."""
Made = TypeVar("Made")
LEAST = (8, 17, 33, 65, 129)
"""The smallest sides that are tried: with a stride of 32 in all, 32 rows become one, and 33 two."""
_MULTIPLE = re.compile(r"^ *(height|width) = (\d+)\*_\1 *$", re.MULTILINE)
_ONE = re.compile(r"satisfy the generated guard .* != 1\.$", re.MULTILINE)


def with_free_sides(
    export: Callable[[tuple[dict[int, Any]]], Made], layout: str, size: Sides, at_most: Mapping[str, int] = MappingProxyType({})
) -> Made:
    """What `export` makes with torch.export's dynamic_shapes for the one input: the batch is free, so are height and width where `size` has
    None. Where torch says that such a side has to be a multiple of a number, which networks demand that halve a picture and put the halves
    together again, it is one. Where it says that behind some layer one number must not be left of it, which torch treats otherwise than
    more, it begins with the first of LEAST that is enough. at_most: the largest "N", "height" and "width" there will be, where a format
    has to know."""
    axes = {name: layout.index(name[0].upper()) for name, side in zip(("height", "width"), size, strict=True) if side is None}
    multiples, smaller, least = dict[str, int](), list(LEAST), None
    while True:
        sides = {axis: _dim(name, multiples.get(name, 1), least, at_most.get(name)) for name, axis in axes.items()}
        try:
            return export(({0: torch.export.Dim("N", max=at_most.get("N"))} | sides,))
        except Exception as error:  # torch raises whatever the model's code meets
            found = {name: int(number) for name, number in _said(error, _MULTIPLE)}
            if found and not multiples:
                multiples = found
            elif axes and smaller and _said(error, _ONE):
                least = smaller.pop(0)
            else:
                raise


def _dim(name: str, multiple: int, least: int | None, most: int | None) -> Any:
    """least: None: as torch has it."""
    named = name if multiple == 1 else f"_{name}"
    low, high = (None if number is None else number // multiple for number in (least, most))
    side = torch.export.Dim(named, min=low, max=high)
    return side if multiple == 1 else multiple * side


def _said(error: BaseException | None, words: "re.Pattern[str]") -> list[Any]:
    """What torch says in these words, in this error or in those that it came from."""
    while error is not None:
        if found := words.findall(str(error)):
            return found
        error = error.__cause__ or error.__context__
    return []


@contextlib.contextmanager
def exporting(format_name: str, size: Sides, mend: str = "") -> Iterator[None]:
    """Around an export: torch's warnings are its own affair, and whatever it raises becomes one line. mend: its end."""
    is_free = None in size
    try:
        with warnings.catch_warnings(), unheard(), time_limit(SECONDS if is_free else None):
            warnings.simplefilter("ignore")
            yield
    except TimeoutError as error:
        raise _refused(format_name, size, f"no result after {SECONDS:g} seconds{mend}") from error
    except OSError:  # a full disk
        raise
    except Exception as error:  # torch raises whatever the model's code meets
        raise _refused(format_name, size, f"{reason(error)}{mend}") from error


def _refused(format_name: str, size: Sides, told: str) -> PreprocError:
    if None in size:
        refuses = "torch.export" if format_name.startswith("torch.") else format_name
        said = '"dynamic"' if size == (None, None) else "[" + ", ".join('"dynamic"' if side is None else str(side) for side in size) + "]"
        return PreprocError(
            f"[pixels] size: expected [height, width] for this backbone, got {said}, which {refuses} refuses: {told}",
            name="not-exportable",
        )
    return PreprocError(f"expected a backbone that {format_name} can export, got: {told}", name="not-exportable")


class _TimeOut(BaseException):
    """The time is over."""


@contextlib.contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raises TimeoutError after that long. In the body it is no Exception, and comes again every second, for torch's compiler goes on after
    any that it meets in some places. Without effect outside the main thread and where there is no SIGALRM."""
    if seconds is None or not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise _TimeOut

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    except _TimeOut as error:
        raise TimeoutError from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
