"""Recipe or Model -> bundle: write the files, verify just those files, publish them."""

import contextlib
import dataclasses
import functools
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import contract as contracts
from .. import graph, inputs, targets
from ..bare import Bare, bare_network
from ..bundle import MANIFEST, Bundle, check_target, equal_bundle, hashes, open_bundle, publishing, write_golden, write_manifest
from ..errors import PreprocError, VerificationError
from ..progress import Progress, silent
from ..proof import Proof, make_runtimes, prove, reference_of, run
from ..recipe import Recipe
from ..runtimes import RUNTIMES, those_for
from ..steps import channels_out
from ..verify import QUICK, Report, Result, settled
from .jobs import Job, job_of, pixels_for, ready_for

FILES = {"onnx": "model.onnx", "torchscript": "model.pt", "pt2": "model.pt2"}
"""The file of each format."""

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from ..pipeline import Model


def export_bundle(
    recipe_or_model: "Recipe | Model",
    out_dir: str | Path,
    *,
    formats: Sequence[str] | None = None,
    images: str | Path | None = None,
    example: "Tensor | NDArray[Any] | None" = None,
    size: str | tuple[int, int] | None = None,
    name: str | None = None,
    labels: Sequence[str] | str | Path | None = None,
    outputs: Sequence[str] = (),
    override: str | None = None,
    fold: str | None = None,
    opset: int | None = None,
    tolerance: float | None = None,
    tf32: bool = False,
    quick: bool = False,
    progress: Progress = silent,
) -> Bundle:
    """Writes a verified bundle into the folder `out_dir`, replacing the bundle that is there; one that is equal (the same contract, the
    same bytes of model.onnx, the same golden samples) is left as it is, if its files pass here.

    formats: "onnx", "torchscript", "pt2"; None: as the recipe says, or the first two.  images: a folder of your own pictures to verify
    with.  quick: for an edit loop, a few inputs only: no verdict is then better than inconclusive, the contract's notes say why, and
    no bundle is replaced but a quick one.

    For a Model, what a recipe says itself, and with the recipe's words (models/README.md):
    example: (N, H, W, C) or (N, C, H, W) pixels, of the size that the file shall take.  size: (height, width), or "dynamic", where the
    network allows it or the pipeline resizes to one size: then the example's is one of many. One of the two is needed.
    name: the model's, in its contract; default: the network's class.  labels: one per class, or a text file with one per line.
    outputs: the names of its outputs.  override: the reason why a network that normalizes its input itself is fed with normalized values.
    fold: auto, off or require.  opset: of model.onnx, 18 or newer.  tolerance: how far every runtime may be from the reference, relative
    to its largest output, in place of what the bare network errs by.  tf32: whether CUDA devices may compute in TF32.
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
        "tf32": tf32 or None,
    }
    job = job_of(recipe_or_model, formats, {key: value for key, value in said.items() if value is not None}, progress)
    if quick:
        job = dataclasses.replace(job, notes=(*job.notes, f"quick: {QUICK}"))
    return publish_bundle(job, Path(out_dir), images=images, quick=quick, progress=progress)


def _check_replaceable_quickly(out_dir: Path) -> None:
    """Raises PreprocError if a bundle is there of which more is known than a quick export would know."""
    if (out_dir / MANIFEST).is_file() and not open_bundle(out_dir).report.power.quick:
        raise PreprocError(
            f"{out_dir}: expected no bundle there, or a quick one, got one that was verified whole, which a quick one would replace; "
            "give another folder, or export without --quick"
        )


def check_images(recipe: Recipe, images: str | Path | None) -> None:
    """Raises PreprocError if the pictures to verify with, these or the recipe's own, are not what the model takes."""
    folder = _images(recipe, images)
    if folder is not None:
        inputs.check(folder, recipe.pixels)


def _images(recipe: Recipe, images: str | Path | None) -> Path | None:
    return recipe.export.images if images is None else Path(images)


