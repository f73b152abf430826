"""The public surface is what it says, loads nothing heavy, and phones nobody."""

import ast
import os
import subprocess
import sys

import pytest

import preproc
from tests.conftest import ROOT

FILES = sorted((ROOT / "preproc").rglob("*.py"))


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
    code = "import os; from preproc.verify.runtimes import onnxruntime; onnxruntime(); print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == after


def test_annotations_are_for_everyone():
    assert (ROOT / "preproc" / "py.typed").is_file()


def test_names_resolve_to_the_same_objects_as_for_type_checkers():
    tree = ast.parse((ROOT / "preproc" / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    assert {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names} == set(preproc.__all__)
