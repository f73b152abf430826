"""make bench: prints a table of ratios and writes tests/bench/results/cpu.json."""

import json
import platform
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import nn
from torchvision import models
from torchvision.transforms import v2

from preproc import graph
from preproc.bundle import versions
from preproc.export.onnx import export_backbone
from preproc.layers import FromPixels, LocalResponseNorm, Normalize, Rescale
from preproc.pipeline import Pipeline
from preproc.recipe import PixelsSpec
from preproc.runtimes import onnxruntime
from tests.bench.measure import Ratio, commit, ratios

RESULTS = Path(__file__).parent / "results"
MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
TORCHVISION = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN.tolist(), STD.tolist())])
Run = Callable[[], object]


def steps() -> Any:
    return Pipeline(FromPixels(layout="NHWC"), Rescale(), Normalize.preset("imagenet")).steps()


def session(model: ir.Model) -> Callable[[Any], Any]:
    """One thread, from a file, as a server would."""
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    with tempfile.TemporaryDirectory() as folder:
        graph.save(model, Path(folder) / "m.onnx")
        made = ort.InferenceSession(str(Path(folder) / "m.onnx"), options, providers=["CPUExecutionProvider"])
    name = made.get_inputs()[0].name
    return lambda x: made.run(None, {name: x})[0]


def torchvision_outside(pixels: np.ndarray) -> np.ndarray:
    return TORCHVISION(torch.from_numpy(pixels).permute(0, 3, 1, 2)).numpy()


def numpy_outside(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(((pixels.astype(np.float32) / 255 - MEAN) / STD).transpose(0, 3, 1, 2))


def end_to_end(name: str, batch: int) -> dict[str, Ratio]:
    """uint8 -> logits: inside the file, folded or only collapsed, and outside of it, against the bare network fed with ready floats."""
    torch.manual_seed(0)
    backbone = models.get_model_builder(name)(weights=None).eval()

    def bare() -> ir.Model:
        return export_backbone(backbone, torch.zeros(2, 3, 224, 224), outputs=["logits"], opset=18, dynamic_size=False)

    def attached(fold: str) -> Callable[[Any], Any]:
        model = bare()
        graph.attach(model, steps(), PixelsSpec(layout="NHWC", color="RGB", dtype="uint8", size=(224, 224), channels=3), fold=fold)
        return session(model)

    pixels = np.random.default_rng(0).integers(0, 256, (batch, 224, 224, 3), dtype=np.uint8)
    run, folded, collapsed, ready = session(bare()), attached("require"), attached("off"), numpy_outside(pixels)
    return ratios(
        {
            "bare, ready floats": lambda: run(ready),
            "folded": lambda: folded(pixels),
            "collapsed": lambda: collapsed(pixels),
            "outside, torchvision": lambda: run(torchvision_outside(pixels)),
            "outside, NumPy": lambda: run(numpy_outside(pixels)),
        },
        peer="bare, ready floats",
    )


def normalization() -> dict[str, Ratio]:
    """224x224 uint8 NHWC -> float NCHW, nothing behind it."""
    model = ir.Model(ir.Graph([], [], nodes=[], opset_imports={"": 18}, name="g"), ir_version=10)
    x = ir.Value(name="x", shape=ir.Shape(["N", 3, 224, 224]), type=ir.TensorType(ir.DataType.FLOAT))
    node = ir.node("Identity", [x])
    node.outputs[0].name, node.outputs[0].shape, node.outputs[0].dtype = "y", x.shape, ir.DataType.FLOAT
    model.graph.append(node)
    model.graph.inputs.append(x)
    model.graph.outputs.append(node.outputs[0])
    graph.attach(model, steps(), PixelsSpec(layout="NHWC", color="RGB", dtype="uint8", size=(224, 224), channels=3), fold="off")
    run = session(model)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    tensor = torch.from_numpy(pixels)
    plain = Pipeline.from_steps(steps())
    eager = plain.collapse()
    with torch.inference_mode():
        return ratios(
            {
                "torchvision v2": lambda: torchvision_outside(pixels),
                "NumPy": lambda: numpy_outside(pixels),
                "eager layers": lambda: plain(tensor),
                "eager layers, collapsed": lambda: eager(tensor),
                "ONNX file": lambda: run(pixels),
            },
            peer="torchvision v2",
            rounds=300,
        )


def local_response_norm(beta: float) -> dict[str, Ratio]:
    """(1, 64, 56, 56) float32, size 5."""
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 64, 56, 56)).astype(np.float32))
    theirs, ours = nn.LocalResponseNorm(5, beta=beta), LocalResponseNorm(size=5, beta=beta)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-6, atol=1e-6)
        return ratios({"torch": lambda: theirs(x), "preproc": lambda: ours(x)}, peer="torch", rounds=200)


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    tables: dict[str, dict[str, Ratio]] = {}
    for name in ("mobilenet_v3_small", "squeezenet1_1", "resnet18"):
        for batch in (1, 8):
            tables[f"{name}, batch {batch}: time over the bare network's"] = end_to_end(name, batch)
    tables["normalization alone: time over torchvision's"] = normalization()
    for beta in (0.75, 0.6):
        tables[f"LocalResponseNorm, beta {beta}: time over torch's"] = local_response_norm(beta)
    for title, table in tables.items():
        print(title)
        for name, ratio in table.items():
            print(f"  {name:26} {ratio!s:24} {ratio.seconds * 1e3:9.3f} ms")
    RESULTS.mkdir(exist_ok=True)
    document = {
        "command": "make bench",
        "commit": commit(),
        "machine": f"{platform.machine()}, one thread",
        "versions": versions(),
        "results": {title: {name: vars(ratio) for name, ratio in table.items()} for title, table in tables.items()},
    }
    (RESULTS / "cpu.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
