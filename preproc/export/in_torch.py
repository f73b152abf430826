"""The formats that torch writes of the model in Python."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..bundle import contract as contracts
from ..host import Progress, compiler
from ..verify import Case
from .files import BUNDLED, FILES
from .job import Job

if TYPE_CHECKING:
    from ..folding.modules import FoldResult


def write_torch(
    job: Job, folded: "FoldResult", contract: Mapping[str, Any], golden: Sequence[Case], folder: Path, progress: Progress
) -> None:
    """The formats that torch writes of the model in Python."""
    recipe, extra = job.recipe, {contracts.FILE: contracts.compact(contract)}
    if "torchscript" in recipe.export.formats:
        from .formats import export_torchscript

        progress("writing model.pt")
        export_torchscript(folded.model, job.pixels, folder / FILES["torchscript"], tf32=recipe.export.tf32, extra=extra)
    programmed = [name for name in ("pt2", "aoti") if name in recipe.export.formats]
    if programmed:
        from .formats import compile_aoti, export_program, write_pt2

        progress(f"reading the program of {' and '.join(FILES[name] for name in programmed)}")
        size = recipe.pixels.size
        program = export_program(folded.model, job.pixels, layout=recipe.pixels.layout, size=size)
    if "pt2" in programmed:
        progress("writing model.pt2")
        write_pt2(program, folder / FILES["pt2"], size=size, extra=extra)
    if "aoti" in programmed:
        progress("compiling model.aoti.pt2, which takes a minute or more")
        compile_aoti(
            program,
            job.pixels,
            folder / FILES["aoti"],
            size=size,
            compiler=str(compiler()),
            promised=contract["compiled"]["aoti"],
            metadata={contracts.KEY: extra[contracts.FILE]},
        )
    if "executorch" in recipe.export.formats:
        _write_executorch(job, folded, contract, golden, folder, progress)


def _write_executorch(
    job: Job, folded: "FoldResult", contract: Mapping[str, Any], golden: Sequence[Case], folder: Path, progress: Progress
) -> None:
    """The program, and the same with the golden samples."""
    import torch

    from .formats import bundle_executorch, export_executorch

    pixels, file = job.recipe.pixels, folder / FILES["executorch"]
    progress(f"writing {file.name}")
    most, said = contract["at_most"]["executorch"], {contracts.METHOD: contracts.compact(contract)}
    export_executorch(folded.model, job.pixels, file, layout=pixels.layout, size=pixels.size, at_most=most, constants=said)
    progress(f"writing {BUNDLED}")
    dtypes = {output["name"]: getattr(torch, output["dtype"]) for output in contract["outputs"]}
    samples = []
    for case in golden:
        kept = [torch.from_numpy(case.expected[name]) for name in dtypes]
        kept = [values.float() if values.is_floating_point() else values for values in kept]  # as golden samples are
        samples.append((case.pixels, [values.to(dtype) for values, dtype in zip(kept, dtypes.values(), strict=True)]))
    bundle_executorch(file, samples, folder / BUNDLED)
