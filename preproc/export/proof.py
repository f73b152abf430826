"""What a recipe's model should compute: the reference's cases and their power, from the recipe and its original backbone."""

import contextlib
import copy
import dataclasses
import functools
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL
from numpy.typing import NDArray

from ..bundle import MANIFEST, Bundle, front_of, open_bundle, steps_of, strays, to_recipe
from ..errors import BundleError, NotAtHandError, NotFoldableError, PreprocError
from ..host import Progress, paced, silent, versions
from ..oracle import reference, rounded_otherwise
from ..sources import MODELS, OWN_CODE, Recipe, load_recipe, replace
from ..sources.published import original, through_floats, title
from ..steps import PILLOWS, Geometry, Resampling, Resize, Step, channels_out, installed_pillow, output_size, split_affine_end, with_pillow
from ..verify import (
    FAILED,
    QUICK,
    Case,
    Noticed,
    Original,
    Power,
    Report,
    Result,
    Truth,
    check_known,
    inputs,
    judge,
    make_cases,
    measure_power,
    settled,
    with_slack,
)
from ..verify.runtimes import RUNTIMES, InTurn, OnnxReference, Runtime, made, those_for
from .bare import bare_network

if TYPE_CHECKING:
    from torch import nn

    from ..sources.backbones import Backbone

SIZES = ((96, 128), (160, 112))
"""Where height and width are dynamic: the two sizes, one of each orientation, that are verified; see sizes_of() for resizes."""
MOST_READY = 1e-5
"""How far the original pipeline's model-ready tensors, in float32, may be from the reference's, relative: a hundredth of a grey level."""
MOST_VALUES = 200_000_000
"""In one batch: a gigabyte and a half in float64."""
GOLDEN = (f"{inputs.PHOTO}astronaut", f"{inputs.MADE}astronaut", "noise", "border-impulse", "low-contrast")
"""The inputs that become golden samples, behind the first images of the user's own."""
SKETCH = GOLDEN[:3]
"""Those of a quick export."""


@dataclass(frozen=True)
class Proof:
    """cases: all inputs with the reference's outputs.  golden: those that are written into the bundle, on which `power` was measured.
    noticed: see measure_power().
    original: photographs with the outputs that the published Python pipeline leads to; ready_error: as verify.Original's.  no_original:
    why there are none."""

    cases: tuple[Case, ...]
    golden: tuple[Case, ...]
    power: Power
    noticed: Noticed
    original: tuple[Case, ...] | None = None
    ready_error: float = 0.0
    no_original: str = ""


