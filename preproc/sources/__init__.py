"""What is to be made: a recipe's TOML, checked.

In: a file or tables. Out: a frozen Recipe, its steps whole; or one line that names the file and the key.
Never: a key that nobody reads, a default for constants, a weight or a network (those are in backbones/).
"""

from .examples import MODELS, PACKED, page, recipe_file
from .recipe import (
    FOLDS,
    FORMATS,
    OWN_CODE,
    USUAL,
    BackboneSpec,
    ExportSpec,
    Front,
    PixelsSpec,
    Recipe,
    check_name,
    check_opset,
    check_output_name,
    check_size,
    check_tolerance,
    load_front,
    load_recipe,
    parse_front,
    parse_recipe,
    read_labels,
    replace,
)

__all__ = [
    "FOLDS",
    "FORMATS",
    "MODELS",
    "OWN_CODE",
    "PACKED",
    "USUAL",
    "BackboneSpec",
    "ExportSpec",
    "Front",
    "PixelsSpec",
    "Recipe",
    "check_name",
    "check_opset",
    "check_output_name",
    "check_size",
    "check_tolerance",
    "load_front",
    "load_recipe",
    "page",
    "parse_front",
    "parse_recipe",
    "read_labels",
    "recipe_file",
    "replace",
]
