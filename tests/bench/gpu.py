"""make gpu: parity of three bundles in every runtime of a machine with a CUDA device, and speed there, to $OUT or tests/bench/results/."""

import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from preproc import graph
from preproc.bundle import versions
from preproc.export.exporter import export_bundle
from preproc.folding import fold
from preproc.pipeline import prepend
from preproc.recipe import load_recipe, replace
from preproc.runtimes import onnxruntime
from preproc.runtimes.pytorch import _tf32
from tests.bench import cases
from tests.bench.measure import Ratio, commit, ratios
from tests.conftest import ROOT

BUNDLES = ("digits", "resnet50", "vit_b_16")
NETWORK = "resnet18"
BATCHES = (1, 8, 64)
PEER = "bare, floats on the device"


def parity(folder: Path) -> dict[str, Any]:
    """Every runtime of three bundles against the float64 reference."""
    found = {}
    for name in BUNDLES:
        recipe = load_recipe(ROOT / "models" / f"{name}.toml")
        if name != "digits":
            recipe = replace(recipe, backbone={"weights": "random", "seed": 0})
        bundle = export_bundle(recipe, folder / name, formats=["onnx", "torchscript", "pt2"], progress=lambda text: print(text, flush=True))
        hashes = {file: entry["sha256"] for file, entry in bundle.manifest["files"].items() if file.startswith("model.")}
        found[name] = {"sha256": hashes, "report": bundle.manifest["report"]}
        for result in bundle.report.results:
            print(f"{name:10} {result.runtime:17} {result.verdict:13} {result.error or 0:.1e}  {result.reason or result.ran}", flush=True)
    return found


def ort_candidates(device: str, x: np.ndarray, *, tf32: bool) -> dict[str, Callable[[], object]]:
    """ONNX Runtime: from host memory with run(), from device memory with an IOBinding."""
    ready = cases.numpy_outside(x)
    bare, folded = _ort(cases.bare_file(NETWORK), device, tf32), _ort(cases.embedded_file(NETWORK, "require"), device, tf32)
    return {
        PEER: _bound(bare, ready, device),
        "folded, uint8 on the device": _bound(folded, x, device),
        "folded, uint8 on the host": lambda: folded.run(None, {"pixels": x}),
        "bare, torchvision on the host": lambda: bare.run(None, {bare.get_inputs()[0].name: cases.torchvision_outside(x)}),
    }


def _ort(model: Any, device: str, tf32: bool) -> Any:
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    provider: Any = "CPUExecutionProvider" if device == "cpu" else ("CUDAExecutionProvider", {"use_tf32": str(int(tf32))})
    session = ort.InferenceSession(graph.to_bytes(model), options, providers=[provider])
    if device != "cpu" and session.get_providers()[0] != "CUDAExecutionProvider":
        sys.exit("expected ONNX Runtime's CUDA provider, got a session that fell back to the CPU; nothing was measured")
    return session


def _bound(session: Any, array: np.ndarray, device: str) -> Callable[[], object]:
    value = onnxruntime().OrtValue.ortvalue_from_numpy(array, device, 0)
    binding = session.io_binding()
    binding.bind_ortvalue_input(session.get_inputs()[0].name, value)
    binding.bind_output(session.get_outputs()[0].name, device)

    def run() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return run


def torch_candidates(device: str, x: np.ndarray, *, tf32: bool) -> dict[str, Callable[[], object]]:
    """torch, eager. Every call ends with its outputs on the host, but for those from device memory, which end with a synchronization."""
    bare = cases.backbone(NETWORK).to(device)
    folded = fold(prepend(cases.pipeline(), cases.backbone(NETWORK)), example=torch.from_numpy(x[:1])).model.to(device)
    ready, pixels = torch.from_numpy(cases.numpy_outside(x)).to(device), torch.from_numpy(x).to(device)

    def call(model: torch.nn.Module, make: Callable[[], torch.Tensor], *, home: bool) -> Callable[[], object]:
        def run() -> None:
            with torch.inference_mode(), _tf32(tf32):
                outputs = model(make())
            if home:
                outputs.cpu()
            elif device != "cpu":
                torch.cuda.synchronize()

        return run

    return {
        PEER: call(bare, lambda: ready, home=False),
        "folded, uint8 on the device": call(folded, lambda: pixels, home=False),
        "folded, uint8 on the host": call(folded, lambda: torch.from_numpy(x).to(device), home=True),
        "bare, torchvision on the host": call(bare, lambda: torch.from_numpy(cases.torchvision_outside(x)).to(device), home=True),
    }


def speed(device: str, batches: tuple[int, ...] = BATCHES, *, seconds: float = 6.0) -> Iterator[tuple[str, dict[str, Ratio]]]:
    """One table per engine, precision and batch size."""
    for engine, candidates in (("ort", ort_candidates), ("torch", torch_candidates)):
        for precision in ("fp32", "TF32"):
            for batch in batches:
                made = candidates(device, cases.pixels(batch), tf32=precision == "TF32")
                title = f"{NETWORK}, {engine}-{device}, {precision}, batch {batch}"
                table = ratios(made, peer=PEER, rounds=200, seconds=seconds)
                print(
                    title,
                    *(f"  {name:32} {ratio!s:24} {ratio.seconds * 1e3:9.3f} ms" for name, ratio in table.items()),
                    sep="\n",
                    flush=True,
                )
                yield title, table


def main() -> None:
    if not torch.cuda.is_available():
        sys.exit("expected a CUDA device, got none: torch.cuda.is_available() is False; nothing was measured")
    device = torch.cuda.get_device_name()
    with tempfile.TemporaryDirectory() as folder:
        bundles = parity(Path(folder))
    tables = {title: {name: vars(ratio) for name, ratio in table.items()} for title, table in speed("cuda")}
    document = {
        "command": "make gpu",
        "device": device,
        "commit": commit(),
        "versions": versions(),
        "bundles": bundles,
        "tables": tables,
    }
    short = re.sub(r"[^a-z0-9]+", "-", device.lower().replace("nvidia", "")).strip("-")
    target = Path(os.environ.get("OUT") or ROOT / "tests" / "bench" / "results") / f"gpu-{short}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(target.name)


if __name__ == "__main__":
    main()
