"""What has to be measured in processes of its own: peak memory and start-up."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from preproc import graph
from tests.bench import cases
from tests.bench.measure import Ratio, ratios
from tests.conftest import ROOT

RUN_ONCE = """
import pathlib, re, sys
import numpy as np
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
(image,) = session.get_inputs()
shape, dtype = ((BATCH, 3, 224, 224), np.float32) if image.type == "tensor(float)" else ((BATCH, 224, 224, 3), np.uint8)
for _ in range(3):
    session.run(None, {image.name: np.ones(shape, dtype)})
# not getrusage's ru_maxrss, which starts at what the process that forked this one had
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]) * 1024)
"""


def _run(*arguments: str) -> str:
    environment = os.environ | {"ORT_DISABLE_TELEMETRY": "1"}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout


def peak_memory(name: str, batch: int) -> Mapping[str, int]:
    """Bytes of a process that opens the file and runs a batch three times: the smallest of three such processes."""
    with tempfile.TemporaryDirectory() as folder:
        models = {"bare": cases.bare_file(name), "folded": cases.embedded_file(name, "require")}
        for key, model in models.items():
            graph.save(model, Path(folder) / f"{key}.onnx")
        return {
            key: min(int(_run("-c", RUN_ONCE.replace("BATCH", str(batch)), f"{folder}/{key}.onnx")) for _ in range(3)) for key in models
        }


def start_up() -> dict[str, Ratio]:
    """Whole processes."""
    commands = {
        "python -c pass": ("-c", "pass"),
        "python -c 'import preproc'": ("-c", "import preproc"),
        "preproc --help": ("-m", "preproc", "--help"),
    }
    calls = {name: (lambda arguments=arguments: _run(*arguments)) for name, arguments in commands.items()}
    return ratios(calls, peer="python -c pass", rounds=21, seconds=30)