def prove(
    recipe: Recipe, backbone: "Backbone | Path", *, images: Path | None = None, quick: bool = False, progress: Progress = silent
) -> Proof:
    """Runs the reference: NumPy float64 steps, then the original backbone in float64 (an .onnx file: in ONNX Runtime).

    quick: on the inputs SKETCH and a few of the user's own, of one size, and not on the original pipeline; nothing passes then.
    """
    sizes, moving = sizes_of(recipe), any(isinstance(step, Geometry) for step in recipe.steps)
    sizes = sizes[:1] if quick else sizes
    values = math.prod(recipe.pixels.shape(recipe.pixels.batch or 1, sizes[0]))
    if values > MOST_VALUES:
        raise PreprocError(f"expected a batch of pictures of at most {MOST_VALUES:,} values, got one of {values:,}")
    pictures = []
    for size in sizes:
        own = list(inputs.from_folder(images, recipe.pixels, size)) if images else []
        named = [*own, *inputs.standard(recipe.pixels, size)]
        if quick:
            named = [*own[:3], *((name, picture) for name, picture in named if name in SKETCH)]
        if moving and size != sizes[0]:  # large ones cost time, and what follows the resize has seen the others
            kept = ("noise", inputs.PHOTO, inputs.MADE, inputs.OWN)
            named = [(name, picture) for name, picture in named if name.startswith(kept)]
        pictures += [(name if size == sizes[0] else f"{name}-{size[0]}x{size[1]}", picture) for name, picture in named]
    truth, bare, uncorrected = _truths(recipe, backbone)
    cases = make_cases(recipe.steps, truth, pictures, batch=recipe.pixels.batch, progress=progress)
    own_names = [name for name, _ in pictures if name.startswith(inputs.OWN)][:3]
    golden = [case for case in cases if case.name in (*own_names, *GOLDEN)]
    power, noticed = measure_power(
        recipe.steps, truth, bare, cases, golden, uncorrected=uncorrected, asked=recipe.export.tolerance, progress=progress
    )

    power = dataclasses.replace(power, quick=quick)
    usual = rounded_otherwise(recipe.steps, sizes[0])

    def own_slack(case: Case) -> Case:
        """A picture of another size may be rounded otherwise in more places than the golden samples. Where these are is luck: twice what
        one draw of them does."""
        share, most = rounded_otherwise(recipe.steps, case.size(recipe.pixels.layout))
        if not moving or (share <= usual[0] and most <= usual[1]):
            return case
        (drawn,) = with_slack(recipe.steps, truth, [case], power.scale)
        return dataclasses.replace(drawn, slack=2 * drawn.slack)

    if quick:
        return Proof(tuple(map(own_slack, cases)), tuple(golden), power, noticed, no_original=f"quick: {QUICK}")
    try:
        compared, ready_error = _original(recipe, bare, sizes, progress)
    except NotAtHandError as error:
        return Proof(tuple(map(own_slack, cases)), tuple(golden), power, noticed, no_original=str(error))
    return Proof(tuple(map(own_slack, cases)), tuple(golden), power, noticed, tuple(map(own_slack, compared)), ready_error)


def _original(recipe: Recipe, bare: Truth, sizes: Sequence[tuple[int, int]], progress: Progress) -> tuple[list[Case], float]:
    """Photographs of all sizes through the Python pipeline that the steps were published as, and the bare backbone in float32; and how far
    its model-ready tensors are from the reference's. Raises NotAtHandError, with the reason: also where the Pillow that is installed here
    resizes these photographs otherwise than the recipe's. Then, too, the steps are those of the pipeline but for the order of passes."""
    pixels, published = recipe.pixels, recipe.steps_from
    if published is None:
        raise NotAtHandError("its steps are the recipe's own")
    if not set("RGB") <= set(pixels.color) or pixels.dtype != "uint8":
        raise NotAtHandError(f"it takes RGB pictures of 8 bits, the model {pixels.color} of {pixels.dtype}")
    transform, as_here, most = original(published), with_pillow(recipe.steps, installed_pillow()), _most_ready(recipe.steps)
    progress(f"running {title(published)} on photographs")
    cases, worst, apart, where = list[Case](), 0.0, 0.0, ""
    for size in sizes:
        named = list(inputs.photographs(pixels, size))
        for position, (name, _, _) in enumerate(named):
            chosen = [named[(position + further) % len(named)] for further in range(pixels.batch or 1)]
            picture = np.concatenate([picture for _, _, picture in chosen])
            ready, ours = np.concatenate([transform(image) for _, image, _ in chosen]), reference.apply(as_here, picture)
            if ready.shape != ours.shape:
                raise PreprocError(f"expected {title(published)} to make {ours.shape} of {name}, got {ready.shape}")
            further = float(np.abs(ready - ours).max() / np.abs(ours).max())
            if further > most:
                raise PreprocError(
                    f"expected the steps to compute what {title(published)} computes here, got model-ready tensors {further:.1e} of the "
                    f"largest value away from its own on {name}: {_cause(recipe.steps, picture, ready, ours)}"
                )
            worst = max(worst, further)
            if as_here != recipe.steps:
                other = reference.apply(recipe.steps, picture)
                further = float(np.abs(other - ours).max() / np.abs(other).max())
                apart, where = max((apart, where), (further, name))
            cases.append(Case(name, picture, bare(ready), bare.others(len(picture))))
    if apart > most:
        (pillow,) = {step.pillow for step in recipe.steps if isinstance(step, Resampling)} - {None, installed_pillow()}
        raise NotAtHandError(
            f"Pillow {PIL.__version__} here resizes otherwise than Pillow {pillow}, whose order of passes the file has: model-ready "
            f"tensors differ by up to {apart:.1e} of the largest value (on {where})"
        )
    return cases, worst


