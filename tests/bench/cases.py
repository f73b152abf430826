"""What is timed: each function makes one table of ratios to a peer, in one run, on one thread."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import nn
from torchvision import models
from torchvision.transforms import v2

from preproc import graph
from preproc.export import export_bundle
from preproc.export.formats import export_backbone
from preproc.graph.builder import Builder
from preproc.graph.nodes import build
from preproc.layers import FromPixels, LocalResponseNorm, Normalize, Pipeline, Rescale, prepend
from preproc.sources import PixelsSpec
from preproc.steps import Step
from preproc.verify.runtimes import onnxruntime
from tests.bench.measure import Ratio, ratios

MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
TORCHVISION = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN.tolist(), STD.tolist())])
PIXELS = PixelsSpec(layout="NHWC", color="RGB", dtype="uint8", size=(224, 224), channels=3)
NETWORKS = ("mobilenet_v3_small", "squeezenet1_1", "resnet18")
BATCHES = (1, 8, 32)


def pipeline() -> Pipeline:
    return Pipeline(FromPixels(layout="NHWC"), Rescale(), Normalize.preset("imagenet"))


def backbone(name: str) -> nn.Module:
    torch.manual_seed(0)
    return models.get_model_builder(name)(weights=None).eval()


def bare_file(name: str) -> ir.Model:
    return export_backbone(backbone(name), torch.zeros(2, 3, 224, 224), outputs=["logits"], opset=18, size=(224, 224))


def embedded_file(name: str, fold: str) -> ir.Model:
    model = bare_file(name)
    graph.attach(model, pipeline().steps(), PIXELS, fold=fold)
    return model


def open_session(path: Path) -> Any:
    """One thread, as a server that runs many of them would."""
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def session(model: ir.Model) -> Callable[[Any], Any]:
    with tempfile.TemporaryDirectory() as folder:
        graph.save(model, Path(folder) / "m.onnx")
        made = open_session(Path(folder) / "m.onnx")
    name = made.get_inputs()[0].name
    return lambda x: made.run(None, {name: x})[0]


def pixels(batch: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (batch, 224, 224, 3), dtype=np.uint8)


def torchvision_outside(x: np.ndarray) -> np.ndarray:
    """As it is usually written. The result is a view of NHWC memory."""
    return TORCHVISION(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()


def numpy_outside(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(((x.astype(np.float32) / 255 - MEAN) / STD).transpose(0, 3, 1, 2))


def end_to_end(name: str, *, seconds: float) -> dict[str, dict[str, Ratio]]:
    """uint8 -> logits in ONNX Runtime: inside the file, folded or only collapsed, and outside of it, against the bare network fed with
    ready floats. One table per batch size."""
    run, folded, collapsed = session(bare_file(name)), session(embedded_file(name, "require")), session(embedded_file(name, "off"))

    def table(batch: int) -> dict[str, Ratio]:
        x = pixels(batch)
        ready = numpy_outside(x)
        np.testing.assert_allclose(folded(x), run(ready), rtol=1e-3, atol=1e-4)
        candidates = {
            "bare, ready floats": lambda: run(ready),
            "folded": lambda: folded(x),
            "collapsed": lambda: collapsed(x),
            "outside, torchvision": lambda: run(torchvision_outside(x)),
            "outside, NumPy": lambda: run(numpy_outside(x)),
        }
        return ratios(candidates, peer="bare, ready floats", rounds=300, seconds=seconds)

    return {f"{name}, batch {batch}": table(batch) for batch in BATCHES}


def steps_file(steps: Sequence[Step], x: ir.Value, channels: int, y_shape: list[str | int]) -> ir.Model:
    """The steps alone, nothing behind them."""
    builder = Builder(ir.DataType.FLOAT, channels)
    y = build(builder, steps, x)
    y.shape, y.dtype = ir.Shape(y_shape), ir.DataType.FLOAT
    made = ir.Graph([x], [y], nodes=builder.nodes, initializers=builder.constants, opset_imports={"": 18}, name="g")
    return ir.Model(made, ir_version=10)


def normalization() -> dict[str, Ratio]:
    """224x224 uint8 NHWC -> float NCHW, nothing behind it."""
    image = ir.Value(name="x", shape=ir.Shape(["N", 224, 224, 3]), type=ir.TensorType(ir.DataType.UINT8))
    plain = pipeline()
    collapsed = plain.collapse()
    run, x = session(steps_file(collapsed.steps(), image, 3, ["N", 3, 224, 224])), pixels(1)
    tensor = torch.from_numpy(x)
    candidates: dict[str, Callable[[], Any]] = {
        "torchvision v2": lambda: torchvision_outside(x),
        "torchvision v2, contiguous": lambda: np.ascontiguousarray(torchvision_outside(x)),
        "NumPy": lambda: numpy_outside(x),
        "eager layers": lambda: plain(tensor).numpy(),
        "eager layers, collapsed": lambda: collapsed(tensor).numpy(),
        "ONNX file": lambda: run(x),
    }
    candidates |= _kornia(x)
    with torch.inference_mode():
        for name, call in candidates.items():
            np.testing.assert_allclose(call(), numpy_outside(x), rtol=1e-5, atol=1e-5, err_msg=name)
        return ratios(candidates, peer="torchvision v2", rounds=600, seconds=12)


def _kornia(x: np.ndarray) -> dict[str, Callable[[], Any]]:
    """kornia's row, where it is installed."""
    try:
        from kornia.enhance import Normalize as Theirs
    except ImportError:
        return {}
    theirs = Theirs(torch.from_numpy(MEAN), torch.from_numpy(STD))
    return {"kornia": lambda: theirs(torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255).numpy()}


