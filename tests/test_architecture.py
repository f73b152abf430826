"""The file list is the data flow, the public surface is what it says, and nothing phones home."""

import ast
import os
import subprocess
import sys

import pytest

import preproc
from tests.conftest import ROOT

ORDER = [
    "errors installed tracing progress terminal targets threads children affine checks decoding presets plausibility steps pillow",
    "reference published recipe collapse tracking planes guard layers pipeline backbones convolutions folding graph formats",
    "runtimes probe roundings verify contract inputs aside bundle bare examples proof export torchfiles inspection starting showing",
    "stats serving doctor cli __main__",
]
RANK = {name: position for position, name in enumerate(" ".join(ORDER).split())}
FILES = sorted((ROOT / "preproc").rglob("*.py"))
ONNX = {"graph/constants.py", "graph/files.py", "graph/messages.py", "graph/nodes.py", "graph/reading.py", "graph/writing.py"}
ONNXRUNTIME = {"runtimes/ort.py"}
TORCH = {"layers", "pipeline", "backbones", "convolutions", "folding", "formats", "probe"}


def room(file):
    """The module, or the subpackage, that a file belongs to."""
    return file.relative_to(ROOT / "preproc").parts[0].removesuffix(".py")


def imports(file):
    """(module, level, at the top of the file) of every import, those for type checkers left out."""
    tree = ast.parse(file.read_text())
    skipped = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from ((name, node.level, node in tree.body) for name in names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, 0, node in tree.body) for alias in node.names)


@pytest.mark.parametrize("file", [file for file in FILES if room(file) != "__init__"], ids=lambda file: str(file.relative_to(ROOT)))
def test_a_module_imports_only_what_stands_above_it(file):
    depth = len(file.relative_to(ROOT / "preproc").parts)
    for module, level, top in imports(file):
        if level and level == depth and module != "__version__":  # from the package's root
            target = module.split(".")[0]
            assert RANK[target] <= RANK[room(file)], f"{file.name} imports {module}"
        if level == 0:
            name, path = module.split(".")[0], str(file.relative_to(ROOT / "preproc"))
            assert name != "onnx" or path in ONNX
            assert name != "onnxruntime" or path in ONNXRUNTIME
            assert name not in ("timm", "dask", "sklearn", "openvino", "transformers", "tritonclient") or not top
            assert name not in ("torch", "torchvision") or room(file) in TORCH or not top, f"{path} imports torch at its top"


def test_every_module_has_its_place():
    assert {room(file) for file in FILES} - {"__init__"} == set(RANK)


def test_public_names():
    assert set(preproc.__all__) == set(dir(preproc))
    for name in preproc.__all__:
        assert getattr(preproc, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        preproc.nothing  # noqa: B018


def test_no_module_has_the_name_of_a_public_function():
    assert not {file.stem for file in FILES} & set(preproc.__all__)


def test_import_preproc_loads_nothing_heavy():
    code = "import sys, preproc; bad = {'torch', 'numpy', 'onnx', 'typer', 'rich'} & set(sys.modules); assert not bad, bad"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("0", "0")])
def test_onnxruntimes_telemetry_is_off_unless_the_user_has_set_it(before, after):
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    if before is not None:
        environment["ORT_DISABLE_TELEMETRY"] = before
    code = "import os; from preproc.runtimes import onnxruntime; onnxruntime(); print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == after


def tracked_files():
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("this is no git checkout")
    return done.stdout.split()


def test_no_file_names_a_host():
    tracked = tracked_files()
    for name in tracked:
        file = ROOT / name
        if name.endswith(
            ("constraints.txt", "constraints-lowest.txt", ".toml", "Makefile", ".ci/run", "package.json", "package-lock.json", ".npmrc")
        ):
            assert "://" not in file.read_text(), name


def test_top_level_is_what_the_owner_fixed():
    tracked = tracked_files()
    top = {name.split("/")[0] for name in tracked}
    allowed = {
        "preproc",
        "export",
        "tests",
        "models",
        "pyproject.toml",
        "Makefile",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "constraints.txt",
        "constraints-lowest.txt",
    }
    assert {name for name in top if not name.startswith(".")} <= allowed


def test_annotations_are_for_everyone():
    assert (ROOT / "preproc" / "py.typed").is_file()


def test_names_resolve_to_the_same_objects_as_for_type_checkers():
    tree = ast.parse((ROOT / "preproc" / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    assert {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names} == set(preproc.__all__)
