"""The proofs of `make gpu`: bundles in every runtime of a device. Each group yields (section, title, value) for the document as it is
found; what is wrong goes into the section "failures", and the rest goes on."""

import dataclasses
import os
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import torch

from preproc.bundle import Bundle
from preproc.errors import VerificationError
from preproc.export import export_bundle, quantize_bundle, verify_bundle
from preproc.sources import Recipe, load_recipe, replace
from preproc.steps import Resize
from preproc.verify import Report
from tests.bench.device import Device, Entry
from tests.conftest import ROOT

FORMATS = ["onnx", "torchscript", "pt2"]


def cuda_tests(on: Device) -> Iterator[Entry]:  # noqa: ARG001
    """pytest in place of this process, without the plugins that a machine may have."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    files = sorted(str(file.relative_to(ROOT)) for file in (ROOT / "tests").glob("test_cuda*.py"))
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "pytest", "-q", "--tb=short", "-m", "cuda", *files])
    yield from ()


def digits(on: Device) -> Iterator[Entry]:
    """And the same bundle with TF32 allowed, which its error has to show."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = load_recipe(ROOT / "models" / "digits.toml")
        bundle = yield from parity("digits", recipe, Path(folder), on)
        if bundle is not None and on.name == "cuda":
            tf32 = verify_bundle(
                bundle.folder,
                runtimes=["torch-cuda", "ort-cuda"],
                recipe=ROOT / "models" / "digits.toml",
                images=recipe.export.images,
                tf32=True,
            )
            yield "bundles", "digits, TF32 allowed", {"report": tf32.to_json()}
            plain = {result.runtime: result.error or 0.0 for result in bundle.report.results}
            for result in tf32.results if torch.cuda.get_device_capability()[0] >= 8 else ():  # older devices have none
                if (result.error or 0.0) < 3 * plain[result.runtime]:
                    yield "failures", f"digits, TF32 allowed: {result.runtime}", f"expected an error that shows it, got {result.error}"


def resnet50(on: Device) -> Iterator[Entry]:
    yield from random_weights("resnet50", _random("resnet50"), on)


def vit_b_16(on: Device) -> Iterator[Entry]:
    yield from random_weights("vit_b_16", _random("vit_b_16"), on)


def pipeline_fast(on: Device) -> Iterator[Entry]:
    """resnet18 as torchvision publishes it, from photographs of any size."""
    yield from random_weights("resnet18, resize fast", _random("resnet18"), on)


def pipeline_exact(on: Device) -> Iterator[Entry]:
    recipe = _random("resnet18")
    steps = tuple(dataclasses.replace(step, form="exact") if isinstance(step, Resize) else step for step in recipe.steps)
    recipe = replace(recipe, steps=steps, pixels={"size": (480, 640)})
    yield from random_weights("resnet18, resize exact, 480x640", recipe, on)


def _random(name: str) -> Recipe:
    return replace(load_recipe(ROOT / "models" / f"{name}.toml"), backbone={"weights": "random", "seed": 0})


def random_weights(title: str, recipe: Recipe, on: Device) -> Iterator[Entry]:
    with tempfile.TemporaryDirectory() as folder:
        yield from parity(title, recipe, Path(folder), on)


def digits_lower(on: Device) -> Iterator[Entry]:
    """The digits in every lower precision."""
    recipe = load_recipe(ROOT / "models" / "digits.toml")
    with tempfile.TemporaryDirectory() as folder:
        for precision in ("tf32", "float16", "bfloat16"):
            narrow = replace(recipe, name=f"digits-{precision}", export={"precision": precision})
            yield from parity(f"digits, {precision}", narrow, Path(folder), on)
        for target in ("any", "tensorrt"):
            title, out = "digits, int8" + (", for tensorrt" if target == "tensorrt" else ""), Path(folder) / target
            publish = lambda out=out, target=target: quantize_bundle(  # noqa: E731
                recipe, out, images=ROOT / "models" / "digits.images", target=target, progress=_say
            )
            yield from parity(title, recipe, Path(folder), on, publish)


def resnet18_half(on: Device) -> Iterator[Entry]:
    recipe = replace(_random("resnet18"), export={"precision": "float16"})
    yield from random_weights("resnet18, float16", recipe, on)


def parity(
    title: str, recipe: Recipe, folder: Path, on: Device, publish: Callable[[], Bundle] | None = None
) -> Generator[Entry, None, Bundle | None]:
    """Every runtime of a bundle against the float64 reference; returns the bundle, or None where it was not published. Random weights may
    be inconclusive; a runtime of this device that is absent or failed is a failure. publish: in place of the recipe's export."""
    bundle: Bundle | None = None
    formats = FORMATS if None not in recipe.pixels.size else FORMATS[:2]  # torch 2.11 cannot write pt2 of free sizes
    if recipe.export.precision == "bfloat16":  # ONNX Runtime has no kernels of it on a CPU, where a file has to run, too
        formats = [name for name in formats if name != "onnx"]
    try:
        bundle = publish() if publish else export_bundle(recipe, folder / recipe.name, formats=formats, progress=_say)
        report: Report | None = bundle.report
    except VerificationError as error:
        report = error.report
        if report is None:
            raise
        yield "failures", title, str(error)
    hashes = (
        {} if bundle is None else {name: file["sha256"] for name, file in bundle.manifest["files"].items() if name.startswith("model.")}
    )
    assert report is not None
    yield "bundles", title, {"sha256": hashes, "report": report.to_json()}
    allowed = ("passed",) if recipe.backbone.weights != "random" else ("passed", "inconclusive")
    for result in report.verdicts():
        if result.runtime.endswith(f"-{on.name}") and result.verdict not in allowed:
            yield "failures", f"{title}: {result.runtime}", f"{result.verdict}: {result.reason}"
    return bundle


def _say(text: str) -> None:
    print(text, flush=True)