def publish_bundle(job: Job, out_dir: Path, *, images: str | Path | None, progress: Progress, quick: bool = False) -> Bundle:
    """Writes, verifies and publishes."""
    recipe = job.recipe
    targets.check_place(out_dir, size=job.size())
    if not isinstance(job.backbone, Path):  # the bare network is written, too
        targets.check_place(Path(tempfile.gettempdir()) / "preproc", size=job.size())
    exported = _exported(job, progress)  # in front of what takes longer: not every network can be
    proof = _proved(job, images, progress, quick=quick)
    first = next(iter(proof.cases[0].expected.values()))
    classes = first.shape[1 if first.ndim in (2, 4) else -1]
    if job.labels and len(job.labels) != classes:
        raise PreprocError(f"{recipe.name}: expected as many labels as classes, {classes}, got {len(job.labels)}")
    with publishing(out_dir) as new, tempfile.TemporaryDirectory() as beside:
        files = {FILES[name] for name in recipe.export.formats}
        with targets.writing(Path(beside) / "bare"):
            bare = bare_network(recipe, job.backbone, proof.cases, files, Path(beside), exported=exported)
        contract, module = _write_files(job, exported, proof, new, progress)
        written = hashes(new)
        names = those_for(written, in_python=module is not None)
        progress(f"verifying {', '.join(names)}")
        if equal_bundle(out_dir, contract, written, proof.golden) and _is_settled(job, out_dir):
            with contextlib.suppress(VerificationError):  # then the new files replace them
                report = _report(job, proof, bare, out_dir, names, contract, module, progress)
                shutil.rmtree(new)
                return dataclasses.replace(open_bundle(out_dir), verified=report)
        report = _report(job, proof, bare, new, names, contract, module, progress)
        with _reported(report), targets.writing(out_dir):
            _check_unchanged(out_dir, new, written)
            golden = write_golden(new, list(proof.golden))
            write_manifest(new, contract=contract, golden=golden, report=report)
    return open_bundle(out_dir)


def _proved(job: Job, images: str | Path | None, progress: Progress, *, quick: bool = False) -> Proof:
    folder = _images(job.recipe, images)
    for note in inputs.notes(folder) if folder is not None else []:
        progress(note)
    progress("computing the float64 reference")
    return prove(job.recipe, job.backbone, images=folder, quick=quick, progress=progress)


def publish_file(job: Job, out: Path, *, verify: bool, images: str | Path | None, progress: Progress) -> Report | None:
    """Writes the one file `out` for a backbone that is an .onnx file; weights in other files go into `<name>.data` beside it.

    Returns what was verified, or None where verify is False. Raises as export_bundle() does, and then writes nothing.
    """
    proof, report = None, None
    targets.check_place(out, size=job.size())
    if verify:
        proof = _proved(job, images, progress)
    with _beside(out) as folder:
        new = Path(folder) / out.name
        progress(f"writing {out.name}")
        model, fold, notes = _attached(job, None)
        contract = _contract(job, {"onnx": fold}, _told(notes, progress), model, proof)
        _save_onnx(model, contract, new)
        if proof is not None:
            names = those_for(("model.onnx",), in_python=False)
            progress(f"verifying {', '.join(names)}")
            written = hashes(new.parent)
            bare = bare_network(job.recipe, job.backbone, proof.cases, ("model.onnx",), new.parent)
            report = _report(job, proof, bare, new, names, contract, None, progress)
            _check_unchanged(out, new.parent, written)
        files = sorted(new.parent.iterdir(), reverse=True)  # weights first
        for file in files:
            file.replace(out.with_name(file.name))
        if len(files) == 1:  # the weights of the one that was there before
            out.with_name(f"{out.name}.data").unlink(missing_ok=True)
    return report


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


def _report(
    job: Job,
    proof: Proof,
    bare: Bare,
    place: Path,
    names: Sequence[str],
    contract: dict[str, Any],
    module: "nn.Module | None",
    progress: Progress,
) -> Report:
    """Verifies what is in `place` in the named runtimes. Raises VerificationError with the report if one failed, or if nothing here ran one
    of the files."""
    runtimes, scale = make_runtimes(names, contract, module), proof.power.scale
    results, original = run(
        place, runtimes, proof.cases, proof.power, proof, job.recipe.steps_from, lambda kind: bare.error(kind, proof.cases, scale), progress
    )
    progress("looking for the smallest mistake that shows")
    inputs = tuple(case.name for case in proof.cases)
    power, against = settled(proof.power, results, proof.noticed), f"{reference_of(job.backbone)}, {len(inputs)} inputs"
    report = Report(job.recipe.name, against, job.constants_agree, power, results, inputs, original, job.recipe.export.tf32)
    failed = [result for result in report.verdicts() if result.verdict == "failed"]
    if failed:
        raise _failure(report, "every runtime to compute what the reference does", failed)
    for file in sorted({RUNTIMES[result.runtime].file or "" for result in results} - {""}):
        of_file = [result for result in results if RUNTIMES[result.runtime].file == file]
        if all(result.verdict == "absent" for result in of_file):
            raise _failure(report, f"a runtime that can run {file} here", of_file)
    return report