def _most_ready(sequence: Sequence[Step]) -> float:
    """Ten times as far where torch resizes floats, with weights of float32."""
    return MOST_READY * (1 if all(step.rounds for step in sequence if isinstance(step, Resampling)) else 10)


def _cause(sequence: Sequence[Step], picture: NDArray[Any], theirs: NDArray[np.float32], ours: NDArray[np.float64]) -> str:
    """What parts a pipeline's values from those of the steps, as far as the picture itself shows it."""
    for pillow in PILLOWS:
        other = reference.apply(with_pillow(sequence, pillow), picture)
        if np.abs(theirs - other).max() <= MOST_READY * np.abs(other).max():
            return f"Pillow {PIL.__version__} here has the order of passes of Pillow {pillow}"
    told = []
    for channel in range(ours.shape[1]):
        x, y = ours[:, channel].ravel(), theirs[:, channel].ravel().astype(np.float64)
        scale = float(np.cov(x, y, ddof=0)[0, 1] / max(x.var(), 1e-12))
        offset = float(y.mean() - scale * x.mean())
        if np.abs(y - scale * x - offset).max() > 10 * MOST_READY * np.abs(y).max():
            why = through_floats(sequence)
            if not why and any(isinstance(step, Resampling) and step.pillow is not None for step in sequence):
                why = "and in no order of passes of Pillow's"
            return "its pixels are others, so it resizes, crops or converts them otherwise" + (f", {why}" if why else "")
        told.append(f"{scale:.4g} x {offset:+.4g}")
    return f"its pixels are the same, its constants are not: channel by channel it has {', '.join(told)} for the x of the steps"


