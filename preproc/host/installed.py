"""What is installed, by its own word: nothing is imported, so that it can be told of what is broken."""

import contextlib
import os
import shlex
import shutil

PACKAGES = (
    *("torch", "torchvision", "executorch", "onnx", "onnx-ir", "onnxscript", "onnxruntime-gpu", "onnxruntime", "openvino"),
    *("numpy", "pillow"),
)
"""Those that shape the files."""
WHEELS = ("onnxruntime", "onnxruntime-gpu")
"""Both write into one folder: the one that was written last runs, and removing either takes files of the other."""
INSTALL_ONE = "pip uninstall onnxruntime onnxruntime-gpu, then pip install one of them"


def versions() -> dict[str, str]:
    """Of the packages that shape the files, as far as they are installed."""
    from importlib import metadata  # a sixth of what a command imports that does not ask

    found = {}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def compiler() -> str | None:
    """The command that compiles C++ here, CXX or g++, as torch looks for it; None where there is none."""
    command = os.environ.get("CXX", "g++")
    try:
        program, *_ = shlex.split(command)
    except ValueError:  # nothing in it, or a quote without an end
        return None
    return command if shutil.which(program) else None


def no_compiler() -> str:
    """What there is instead of a compiler, and what to do."""
    command = os.environ.get("CXX")
    return "no g++: install it" if command is None else f"CXX={command!r}, which is no command here: unset CXX, or install it"
