"""An .onnx file that somebody made of a bundle's since, to be judged in its place: what it takes, and which inputs can be put to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import graph
from ..errors import BundleError, PreprocError
from ..verify import Case


@dataclass(frozen=True)
class Substitute:
    """shape: of the pixels that it takes, numbers where a side is fixed; None where the file does not tell, as one in ONNX Runtime's own
    format. promised: the contract's."""

    path: Path
    shape: Sequence[int | str | None] | None
    promised: Sequence[int | str]

    def note(self) -> str | None:
        """What it takes less than the contract promises, or None."""
        sides = zip(self.shape or (), self.promised, strict=False)
        if not any(isinstance(side, int) and not isinstance(word, int) for side, word in sides):
            return None
        return f"{self.path.name} takes pixels {_told(self.shape or ())} only, of the {_told(self.promised)} that are promised"

    def takes(self, case: Case) -> bool:
        shape = case.pixels.shape
        return self.shape is None or all(side == got for side, got in zip(self.shape, shape, strict=True) if isinstance(side, int))

    def fitting(self, cases: Sequence[Case]) -> tuple[Case, ...]:
        """Those that it takes. Raises PreprocError if there is none."""
        found = tuple(filter(self.takes, cases))
        if not found:
            raise PreprocError(
                f"{self.path}: expected a file that takes pixels as the bundle promises, {_told(self.promised)}, got one that takes "
                f"{_told(self.shape or ())}, as none of the inputs is that it would be judged by",
                name="shape-mismatch",
            )
        return found


def substitute(path: Path, contract: Mapping[str, Any]) -> Substitute:
    """Raises PreprocError if it does not take what the contract promises under the promised name."""
    if not path.is_file():
        raise PreprocError(f"{path}: expected an .onnx file to judge, got nothing there", name="nothing-there")
    image = contract["input"]
    try:
        declared = graph.declared_inputs(path)
    except BundleError:  # ONNX Runtime's own format, or nothing that it runs: it will tell
        return Substitute(path, None, image["shape"])
    if image["name"] not in declared:
        raise PreprocError(
            f"{path}: expected the input {image['name']}, as the bundle's own file has it, got {', '.join(declared) or 'none'}",
            name="no-picture-input",
        )
    dtype, shape = declared[image["name"]]
    if dtype != image["dtype"]:
        raise PreprocError(f"{path}: expected {image['name']} of {image['dtype']}, as the bundle promises, got {dtype}", name="pixel-dtype")
    return Substitute(path, shape if shape is not None and len(shape) == len(image["shape"]) else None, image["shape"])


def _told(shape: Sequence[object]) -> str:
    return f"({', '.join('free' if side is None else str(side) for side in shape)})"
