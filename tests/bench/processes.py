"""What has to be measured in processes of its own: peak memory, start-up, and preprocessing put into a file."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import onnx_ir as ir

from preproc import graph
from tests.bench import cases
from tests.bench.measure import Ratio, ratios
from tests.conftest import ROOT

PEAK = """
import pathlib, re
# not getrusage's ru_maxrss, which starts at what the process that forked this one had
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]) * 1024)
"""
RUN_ONCE = (
    """
import sys
import numpy as np
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
(image,) = session.get_inputs()
shape, dtype = ((BATCH, 3, 224, 224), np.float32) if image.type == "tensor(float)" else ((BATCH, 224, 224, 3), np.uint8)
for _ in range(3):
    session.run(None, {image.name: np.ones(shape, dtype)})
"""
    + PEAK
)
ATTACH = (
    """
import sys
from preproc.cli.app import app
from preproc.host import later
later.postpone()  # as the command does
app(["attach", *sys.argv[1:], "--preset", "imagenet"], standalone_mode=False)
"""
    + PEAK
)
EXTENSIONS = (
    """
import sys
import onnx
from onnxruntime_extensions.tools.pre_post_processing import (
    ChannelsLastToChannelsFirst, ImageBytesToFloat, Normalize, PrePostProcessor, Unsqueeze, create_named_value
)
model = onnx.load(sys.argv[1])
pipeline = PrePostProcessor([create_named_value("image", onnx.TensorProto.UINT8, [224, 224, 3])], 18)
constants = list(zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
pipeline.add_pre_processing([ImageBytesToFloat(), ChannelsLastToChannelsFirst(), Normalize(constants, layout="CHW"), Unsqueeze([0])])
onnx.save_model(pipeline.run(model), sys.argv[3])
"""
    + PEAK
)


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


def attaching(name: str) -> tuple[dict[str, Ratio], dict[str, object]]:
    """Preprocessing put into the .onnx file of a network of one picture, and the peak memory of that as a multiple of the file's size.

    onnxruntime-extensions' own tool is the peer where it is installed; it verifies nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        bare, out = Path(folder) / "bare.onnx", f"{folder}/out.onnx"
        theirs = f"{folder}/theirs.onnx"
        model = cases.bare_file(name)
        model.graph.inputs[0].shape = ir.Shape([1, 3, 224, 224])
        graph.save(model, bare)
        commands = {
            "preproc attach --no-verify": (ATTACH, str(bare), "-o", out, "--no-verify"),
            "preproc attach": (ATTACH, str(bare), "-o", out),
        }
        if find_spec("onnxruntime_extensions") is not None:
            commands["onnxruntime-extensions"] = (EXTENSIONS, str(bare), "-o", theirs)
        calls = {key: (lambda command=command: _run("-c", *command)) for key, command in commands.items()}
        table = ratios(calls, peer="preproc attach --no-verify", rounds=9, seconds=60)
        peaks = {key: int(call().splitlines()[-1]) for key, call in calls.items()}
        size = bare.stat().st_size
    return table, {"file, bytes": size} | {key: round(peak / size, 2) for key, peak in peaks.items()}


def start_up() -> dict[str, Ratio]:
    """Whole processes."""
    commands = {
        "python -c pass": ("-c", "pass"),
        "python -c 'import preproc'": ("-c", "import preproc"),
        "preproc --help": ("-m", "preproc", "--help"),
    }
    calls = {name: (lambda arguments=arguments: _run(*arguments)) for name, arguments in commands.items()}
    return ratios(calls, peer="python -c pass", rounds=21, seconds=30)
