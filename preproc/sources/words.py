"""Single values of a recipe, each right or refused; Python's keywords and the command line say the same."""

from pathlib import Path

from ..errors import RecipeError, did_you_mean
from ..steps import Sides, Size
from .recipe import ExportSpec

SOURCES = ("embedded", "torchvision", "timm", "checkpoint", "import", "onnx")
OWN_CODE = ("checkpoint", "import")
"""The sources that run code which the recipe names."""
FORMATS = ("onnx", "torchscript", "pt2", "aoti", "executorch")
CPUS = ("x86-64-v3", "native")
"""The instructions that aoti is compiled for: those that every x86-64 processor with AVX2 has, or all that this machine's has."""
DEVICES = ("cpu", "cuda")
"""What aoti is compiled for."""
FOLDS = ("auto", "off", "require")
PRECISIONS = ("float32", "tf32", "float16", "bfloat16")
"""What a network is written in and computed with. tf32: it is written in float32, and CUDA devices may multiply with 10 bits of mantissa.
float16, bfloat16: its weights, and what is computed with them, have 16 bits."""
_ALIASES = {"fp32": "float32", "float": "float32", "fp16": "float16", "half": "float16", "bf16": "bfloat16"}


def check_name(name: str) -> None:
    """A recipe's name is a folder's. Raises RecipeError."""
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name.startswith("."):
        raise RecipeError(f"name: expected letters, digits, '-', '_' and '.', for it names a folder, got {name!r}", name="unusable-name")


def check_tolerance(value: object) -> float:
    """Raises RecipeError."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < 1:
        raise RecipeError(f"tolerance: expected a number between 0 and 1, relative to the largest output, as 1e-3, got {value!r}")
    return float(value)


def check_opset(value: object) -> int:
    """Raises RecipeError."""
    if not isinstance(value, int) or isinstance(value, bool) or value < ExportSpec.opset:
        raise RecipeError(f"opset: expected {ExportSpec.opset} or newer, which the exporter writes, got {value!r}")
    return value


def check_precision(value: object) -> str:
    """Raises RecipeError."""
    if not isinstance(value, str) or value not in PRECISIONS:
        near = _ALIASES.get(str(value).lower())
        hint = f"; did you mean {near!r}?" if near else did_you_mean(str(value), PRECISIONS)
        made = "; `preproc quantize` makes files of 8 bits" if str(value).lower() in ("int8", "uint8", "qdq") else hint
        raise RecipeError(f"precision: expected one of {', '.join(PRECISIONS)}, got {value!r}{made}", name="unknown-choice")
    return value


def check_outputs_precision(value: object, precision: str) -> str:
    """precision: of the network. Raises RecipeError."""
    known = ("float32", *((precision,) if ExportSpec(precision=precision).half else ()))
    if value not in known:
        raise RecipeError(
            f'outputs_precision: expected {" or ".join(known)} for precision = "{precision}", got {value!r}', name="conflicting-options"
        )
    return str(value)


def check_output_name(name: str) -> None:
    """An output's name is also a file's, in golden/. Raises RecipeError."""
    if not name.replace("_", "").replace("-", "").isalnum() or name == "pixels":
        raise RecipeError(
            f"[backbone] outputs: expected letters, digits, '-' and '_', and not 'pixels', got {name!r}", name="unusable-name"
        )


def check_size(value: object) -> Sides:
    """(height, width), each a number, or None where it is "dynamic" or None; "dynamic" alone stands for both. Raises RecipeError."""
    sides = ["dynamic", "dynamic"] if isinstance(value, str) and value == "dynamic" else value
    found = [None if side in ("dynamic", None) else side for side in sides] if isinstance(sides, (list, tuple)) else []
    if len(found) != 2 or not all(side is None or _is_side(side) for side in found):
        raise RecipeError(f'size: expected [height, width], of which each may be "dynamic", or "dynamic" for both, got {value!r}')
    return found[0], found[1]


def check_verify_sizes(value: object) -> tuple[Size, ...]:
    """(height, width) of each, at least one. Raises RecipeError."""
    sizes = [tuple(size) if isinstance(size, (list, tuple)) else () for size in value] if isinstance(value, (list, tuple)) else []
    if not sizes or not all(len(size) == 2 and all(map(_is_side, size)) for size in sizes):
        raise RecipeError(f"verify_sizes: expected a list of [height, width], as [[320, 480], [480, 320]], got {value!r}")
    return tuple((height, width) for height, width in sizes)


def _is_side(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def read_labels(value: object, folder: Path = Path()) -> tuple[str, ...]:
    """A file with a label per line, its path relative to `folder`, or the labels themselves. Raises RecipeError."""
    if isinstance(value, (str, Path)):
        try:
            return tuple((folder / value).read_text(encoding="utf-8").splitlines())
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"labels: expected a text file with a label per line, got {str(value)!r} ({error})") from error
    if not isinstance(value, (list, tuple)) or not all(isinstance(label, str) for label in value):
        raise RecipeError(f"labels: expected a file name or a list of strings, got {value!r}")
    several = [label for label in value if label.splitlines() not in ([label], [])]
    if several:
        raise RecipeError(f"labels: expected labels of one line each, got {several[0]!r}")
    return tuple(value)
