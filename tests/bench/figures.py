"""The figures of `make gpu`: what is timed on a device. Each group yields (section, title, value) for the document as it is found; what
is wrong goes into the section "failures", and the rest goes on."""

import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from PIL import Image
from torch import nn
from torchvision.transforms import v2

from preproc import graph
from preproc.errors import first_line
from preproc.folding.modules import fold
from preproc.layers import LocalResponseNorm, Pipeline, prepend
from preproc.oracle import reference
from preproc.steps import FromPixels, Resize
from preproc.verify.inputs import PHOTOGRAPHS
from preproc.verify.runtimes.pytorch import _tf32
from tests.bench import cases
from tests.bench.device import Call, Device, Entry, bound, session_of, table
from tests.onnx_files import alone
from tests.survey.precision import errors, networks, peers
from tests.survey.precision.networks import Network
from tests.survey.precision.peers import Written

PEER = "bare, floats on the device"
NORMALIZATION, LRN = "normalization alone, 64 pictures of 224x224", "LocalResponseNorm, (64, 64, 56, 56), beta 0.75"
INTERPOLATIONS = ("bilinear", "bicubic")


def end_to_end_ort(on: Device) -> Iterator[Entry]:
    """uint8 to logits in ONNX Runtime: from host memory with run(), from device memory with an IOBinding."""
    network, batches = _network(on)
    bare_file, folded_file = cases.bare_file(network), cases.embedded_file(network, "require")
    for precision in ("fp32", "TF32"):
        bare, folded = (session_of(graph.to_bytes(file), on, tf32=precision == "TF32") for file in (bare_file, folded_file))
        for batch in batches:
            makers = _ort_makers(bare, folded, cases.pixels(batch), on)
            title = f"{network}, ort-{on.name}, {precision}, batch {batch}"
            yield from table(title, makers, on, peer=PEER, seconds=4.0 if precision == "fp32" else 2.5)


def _ort_makers(bare: Any, folded: Any, x: np.ndarray, on: Device) -> dict[str, Callable[[], Call]]:
    ready, floats = cases.numpy_outside(x), bare.get_inputs()[0].name
    return {
        PEER: lambda: bound(bare, ready, on),
        "folded, uint8 on the device": lambda: bound(folded, x, on),
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


def lower_precision(on: Device) -> Iterator[Entry]:
    """Half precision, TF32 and 8 bits beside the peers, in ONNX Runtime's provider of the device: how far from float64 they are at the
    first convolution and at the logits, and how long they take from pixels in device memory."""
    name, batches = _network(on)
    shown = networks.network(name)
    shown = dataclasses.replace(shown, shown=shown.shown[:2], calibration=shown.calibration[:4]) if on.quick else shown
    truth, title = errors.truth_of(shown), f"lower precision: {name}, ort-{on.name}"
    with tempfile.TemporaryDirectory() as made:
        files, found = dict(_narrow_files(shown, Path(made))), dict[str, dict[str, float]]()
        for by, (written, tf32) in files.items():
            try:
                answers = errors.in_onnxruntime(written, shown.shown, _opener(on, tf32))
            except Exception as error:  # noqa: BLE001 - of any class: what the provider does not take is told
                yield "failures", f"{title}: {by}", f"{type(error).__name__}: {first_line(error)}"
                continue
            off = errors.errors_of(shown, answers, truth)
            parts = {part: getattr(off, part) for part in ("inside", "border", "logits")}
            rms = {part: float(np.sqrt(np.square(values).mean())) for part, values in parts.items() if values is not None}
            found[by] = rms | {"top-1": off.agree}
        yield "figures", f"{title}: errors", found
        for batch in batches:
            x = np.tile(shown.shown[:1], (batch, 1, 1, 1))
            makers = {
                by: lambda written=written, tf32=tf32, x=x: bound(session_of(written.file, on, tf32=tf32), written.prepare(x), on)
                for by, (written, tf32) in files.items()
                if by in found
            }
            yield from table(f"{title}: batch {batch}", makers, on, peer="preproc, float32", seconds=2.5)


def _narrow_files(shown: Network, folder: Path) -> Iterator[tuple[str, tuple[Written, bool]]]:
    """Each with whether TF32 is allowed to it."""
    bare, pictures = peers.bare(shown, folder), folder / "pictures"
    pictures.mkdir()
    for number, picture in enumerate(shown.calibration):
        Image.fromarray(picture).save(pictures / f"{number:03}.png")
    unfolded, wide = peers.in_front(shown, bare, folder), peers.ours(shown, bare, folder)
    yield "preproc, float32", (wide, False)
    yield "preproc, tf32", (wide, True)
    yield "preproc, float16", (peers.ours_in_half(shown, folder)[0], False)
    yield "torch .half(), exported", (peers.half_of_torch(shown, folder), False)
    converted = peers.half_of_converter(unfolded, folder)
    if converted is not None:
        yield "onnxconverter-common", (converted, False)
    yield "preproc, int8", (peers.ours_in_eight(shown, bare, pictures, folder, per_channel=True), False)
    yield "quantize_static", (peers.eight_of_onnxruntime(Written(unfolded), shown.calibration, folder, per_channel=True), False)


def _opener(on: Device, tf32: bool) -> errors.Opener:
    def opened(model: bytes) -> Callable[[np.ndarray], list[np.ndarray]]:
        session = session_of(model, on, tf32=tf32)
        return lambda x: session.run(None, {session.get_inputs()[0].name: x})

    return opened


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
        session = session_of(file, on)
        if found is not None:
            found[name] = session.run(None, {session.get_inputs()[0].name: array[:2]})[0]
        call_bound = bound(session, array, on)

        def call() -> None:
            for _ in range(on.repeat):
                call_bound()

        return call

    makers = {name: lambda name=name, file=file, array=array: maker(name, file, array) for name, (file, array) in files.items()}
    yield from table(title, makers, on, peer=next(iter(files)), seconds=1.5, repeat=on.repeat)


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
