"""Which dimensions of an exported graph are free, and the one refusal where a backbone does not allow it."""

import contextlib
import signal
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from ...errors import PreprocError
from ...folding.modules import reason, unheard

SECONDS = 120.0
"""How long an export with dynamic height and width may take: some backbones would not finish in hours."""


def free_dimensions(layout: str, *, dynamic_size: bool) -> tuple[dict[int, Any]]:
    """torch.export's dynamic_shapes for the one input: the batch, and height and width where they are dynamic."""
    free: dict[int, Any] = {0: torch.export.Dim("N")}
    if dynamic_size:
        height = layout.index("H")
        free |= {height: torch.export.Dim("height"), height + 1: torch.export.Dim("width")}
    return (free,)


@contextlib.contextmanager
def exporting(format_name: str, *, dynamic_size: bool) -> Iterator[None]:
    """Around an export: torch's warnings are its own affair, and whatever it raises becomes one line."""
    try:
        with warnings.catch_warnings(), unheard(), _time_limit(SECONDS if dynamic_size else None):
            warnings.simplefilter("ignore")
            yield
    except TimeoutError as error:
        raise _refused(format_name, dynamic_size, f"no result after {SECONDS:g} seconds") from error
    except OSError:  # a full disk
        raise
    except Exception as error:  # torch raises whatever the model's code meets
        raise _refused(format_name, dynamic_size, reason(error)) from error


def _refused(format_name: str, dynamic_size: bool, told: str) -> PreprocError:
    if dynamic_size:
        return PreprocError(
            f'[pixels] size: expected [height, width] for this backbone, got "dynamic", which torch.export refuses: {told}',
            name="not-exportable",
        )
    return PreprocError(f"expected a backbone that {format_name} can export, got: {told}", name="not-exportable")


@contextlib.contextmanager
def _time_limit(seconds: float | None) -> Iterator[None]:
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