def _check_unchanged(out: str | Path, folder: Path, written: dict[str, dict[str, Any]]) -> None:
    if hashes(folder) != written:
        raise PreprocError(f"{out}: expected the verified files to stay as they were, got changed ones; is another program writing there?")


def _failure(report: Report, expected: str, got: Sequence[Result]) -> VerificationError:
    reasons = "; ".join(f"{result.runtime}: {result.reason}" for result in got)
    error = VerificationError(f"{report.name}: expected {expected}, got {reasons}; nothing was published")
    error.report = report
    return error


def _is_settled(job: Job, folder: Path) -> bool:
    """Whether a TorchScript file that is there decides no more than ours do: an older one may, and no run on a CPU would show it."""
    if "torchscript" not in job.recipe.export.formats:
        return True
    from ..formats.torchscript import MODEL, check_settled
    from ..runtimes import load_torchscript

    try:
        check_settled(load_torchscript(folder / MODEL), tf32=job.recipe.export.tf32)
    except PreprocError:
        return False
    return True


def _exported(job: Job, progress: Progress) -> "ir.Model | None":
    """The bare network in Python as ONNX, where that format is wanted."""
    if isinstance(job.backbone, Path) or "onnx" not in job.recipe.export.formats:
        return None
    from ..formats.onnx import export_backbone

    progress("exporting the backbone to ONNX")
    recipe = job.recipe
    return export_backbone(
        job.backbone.module,
        ready_for(recipe),
        outputs=recipe.backbone.outputs,
        opset=recipe.export.opset,
        dynamic_size=recipe.ready_size is None,
    )


def _write_files(job: Job, exported: "ir.Model | None", proof: Proof, folder: Path, progress: Progress) -> tuple[dict[str, Any], Any]:
    """The model files, each with the contract inside; returns the contract and the model in Python, if there is one."""
    recipe, fold, notes = job.recipe, dict[str, Any](), job.notes
    model, onnx_model = None, None
    if "onnx" in recipe.export.formats:
        progress("writing model.onnx")
        onnx_model, fold["onnx"], notes = _attached(job, exported)
    if not isinstance(job.backbone, Path):
        model, fold_torch = _fold_torch(job)
        fold |= {name: fold_torch for name in recipe.export.formats if name != "onnx"}
    contract = _contract(job, fold, _told(notes, progress), onnx_model, proof)
    if onnx_model is not None:
        _save_onnx(onnx_model, contract, folder / "model.onnx")
    if model is not None and "torchscript" in recipe.export.formats:
        from ..formats.torchscript import export_torchscript

        progress("writing model.pt")
        extra, tf32 = {contracts.FILE: _compact(contract)}, recipe.export.tf32
        export_torchscript(model, pixels_for(recipe), folder / "model.pt", tf32=tf32, extra=extra)
    if model is not None and "pt2" in recipe.export.formats:
        from ..formats.pt2 import export_pt2

        progress("writing model.pt2")
        export_pt2(
            model,
            pixels_for(recipe),
            folder / "model.pt2",
            layout=recipe.pixels.layout,
            dynamic_size=recipe.pixels.size is None,
            extra={contracts.FILE: _compact(contract)},
        )
    return contract, model


def _told(notes: tuple[str, ...], progress: Progress) -> tuple[str, ...]:
    for note in notes:
        progress(f"note: {note}")
    return notes


