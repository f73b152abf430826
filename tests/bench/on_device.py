"""The groups of `make gpu`: what is proven and timed on a device. Each yields (section, title, value) for the document as it is found;
what is wrong goes into the section "failures", and the rest goes on."""

import dataclasses
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from PIL import Image
from torch import nn
from torchvision.transforms import v2

from preproc import graph
from preproc.bundle import Bundle
from preproc.errors import VerificationError, first_line
from preproc.export import export_bundle, verify_bundle
from preproc.folding.modules import fold
from preproc.layers import LocalResponseNorm, Pipeline, prepend
from preproc.oracle import reference
from preproc.sources import Recipe, load_recipe, replace
from preproc.steps import FromPixels, Resize
from preproc.verify import Report
from preproc.verify.inputs import PHOTOGRAPHS
from preproc.verify.runtimes import onnxruntime
from preproc.verify.runtimes.pytorch import _tf32
from tests.bench import cases
from tests.bench.measure import ratios
from tests.conftest import ROOT
from tests.onnx_files import alone

Entry = tuple[str, str, Any]
Call = Callable[[], object]
FORMATS = ["onnx", "torchscript", "pt2"]
PEER = "bare, floats on the device"
NORMALIZATION, LRN = "normalization alone, 64 pictures of 224x224", "LocalResponseNorm, (64, 64, 56, 56), beta 0.75"
INTERPOLATIONS = ("bilinear", "bicubic")


@dataclass(frozen=True)
class Device:
    """Where the groups run. name: cuda or cpu.  quick: tiny sizes, to see whether all of it works."""

    name: str
    quick: bool = False

    def wait(self) -> None:
        if self.name == "cuda":
            torch.cuda.synchronize()

    @property
    def repeat(self) -> int:
        """How many calls are made between two waits."""
        return 20 if self.name == "cuda" else 1


def table(
    title: str, makers: Mapping[str, Callable[[], Call]], on: Device, *, peer: str, seconds: float, repeat: int = 1
) -> Iterator[Entry]:
    """A table of ratios to `peer`. makers: each prepares a call, of which a turn makes `repeat`; one that raises leaves its line."""
    calls = dict[str, Call]()
    for name, make in makers.items():
        try:
            call = make()
            call()
        except Exception as error:  # noqa: BLE001 - of any class: a row that cannot run is told, and the others are measured
            yield "failures", f"{title}: {name}", f"{type(error).__name__}: {first_line(error)}"
        else:
            calls[name] = call
    if calls:
        rounds, limit = (9, 0.1) if on.quick else (200, seconds)
        measured = ratios(calls, peer=peer if peer in calls else next(iter(calls)), rounds=rounds, seconds=limit)
        rows = {name: vars(dataclasses.replace(ratio, seconds=ratio.seconds / repeat)) for name, ratio in measured.items()}
        yield "tables", title, rows


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


def parity(title: str, recipe: Recipe, folder: Path, on: Device) -> "Iterator[Entry]":
    """Every runtime of a bundle against the float64 reference; returns the bundle, or None where it was not published. Random weights may
    be inconclusive; a runtime of this device that is absent or failed is a failure."""
    bundle: Bundle | None = None
    try:
        bundle = export_bundle(
            recipe,
            folder / recipe.name,
            formats=FORMATS if None not in recipe.pixels.size else FORMATS[:2],  # torch 2.11 cannot write pt2 of free sizes
            progress=lambda text: print(text, flush=True),
        )
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


def end_to_end_ort(on: Device) -> Iterator[Entry]:
    """uint8 to logits in ONNX Runtime: from host memory with run(), from device memory with an IOBinding."""
    network, batches = _network(on)
    bare_file, folded_file = cases.bare_file(network), cases.embedded_file(network, "require")
    for precision in ("fp32", "TF32"):
        bare, folded = (_session(graph.to_bytes(file), on, tf32=precision == "TF32") for file in (bare_file, folded_file))
        for batch in batches:
            makers = _ort_makers(bare, folded, cases.pixels(batch), on)
            title = f"{network}, ort-{on.name}, {precision}, batch {batch}"
            yield from table(title, makers, on, peer=PEER, seconds=4.0 if precision == "fp32" else 2.5)


def _ort_makers(bare: Any, folded: Any, x: np.ndarray, on: Device) -> dict[str, Callable[[], Call]]:
    ready, floats = cases.numpy_outside(x), bare.get_inputs()[0].name
    return {
        PEER: lambda: _bound(bare, ready, on),
        "folded, uint8 on the device": lambda: _bound(folded, x, on),
        "folded, uint8 on the host": lambda: lambda: folded.run(None, {"pixels": x}),
        "bare, torchvision on the host": lambda: lambda: bare.run(None, {floats: cases.torchvision_outside(x)}),
    }