def lrn_operator_file(beta: float, shape: Sequence[int] = (1, 64, 56, 56)) -> ir.Model:
    """ONNX's own operator."""
    x = ir.Value(name="x", shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.FLOAT))
    node = ir.node("LRN", [x], attributes={"size": 5, "alpha": 1e-4, "beta": beta, "bias": 1.0})
    node.outputs[0].name, node.outputs[0].shape, node.outputs[0].dtype = "y", x.shape, ir.DataType.FLOAT
    return ir.Model(ir.Graph([x], [node.outputs[0]], nodes=[node], opset_imports={"": 18}, name="g"), ir_version=10)


def local_response_norm(beta: float) -> tuple[dict[str, Ratio], float]:
    """(1, 64, 56, 56) float32, size 5; and the layer's largest error against float64, relative."""
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 64, 56, 56)).astype(np.float32)) * 20
    theirs, ours = nn.LocalResponseNorm(5, beta=beta), LocalResponseNorm(size=5, beta=beta)
    image = ir.Value(name="x", shape=ir.Shape([1, 64, 56, 56]), type=ir.TensorType(ir.DataType.FLOAT))
    operator, nodes = session(lrn_operator_file(beta)), session(steps_file([ours.step], image, 64, [1, 64, 56, 56]))
    array = x.numpy()
    truth = theirs.double()(x.double())
    candidates = {
        "torch.nn.LocalResponseNorm": lambda: theirs(x).numpy(),
        "preproc's layer": lambda: ours(x).numpy(),
        "ONNX's LRN operator": lambda: operator(array),
        "preproc's ONNX nodes": lambda: nodes(array),
    }
    with torch.inference_mode():
        for name, call in candidates.items():
            np.testing.assert_allclose(call(), truth, rtol=1e-5, atol=1e-5, err_msg=name)
        error = float((ours(x).double() - truth).abs().max() / truth.abs().max())
        return ratios(candidates, peer="torch.nn.LocalResponseNorm", rounds=300, seconds=8), error


def files(name: str) -> tuple[dict[str, Ratio], dict[str, int]]:
    """Session creation from a file, and the files' sizes."""
    with tempfile.TemporaryDirectory() as folder:
        made = {"bare": bare_file(name), "folded": embedded_file(name, "require"), "collapsed": embedded_file(name, "off")}
        paths = {key: Path(folder) / f"{key}.onnx" for key in made}
        for key, model in made.items():
            graph.save(model, paths[key])
        openers = {key: (lambda path=path: open_session(path)) for key, path in paths.items()}
        return ratios(openers, peer="bare", rounds=60, seconds=10), {key: path.stat().st_size for key, path in paths.items()}


def export_seconds(name: str) -> Mapping[str, float]:
    """Wall time of one verified export, all runtimes of this machine, and of torch.onnx.export alone."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        bare_file(name)
        bare = time.perf_counter() - start
        start = time.perf_counter()
        export_bundle(prepend(pipeline(), backbone(name)), Path(folder) / "m", example=torch.from_numpy(pixels(2)))
        return {"torch.onnx.export alone": bare, "export_bundle, with verification": time.perf_counter() - start}
