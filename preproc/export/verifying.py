"""A bundle that was published -> the report of this machine."""

import dataclasses
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..bundle import EIGHT, MANIFEST, Bundle, front_of, open_bundle, precision_of, strays
from ..errors import BundleError, PreprocError
from ..host import Progress, silent, versions
from ..sources import Recipe, check_tolerance
from ..verify import ABSENT, FAILED, Report, Result, check_known, inputs
from ..verify.runtimes import RUNTIMES, those_for
from .answering import report_on, report_on_golden
from .bare import BareBefore, bare_network
from .explaining import explained
from .files import FILES
from .finding import rebuild
from .proof import Proof
from .proving import prove
from .resolving import example_of, to_be_written
from .substitutes import Substitute, substitute
from .writing import fold_module

if TYPE_CHECKING:
    from ..sources.backbones import Backbone

_LIKE_CALIBRATION = "what has 8 bits is verified with pictures like those of its calibration: golden samples, or --images"
_PACKAGES = {"ort": ("onnxruntime-gpu", "onnxruntime"), "openvino": ("openvino",), "executorch": ("executorch",)}
"""That a runtime is, by the start of its name; the others are torch."""


def verify_bundle(
    bundle_dir: str | Path,
    *,
    runtimes: Sequence[str] | None = None,
    images: str | Path | None = None,
    recipe: str | Path | None = None,
    model: str | Path | None = None,
    tolerance: float | None = None,
    tf32: bool = False,
    progress: Progress = silent,
) -> Report:
    """Verifies a published bundle on this machine.

    Where the original backbone can be had, against a fresh float64 reference on all inputs; else (and always where only runtimes
    that need no torch are asked for) against the bundle's golden samples.  runtimes: names; None: all that the bundle has files for.
    images: a folder of your own pictures, which needs the backbone.  recipe: where the bundle's recipe is, if not in models/, or the .onnx
    file that it was made from, if that is not in the working directory.  model: an .onnx file that was made of the bundle's since
    (optimized, simplified, converted), to be judged in its place, on the inputs that it takes.  tolerance: how far that one may be from
    the reference, relative to its largest output, in place of what the bundle's own may.  progress: is told each stage, and how far long
    ones are. Raises BundleError if a file differs from the manifest, PreprocError if `model` does not take what the bundle promises.
    """
    progress("checking the files")
    bundle = open_bundle(bundle_dir)
    for stray in strays(bundle):
        progress(f"note: {stray} is not in {MANIFEST}: it is not verified")
    if tolerance is not None and model is None:
        raise PreprocError(
            "expected tolerance beside model, which it is for, got it without: a bundle has its own", name="option-without-effect"
        )
    other = None if model is None else substitute(Path(model), bundle.contract)
    names = _names(bundle, runtimes) if other is None else _names_for(other.path, runtimes)
    asked_for = None if tolerance is None else check_tolerance(tolerance)
    if other is not None and other.note() is not None:
        progress(f"note: {other.note()}")
    asked, contract = images is not None or recipe is not None, bundle.contract
    in_eight, made_of_a_file = precision_of(contract) == EIGHT, contract["backbone"]["source"] == "onnx"
    if in_eight and asked and images is None:
        raise PreprocError(
            f"{bundle.folder}: expected --images (images) beside --recipe, got it alone: {_LIKE_CALIBRATION}", name="option-without-effect"
        )
    found, why_not = None, _LIKE_CALIBRATION if in_eight else "not asked for"
    needed = (runtimes is None and made_of_a_file) or any(RUNTIMES[name].file != "model.onnx" for name in names)
    if asked or (needed and not in_eight):
        if images is not None:
            inputs.check(Path(images), front_of(bundle.contract).pixels)
        progress("looking for the original backbone")
        try:
            found = rebuild(bundle, None if recipe is None else Path(recipe))
        except (PreprocError, ImportError) as error:
            why_not = f"the original backbone is not at hand ({error})"
            if asked:
                where = "; say where it is: --recipe FILE.onnx" if made_of_a_file and recipe is None else ""
                name = None if isinstance(error, PreprocError) else "not-installed"
                raise BundleError(f"expected the original backbone, which --images and --recipe need; {error}{where}", name=name) from error
    if found is None:
        report = report_on_golden(
            bundle, other, names, why_not=why_not, tolerance=asked_for, tf32=tf32, explain=explained(bundle), progress=progress
        )
    else:
        proof = prove(*found, images=None if images is None else Path(images), progress=progress)
        report = _against_original(bundle, other, *found, names, _judged_by(proof, other, asked_for), tf32, progress)
    if runtimes is None and other is None:
        report = dataclasses.replace(report, results=(*report.results, *_unasked(bundle)))
    name = report.name if other is None else f"{other.path.name}, in place of {report.name}/model.onnx"
    return dataclasses.replace(_with_versions(report, bundle.manifest["versions"]), name=name)