def end_to_end_torch(on: Device) -> Iterator[Entry]:
    """The same in torch, eager. Every call ends with its outputs on the host, but for those from device memory, which end with a wait."""
    network, batches = _network(on)
    bare = cases.backbone(network).to(on.name)
    folded = fold(prepend(cases.pipeline(), cases.backbone(network)), example=torch.from_numpy(cases.pixels(1))).model.to(on.name)

    def call(model: nn.Module, make: Callable[[], torch.Tensor], *, home: bool) -> Call:
        def run() -> None:
            with torch.inference_mode(), _tf32(False):
                outputs = model(make())
            if home:
                outputs.cpu()
            else:
                on.wait()

        return run

    for batch in batches:
        x = cases.pixels(batch)
        ready, pixels = torch.from_numpy(cases.numpy_outside(x)).to(on.name), torch.from_numpy(x).to(on.name)
        makers: dict[str, Callable[[], Call]] = {
            PEER: lambda ready=ready: call(bare, lambda: ready, home=False),
            "folded, uint8 on the device": lambda pixels=pixels: call(folded, lambda: pixels, home=False),
            "folded, uint8 on the host": lambda x=x: call(folded, lambda: torch.from_numpy(x).to(on.name), home=True),
            "bare, torchvision on the host": lambda x=x: call(
                bare, lambda: torch.from_numpy(cases.torchvision_outside(x)).to(on.name), home=True
            ),
        }
        yield from table(f"{network}, torch-{on.name}, fp32, batch {batch}", makers, on, peer=PEER, seconds=3.0)


def _network(on: Device) -> tuple[str, tuple[int, ...]]:
    return ("squeezenet1_1", (1,)) if on.quick else ("resnet18", (1, 8, 64))


def alone_torch(on: Device) -> Iterator[Entry]:
    """Steps with nothing behind them, in torch: normalization, LocalResponseNorm, resize."""
    x, plain = _pixels(on), cases.pipeline().to(on.name)
    collapsed = plain.collapse()
    yield "figures", f"{NORMALIZATION}: bytes read and written", x.numel() * 5
    makers = {
        "torchvision v2": lambda: cases.TORCHVISION(x.permute(0, 3, 1, 2)),
        "layers, eager": lambda: plain(x),
        "collapsed, eager": lambda: collapsed(x),
    }
    yield from _torch_table(f"{NORMALIZATION}, torch", makers, on)
    maps, theirs, ours = _maps(on), nn.LocalResponseNorm(5), LocalResponseNorm(size=5)
    yield from _torch_table(f"{LRN}, torch", {"torch.nn": lambda: theirs(maps), "our layer, eager": lambda: ours(maps)}, on)
    old, new = _sizes(on)
    pictures = torch.from_numpy(_photographs(2 if on.quick else 16, old)).to(on.name)
    planes = pictures.permute(0, 3, 1, 2).contiguous()
    for interpolation in INTERPOLATIONS:
        step, method = Resize(size=new, interpolation=interpolation), v2.InterpolationMode(interpolation)
        layer = Pipeline.from_steps([FromPixels(layout="NHWC"), step], device=on.name)
        resizers: dict[str, Call] = {
            "ours, exact": lambda layer=layer: layer(pictures),
            "torchvision on uint8 tensors": lambda method=method: v2.functional.resize(
                planes, list(new), interpolation=method, antialias=True
            ),
        }
        title = f"resize, {interpolation}, {len(pictures)} pictures of {old[0]}x{old[1]} to {new[0]}x{new[1]}, torch"
        yield from _torch_table(title, resizers, on)
        found = {name: call()[:2].cpu().numpy() for name, call in resizers.items()}
        yield "figures", f"{title}: off by", _off_by(found, pictures[:2].cpu().numpy(), step)


def compiled(on: Device) -> Iterator[Entry]:
    """The same layers under torch.compile."""
    x, plain = _pixels(on), cases.pipeline().to(on.name)
    makers = {
        "layers, torch.compile": torch.compile(plain, fullgraph=True),
        "collapsed, torch.compile": torch.compile(plain.collapse(), fullgraph=True),
    }
    yield from _torch_table(f"{NORMALIZATION}, torch.compile", {name: lambda made=made: made(x) for name, made in makers.items()}, on)
    maps, ours = _maps(on), torch.compile(LocalResponseNorm(size=5), fullgraph=True)
    yield from _torch_table(f"{LRN}, torch.compile", {"our layer, torch.compile": lambda: ours(maps)}, on)


def _torch_table(title: str, works: Mapping[str, Call], on: Device) -> Iterator[Entry]:
    """Nothing here multiplies matrices in what TF32 would change."""

    def make(work: Call) -> Call:
        def call() -> None:
            with torch.inference_mode():
                for _ in range(on.repeat):
                    work()
            on.wait()

        return call

    makers = {name: lambda work=work: make(work) for name, work in works.items()}
    yield from table(title, makers, on, peer=next(iter(works)), seconds=1.5, repeat=on.repeat)


