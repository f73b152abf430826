"""preproc doctor: what is installed, what runs here and why the rest does not, as text for a bug report. Of the user's paths only what lies
below the home folder, as ~."""

import contextlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import PreprocError, RuntimeAbsentError, first_line
from ..host import INSTALL_ONE, PACKAGES, PACKED, WHEELS, compiler, instructions, level_of, no_compiler

OTHERS = ("timm", "transformers", "safetensors", "matplotlib", "distributed", "tritonclient", "typer", "rich")
NEEDED = {"numpy": "numpy", "onnx": "onnx", "onnx-ir": "onnx_ir", "pillow": "PIL.Image"}
"""Without one of them nothing works: what is imported of it."""
PATIENCE = 20.0
"""Seconds that the driver's program has to answer."""
ADVICE = {
    "torch": "pip install torch; without it only .onnx files can be taken",
    "torchvision": "pip install torchvision, the build for this torch",
    "matplotlib": "pip install matplotlib, for show and stats --report",
}


def examine() -> dict[str, Any]:
    """{"preproc", "system", "packages", "onnxruntime", "runtimes", "gpu", "threads", "caches", "problems", "works"}.

    works: whether anything can.  Nothing that is broken raises: its section, or what is asked in it, answers with the error.
    """
    packages = {name: _version(name) for name in (*PACKAGES, *OTHERS)}
    broken = _broken(packages)
    runtimes = _section(_runtimes)
    return {
        "preproc": {"version": __version__, "from": "a wheel" if PACKED.is_dir() else "a checkout"},
        "system": _section(_system),
        "packages": packages,
        "onnxruntime": _section(lambda: _onnxruntime(packages)),
        "runtimes": runtimes,
        "gpu": _section(_gpu),
        "threads": _section(_threads),
        "caches": _section(lambda: {name: _cache(folder) for name, folder in _folders().items()}),
        "problems": [*broken, *_problems(packages)],
        "works": all(packages[name] for name in NEEDED) and not broken and any(answer == "runs" for answer in runtimes.values()),
    }


def lines(found: Mapping[str, Any]) -> list[str]:
    """The same for people."""
    told = [f"preproc {found['preproc']['version']}, from {found['preproc']['from']}"]
    told += [f"  {name:14} {value}" for name, value in found["system"].items()]
    for title in ("packages", "runtimes"):
        told += [f"{title}:"]
        told += [f"  {name:18} {value or _missing(name)}" for name, value in found[title].items()]
    for title in ("onnxruntime", "gpu", "threads", "caches"):
        told += [f"{title}:"]
        told += [f"  {name:18} {value}" for name, value in found[title].items()]
    told += [f"problem: {problem}" for problem in found["problems"]]
    return told if found["works"] else [*told, "nothing runs here: install what is missing or broken above"]


def _missing(name: str) -> str:
    return f"not installed; {ADVICE[name]}" if name in ADVICE else "not installed"


def _section(ask: Callable[[], dict[str, str]]) -> dict[str, str]:
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - a broken installation raises anything: that is what is asked for
        return {"error": _told(error)}


def _told(error: Exception) -> str:
    return _without_home(str(error) if isinstance(error, PreprocError) else f"{type(error).__name__}: {first_line(error)}")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
    except Exception as error:  # noqa: BLE001 - as above
        return _told(error)


def _broken(packages: Mapping[str, str | None]) -> list[str]:
    """A sentence about each package that is needed, installed, and cannot be imported."""
    found = []
    for name, module in NEEDED.items():
        try:
            if packages[name]:
                import_module(module)
        except Exception as error:  # noqa: BLE001 - as above
            found.append(f"{name} {packages[name]} cannot be imported: {_told(error)}; install it anew")
    return found


def _system() -> dict[str, str]:
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "os": platform.platform(),
        "cpu": _cpu(),
        "instructions": level_of(instructions()) or "not told, or fewer than x86-64-v2",
        "compiler": _without_home(compiler() or "") or f"{no_compiler()}; the format aoti needs one",
        "environment": "a venv" if sys.prefix != sys.base_prefix else "no venv",
    }


def _runtimes() -> dict[str, str]:
    """Each runtime by name: "runs", or why not, found by running the smallest model there is in those that read .onnx files."""
    from ..verify.runtimes import RUNTIMES

    answers = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        for name, kind in RUNTIMES.items():
            try:
                if kind.file == "model.pte":
                    answers[name] = _executorch()
                else:
                    answers[name] = _try(kind, file) if kind.file == "model.onnx" else _torch("cuda" if name.endswith("cuda") else "cpu")
            except Exception as error:  # noqa: BLE001 - as above
                answers[name] = _told(error).replace(folder, "")
    return answers