def _judged_by(proof: Proof, other: Substitute | None, tolerance: float | None) -> Proof:
    """With the inputs that the file takes, and the tolerance that was asked for."""
    if tolerance is not None:
        proof = dataclasses.replace(proof, power=dataclasses.replace(proof.power, asked=tolerance))
    if other is None:
        return proof
    cases, original = other.fitting(proof.cases), tuple(filter(other.takes, proof.original or ()))
    reason = proof.no_original or ("" if original else "the file takes none of its pictures")
    return dataclasses.replace(proof, cases=cases, original=original or None, no_original=reason)


def _names(bundle: Bundle, runtimes: Sequence[str] | None) -> Sequence[str]:
    """Of the runtimes that are asked. Raises BundleError for one that the bundle has no file for."""
    check_known(runtimes or (), RUNTIMES)
    contract = bundle.contract
    written = precision_of(contract) in ("float32", "tf32") or contract["fold"].keys() != {"onnx"}
    in_python = contract["backbone"]["source"] != "onnx" and written  # else there is no network in Python to run, or no file of it
    names = runtimes or those_for(bundle.manifest["files"], in_python=in_python)
    for name in names:
        file = RUNTIMES[name].file
        if file is not None and file not in bundle.manifest["files"]:
            raise BundleError(
                f"{bundle.folder}: expected {file} for {name}, got a bundle without it; {bundle.missing_format}",
                name="format-not-in-bundle",
            )
    return names


def _unasked(bundle: Bundle) -> Iterator[Result]:
    """Of the runtimes that would load code from wherever the bundle is: absent, for nobody has named them."""
    compiled: dict[str | None, str] = {FILES[name]: f"-{made['device']}" for name, made in bundle.contract.get("compiled", {}).items()}
    for kind in RUNTIMES.values():
        if kind.alone and kind.file in bundle.manifest["files"] and kind.name.endswith(compiled.get(kind.file, "")):
            reason = f"{kind.file} is code, which is loaded only where it is asked for by name: --runtime {kind.name}"
            yield Result(kind.name, ABSENT, reason)


def _names_for(model: Path, runtimes: Sequence[str] | None) -> Sequence[str]:
    """Of the runtimes that are asked of an .onnx file. Raises PreprocError for one that runs others."""
    check_known(runtimes or (), RUNTIMES)
    for name in runtimes or ():
        if RUNTIMES[name].file != "model.onnx":
            raise PreprocError(f"{model}: expected runtimes of .onnx files, got {name}", name="conflicting-options")
    return runtimes or those_for(("model.onnx",), in_python=False)


def _against_original(
    bundle: Bundle,
    other: Substitute | None,
    recipe: Recipe,
    backbone: "Backbone | Path",
    names: Sequence[str],
    proof: Proof,
    tf32: bool,
    progress: Progress,
) -> Report:
    """On all inputs, against a fresh reference."""
    progress(f"verifying {', '.join(names)}")
    module = None  # of an .onnx file, and in 8 bits
    if not isinstance(backbone, Path) and recipe.export.precision != EIGHT:
        example, ready = example_of(recipe)
        backbone = to_be_written(recipe, backbone, ready)
        module = fold_module(recipe, backbone.module, example).model
    files = {str(RUNTIMES[name].file) for name in names}
    with tempfile.TemporaryDirectory() as folder:
        bare = (
            BareBefore(bundle.report)
            if precision_of(bundle.contract) == EIGHT  # which was made with pictures that are not here
            else bare_network(recipe, backbone, proof.cases, files, Path(folder))
        )
        place = bundle.folder if other is None else other.path
        return report_on(
            place,
            bundle.contract,
            proof,
            names,
            module=module,
            bare=bare,
            tf32=tf32,
            ours=other is None,
            explain=explained(bundle, (recipe, backbone)),
            progress=progress,
        )


def _with_versions(report: Report, then: Mapping[str, str]) -> Report:
    """A failure on a machine with other versions than the export's says so: they may be what decides."""
    now = versions()

    def told(result: Result) -> Result:
        packages = _PACKAGES.get(result.runtime.partition("-")[0], ("torch",))
        there, here = ({f"{name} {known[name]}" for name in packages if name in known} for known in (then, now))
        if result.verdict != FAILED or there == here:
            return result
        then_told, now_told = (", ".join(sorted(known)) or "another package" for known in (there, here))
        return dataclasses.replace(result, reason=f"{result.reason}; exported with {then_told}, here is {now_told}")

    original = report.original
    if original is not None:
        original = dataclasses.replace(original, results=tuple(map(told, original.results)))
    return dataclasses.replace(report, results=tuple(map(told, report.results)), original=original)
