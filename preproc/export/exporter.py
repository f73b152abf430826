"""Recipe or Model -> bundle: write the files, verify just those files, publish them."""

import contextlib
import dataclasses
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import graph
from ..bundle import MANIFEST, Bundle, check_target, equal_bundle, hashes, open_bundle, publishing, write_golden, write_manifest
from ..errors import PreprocError, VerificationError
from ..host import Progress, memory, silent, targets
from ..sources import Recipe
from ..verify import QUICK, Report, Result, is_exact
from ..verify.runtimes import RUNTIMES, made, those_for
from .answering import report_on
from .bare import Bare, bare_network
from .behind import unasked
from .eight import FLOAT, bare_in_eight_bits, mend_of
from .files import FILES
from .job import Job, check_images, images_of
from .levels import on_all_levels
from .proof import Proof
from .proving import prove
from .resolving import job_of
from .writing import Written, exported, write_files, write_onnx

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray
    from torch import Tensor

    from ..layers import Model


def export_bundle(
    recipe_or_model: "Recipe | Model",
    out_dir: str | Path,
    *,
    formats: Sequence[str] | None = None,
    precision: str | None = None,
    images: str | Path | None = None,
    example: "Tensor | NDArray[Any] | None" = None,
    size: str | tuple[int | str | None, int | str | None] | None = None,
    name: str | None = None,
    labels: Sequence[str] | str | Path | None = None,
    outputs: Sequence[str] = (),
    override: str | None = None,
    fold: str | None = None,
    opset: int | None = None,
    tolerance: float | None = None,
    outputs_precision: str | None = None,
    verify_sizes: Sequence[tuple[int, int]] = (),
    cpu: str | None = None,
    device: str | None = None,
    quick: bool = False,
    progress: Progress = silent,
) -> Bundle:
    """Writes a verified bundle into the folder `out_dir`, replacing the bundle that is there; one that is equal (the same contract, the
    same bytes of model.onnx, model.aoti.pt2 and model.pte, the same golden samples) is left as it is, if its files pass here.

    formats: "onnx", "torchscript", "pt2", "aoti", "executorch"; None: as the recipe says, or the first two.  precision: what the network is
    written in and computed with, "float32", "tf32" (float32 in which CUDA devices may multiply with 10 bits of mantissa), "float16" or
    "bfloat16"; None: as the recipe says, or float32.  images: a folder of your own pictures to verify with.  quick: for an edit loop, a few
    inputs only: no verdict is then better than inconclusive, the contract's notes say why, and no bundle is replaced but a quick one.

    For a Model, what a recipe says itself, and with the recipe's words (models/README.md):
    example: (N, H, W, C) or (N, C, H, W) pixels, of the size that the file shall take.  size: (height, width), or "dynamic", where the
    network allows it or the pipeline resizes to one size: then the example's is one of many; (48, None) or (48, "dynamic") frees one side.
    One of the two is needed.
    name: the model's, in its contract; default: the network's class.  labels: one per class, or a text file with one per line.
    outputs: the names of its outputs.  override: the reason why a network that normalizes its input itself is fed with normalized values.
    fold: auto, off or require.  opset: of model.onnx, 18 or newer.  tolerance: how far every runtime may be from the reference, relative
    to its largest output, in place of what the bare network errs by.  outputs_precision: float32, or that of the network.
    verify_sizes: (height, width) of pixels to verify with, where a side is free; (): those that the network takes are looked for.
    cpu, device: what "aoti" is compiled for, "x86-64-v3" or "native", "cpu" or "cuda".
    A Model is exported as it is in eval mode, from a copy; it stays as it is.

    Raises VerificationError, whose `report` says more, if any runtime differs from the reference; nothing is published then.
    An inconclusive bundle (random weights) is published and says so.
    """
    check_target(Path(out_dir))
    if quick:
        _check_replaceable_quickly(Path(out_dir))
    if isinstance(recipe_or_model, Recipe):
        check_images(recipe_or_model, images)
    said: dict[str, Any] = {
        "example": example,
        "size": size,
        "name": name,
        "labels": labels,
        "outputs": outputs or None,
        "override": override,
        "fold": fold,
        "opset": opset,
        "tolerance": tolerance,
        "outputs_precision": outputs_precision,
        "verify_sizes": verify_sizes or None,
        "cpu": cpu,
        "device": device,
    }
    said = {key: value for key, value in said.items() if value is not None}
    job = job_of(recipe_or_model, formats, said, progress, precision=precision)
    if quick:
        job = dataclasses.replace(job, notes=(*job.notes, f"quick: {QUICK}"))
    return publish_bundle(job, Path(out_dir), images=images, quick=quick, progress=progress)