def sizes_of(recipe: Recipe) -> list[tuple[int, int]]:
    """(height, width) of the pixels that are verified: the one that the recipe names, or where it is dynamic one of each orientation;
    in front of a resize also one that is enlarged; the first is shrunk, the tall one so tall that the passes change places."""
    if recipe.pixels.size is not None:
        return [recipe.pixels.size]
    moving = [step for step in recipe.steps if isinstance(step, Geometry)]
    if not moving:
        return list(SIZES)
    height, width = recipe.ready_size or output_size(moving, SIZES[0]) or SIZES[0]
    sizes = [(3 * height // 2 + 1, 2 * width + 3), (4 * height + 5, 4 * width // 3), (height // 2 + 1, width // 2 + 7)]
    for step in moving:
        if isinstance(step, Resize) and isinstance(step.size, int) and step.max_size is not None:
            sizes.append((step.size // 2 + 1, step.max_size + step.size // 2 + 9))  # so wide that max_size holds
    return sizes


def _truths(recipe: Recipe, backbone: "Backbone | Path") -> tuple[Truth, Truth, tuple[Truth, Any] | None]:
    """The reference, the bare backbone in float32, and the reference with the border left uncorrected."""
    names = recipe.backbone.outputs
    affine = None
    with contextlib.suppress(NotFoldableError):
        _, affine = split_affine_end(recipe.steps, channels=channels_out(recipe.steps, recipe.pixels.channels))
    if isinstance(backbone, Path):
        from .. import graph

        model = graph.load(backbone)
        picture = graph.picture_input(model, recipe.backbone.input, recipe.backbone.layout)
        open_one = functools.partial(
            OnnxReference, names=names, image=str(picture.value.name), nhwc=picture.layout == "NHWC", others=graph.others(model, picture)
        )
        truth = open_one(backbone)
        minus = None if affine is None else graph.uncorrected_border(picture, affine)
        return truth, truth, None if minus is None else (open_one(graph.to_bytes(model), folder=backbone.absolute().parent), minus)
    import torch

    from ..folding.modules import uncorrected_border
    from ..sources.backbones import Reference

    double, wrong_module = Reference(backbone.module, names), copy.deepcopy(backbone.module).double()
    example = torch.zeros(2, channels_out(recipe.steps, recipe.pixels.channels), *_ready(recipe), dtype=torch.float64)
    minus = None if affine is None else uncorrected_border(wrong_module, affine, example)
    bare = Reference(backbone.module, names, dtype=torch.float32)
    return double, bare, None if minus is None else (Reference(wrong_module, names), minus)


def _ready(recipe: Recipe) -> tuple[int, int]:
    """(height, width) of what the backbone gets of the first size that is verified."""
    size = output_size(recipe.steps, sizes_of(recipe)[0])
    assert size is not None
    return size


def with_outputs(recipe: Recipe, backbone: "Backbone") -> "tuple[Recipe, Backbone]":
    """The recipe with the names of all outputs, and the backbone answering them in that order. Runs it once."""
    import torch

    from ..sources.backbones import name_outputs

    picture = torch.zeros(1, channels_out(recipe.steps, recipe.pixels.channels), *_ready(recipe))
    backbone, names = name_outputs(backbone, recipe.backbone.outputs, picture)
    return replace(recipe, backbone={"outputs": names}), backbone


def run(
    place: Path,
    runtimes: Sequence[Runtime],
    cases: Sequence[Case],
    power: Power,
    proof: Proof | None,
    name: str | None,
    bare: Callable[[Runtime], float | None],
    progress: Progress,
) -> tuple[tuple[Result, ...], Original | None]:
    """Judges the files of the folder `place`, or the one file `place`, in each runtime: on the cases, and where the steps were
    published, as `name`, against that pipeline. bare: what the bare network errs by in a runtime; None: not known."""
    alone, in_turn = {runtime.name: bare(runtime) for runtime in paced(runtimes, "running the bare network", progress)}, InTurn(runtimes)

    def judged(asked: Sequence[Case]) -> tuple[Result, ...]:
        found = []
        for runtime in in_turn:
            file = place / (runtime.file or "") if place.is_dir() else place
            found.append(judge(runtime, file, asked, power, bare=alone[runtime.name], progress=progress))
        return tuple(found)

    results = judged(cases)
    if name is None:
        return results, None
    if proof is None or proof.original is None:
        reason = proof.no_original if proof else "it takes the original backbone, which was not asked for"
        return results, Original(title(name), reason=reason)
    return results, Original(title(name), len(proof.original), proof.ready_error, judged(proof.original))


def verify_bundle(
    bundle_dir: str | Path,
    *,
    runtimes: Sequence[str] | None = None,
    images: str | Path | None = None,
    recipe: str | Path | None = None,
    tf32: bool = False,
    progress: Progress = silent,
) -> Report:
    """Verifies a published bundle on this machine.

    Where the original backbone can be had, against a fresh float64 reference on all inputs; else (and always where only runtimes
    that need no torch are asked for) against the bundle's golden samples.  runtimes: names; None: all that the bundle has files for.
    images: a folder of your own pictures, which needs the backbone.  recipe: where the bundle's recipe is, if not in models/, or the .onnx
    file that it was made from, if that is not in the working directory.  progress: is told each stage, and how far long ones are. Raises
    BundleError if a file differs from the manifest.
    """
    progress("checking the files")
    bundle = open_bundle(bundle_dir)
    for stray in strays(bundle):
        progress(f"note: {stray} is not in {MANIFEST}: it is not verified")
    check_known(runtimes or (), RUNTIMES)
    in_python = bundle.contract["backbone"]["source"] != "onnx"  # else there is no network in Python to run
    names = runtimes or those_for(bundle.manifest["files"], in_python=in_python)
    for name in names:
        file = RUNTIMES[name].file
        if file is not None and file not in bundle.manifest["files"]:
            raise BundleError(
                f"{bundle.folder}: expected {file} for {name}, got a bundle without it; add its format to the recipe and export again"
            )
    fresh, why_not = None, "not asked for"
    of_a_file = runtimes is None and not in_python
    if images is not None or recipe is not None or of_a_file or any(RUNTIMES[name].file != "model.onnx" for name in names):
        if images is not None:
            inputs.check(Path(images), front_of(bundle.contract).pixels)
            for note in inputs.notes(Path(images)):
                progress(note)
        progress("looking for the original backbone")
        try:
            fresh = _rebuild(bundle, None if recipe is None else Path(recipe))
        except (PreprocError, ImportError) as error:
            why_not = f"the original backbone is not at hand ({error})"
            if images is not None or recipe is not None:
                where = "" if in_python or recipe is not None else "; say where it is: --recipe FILE.onnx"
                raise BundleError(f"expected the original backbone, which --images and --recipe need; {error}{where}") from error
    published, agree = bundle.contract.get("steps_from"), str(bundle.contract["backbone"]["constants_agree"])
    if fresh is None:
        cases, power, against = bundle.golden(), bundle.report.power, bundle.against_golden()
        runtimes_made = make_runtimes(names, bundle.contract, None, why_not=why_not, tf32=tf32)
        progress(f"verifying {', '.join(names)} on the golden samples")
        results, compared = run(bundle.folder, runtimes_made, cases, power, None, published, bundle.report.bare_error, progress)
    else:
        progress("computing the float64 reference")
        proof = prove(fresh[0], fresh[1], images=None if images is None else Path(images), progress=progress)
        progress(f"verifying {', '.join(names)}")
        cases, against = list(proof.cases), f"{reference_of(fresh[1])}, {len(proof.cases)} inputs"
        runtimes_made = make_runtimes(names, bundle.contract, folded_model(fresh[0], fresh[1]), tf32=tf32)
        with tempfile.TemporaryDirectory() as folder:
            files = {str(runtime.file) for runtime in runtimes_made}
            network, scale = bare_network(fresh[0], fresh[1], cases, files, Path(folder)), proof.power.scale
            results, compared = run(
                bundle.folder,
                runtimes_made,
                cases,
                proof.power,
                proof,
                published,
                lambda runtime: network.error(runtime, cases, scale),
                progress,
            )
        progress("looking for the smallest mistake that shows")
        power = settled(proof.power, results, proof.noticed)
    results = tuple(_with_versions(result, bundle.manifest["versions"]) for result in results)
    if compared is not None:
        named = tuple(_with_versions(result, bundle.manifest["versions"]) for result in compared.results)
        compared = dataclasses.replace(compared, results=named)
    allowed = tf32 or bundle.contract.get("tf32", False)
    return Report(str(bundle.contract["name"]), against, agree, power, results, tuple(case.name for case in cases), compared, allowed)


_PACKAGES = {"ort": ("onnxruntime-gpu", "onnxruntime"), "openvino": ("openvino",)}
"""That a runtime is, by the start of its name; the others are torch."""


def _with_versions(result: Result, then: Mapping[str, str]) -> Result:
    """A failure on a machine with other versions than the export's says so: they may be what decides."""
    if result.verdict != FAILED:
        return result
    now, packages = versions(), _PACKAGES.get(result.runtime.partition("-")[0], ("torch",))
    there, here = ({f"{name} {known[name]}" for name in packages if name in known} for known in (then, now))
    if there == here:
        return result
    then_told, now_told = (", ".join(sorted(known)) or "another package" for known in (there, here))
    return dataclasses.replace(result, reason=f"{result.reason}; exported with {then_told}, here is {now_told}")


def reference_of(backbone: "Backbone | Path") -> str:
    """What the cases of prove() come from."""
    return "the original file fed by float64 steps" if isinstance(backbone, Path) else "float64 reference"


def make_runtimes(
    names: Sequence[str], contract: Mapping[str, Any], module: "nn.Module | None", *, why_not: str = "", tf32: bool = False
) -> list[Runtime]:
    """The named runtimes, those in Python around `module`. tf32: allow it, whatever the contract says."""
    tf32 = tf32 or contract.get("tf32", False)
    outputs = [output["name"] for output in contract["outputs"]]
    return [made(RUNTIMES[name], module, outputs, why_not=why_not, tf32=tf32) for name in names]


def folded_model(recipe: Recipe, backbone: "Backbone | Path") -> "nn.Module | None":
    """The model in Python as the recipe says: folded where it can be. None for an .onnx file."""
    if isinstance(backbone, Path):
        return None
    import torch

    from ..folding.modules import FoldResult, fold
    from ..layers import Pipeline, prepend

    model = prepend(Pipeline.from_steps(recipe.steps), backbone.module)
    if recipe.export.fold == "off":
        return prepend(model.pipeline.collapse(channels=recipe.pixels.channels), backbone.module)  # type: ignore[operator]
    example = torch.zeros(recipe.pixels.shape(2, sizes_of(recipe)[0]), dtype=getattr(torch, recipe.pixels.dtype))
    result: FoldResult = fold(model, example=example)
    return result.model


def _rebuild(bundle: Bundle, path: Path | None) -> "tuple[Recipe, Backbone | Path]":
    """The recipe and the original backbone of a bundle, with the weights that the contract names. Raises PreprocError."""
    contract = bundle.contract
    outputs = tuple(output["name"] for output in contract["outputs"])
    recipe = replace(_find_recipe(bundle, path), backbone={"outputs": outputs})
    if recipe.backbone.source == "onnx":
        from .. import graph

        file = recipe.resolve(str(recipe.backbone.weights))
        _check_weights(graph.fingerprint(file, graph.load(file)), contract)
        return recipe, file
    from ..sources.backbones import load_backbone

    backbone = load_backbone(recipe)
    _check_weights(backbone.sha256(), contract)
    return with_outputs(recipe, backbone)


def _check_weights(found: str, contract: Mapping[str, Any]) -> None:
    if found != contract["backbone"]["sha256"]:
        raise BundleError("its weights are not those of the bundle")


def _find_recipe(bundle: Bundle, path: Path | None) -> Recipe:
    """The recipe in the contract; the files it names are looked for beside the given recipe, or in models/ here or beside export/; those of
    the embedded network also where preproc has them."""
    contract = bundle.contract
    if path is not None and path.suffix == ".onnx" and contract["backbone"]["source"] == "onnx":
        return replace(to_recipe(contract), backbone={"weights": str(path.absolute())})
    places = [path] if path else [Path("models"), bundle.folder.absolute().parent.parent / "models"]
    if path is None and contract["backbone"]["source"] == "embedded":
        places.append(MODELS)
    for place in places:
        file = place if place.is_file() else place / f"{contract['name']}.toml"
        if file.is_file():
            recipe = _same_steps(file, steps_of(contract))
            if path is None:
                _check_harmless(recipe.backbone.source, recipe.backbone.name)
            return recipe
    if path:
        raise BundleError(f"{path}: expected a recipe, got nothing there")
    if contract["backbone"]["source"] == "module":
        raise BundleError("the network was handed over in Python, and is not at hand: export it again where it is")
    _check_harmless(contract["backbone"]["source"], contract["backbone"].get("name"))
    return to_recipe(contract)


def _same_steps(file: Path, promised: Sequence[Step]) -> Recipe:
    """The recipe in the file, with these steps. The Pillow that it may leave open was decided where the bundle was exported."""
    for pillow in PILLOWS:
        recipe = load_recipe(file, pillow=pillow)
        if list(recipe.steps) == list(promised):
            return recipe
    raise BundleError(f"{file}: expected the steps of the bundle, got other ones; export it again")


def _check_harmless(source: str, name: object) -> None:
    """A bundle from elsewhere, and what lies around it, must not choose which code runs here: only --recipe does."""
    if source in OWN_CODE:
        raise BundleError(f"its backbone is made by {name}: give the recipe that says so with --recipe")
