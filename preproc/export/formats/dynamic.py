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
Made = TypeVar("Made")
_MULTIPLE = re.compile(r"^ *(height|width) = (\d+)\*_\1 *$", re.MULTILINE)


def with_free_sides(
    export: Callable[[tuple[dict[int, Any]]], Made], layout: str, size: Sides, at_most: Mapping[str, int] = MappingProxyType({})
) -> Made:
    """What `export` makes with torch.export's dynamic_shapes for the one input: the batch is free, so are height and width where `size` has
    None. Where torch says that such a side has to be a multiple of a number, which networks demand that halve a picture and put the halves
    together again, it is one. at_most: the largest "N", "height" and "width" there will be, where a format has to know."""
    axes = {name: layout.index(name[0].upper()) for name, side in zip(("height", "width"), size, strict=True) if side is None}
    free: dict[int, Any] = {0: torch.export.Dim("N", max=at_most.get("N"))}
    try:
        return export((free | {axis: torch.export.Dim(name, max=at_most.get(name)) for name, axis in axes.items()},))
    except Exception as error:  # torch raises whatever the model's code meets
        multiples = _multiples(error)
        if not multiples:
            raise
    sides = {name: _dim(name, multiples.get(name, 1), at_most.get(name)) for name in axes}
    return export((free | {axes[name]: side for name, side in sides.items()},))


def _dim(name: str, multiple: int, most: int | None) -> Any:
    if multiple == 1:
        return torch.export.Dim(name, max=most)
    return multiple * torch.export.Dim(f"_{name}", max=None if most is None else most // multiple)


def _multiples(error: BaseException | None) -> dict[str, int]:
    """What torch suggests in this error, or in those that it came from, of which a side has to be a multiple."""
    while error is not None:
        found = _MULTIPLE.findall(str(error))
        if found:
            return {name: int(number) for name, number in found}
        error = error.__cause__ or error.__context__
    return {}


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


@contextlib.contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raises TimeoutError in the body after that long. Without effect outside the main thread and where there is no SIGALRM."""
    if seconds is None or not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
