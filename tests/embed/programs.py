"""The programs in export/embed/: what they need, and how they are built."""

import os
import shutil
import subprocess
from importlib import util
from pathlib import Path

import pytest
import torch

from preproc.export import export_bundle
from preproc.host import compiler
from preproc.sources import USUAL, load_recipe
from tests.conftest import ROOT

EMBED = ROOT / "export" / "embed"
NODE = shutil.which("node")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PACKAGES = EMBED / "node_modules"
OPENVINO = util.find_spec("openvino")
EXECUTORCH = util.find_spec("executorch")


def missing(**tools):
    return [name for name, found in tools.items() if not found]


def skip_without(*absent):
    return pytest.mark.skipif(bool(absent), reason=f"not installed: {', '.join(absent)}")


JSON = any(Path(prefix, "include/nlohmann/json.hpp").exists() for prefix in ("/usr", "/usr/local", "/opt/homebrew"))
COMPILER = missing(gxx=compiler())
COMPILERS = missing(cmake=shutil.which("cmake")) + COMPILER + ([] if JSON else ["nlohmann-json3-dev"])
JAVASCRIPT = missing(node=NODE) + ([] if PACKAGES.is_dir() else ["export/embed/node_modules (make setup-web)"])
PACKAGE = [pytest.param("aoti", marks=skip_without(*COMPILERS))]
"""The program that runs the AOTInductor package, which is compiled with the bundle: the bundle is the fixture `packaged`."""
PROGRAMS = [
    pytest.param("libtorch", marks=skip_without(*COMPILERS)),
    pytest.param("openvino", marks=skip_without(*COMPILERS, *missing(openvino=OPENVINO))),
    pytest.param("node", marks=skip_without(*JAVASCRIPT)),
]
"""Names of fixtures: the command in front of a program's arguments."""


def each_with(spoilt, of_the_model):
    """Every program and what is spoilt in a bundle. of_the_model: what a program's own lines see; the rest is seen by those of bundle.hpp,
    one text in all programs in C++, so that those around torch, which takes a second to load, need not see it where another one does."""
    for program in (*PROGRAMS, *PACKAGE):
        seen_by_another = program in PACKAGE or (program.values == ("libtorch",) and OPENVINO)
        for one in of_the_model if seen_by_another else spoilt:
            yield pytest.param(*program.values, one, marks=program.marks)


def built(source, folder, **settings):
    """The program of a CMake project."""
    told = [f"-D{key}={value}" for key, value in settings.items()]
    for command in (["cmake", "-S", EMBED / source, "-B", folder, *told], ["cmake", "--build", folder]):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder / "classify"


def once(factory, build, made="classify"):
    """What `build` makes in a folder that all workers of a session share: the first that wants it compiles, a minute, the others wait.
    made: what is there in the end."""
    import fcntl

    alone = "PYTEST_XDIST_WORKER" not in os.environ
    folder = (factory.getbasetemp() if alone else factory.getbasetemp().parent) / build.__name__
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return folder / made if (folder / made).exists() else build(folder)


def libtorch(folder):
    return around_torch("cpp-libtorch", folder)


def aoti(folder):
    return around_torch("cpp-aoti", folder)


def around_torch(source, folder):
    """Not optimized: what it answers is tested, not how fast, and the compiler takes a fifth less; a tenth more where it frees nothing."""
    flags = "-O0 --param ggc-min-expand=1000 --param ggc-min-heapsize=4000000"
    return built(source, folder, CMAKE_CXX_FLAGS=flags, CMAKE_PREFIX_PATH=torch.utils.cmake_prefix_path)


def openvino(folder):
    return built("cpp-openvino", folder, OpenVINO_DIR=Path(OPENVINO.submodule_search_locations[0]) / "cmake")


def packaged(folder):
    """The digits bundle with an AOTInductor package."""
    formats = [*USUAL, "aoti"]
    return export_bundle(load_recipe(ROOT / "models" / "digits.toml"), folder / "packaged", formats=formats).folder


def executorch(folder):
    """Not optimized, as that around LibTorch."""
    config = Path(EXECUTORCH.submodule_search_locations[0]) / "share" / "cmake"
    return built("executorch", folder, CMAKE_CXX_FLAGS="-O0", executorch_DIR=config)