def alone_onnx(on: Device) -> Iterator[Entry]:
    """Steps with nothing behind them, in ONNX Runtime's provider of the device, from device memory into device memory."""
    x, maps = _pixels(on).cpu().numpy(), _maps(on).cpu().numpy()
    image = ir.Value(name="x", shape=ir.Shape(["N", *x.shape[1:]]), type=ir.TensorType(ir.DataType.UINT8))
    nodes = cases.steps_file(cases.pipeline().collapse().steps(), image, 3, ["N", 3, *x.shape[1:3]])
    yield from _onnx_table(f"{NORMALIZATION}, ONNX", {"ONNX nodes": (graph.to_bytes(nodes), x)}, on)
    value = ir.Value(name="x", shape=ir.Shape(maps.shape), type=ir.TensorType(ir.DataType.FLOAT))
    ours = cases.steps_file([LocalResponseNorm(size=5).step], value, maps.shape[1], list(maps.shape))
    files = {
        "our ONNX nodes": (graph.to_bytes(ours), maps),
        "ONNX's LRN operator": (graph.to_bytes(cases.lrn_operator_file(0.75, maps.shape)), maps),
    }
    yield from _onnx_table(f"{LRN}, ONNX", files, on)
    old, new = _sizes(on)
    pictures = _photographs(2 if on.quick else 8, old)
    planes = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
    for interpolation in INTERPOLATIONS:
        fast, exact = (Resize(size=new, interpolation=interpolation, form=form) for form in ("fast", "exact"))
        files = {
            "ours, exact": (alone([FromPixels(layout="NHWC"), exact], size=old), pictures),
            "ours, fast, (N, C, H, W)": (alone([FromPixels(layout="NCHW"), fast]), planes),
            "ours, fast, (N, H, W, C)": (alone([FromPixels(layout="NHWC"), fast]), pictures),
        }
        title = f"resize, {interpolation}, {len(pictures)} pictures of {old[0]}x{old[1]} to {new[0]}x{new[1]}, ONNX"
        found = dict[str, np.ndarray]()
        yield from _onnx_table(title, files, on, found)
        yield "figures", f"{title}: off by", _off_by(found, pictures[:2], fast)


def _onnx_table(
    title: str, files: Mapping[str, tuple[bytes, np.ndarray]], on: Device, found: dict[str, np.ndarray] | None = None
) -> Iterator[Entry]:
    """found: takes the outputs for the first two pictures."""

    def maker(name: str, file: bytes, array: np.ndarray) -> Call:
        session = _session(file, on)
        if found is not None:
            found[name] = session.run(None, {session.get_inputs()[0].name: array[:2]})[0]
        bound = _bound(session, array, on)

        def call() -> None:
            for _ in range(on.repeat):
                bound()

        return call

    makers = {name: lambda name=name, file=file, array=array: maker(name, file, array) for name, (file, array) in files.items()}
    yield from table(title, makers, on, peer=next(iter(files)), seconds=1.5, repeat=on.repeat)


def _session(file: bytes, on: Device, *, tf32: bool = False) -> Any:
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    provider: Any = "CPUExecutionProvider" if on.name == "cpu" else ("CUDAExecutionProvider", {"use_tf32": str(int(tf32))})
    session = ort.InferenceSession(file, options, providers=[provider], enable_fallback=0)
    if on.name != "cpu" and session.get_providers()[0] != "CUDAExecutionProvider":
        raise RuntimeError("expected ONNX Runtime's CUDA provider, got a session that fell back to the CPU; nothing was measured")
    return session


def _bound(session: Any, array: np.ndarray, on: Device) -> Call:
    value = onnxruntime().OrtValue.ortvalue_from_numpy(array, on.name, 0)
    binding = session.io_binding()
    binding.bind_ortvalue_input(session.get_inputs()[0].name, value)
    binding.bind_output(session.get_outputs()[0].name, on.name)

    def run() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return run


def _pixels(on: Device) -> torch.Tensor:
    return torch.from_numpy(cases.pixels(2 if on.quick else 64)).to(on.name)


def _maps(on: Device) -> torch.Tensor:
    shape = (1, 64, 56, 56) if on.quick else (64, 64, 56, 56)
    return (torch.from_numpy(np.random.default_rng(0).normal(size=shape).astype(np.float32)) * 20).to(on.name)


def _sizes(on: Device) -> tuple[tuple[int, int], tuple[int, int]]:
    return ((96, 128), (25, 34)) if on.quick else ((960, 1280), (256, 341))


def _photographs(number: int, size: tuple[int, int]) -> np.ndarray:
    """(number, height, width, 3) uint8: one photograph, moved."""
    with Image.open(PHOTOGRAPHS / "coffee.jpg") as image:
        picture = np.asarray(image.convert("RGB").resize(size[::-1], Image.Resampling.BICUBIC))
    return np.stack([np.roll(picture, 37 * index, axis=1) for index in range(number)])


def _off_by(found: Mapping[str, np.ndarray], pictures: np.ndarray, step: Resize) -> dict[str, dict[str, float]]:
    """The largest difference from the float64 reference in grey levels, and the share of the values that differ."""
    right = reference.apply([FromPixels(layout="NHWC"), step], pictures)
    wrong = {name: np.abs(values.astype(np.float64) - right) for name, values in found.items()}
    return {name: {"levels": float(off.max()), "share": float((off > 0).mean())} for name, off in wrong.items()}
