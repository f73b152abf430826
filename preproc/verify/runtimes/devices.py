"""What is wrong with a CUDA device, in one line: it is busy, out of memory, or its context died."""

import re
import sys
from collections.abc import Iterator

from ...errors import PreprocError, RuntimeAbsentError, VerificationError, first_line

_ELSE = "free it, or choose another one with CUDA_VISIBLE_DEVICES"
_BUSY = re.compile(r"busy or unavailable|DevicesUnavailable", re.IGNORECASE)
_MEMORY = re.compile(
    r"out of memory|failed to allocate memory|CU(BLAS|DNN)_STATUS_ALLOC_FAILED|smaller than requested bytes", re.IGNORECASE
)
_DEAD = re.compile(
    r"illegal (memory access|address|instruction)|misaligned address|launch (failure|timed out)|device-side assert|invalid program counter"
    r"|hardware stack error|operation not supported on global/shared address space|uncorrectable ECC error",
    re.IGNORECASE,
)


def explain(error: BaseException) -> PreprocError | None:
    """The error, or one that it was raised from, as one line about the device; None where it is about something else.

    A RuntimeAbsentError where the device is busy or full, for then the file did not run; a VerificationError where the file killed the
    context.
    """
    for text in _texts(error):
        for line in text.splitlines():
            if _BUSY.search(line):
                return RuntimeAbsentError(f"the CUDA device is busy, another process has it for itself ({_short(line)}); {_ELSE}")
            if _MEMORY.search(line):
                return RuntimeAbsentError(f"the CUDA device is out of memory ({_short(line)}); {_ELSE}")
            if is_dead(line):
                return VerificationError(f"the CUDA context died: {_short(line)}")
    return None


def is_dead(line: str) -> bool:
    """Whether the error that says so is one after which every call of the process fails."""
    return _DEAD.search(line) is not None


def failure() -> str | None:
    """What the CUDA device answers where this process waits for it, if that is an error. None where torch was not imported: then nothing
    of this process but ONNX Runtime is on the device."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    try:
        torch.cuda.synchronize()
    except Exception as error:  # noqa: BLE001 - of many classes: AssertionError in a build without CUDA, RuntimeError, AcceleratorError
        return first_line(error)
    return None


def _texts(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield str(error)
        error = error.__cause__


def _short(line: str) -> str:
    """Without the library's own frame around it, the machine's name and the advice."""
    line = re.sub(r"^.*?CUDA (error|failure \d+): |^\s*\w*(Error|Exception): ", "", line)
    line = re.split(r" ; ?GPU=|; GPU=| is free\. ", line)[0].strip()
    return line[:200]
