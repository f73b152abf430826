"""Modules that run when they are read."""

import subprocess
import sys

import pytest
from onnx_ir import _symbolic_shapes

from preproc.host.later import UNREAD, _Later
from tests.conftest import ROOT

POSTPONED = """
import sys
from preproc.host import later
before = len(sys.meta_path)
later.postpone()
later.postpone()
assert len(sys.meta_path) == before + 1
import onnx_ir as ir
side = ir.SymbolicDim("N")
assert side.value == "N" and side == ir.SymbolicDim("N")
assert "sympy" in sys.modules and "sympy.core" not in sys.modules
assert str((side + 1).simplify()) == "N + 1", side + 1
assert "sympy.core" in sys.modules
import sympy
assert sympy.Symbol("x") * 0 == 0
"""


def test_a_free_side_is_read_without_sympy_and_computed_with_by_it():
    subprocess.run([sys.executable, "-c", POSTPONED], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("name", UNREAD)
def test_what_is_postponed_is_still_there(name):
    """A library that has renamed it would be imported as ever, and nobody would notice."""
    parent = sys.modules[name.rpartition(".")[0]].__path__ if "." in name else None
    assert _Later.find_spec(name, parent) is not None
    assert _symbolic_shapes.sympy is sys.modules["sympy"]


def test_other_modules_are_left_to_python():
    assert _Later.find_spec("json") is None
