"""A model file opened by each runtime, one thread, and what that costs a process that does nothing else.

python -m tests.bench.opening RUNTIME FILE BATCH     prints how long it took and how much memory there was at most

Only what a runtime itself needs is imported.
"""

import contextlib
import json
import logging
import os
import re
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Call = Callable[[np.ndarray], Any]
"""Pixels in, logits out."""


def onnx_runtime(file: Path) -> Call:
    import onnxruntime as ort  # noqa: TID251 - without preproc, whose memory would count

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def openvino(file: Path) -> Call:
    """In float32, as preproc verifies it."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # a library does not phone home
    from openvino import Core

    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    model = Core().compile_model(str(file), "CPU", settings)
    return lambda x: model([x])[0]


def torchscript(file: Path) -> Call:
    torch = one_thread()
    module = torch.jit.load(str(file))

    def call(x: np.ndarray) -> Any:
        with torch.inference_mode():
            return module(torch.from_numpy(x)).numpy()

    return call


def aotinductor(file: Path) -> Call:
    torch = one_thread()
    loader = torch._C._aoti.AOTIModelPackageLoader(str(file), "model", False, 1, -1)
    return lambda x: loader.run([torch.from_numpy(x)])[0].numpy()


def executorch(file: Path) -> Call:
    torch = one_thread()
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime

    portable_lib._unsafe_reset_threadpool(1)
    method = Runtime.get().load_program(file).load_method("forward")
    return lambda x: method.execute([torch.from_numpy(x)])[0].numpy()


def one_thread() -> Any:
    import torch

    torch.set_num_threads(1)
    return torch


RUNTIMES: dict[str, Callable[[Path], Call]] = {
    "TorchScript": torchscript,
    "AOTInductor": aotinductor,
    "ONNX Runtime": onnx_runtime,
    "OpenVINO": openvino,
    "ExecuTorch": executorch,
}
IMPORTS = {"ONNX Runtime": "onnxruntime", "OpenVINO": "openvino", "ExecuTorch": "executorch.runtime"}
"""What is imported before the clock starts; torch for the others."""


def quiet() -> None:
    """What libraries warn of and log is not what is measured."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)


def main(runtime: str, file: str, batch: str) -> None:
    quiet()
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    __import__(IMPORTS.get(runtime, "torch"))
    start = time.perf_counter()
    call = RUNTIMES[runtime](Path(file))
    seconds = time.perf_counter() - start
    for _ in range(3):
        call(np.ones((int(batch), 224, 224, 3), np.uint8))
    # not getrusage's ru_maxrss, which starts at what the process that forked this one had
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))[1]) * 1024  # type: ignore[index]
    print(json.dumps({"loaded in, seconds": seconds, "peak memory, bytes": peak}))


if __name__ == "__main__":
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    with contextlib.suppress(BrokenPipeError):
        main(*sys.argv[1:])
