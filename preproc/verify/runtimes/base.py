"""What every runtime is."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from numpy.typing import NDArray

from ...errors import RuntimeAbsentError

Outputs = Mapping[str, NDArray[Any]]


class Runtime:
    """open() a file, run() it on batches of pixels, then proof() says on what it ran; close() it.

    open() raises RuntimeAbsentError where this machine cannot run it; proof() raises VerificationError where it ran elsewhere.
    """

    name: str
    file: str | None = None
    """The bundle's file that this runtime runs; None: the modules in Python."""
    asked_by_name: ClassVar[bool] = False
    """Whether it runs only where somebody names it: it does not decide whether a file is published."""
    alone: ClassVar[bool] = False
    """Whether its file is code for a machine, not a graph that is looked at: it runs in a process of its own, which a damaged one may end.
    It decides whether the file is published; of what was published before, `verify` loads it only where somebody names it."""
    bare_in: ClassVar[str | None] = None
    """The runtime in which the bare network is measured in place of this one, for which it would have to be compiled, too."""

    @property
    def kind(self) -> "type[Runtime]":
        """What runs the file, wherever that is."""
        return type(self)

    @property
    def reduced(self) -> bool:
        """Whether it was told to multiply in less than float32 (TF32)."""
        return False

    def open(self, path: Path) -> None:
        raise NotImplementedError

    def run(self, pixels: NDArray[Any], others: Mapping[str, NDArray[Any]] = MappingProxyType({})) -> Outputs:
        """Named outputs for pixels as the contract says. others: what an .onnx file takes beside them."""
        raise NotImplementedError

    def proof(self) -> str:
        """One line: what ran where."""
        raise NotImplementedError

    def close(self) -> None:
        """Lets the file go: the next runtime opens it, too. It may be opened again."""


def no_room(folder: Path, what: str, error: OSError) -> RuntimeAbsentError:
    """Where a temporary folder has no room for what a runtime needs there: that is no fault of the file's."""
    return RuntimeAbsentError(
        f"{folder}: expected a temporary folder with room for {what}, got: {error.strerror or error}; set TMPDIR to another one",
        name="system-refused",
    )
