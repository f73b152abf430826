"""Runtimes on a CUDA device one after another, where one of them may kill the context that all of this process share."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from ...errors import BundleError, PreprocError, RuntimeAbsentError, first_line
from . import devices
from .base import Outputs, Runtime


class Watched(Runtime):
    """A runtime whose device may be busy, full or dead: that is what its errors then say, in one line; and whatever else goes wrong while
    a file is opened is a BundleError."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime, self.name, self.file = runtime, runtime.name, runtime.file

    @property
    def reduced(self) -> bool:
        return self.runtime.reduced

    def open(self, path: Path) -> None:
        try:
            self.runtime.open(path)
        except Exception as error:  # of any class: torch's and ONNX Runtime's own
            known = devices.explain(error)
            if known is None and isinstance(error, PreprocError):
                raise
            raise known or BundleError(
                f"{path.name}: expected a file that {self.name} can open, got: {type(error).__name__}: {first_line(error)}",
                name="runtime-refuses-file",
            ) from error

    def run(self, pixels: NDArray[Any], others: Mapping[str, NDArray[Any]] = MappingProxyType({})) -> Outputs:
        try:
            return self.runtime.run(pixels, others)
        except Exception as error:
            if (known := devices.explain(error)) is not None:
                raise known from error
            raise

    def proof(self) -> str:
        try:
            return self.runtime.proof()
        except Exception as error:
            if (known := devices.explain(error)) is not None:
                raise known from error
            raise

    def close(self) -> None:
        self.runtime.close()


class Gone(Runtime):
    """What cannot run in this process any more, nor in another one."""

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason

    def open(self, path: Path) -> None:  # noqa: ARG002
        raise RuntimeAbsentError(self.reason)
