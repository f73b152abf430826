"""A torch backbone as a bare ONNX model. The preprocessing is put in front of it by graph/, as for any other file."""

import contextlib
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor, nn

from ..errors import PreprocError
from ..graph.files import strip

SECONDS = 120.0
"""How long an export with dynamic height and width may take: some backbones would not finish in hours."""


def export_backbone(backbone: nn.Module, example: Tensor, *, outputs: Sequence[str], opset: int, dynamic_size: bool) -> ir.Model:
    """The backbone alone, (N, C, H, W) float in, with a dynamic batch; stripped of everything about this machine.

    example: model-ready, a batch of at least 2.  Raises PreprocError with torch's reason.
    """
    shapes: dict[int, Any] = {0: torch.export.Dim("N")}
    if dynamic_size:
        shapes |= {2: torch.export.Dim("height"), 3: torch.export.Dim("width")}
    try:
        with warnings.catch_warnings(), _time_limit(SECONDS if dynamic_size else None):
            warnings.simplefilter("ignore")  # torch.onnx warns about its own internals
            program = torch.onnx.export(
                backbone,
                (example,),
                dynamo=True,
                input_names=["preproc_ready"],
                output_names=list(outputs),
                dynamic_shapes=(shapes,),
                opset_version=opset,
                verbose=False,
            )
    except TimeoutError as error:
        raise _refused(dynamic_size, f"no result after {SECONDS:g} seconds") from error
    except Exception as error:  # torch.onnx raises whatever the model's code meets
        raise _refused(dynamic_size, _reason(error)) from error
    assert program is not None
    model: ir.Model = program.model
    if model.opset_imports.get("") != opset:
        raise PreprocError(f"[export] opset: expected one that torch.onnx can write, got {opset}; it wrote {model.opset_imports.get('')}")
    strip(model)
    model.producer_name, model.producer_version = "preproc", None
    return model


def _refused(dynamic_size: bool, reason: str) -> PreprocError:
    if dynamic_size:
        return PreprocError(
            f'[pixels] size: expected [height, width] for this backbone, got "dynamic", which torch.export refuses: {reason}'
        )
    return PreprocError(f"expected a backbone that torch.onnx can export, got: {reason}")


def _reason(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]


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
