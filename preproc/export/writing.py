"""What is written: the model files, each with the contract inside."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import graph
from ..bundle import contract as contracts
from ..errors import NotFoldableError
from ..host import Progress
from ..sources import Recipe
from ..steps import channels_out
from .compiling import compiled_for
from .eight import in_eight_bits
from .files import FILES
from .in_torch import write_torch
from .job import Job
from .promising import promised
from .proof import Proof

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import Tensor, nn

    from ..folding.modules import FoldResult


@dataclass(frozen=True)
class Written:
    """contract: what each of the files promises.  module: the model in Python, if there is one."""

    contract: Mapping[str, Any]
    module: "nn.Module | None"


def exported(job: Job, progress: Progress) -> "ir.Model | None":
    """The bare network in Python as ONNX, where that format is wanted."""
    if job.written is None or "onnx" not in job.recipe.export.formats:
        return None
    from ..sources.backbones import narrowed

    progress("exporting the backbone to ONNX")
    return _as_onnx(job, narrowed(job.written.module, job.recipe.export))


def _as_onnx(job: Job, module: "nn.Module") -> "ir.Model":
    from .formats import export_backbone

    recipe = job.recipe
    return export_backbone(module, job.ready, outputs=recipe.backbone.outputs, opset=recipe.export.opset, size=recipe.ready_size)


def write_files(job: Job, bare: "ir.Model | None", proof: Proof, folder: Path, progress: Progress) -> Written:
    """All formats of a job, into an empty folder. bare: the network alone as ONNX, where it is none already; in place."""
    recipe, fold, notes = job.recipe, dict[str, Any](), job.notes
    onnx_model, folded, entries = None, None, list[dict[str, Any]]()
    if "onnx" in recipe.export.formats:
        progress("writing model.onnx")
        onnx_model, entries, notes = _attached(job, bare)
        fold["onnx"] = entries[0]
    if job.written is not None and job.eight is None and recipe.export.in_python:
        folded = fold_module(recipe, job.written.module, job.pixels)
        entry = _fold_entry(recipe, folded)
        fold |= {name: entry for name in recipe.export.formats if name != "onnx"}
    contract = _contract(job, fold, entries, _told(notes, progress), onnx_model, proof)
    if onnx_model is not None:
        _save_onnx(onnx_model, contract, folder / FILES["onnx"], progress)
    if folded is not None:
        write_torch(job, folded, contract, proof.golden, folder, progress)
    return Written(contract, None if folded is None else folded.model)


def write_onnx(job: Job, proof: Proof | None, path: Path, progress: Progress) -> Written:
    """The one file `path` for a backbone that is an .onnx file. proof: None where nothing is verified."""
    progress(f"writing {path.name}")
    model, entries, notes = _attached(job, None)
    contract = _contract(job, {"onnx": entries[0]}, entries, _told(notes, progress), model, proof)
    _save_onnx(model, contract, path, progress)
    return Written(contract, None)


def fold_module(recipe: Recipe, backbone: "nn.Module", example: "Tensor") -> "FoldResult":
    """The model in Python as the recipe says: folded, or with the pipeline collapsed in front; the network narrowed then, what is in front
    of it in float32. Raises NotFoldableError where a recipe that requires the fold cannot have it. example: pixels as the model takes
    them."""
    from ..folding.modules import FoldResult, fold
    from ..layers import Model, Pipeline, prepend
    from ..sources.backbones import HALF, narrowed

    pipeline, spec = Pipeline.from_steps(recipe.steps), recipe.export
    if spec.fold == "off":
        result = FoldResult(prepend(pipeline.collapse(channels=recipe.pixels.channels), backbone), False, "fold = off")
    else:
        result = fold(prepend(pipeline, backbone), example=example, dtype=HALF.get(spec.precision))
    if spec.fold == "require" and result.refusal is not None:
        raise NotFoldableError(f'{recipe.name}: fold = "require", and {result.reason}', name=result.refusal.name)
    front = result.model.pipeline
    return dataclasses.replace(result, model=Model(front, narrowed(result.model.backbone, spec, front(example))))


def _told(notes: tuple[str, ...], progress: Progress) -> tuple[str, ...]:
    for note in notes:
        progress(f"note: {note}")
    return notes


def _contract(
    job: Job,
    fold: dict[str, Any],
    entries: Sequence[dict[str, Any]],
    notes: Sequence[str],
    model: "ir.Model | None",
    proof: Proof | None,
) -> dict[str, Any]:
    """What the files promise. entries: on the fold in the ONNX file, of each picture that was put in front."""
    first = next((other.pixels for other in job.recipe.further if other.takes == contracts.INPUT), job.recipe.pixels)
    declared = {} if model is None else {value.name: value for value in model.graph.outputs}
    picture = (
        graph.any_picture(model, contracts.INPUT, first.whole_layout) if isinstance(job.backbone, Path) and model is not None else None
    )
    others = [] if picture is None or model is None else graph.promised_others(model, picture)
    made = contracts.make_contract(
        job.recipe,
        outputs=[
            entry
            for name in job.recipe.backbone.outputs
            for entry in promised(name, declared.get(name), proof, job.recipe.pixels.rows, floats=job.recipe.export.outputs_precision)
        ],
        others=others,
        fold=fold,
        weights=job.weights,
        weights_sha256=job.weights_sha256,
        trained=job.trained,
        constants_agree=job.constants_agree,
        labels=job.labels,
        notes=notes,
        sizes=() if proof is None else proof.sizes,
    )
    if job.eight is not None:
        made["quantization"] = job.eight.told
    if "aoti" in fold:
        made["compiled"] = {"aoti": compiled_for(job.recipe.export)}
    if "executorch" in fold:
        from .formats import at_most

        made["at_most"] = {"executorch": at_most(job.recipe.pixels.size, () if proof is None else proof.sizes)}
    if "onnx" in fold:
        made["fold"]["onnx"]["stamp"] = graph.stamp(made)
    if not job.recipe.further:
        return made
    pictures = [contracts.picture(view, entry) for view, entry in zip(job.recipe.views(), entries, strict=True)]
    for entry in pictures:
        entry["fold"]["stamp"] = graph.stamp(contracts.seen_from(made, entry))
    return contracts.with_pictures(made, pictures, job.before)


def _save_onnx(model: "ir.Model", contract: dict[str, Any], path: Path, progress: Progress) -> None:
    own = {contracts.KEY: contracts.compact(contract), graph.WRITTEN: graph.digests(model)}
    model.metadata_props.update(own | contracts.standard_metadata(contract))
    graph.check(model, path.name)
    graph.save(model, path, progress)


def _attached(job: Job, bare: "ir.Model | None") -> "tuple[ir.Model, list[dict[str, Any]], tuple[str, ...]]":
    """The ONNX model with its steps, the contract's entry on the fold of each picture that was put in front, and its notes. bare: the
    network alone, where it is no file; in place."""
    recipe, notes = job.recipe, job.notes
    views, made = recipe.views(), list[graph.Attached]()
    if bare is not None:
        assert job.written is not None
        wide = _as_onnx(job, job.written.module) if recipe.export.half and recipe.export.fold != "off" else None
        model, done = bare, _attach_of(job, recipe, again=False)(bare, fold=recipe.export.fold, layout="NCHW", wide=wide)
        made.append(done)
    else:
        assert job.load is not None
        model = job.load()
        for position, view in enumerate(views):
            again = position > 0 or job.before is not None
            model, done = _attached_to_file(model, view, _attach_of(job, view, again=again))
            made.append(done)
        by_name = {value.name: value for value in model.graph.outputs}
        model.graph.outputs[:] = [by_name[name] for name in recipe.backbone.outputs]
    if job.eight is not None:
        model, made[0], told = in_eight_bits(model, recipe, job.eight, made[0])
        notes += told
    entries = []
    for view, done in zip(views, made, strict=True):
        pixels, entry = view.pixels, _fold_entry(view, done)
        layout, channels = pixels.whole_layout, pixels.channels
        entry |= graph.record(model, view.takes, layout=layout, channels=channels, folded=done.folded, moved=done.moved)
        entries.append(entry)
        notes += tuple(note for note in done.notes if note not in notes)
    return model, entries, notes


def _attach_of(job: Job, recipe: Recipe, *, again: bool) -> Callable[..., graph.Attached]:
    """again: as graph.attach()'s."""
    return functools.partial(
        graph.attach,
        steps=recipe.steps,
        pixels=recipe.pixels,
        name=recipe.takes,
        old=recipe.backbone.input,
        layout=recipe.backbone.layout,
        again=again,
        eight=None if job.eight is None else job.eight.asked.form,
    )