def _check_replaceable_quickly(out_dir: Path) -> None:
    """Raises PreprocError if a bundle is there of which more is known than a quick export would know."""
    if (out_dir / MANIFEST).is_file() and not open_bundle(out_dir).report.power.quick:
        raise PreprocError(
            f"{out_dir}: expected no bundle there, or a quick one, got one that was verified whole, which a quick one would replace; "
            "give another folder, or export without --quick",
            name="bundle-not-verified",
        )


def publish_bundle(job: Job, out_dir: Path, *, images: str | Path | None, progress: Progress, quick: bool = False) -> Bundle:
    """Writes, verifies and publishes."""
    recipe = job.recipe
    targets.check_place(out_dir, size=job.size)
    if not isinstance(job.backbone, Path):  # the bare network is written, too
        targets.check_place(Path(tempfile.gettempdir()) / "preproc", size=job.size)
    bare_onnx = exported(job, progress)  # in front of what takes longer: not every network can be
    _check_runs(job, bare_onnx)
    proof = prove(recipe, job.backbone, images=images_of(recipe, images), quick=quick, progress=progress)
    _check_labels(job, proof)
    with publishing(out_dir) as new, tempfile.TemporaryDirectory() as beside:
        files = {FILES[name] for name in recipe.export.formats}
        with targets.writing(Path(beside) / "bare"):
            if job.eight is not None:
                bare = bare_in_eight_bits(job, job.eight, bare_onnx, Path(beside), progress)
            else:
                bare = bare_network(recipe, job.written or job.backbone, proof.cases, files, Path(beside), exported=bare_onnx)
        written = write_files(job, bare_onnx, proof, new, progress)
        memory.release(job.size)
        made = hashes(new, progress)
        names = those_for(made, in_python=written.module is not None, ours=True)
        names += () if job.eight is None else job.eight.runtimes(recipe.steps)
        progress(f"verifying {', '.join(names)}")
        if equal_bundle(out_dir, written.contract, made, proof.golden) and _is_settled(job, out_dir):
            with contextlib.suppress(VerificationError):  # then the new files replace them
                report = _verified(out_dir, written, proof, bare, names, progress, job)
                shutil.rmtree(new)
                return dataclasses.replace(open_bundle(out_dir), verified=report)
        report = _verified(new, written, proof, bare, names, progress, job)
        with _reported(report), targets.writing(out_dir):
            _check_unchanged(out_dir, new, made)
            golden = write_golden(new, list(proof.golden))
            Bundle(new, write_manifest(new, contract=written.contract, golden=golden, report=report)).check_cases()
    return open_bundle(out_dir)


def publish_file(job: Job, out: Path, *, verify: bool, images: str | Path | None, progress: Progress) -> Report | None:
    """Writes the one file `out` for a backbone that is an .onnx file; weights in other files go into `<name>.data` beside it.

    Returns what was verified, or None where verify is False. Raises as export_bundle() does, and then writes nothing.
    """
    proof, report = None, None
    targets.check_place(out, size=job.size)
    if verify:
        proof = prove(job.recipe, job.backbone, images=images_of(job.recipe, images), progress=progress)
    with _beside(out) as folder:
        new = Path(folder) / out.name
        written = write_onnx(job, proof, new, progress)
        memory.release(job.size)
        if proof is not None:
            names = those_for(("model.onnx",), in_python=False)
            progress(f"verifying {', '.join(names)}")
            made = hashes(new.parent, progress)
            bare = bare_network(job.recipe, job.backbone, proof.cases, ("model.onnx",), new.parent)
            report = _verified(new, written, proof, bare, names, progress, job)
            _check_unchanged(out, new.parent, made)
        files = sorted(new.parent.iterdir(), reverse=True)  # weights first
        for file in files:
            file.replace(out.with_name(file.name))
        if len(files) == 1:  # the weights of the one that was there before
            out.with_name(f"{out.name}.data").unlink(missing_ok=True)
    return report


