"""The [backbone] table -> BackboneSpec: which network, and that it is told whole."""

import json

from ..errors import RecipeError
from ..steps import COLORS, NETWORK_LAYOUTS
from .recipe import BackboneSpec
from .table import Table
from .words import SOURCES, check_output_name


def parse_backbone(table: Table) -> BackboneSpec:
    """Raises RecipeError."""
    spec = BackboneSpec(
        source=table.choice("source", SOURCES),
        color=table.choice("color", COLORS),
        name=table.text("name", None),
        weights=table.text("weights", None),
        checkpoint_key=table.text("checkpoint_key", None),
        seed=table.number("seed", None),
        override=table.text("override", None),
        outputs=table.texts("outputs", ()),
        input=next(iter(inputs_of(table)), None),
        layout=table.choice("layout", NETWORK_LAYOUTS) if "layout" in table.data else table.any("layout", None),
        arguments=table.table("arguments", {}).data,
    )
    table.finish()
    for name in spec.outputs:
        check_output_name(name)
    _check_source(spec)
    _check_weights(spec)
    return spec


def inputs_of(table: Table) -> tuple[str, ...]:
    """The names of the pictures of an .onnx file: one, or a list; none where it has one only. Raises RecipeError."""
    given = table.any("input", None)
    if isinstance(given, list):
        return table.texts("input", ())
    return () if given is None else (table.text("input"),)


def _check_source(spec: BackboneSpec) -> None:
    """That it has what networks of its source have: an .onnx file an input and a layout, all others a name."""
    try:
        json.dumps(spec.arguments, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"[backbone] arguments: expected numbers, strings, lists and tables, got {spec.arguments}") from error
    if spec.source != "onnx" and spec.name is None:
        raise RecipeError(
            f'[backbone] name: expected the name of the network, for source = "{spec.source}", got nothing', name="missing-key"
        )
    if spec.source == "onnx" and spec.arguments:
        raise RecipeError(
            "[backbone] arguments: expected none for an .onnx file, which nothing constructs, got some", name="option-without-effect"
        )
    if spec.source != "onnx" and spec.input is not None:
        raise RecipeError(f"[backbone] input: expected for an .onnx file only, got {spec.input!r}", name="option-without-effect")
    if spec.source != "onnx" and spec.layout is not None:
        raise RecipeError(
            f"[backbone] layout: expected for an .onnx file only, got {spec.layout!r}; what the caller has is in [pixels]",
            name="option-without-effect",
        )


def _check_weights(spec: BackboneSpec) -> None:
    """That it says where its weights come from, and nothing of others."""
    if spec.source == "import" and spec.weights not in (None, "random"):
        raise RecipeError(
            f'[backbone] weights: expected none for source = "import", whose factory brings them, got {spec.weights!r}; '
            'source = "checkpoint" fills a network with a file',
            name="option-without-effect",
        )
    if spec.checkpoint_key is not None and (spec.source in ("import", "onnx") or spec.weights in (None, "random")):
        raise RecipeError(
            f"[backbone] checkpoint_key: expected beside a weights file with several networks' tensors, got {spec.checkpoint_key!r}",
            name="option-without-effect",
        )
    if spec.weights is None and spec.source != "import":
        raise RecipeError('[backbone] weights: expected a weights name, a file, or "random" with a seed, got nothing', name="missing-key")
    if (spec.weights == "random") != (spec.seed is not None):
        raise RecipeError(
            f'[backbone] seed: expected with weights = "random" and only there, got weights = "{spec.weights}", seed = {spec.seed}',
            name="conflicting-options",
        )