def _attached_to_file(closed: "ir.Model", recipe: Recipe, attach: Callable[..., graph.Attached]) -> "tuple[ir.Model, graph.Attached]":
    """A network that is an .onnx file, its functions opened where the fold gains by it."""
    if recipe.export.fold == "off":
        return closed, attach(closed, fold="off")
    spec = recipe.backbone
    model = graph.opened(closed, channels_out(recipe.steps, recipe.pixels.channels), name=spec.input, layout=spec.layout)
    done = attach(model, fold=recipe.export.fold)
    if model is closed:
        return model, done
    if not done.folded:  # then nothing was gained by it
        return closed, dataclasses.replace(attach(closed, fold="off"), reason=done.reason)
    opened = sorted(f"{domain}::{name}" for domain, name, _ in closed.functions.keys() - model.functions.keys())
    return model, dataclasses.replace(done, notes=(*done.notes, f"in place of their calls: the functions {', '.join(opened)}"))


def _fold_entry(recipe: Recipe, done: "FoldResult | graph.Attached") -> dict[str, Any]:
    """What the contract says of a fold."""
    convolutions, requested = list(done.convolutions), recipe.export.fold
    said = {"requested": requested, "folded": done.folded, "form": done.form, "convolutions": convolutions, "reason": done.reason}
    said |= {"selected": list(done.selected)} if done.selected else {}
    said |= {"chroma": done.chroma} if done.chroma else {}
    return said | ({"why": done.why} if done.why else {})