def _try(kind: Any, file: Path) -> str:
    import numpy as np

    _write_smallest(file)
    runtime = kind(tf32=False)
    runtime.open(file)
    (answer,) = runtime.run(np.ones((1, 3, 4, 4), np.float32)).values()
    runtime.proof()
    return "runs" if float(answer.max()) == 2.0 else f"runs, but 1 + 1 is {float(answer.max())}"


def _write_smallest(file: Path) -> None:
    import onnx_ir as ir

    picture = ir.Value(name="x", shape=ir.Shape((1, 3, 4, 4)), type=ir.TensorType(ir.DataType.FLOAT))
    node = ir.Node("", "Add", [picture, picture])
    node.outputs[0].name, node.outputs[0].shape, node.outputs[0].type = "y", picture.shape, picture.type
    graph = ir.Graph([picture], node.outputs, nodes=[node], opset_imports={"": 18}, name="smallest")
    ir.save(ir.Model(graph, ir_version=10), file)


def _torch(device: str) -> str:
    try:
        import torch
    except ImportError as error:
        raise RuntimeAbsentError("torch is not installed", name="not-installed") from error
    if device == "cuda" and not torch.cuda.is_available():
        built = torch.version.cuda
        return "no CUDA device: torch.cuda.is_available() is False" + (f", torch is for CUDA {built}" if built else ", torch is for CPUs")
    return "runs" if float((torch.ones(1, device=device) * 2).sum()) == 2.0 else "runs, but 1 * 2 is not 2"


def _executorch() -> str:
    from ..verify.runtimes import executorch_runtime

    registered = executorch_runtime().backend_registry.registered_backend_names
    return "runs" if "XnnpackBackend" in registered else f"built without XNNPACK, with {', '.join(registered) or 'nothing'}"


def _onnxruntime(packages: Mapping[str, str | None]) -> dict[str, str]:
    told = {"wheel": " and ".join(f"{name} {packages[name]}" for name in WHEELS if packages[name]) or "none"}
    return told | _section(_imported)


def _imported() -> dict[str, str]:
    from ..verify.runtimes import onnxruntime

    ort = onnxruntime()
    return {"imported": ort.__version__, "providers": ", ".join(ort.get_available_providers())}


def _problems(packages: Mapping[str, str | None]) -> Iterator[str]:
    if all(packages[name] for name in WHEELS):
        yield f"both {' and '.join(WHEELS)} are installed, in one folder: the last one runs; {INSTALL_ONE}"
    if packages["torchvision"] and packages["torch"]:
        try:
            from ..sources.published import check_torchvision

            check_torchvision()
        except PreprocError as error:
            yield _told(error)
        except Exception as error:  # noqa: BLE001 - as above
            yield f"torchvision {packages['torchvision']} cannot be imported: {_told(error)}"


def _gpu() -> dict[str, str]:
    """What the driver says, by its own program; and what torch sees."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return {"driver": "no nvidia-smi here"}
    asked = [program, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return {"driver": f"nvidia-smi has not answered within {PATIENCE:g} s"}
    answer = (done.stdout if done.returncode == 0 else done.stdout + done.stderr).strip().splitlines()
    return {f"device {number}": line for number, line in enumerate(answer)} or {"driver": "no device"}


def _threads() -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "ORT_DISABLE_TELEMETRY")
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cores": f"{usable} of {os.cpu_count()}"} | {name: os.environ[name] for name in names if name in os.environ}


def _folders() -> dict[str, Path]:
    """Where published weights are kept, by the rules of those who keep them."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"))
    torch = Path(os.environ.get("TORCH_HOME", cache / "torch"))
    huggingface = Path(os.environ.get("HF_HOME", cache / "huggingface"))
    hub = Path(os.environ.get("HF_HUB_CACHE", huggingface / "hub"))
    return {"torch": torch.expanduser() / "hub" / "checkpoints", "huggingface": hub.expanduser()}


def _cache(folder: Path) -> str:
    if not folder.is_dir():
        return f"{_shown(folder)}: nothing there"
    size = files = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118 - as os.walk gives them
                files += 1
    return f"{_shown(folder)}: {files} files, {size / 1e6:,.0f} MB"


def _shown(path: Path) -> str:
    """Below the home folder, or the last word alone."""
    text = _without_home(str(path.absolute()))
    return text if text.startswith("~") else f".../{path.name}"


def _without_home(text: str) -> str:
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is none
    return text.replace(home, "~") if len(home) > 1 else text


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