def _contract(job: Job, fold: dict[str, Any], notes: Sequence[str], model: "ir.Model | None", proof: Proof | None) -> dict[str, Any]:
    """What the files promise. Shapes of outputs are those that the reference answered, else what an .onnx file says of them."""
    declared = {} if model is None else {value.name: value for value in model.graph.outputs}

    def output(name: str) -> dict[str, Any]:
        value = declared.get(name)
        kind = "float32" if value is None or value.dtype is None else value.dtype.numpy().name
        answered = None if proof is None else [job.recipe.pixels.batch or "N", *proof.cases[0].expected[name].shape[1:]]
        shape = answered or graph.sides(value)
        return {"name": name, "dtype": kind, "shape": shape}

    picture = (
        graph.any_picture(model, contracts.INPUT, job.recipe.pixels.layout)
        if isinstance(job.backbone, Path) and model is not None
        else None
    )
    others = [] if picture is None or model is None else graph.promised_others(model, picture)
    made = contracts.make_contract(
        job.recipe,
        outputs=[output(name) for name in job.recipe.backbone.outputs],
        others=others,
        fold=fold,
        weights=job.weights,
        weights_sha256=job.weights_sha256,
        trained=job.trained,
        constants_agree=job.constants_agree,
        labels=job.labels,
        notes=notes,
    )
    if "onnx" in fold:
        made["fold"]["onnx"]["stamp"] = graph.stamp(made)
    return made


def _save_onnx(model: "ir.Model", contract: dict[str, Any], path: Path) -> None:
    model.metadata_props.update({contracts.KEY: _compact(contract), **contracts.standard_metadata(contract)})
    graph.check(model, path.name)
    graph.save(model, path)


def _attached(job: Job, exported: "ir.Model | None") -> "tuple[ir.Model, dict[str, Any], tuple[str, ...]]":
    """The ONNX model with its steps, the contract's entry on the fold, and its notes. exported: the bare network, where it is no file; in
    place."""
    recipe, spec = job.recipe, job.recipe.export
    spec_of = recipe.backbone
    attach = functools.partial(
        graph.attach, steps=recipe.steps, pixels=recipe.pixels, name=contracts.INPUT, old=spec_of.input, layout=spec_of.layout
    )
    if exported is not None:
        model, done = exported, attach(exported, fold=spec.fold, layout="NCHW")
    else:
        assert job.model is not None
        model = closed = job.model
        if spec.fold != "off":
            model = graph.opened(closed, channels_out(recipe.steps, recipe.pixels.channels), name=spec_of.input, layout=spec_of.layout)
        done = attach(model, fold=spec.fold)
        if model is not closed and done.folded:
            opened = sorted(f"{domain}::{name}" for domain, name, _ in closed.functions.keys() - model.functions.keys())
            done = dataclasses.replace(done, notes=(*done.notes, f"in place of their calls: the functions {', '.join(opened)}"))
        elif model is not closed:  # then nothing was gained by it
            model = closed
            done = dataclasses.replace(attach(model, fold="off"), reason=done.reason)
        by_name = {value.name: value for value in model.graph.outputs}
        model.graph.outputs[:] = [by_name[name] for name in recipe.backbone.outputs]
    pixels = recipe.pixels
    entry = _fold_entry(recipe, done.folded, done.reason, done.form, done.convolutions)
    entry |= graph.record(model, contracts.INPUT, layout=pixels.layout, channels=pixels.channels, folded=done.folded, moved=done.moved)
    return model, entry, (*job.notes, *done.notes)


def _fold_torch(job: Job) -> "tuple[Model, dict[str, Any]]":
    from ..errors import NotFoldableError
    from ..folding import fold
    from ..pipeline import Pipeline, prepend

    recipe = job.recipe
    assert not isinstance(job.backbone, Path)
    pipeline = Pipeline.from_steps(recipe.steps)
    if recipe.export.fold == "off":
        return prepend(pipeline.collapse(channels=recipe.pixels.channels), job.backbone.module), _fold_entry(
            recipe, False, "fold = off", None, ()
        )
    result = fold(prepend(pipeline, job.backbone.module), example=pixels_for(recipe))
    if recipe.export.fold == "require" and not result.folded:
        raise NotFoldableError(f'{recipe.name}: fold = "require", and {result.reason}') from result.refusal
    return result.model, _fold_entry(recipe, result.folded, result.reason, result.form, result.convolutions)


def _fold_entry(recipe: Recipe, folded: bool, reason: str | None, form: str | None, convolutions: Sequence[str]) -> dict[str, Any]:
    return {"requested": recipe.export.fold, "folded": folded, "form": form, "convolutions": list(convolutions), "reason": reason}


def _compact(contract: dict[str, Any]) -> str:
    return json.dumps(contract, separators=(",", ":"))
