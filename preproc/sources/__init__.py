"""What is to be made: a recipe's TOML, checked.

In: a file or tables. Out: a frozen Recipe, its steps whole; or one line that names the file and the key.
Never: a key that nobody reads, a default for constants, a weight or a network (those are in backbones/).
"""

from .parsing import load_front, load_recipe, parse_front, parse_recipe
from .recipe import FRAMES, USUAL, BackboneSpec, ExportSpec, Front, FurtherPicture, PixelsSpec, Recipe, replace, taken_as
from .table import Table
from .toml_file import read_toml
from .words import (
    CPUS,
    DEVICES,
    FOLDS,
    FORMATS,
    OWN_CODE,
    PRECISIONS,
    check_name,
    check_opset,
    check_output_name,
    check_outputs_precision,
    check_precision,
    check_size,
    check_tolerance,
    check_verify_sizes,
    read_labels,
)

__all__ = [
    "CPUS",
    "DEVICES",
    "FOLDS",
    "FORMATS",
    "FRAMES",
    "OWN_CODE",
    "PRECISIONS",
    "USUAL",
    "BackboneSpec",
    "ExportSpec",
    "Front",
    "FurtherPicture",
    "PixelsSpec",
    "Recipe",
    "Table",
    "check_name",
    "check_opset",
    "check_output_name",
    "check_outputs_precision",
    "check_precision",
    "check_size",
    "check_tolerance",
    "check_verify_sizes",
    "load_front",
    "load_recipe",
    "parse_front",
    "parse_recipe",
    "read_labels",
    "read_toml",
    "replace",
    "taken_as",
]