def _check_runs(job: Job, model: "ir.Model | None") -> None:
    """Raises PreprocError for a network in half precision, as ONNX, that no runtime here has the kernels for."""
    if model is None or not job.recipe.export.half:
        return
    reasons = []
    with tempfile.TemporaryDirectory() as folder, targets.writing(Path(folder)):
        file = Path(folder) / "model.onnx"
        graph.save(model, file)
        for name in those_for((file.name,), in_python=False):
            with contextlib.closing(made(RUNTIMES[name], None, ())) as runtime:
                try:
                    runtime.open(file)
                    return
                except PreprocError as error:
                    reasons.append(f"{name}: {error}")
    raise PreprocError(
        f"{job.recipe.name}: expected a runtime that can run the format onnx in {job.recipe.export.precision} here, got "
        f'{"; ".join(reasons)}; export it in another precision, or with formats without onnx, as ["torchscript", "pt2"]',
        name="precision-unsupported",
    )


def _check_labels(job: Job, proof: Proof) -> None:
    scores = [values for values in proof.cases[0].expected.values() if values.ndim > 0 and not is_exact(values)]
    if not scores:  # classes by their numbers: how many there are is not told
        return
    classes = scores[0].shape[1 if scores[0].ndim in (2, 4) else -1]
    if job.labels and len(job.labels) != classes:
        raise PreprocError(f"{job.recipe.name}: expected as many labels as classes, {classes}, got {len(job.labels)}", name="recipe-value")


@contextlib.contextmanager
def _reported(report: Report) -> Iterator[None]:
    """What is made already goes with the error, if what comes behind it fails."""
    try:
        yield
    except PreprocError as error:
        error.report = report
        raise


@contextlib.contextmanager
def _beside(out: Path) -> Iterator[str]:
    """A folder in which the file `out` is made, on the same disk."""
    place = out.absolute().parent
    with (
        targets.made_folder(place),
        tempfile.TemporaryDirectory(dir=place, prefix=f".{out.name}.new-") as folder,
        targets.writing(out),
    ):
        yield folder


def _verified(place: Path, written: Written, proof: Proof, bare: Bare, names: Sequence[str], progress: Progress, job: Job) -> Report:
    """Verifies what is in `place` in the named runtimes. Raises VerificationError with the report if one failed, or if nothing here ran one
    of the files."""
    report = report_on(place, written.contract, proof, names, module=written.module, bare=bare, progress=progress)
    why = None if job.eight is None else job.eight.asked.without_openvino(job.recipe.steps)
    if why is not None:
        told = unasked(place / FILES["onnx"], written.contract, proof, report.power, bare, why, progress)
        report = dataclasses.replace(report, results=(*report.results, told))
    if job.eight is not None:
        progress("verifying the first layers on all levels")
        levels = on_all_levels(place / FILES["onnx"], bare.files[FILES["onnx"]].with_name(FLOAT), job.recipe, job.eight.asked.form)
        report = dataclasses.replace(report, levels=levels)
        if levels.wrong:
            raise _failure(report, "the first layers to compute what the reference does", [], f"that {levels.wrong}")
    failed = [result for result in report.verdicts() if result.verdict == "failed"]
    if failed:
        raise _failure(report, "every runtime to compute what the reference does", failed, mend_of(written.contract))
    for file in sorted({RUNTIMES[result.runtime].file or "" for result in report.results} - {""}):
        of_file = [result for result in report.results if RUNTIMES[result.runtime].file == file]
        if all(result.verdict == "absent" for result in of_file):
            raise _failure(report, f"a runtime that can run {file} here", of_file)
    return report


def _check_unchanged(out: str | Path, folder: Path, written: dict[str, dict[str, Any]]) -> None:
    if hashes(folder) != written:
        raise PreprocError(
            f"{out}: expected the verified files to stay as they were, got changed ones; is another program writing there?",
            name="written-meanwhile",
        )


def _failure(report: Report, expected: str, got: Sequence[Result], mend: str = "") -> VerificationError:
    reasons = "; ".join(f"{result.runtime}: {result.reason}" for result in got)
    error = VerificationError(f"{report.name}: expected {expected}, got {reasons}{mend}; nothing was published")
    error.report = report
    return error


def _is_settled(job: Job, folder: Path) -> bool:
    """Whether a TorchScript file that is there decides no more than ours do: an older one may, and no run on a CPU would show it."""
    if "torchscript" not in job.recipe.export.formats:
        return True
    from ..verify.runtimes import load_torchscript
    from .formats import check_settled

    try:
        check_settled(load_torchscript(folder / FILES["torchscript"]), tf32=job.recipe.export.tf32)
    except PreprocError:
        return False
    return True
