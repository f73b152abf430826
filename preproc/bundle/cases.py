"""Whether ExecuTorch's program with test cases is the program beside it with the golden samples. Its bytes are read, nothing of it runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError
from ..verify import Case
from ..verify.runtimes import Values, read_program

PROGRAM, BUNDLED = "model.pte", "model.bpte"
FORWARD = "forward"
"""The method that its cases are of."""


def check_cases(folder: Path, contract: Mapping[str, Any], golden: Sequence[Case]) -> None:
    """Raises BundleError where the program in model.bpte is not model.pte, or its test cases are others than these."""
    file = folder / BUNDLED
    bundled, wrong = read_program(file), None
    if not (folder / PROGRAM).is_file() or bundled.data != (folder / PROGRAM).read_bytes():
        wrong = f"the program of {PROGRAM} inside, got another one"
    elif len(bundled.cases) != len(golden):
        wrong = f"the {len(golden)} golden samples inside, got {len(bundled.cases)} test cases"
    else:
        for case, inside in zip(golden, bundled.cases, strict=True):
            expected = [case.expected[output["name"]].astype(output["dtype"], copy=False) for output in contract["outputs"]]
            if inside.method != FORWARD or not _are(inside.inputs, [case.pixels]):
                wrong = f"the pixels of golden sample {case.name} inside, got others"
            elif not _are(inside.expected, expected):
                wrong = f"the outputs of golden sample {case.name} inside, got others"
            if wrong:
                break
    if wrong:
        raise BundleError(f"{file}: expected {wrong}; export it again", name="bundle-changed")


def _are(found: Sequence[Values | None], arrays: Sequence[NDArray[Any]]) -> bool:
    return len(found) == len(arrays) and all(map(_is, found, arrays))


def _is(found: Values | None, array: NDArray[Any]) -> bool:
    said = None if found is None else (found.dtype, found.shape)
    return found is not None and said == (str(array.dtype), array.shape) and found.data == np.ascontiguousarray(array).tobytes()
