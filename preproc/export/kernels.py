"""Whether ONNX Runtime has kernels for a network in half precision, which is looked at before what takes longer."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .. import graph
from ..errors import PreprocError, RuntimeAbsentError
from ..host import targets
from ..verify.runtimes import RUNTIMES, those_for
from .job import Job

if TYPE_CHECKING:
    import onnx_ir as ir

FILE = "model.onnx"


def check_kernels(job: Job, bare: "ir.Model | None") -> None:
    """Raises PreprocError where no runtime of this machine has a kernel for an operator, which it names. bare: the network in Python as
    ONNX, or None. What else speaks against a file is told when it is verified."""
    if not job.recipe.export.half:
        return
    if isinstance(job.backbone, Path):
        _check(job, job.backbone)
    elif bare is not None:
        with tempfile.TemporaryDirectory() as folder, targets.writing(Path(folder) / FILE):
            graph.save(bare, Path(folder) / FILE)
            _check(job, Path(folder) / FILE)


def _check(job: Job, file: Path) -> None:
    reasons = []
    for name in those_for((FILE,), in_python=False):
        runtime = RUNTIMES[name]()
        try:
            runtime.open(file)
        except RuntimeAbsentError as error:
            reasons.append(f"{name}: {error}")
        except PreprocError:
            return
        else:
            runtime.close()
            return
    others = "" if isinstance(job.backbone, Path) else ', or formats without onnx, as ["torchscript", "pt2"]'
    raise PreprocError(
        f"{job.recipe.name}: expected a runtime that has {job.recipe.export.precision} here{others}, got {'; '.join(reasons)}",
        name="precision-unsupported",
    )
