"""uint8 to logits in every format that a bundle has, folded, each beside the bare network in the same format and runtime."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from preproc import graph
from preproc.export.compiling import compiled_for
from preproc.export.formats import at_most, compile_aoti, export_executorch, export_program, export_torchscript
from preproc.folding.modules import fold
from preproc.host import compiler
from preproc.layers import Model, prepend
from preproc.sources import ExportSpec
from tests.bench import cases, opening
from tests.bench.measure import Ratio, ratios
from tests.conftest import ROOT

NETWORKS = ("mobilenet_v3_small", "resnet18")
EAGER = "torch, eager"
SUFFIXES = {"TorchScript": ".pt", "AOTInductor": ".pt2", "ExecuTorch": ".pte"}
"""Of the others: .onnx."""
PROCESSES = 3
"""Of each file, of which the fastest to load and the smallest count."""
Entry = tuple[str, dict[str, Ratio], dict[str, float]]
"""A runtime, the times of the bare network and of the file, and what the file costs."""


def of(name: str, *, seconds: float = 6.0, batch: int = 1) -> Iterator[Entry]:
    """Every runtime that is installed here. name: a network of torchvision's.  seconds: how long each is measured."""
    x = cases.pixels(batch)
    ready = cases.numpy_outside(x)
    bare = Model(nn.Identity(), cases.backbone(name))
    folded = fold(prepend(cases.pipeline(), cases.backbone(name)), example=torch.from_numpy(cases.pixels(2))).model
    expected = cases.session(cases.bare_file(name))(ready)

    def measured(calls: Mapping[str, Callable[[np.ndarray], Any]]) -> dict[str, Ratio]:
        for key, values in (("bare", ready), ("folded", x)):
            np.testing.assert_allclose(calls[key](values), expected, rtol=1e-3, atol=1e-4, err_msg=key)
        both = {"bare": lambda: calls["bare"](ready), "folded": lambda: calls["folded"](x)}
        return ratios(both, peer="bare", rounds=300, seconds=seconds)

    yield EAGER, measured({"bare": _eager(bare), "folded": _eager(folded)}), {}
    for runtime in installed():
        with tempfile.TemporaryDirectory() as place:
            file, bare_file = (Path(place) / f"{key}{SUFFIXES.get(runtime, '.onnx')}" for key in ("folded", "bare"))
            start = time.perf_counter()
            write(runtime, name, folded, torch.from_numpy(cases.pixels(2)), file)
            figures: dict[str, float] = {"written in, seconds": time.perf_counter() - start, "file, bytes": file.stat().st_size}
            write(runtime, name, bare, torch.from_numpy(cases.numpy_outside(cases.pixels(2))), bare_file)
            table = measured({"bare": opening.RUNTIMES[runtime](bare_file), "folded": opening.RUNTIMES[runtime](file)})
            yield runtime, table, figures | _alone(runtime, file, batch)


def installed() -> list[str]:
    """The runtimes that this machine has."""
    lacking = {"AOTInductor": compiler() is None}
    lacking |= {runtime: find_spec(package.partition(".")[0]) is None for runtime, package in opening.IMPORTS.items()}
    return [runtime for runtime in opening.RUNTIMES if not lacking.get(runtime)]


def _eager(model: nn.Module) -> Callable[[np.ndarray], Any]:
    def call(x: np.ndarray) -> Any:
        with torch.inference_mode():
            return model(torch.from_numpy(x)).numpy()

    return call


def write(runtime: str, name: str, model: Model, example: torch.Tensor, file: Path) -> None:
    """As `preproc export` writes the format. model: with the pixels' steps folded, or with none and fed with ready floats."""
    is_bare = example.is_floating_point()
    layout, size = "NCHW" if is_bare else "NHWC", (224, 224)
    if runtime in ("ONNX Runtime", "OpenVINO"):
        graph.save(cases.bare_file(name) if is_bare else cases.embedded_file(name, "require"), file)
    elif runtime == "TorchScript":
        export_torchscript(model, example, file, tf32=False, extra={})
    elif runtime == "ExecuTorch":
        export_executorch(model, example, file, layout=layout, size=size, at_most=at_most(size, ()), constants={})
    else:
        program = export_program(model, example, layout=layout, size=size)
        promised = compiled_for(ExportSpec())
        compile_aoti(program, example, file, size=size, compiler=str(compiler()), promised=promised, metadata={})


def _alone(runtime: str, file: Path, batch: int) -> dict[str, float]:
    """Of a process that opens the file and runs a batch three times."""
    environment = os.environ | {"ORT_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.bench.opening", runtime, str(file), str(batch)]
    found: list[dict[str, float]] = []
    for _ in range(PROCESSES):
        done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return {key: min(each[key] for each in found) for key in found[0]}
