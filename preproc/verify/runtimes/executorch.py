"""ExecuTorch. The only module that imports its runtime."""

import base64
import contextlib
import io
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...errors import BundleError, PreprocError, RuntimeAbsentError, VerificationError, first_line
from ...host import threads
from .base import Outputs, Runtime
from .pte import Method, read_program
from .pytorch import array_of

_ALIEN = "the executorch that is installed does not go with this torch:"
FORWARD = "forward"
"""The method that is the model."""


class ExecutorchCpu(Runtime):
    """The program of ExecuTorch, on the CPU: in XNNPACK what was given to it, the rest in ExecuTorch's own kernels. Alone, for a damaged
    program may end the process."""

    name, file = "executorch-cpu", "model.pte"
    alone: ClassVar[bool] = True

    def __init__(self, outputs: Sequence[str] = (), *, tf32: bool = False) -> None:  # noqa: ARG002
        """outputs: their names, in the program's order.  tf32: taken as by every runtime; a CPU has none."""
        self.outputs = tuple(outputs)

    def open(self, path: Path) -> None:
        self.path, runtime = path, executorch_runtime()
        self.told: Method = _forward(path)
        known = runtime.backend_registry.registered_backend_names
        if missing := sorted(set(self.told.backends) - set(known)):
            raise RuntimeAbsentError(f"this executorch is built without {', '.join(missing)}, which {path.name} is for")
        with _heard(f"{path.name}: expected a program that ExecuTorch can run"):
            self.method = runtime.load_program(path).load_method(FORWARD)

    def run(self, pixels: NDArray[Any], others: Mapping[str, NDArray[Any]] = MappingProxyType({})) -> Outputs:  # noqa: ARG002
        import torch

        from ...sources.backbones import named_outputs

        given = torch.from_numpy(np.ascontiguousarray(pixels))
        with _heard(f"{self.path.name}: expected an answer to pixels of shape {list(pixels.shape)}"):
            answered = self.method.execute([given])
        return {name: array_of(value) for name, value in named_outputs(tuple(answered), self.outputs).items()}

    def proof(self) -> str:
        from importlib.metadata import version

        if not self.told.backends and not self.told.kernels:
            raise VerificationError("expected a program that computes something, got one without a step")
        parts = [f"{count} of its parts in {name}" for name, count in Counter(self.told.backends).items()]
        own = f"{self.told.kernels} operators in its own kernels"
        return ", ".join([f"executorch {version('executorch')} on the CPU", *parts, own])

    def close(self) -> None:
        self.__dict__.pop("method", None)


def _forward(path: Path) -> Method:
    try:
        return read_program(path).method(FORWARD)
    except KeyError as error:
        raise BundleError(f"{path.name}: expected a program with the method {FORWARD}, got none", name="runtime-refuses-file") from error


def executorch_runtime() -> Any:
    """executorch.runtime's, having run the smallest program. Raises RuntimeAbsentError where it is not installed, or does not go with this
    torch."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")  # it says of itself that it is experimental
            import executorch  # noqa: F401 - whether it is there at all
            import torch
            from executorch.extension.pybindings import portable_lib
            from executorch.runtime import Runtime

            if threads.asked():
                portable_lib._unsafe_reset_threadpool(threads.asked())
            runtime = Runtime.get()
            doubled = float(runtime.load_program(_DOUBLE).load_method(FORWARD).execute([torch.ones(1)])[0])
    except Exception as error:  # a build for another torch raises anything
        if isinstance(error, ModuleNotFoundError) and error.name in ("executorch", "torch"):
            raise RuntimeAbsentError(f"{error.name} is not installed; pip install executorch", name="not-installed") from error
        raise RuntimeAbsentError(f"{_ALIEN} 1 + 1 is no number there ({first_line(error)})", name="not-installed") from error
    if doubled != 2:
        raise RuntimeAbsentError(f"{_ALIEN} 1 + 1 is {doubled:g} there", name="not-installed")
    return runtime


@contextlib.contextmanager
def _heard(expected: str) -> Iterator[None]:
    """An error that ExecuTorch raises in the body says what it wrote meanwhile to sys.stderr, as it does with its reasons: what it raises
    is a number. Raises PreprocError."""
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            yield
        except RuntimeError as error:
            raise PreprocError(f"{expected}, got: {_reason(said.getvalue()) or first_line(error)}", name="runtime-refuses-file") from error


def _reason(said: str) -> str:
    """The first line of those that name a place in its source, without it, that is not about the machine's cores."""
    lines = [line.partition("] ")[2].strip() for line in said.splitlines() if ".cpp:" in line and "cpuinfo" not in line]
    return lines[0] if lines else ""


_DOUBLE = zlib.decompress(
    base64.b85decode(
        "c-pN|K~BOz6#d0gM`Tfv5Ed+&2@4m*1mi-x)}2dtgecM)n>2;MG-?cq2Vm(TJb=e=;ld+$1lQCz!$5`#3lrPC`Tc+T-hcC_K}6@5?IQ$osgAXZSSCg`qRfa6"
        "fMWxcWtoj&(dr{}2H5IdtvA$H4O&g|kkySoHS9Ej6OC)&9ryq~fmaB87l;amrnjcI>^Yrfne<Qwwtzt@Xa}(;!o>G`L7@M26|1!LP|}<W4NK<?>n`@$l0z2L"
        "r)0Wk(eP2wTr20ztVv(bdajcHf_at|*+CDRoE-lR`|@U}SfL8-DQ8UW*vRL1RA0>4anyO7Tu*CxKPAj#?tP(IrTt%;uBi#tFL-b_YR+fK^!=X!r$DFO@}9VO"
        "9ERNYk~EH69`6ql5k3f`a2LhFC`_)#!?2HXr#tC_JInL=O&Y}_O2&sG9mXMF(c)5!uT%Rs{$Ko0*7^>jzR0!hbonL;3}G8HxE+k{d!vAU05V;VT>"
    )
)
"""A small program, as executorch 1.5.1 wrote it: x + x, of one number."""
