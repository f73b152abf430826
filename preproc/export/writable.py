"""Whether the formats that a recipe wants can be written here, looked at before the work."""

from importlib.util import find_spec

from ..errors import PreprocError
from ..sources import Recipe
from ..verify.runtimes import onnxruntime
from .compiling import check_compiles

BFLOAT16 = 22
"""The opset from which on ONNX's Conv takes it."""


def check_writable(recipe: Recipe) -> None:
    """Raises PreprocError where a format lacks what the recipe wants, or what writes it is not there."""
    check_compiles(recipe.name, recipe.export)
    _check_opset(recipe)
    _check_dtype(recipe)
    _check_installed(recipe)


def _check_opset(recipe: Recipe) -> None:
    """Raises PreprocError where the format onnx has no operators for the precision in that opset: bfloat16 is new to convolutions there."""
    spec = recipe.export
    if spec.precision == "bfloat16" and "onnx" in spec.formats and spec.opset < BFLOAT16:
        raise PreprocError(
            f"[export] opset: expected {BFLOAT16} or newer for the format onnx in bfloat16, which convolutions take from there on, got "
            f'{spec.opset}; or formats without onnx, as ["torchscript", "pt2"]',
            name="precision-unsupported",
        )


def _check_dtype(recipe: Recipe) -> None:
    """Raises PreprocError where ExecuTorch has no kernel that casts the pixels."""
    if "executorch" in recipe.export.formats and recipe.pixels.dtype != "uint8":
        raise PreprocError(
            f"{recipe.name}: expected uint8 pixels for the format executorch, whose runtime has no kernel that casts others, got "
            f"{recipe.pixels.dtype}; the formats onnx, torchscript and pt2 take them",
            name="pixel-dtype",
        )


def _check_installed(recipe: Recipe) -> None:
    """Raises PreprocError where what is needed last is not there: an .onnx file is written with onnxscript, and not published unless it
    runs; a program of ExecuTorch is written with that."""
    if "executorch" in recipe.export.formats:
        from .formats import exir

        exir()
    if "onnx" not in recipe.export.formats:
        return
    if find_spec("onnxscript") is None:
        raise PreprocError(
            f"{recipe.name}: expected onnxscript for the format onnx, got none installed; pip install onnxscript", name="not-installed"
        )
    onnxruntime()
