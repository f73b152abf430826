"""OpenVINO, where it would read the file's own resize otherwise than it is meant: no verdict, but what it makes of the rest is told."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import graph
from ..bundle import contract as contracts
from ..host import Progress, targets
from ..verify import ABSENT, FAILED, PASSED, Power, Result, judge
from ..verify.runtimes import RUNTIMES, evaluate, made
from .bare import Bare
from .proof import Proof

NAME = "openvino-cpu"


def unasked(file: Path, contract: Mapping[str, Any], proof: Proof, power: Power, bare: Bare, why: str, progress: Progress) -> Result:
    """Absent, with the reason `why`; where whole grey levels come behind a resize, fed with those that ONNX Runtime makes: failed where
    OpenVINO computes something else of them, and otherwise how far off it is. power: as the report's."""
    moved = contract["fold"]["onnx"]["moved"]
    if moved is None or moved["dtype"] != "uint8":
        return Result(NAME, ABSENT, why)
    progress(f"verifying {NAME} behind the resize")
    model = graph.load(file)
    front = graph.ending(model, [moved["to"]])
    levels = [made[0] for made in evaluate(front, [{contracts.INPUT: case.pixels} for case in proof.cases])]
    cases = [replace(case, pixels=array) for case, array in zip(proof.cases, levels, strict=True)]
    runtime = made(RUNTIMES[NAME], None, ())
    with tempfile.TemporaryDirectory() as folder, targets.writing(Path(folder)):
        rest = Path(folder) / "rest.onnx"
        graph.save(graph.beginning(model, moved["to"], levels), rest)
        result = judge(runtime, rest, cases, power, bare=bare.errors(runtime, proof.cases, power.parts), progress=progress)
    if result.verdict == ABSENT:
        return result
    told = f": error {result.error:.1e}, tolerance {result.tolerance:.1e}"
    told = told if result.verdict == PASSED else f", {result.verdict}: {result.reason}"
    reason = f"{why}; the rest, fed with what ONNX Runtime resizes{told}"
    return Result(NAME, FAILED if result.verdict == FAILED else ABSENT, reason)
