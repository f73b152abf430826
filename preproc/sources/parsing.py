"""TOML -> frozen Recipe. Every error names the file, the key, what was expected and what was got."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .. import steps
from ..errors import PreprocError, RecipeError, did_you_mean
from ..steps import COLORS, PIXEL_COLORS, PIXEL_DTYPES, YUV, FromPixels, Normalize, Step, layouts_of
from . import published
from .network import inputs_of, parse_backbone
from .recipe import USUAL, BackboneSpec, ExportSpec, Front, FurtherPicture, PixelsSpec, Recipe, taken_as
from .table import Table, Value
from .toml_file import read_toml
from .words import (
    CPUS,
    DEVICES,
    FOLDS,
    FORMATS,
    check_name,
    check_opset,
    check_outputs_precision,
    check_precision,
    check_size,
    check_tolerance,
    check_verify_sizes,
    read_labels,
)


def load_recipe(path: str | Path, *, pillow: int | None = None) -> Recipe:
    """Reads and checks a recipe. Raises RecipeError. pillow: as parse_recipe()'s."""
    return _loaded(path, functools.partial(parse_recipe, folder=Path(path).parent, pillow=pillow))


def load_front(path: str | Path, *, model_color: str | None = None) -> Front:
    """parse_front() of a recipe's file."""
    return _loaded(path, functools.partial(parse_front, folder=Path(path).parent, model_color=model_color))


def parse_front(data: Mapping[str, Any], *, folder: Path, model_color: str | None = None) -> Front:
    """What TOML's tables say of the pixels and of what is done to them, for a network that is known otherwise: [pixels], [[steps]] or
    steps_from, and [backbone] color, or `model_color` where there is none. [pixels] size may be left out, which is "dynamic". The rest may
    be there, and is not read. Raises RecipeError."""
    top = Table(data, "")
    table = top.table("backbone", {})
    color = table.choice("color", COLORS) if "color" in table.data else model_color
    if color is None:
        raise RecipeError(
            f"[backbone] color: expected what the model was trained on, there or as --model-color, got nothing{top.near('backbone')}",
            name="missing-key",
        )
    if model_color not in (None, color):
        raise RecipeError(f"[backbone] color: expected {model_color}, as --model-color says, got {color}", name="conflicting-options")
    source, name, weights = (table.text(key, None) for key in ("source", "name", "weights"))
    found = _front(top, BackboneSpec(source=source or "none", color=color, name=name, weights=weights), folder, None, sized=False)
    top.taken += ["name", "labels", "export"]
    table.taken += [field.name for field in dataclasses.fields(BackboneSpec)]
    top.finish()
    table.finish()
    return found


def _loaded(path: str | Path, parse: Callable[[Mapping[str, Any]], Value]) -> Value:
    data = read_toml(Path(path), "a recipe")
    try:
        return parse(data)
    except PreprocError as error:
        raise RecipeError(f"{path}: {error}") from error


def parse_recipe(data: Mapping[str, Any], *, folder: Path, pillow: int | None = None) -> Recipe:
    """A Recipe from TOML's tables. folder: what relative paths in it start from.  pillow: whose order of passes resizes have where the
    recipe names none, 12 or 13; None: that of the Pillow which is installed."""
    top = Table(data, "")
    name = top.text("name")
    check_name(name)
    backbone = parse_backbone(top.table("backbone"))
    front = _front(top, backbone, folder, pillow)
    further = [
        FurtherPicture(
            takes=taken_as(taker), input=taker, color=front.color, pixels=front.pixels, steps=front.steps, layout=backbone.layout
        )
        for taker in inputs_of(top.table("backbone"))[1:]
    ]
    export = _export(top.table("export", {}), folder)
    labels = read_labels(top.any("labels", ()), folder)
    top.finish()
    return Recipe(
        name=name,
        backbone=backbone,
        pixels=front.pixels,
        steps=front.steps,
        export=export,
        labels=labels,
        folder=folder,
        steps_from=front.steps_from,
        further=tuple(further),
    )


def _front(top: "Table", backbone: BackboneSpec, folder: Path, pillow: int | None, *, sized: bool = True) -> "Front":
    """sized: [pixels] size must not be left out."""
    pixels = top.table("pixels")
    first = _first(pixels, backbone.color)
    known = _published_steps(top, backbone, pillow)
    later = tuple(_step(table, backbone.color, folder, pillow) for table in top.tables("steps")) if known is None else known.steps
    sequence = (first, *later)
    channels = pixels.number("channels", steps.channels_in(sequence))
    if channels != (steps.channels_in(sequence) or channels):
        raise RecipeError(
            f"[pixels] channels: expected {steps.channels_in(sequence)}, as the colour order or the statistics say, got {channels}",
            name="channel-mismatch",
        )
    if channels is None:
        raise RecipeError(
            '[pixels] channels: expected the number of channels, for color = "ANY" does not say it, got nothing', name="shape-unknown"
        )
    try:
        steps.check(sequence, channels=channels)
    except PreprocError as error:
        raise RecipeError(f"[[steps]]: {error}") from error
    size = pixels.checked("size", check_size) if sized else pixels.checked("size", check_size, None)
    batch = pixels.number("batch", None)
    pixels.finish()
    spec = PixelsSpec.of(first, size=size, channels=channels, batch=batch)
    if steps.known(spec.size) is not None:
        try:
            spec.shape(1)
        except PreprocError as error:
            raise RecipeError(f"[pixels] size: {error}") from error
    try:
        steps.output_size(sequence, spec.size)
    except PreprocError as error:
        raise RecipeError(f"[[steps]]: {error}") from error
    return Front(spec, sequence, backbone.color, None if known is None else known.origin)


def _first(pixels: "Table", to: str) -> FromPixels:
    """What [pixels] says of a colour, which may leave the layout out where it has but one."""
    color = pixels.choice("color", PIXEL_COLORS)
    layouts = layouts_of(color)
    only = {"default": layouts[0]} if len(layouts) == 1 else {}
    layout = pixels.choice("layout", layouts, **only)
    dtype = pixels.choice("dtype", PIXEL_DTYPES, "uint8")
    said = {key: pixels.text(key, None) for key in ("matrix", "range", "conversion", "chroma", "siting")}
    try:
        return FromPixels(layout=layout, color=color, to=to, pixel_dtype=dtype, **said)
    except PreprocError as error:
        raise RecipeError(f"[pixels] {error}" if color in YUV else str(error)) from error


def _published_steps(top: "Table", backbone: BackboneSpec, pillow: int | None) -> published.Published | None:
    """What steps_from = "weights" stands for, with the recipe's own `pillow` or that one, or None without it."""
    value, own, because = top.text("steps_from", None), top.any("pillow", None), top.text("constants_because", None)
    for key, said, step in (("pillow", own, "resize"), ("constants_because", because, "normalize")):
        if value is None and said is not None:
            raise RecipeError(
                f"{key}: expected beside steps_from, got {said!r} without; in [[steps]] each {step} may say its own",
                name="option-without-effect",
            )
    if value is None:
        return None
    if value != "weights" or "steps" in top.data:
        what = "[[steps]] beside it" if "steps" in top.data else repr(value)
        raise RecipeError(f'steps_from: expected "weights", in place of [[steps]], got {what}', name="conflicting-options")
    if own is not None:
        try:
            steps.check_pillow(own, "pillow")
        except PreprocError as error:
            raise RecipeError(str(error)) from error
    try:
        known = published.of_weights(
            backbone.source,
            str(backbone.name),
            str(backbone.weights),
            pillow=pillow if own is None else own,
            constants_because=because,
        )
    except PreprocError as error:
        raise RecipeError(f"steps_from: {error}") from error
    if known.color != backbone.color:
        raise RecipeError(
            f'[backbone] color: expected "{known.color}", which its weights were trained on, got "{backbone.color}"',
            name="trained-otherwise",
        )
    return known


def _step(table: "Table", color: str, folder: Path, pillow: int | None) -> Step:
    """A step of a recipe: its own fields, and for normalize also `preset` or `stats`."""
    given = dict(table.data)
    sources = [key for key in ("preset", "stats", "mean") if key in given]
    try:
        if given.get("step") == "from_pixels":
            raise PreprocError("expected the [pixels] table instead, which makes this step", name="step-order")
        if given.get("step") != "normalize":
            return steps.parse(given, pillow=pillow)
        if len(sources) != 1:
            raise PreprocError(
                f"normalize: expected one of preset, stats, or mean with std and unit, got {' and '.join(sources) or 'none'}: "
                "nothing defaults to ImageNet",
                name="missing-constants",
            )
        if sources == ["mean"]:
            if "unit" not in given:
                raise PreprocError("normalize: expected unit = '0-1' or '0-255' beside mean and std, got nothing", name="unit-missing")
            return steps.parse(given)
        extra = [key for key in given if key not in ("step", *sources, *(("constants_because",) if sources == ["stats"] else ()))]
        if extra:
            raise PreprocError(
                f"normalize: expected nothing beside {sources[0]}, got {extra[0]!r}{did_you_mean(extra[0], ['mean', 'std'])}",
                name="conflicting-options",
            )
        order = None if color == "ANY" else color
        if not isinstance(given[sources[0]], str):
            raise PreprocError(f"normalize: expected {sources[0]} to be a string, got {given[sources[0]]!r}", name="recipe-value")
        if sources == ["preset"]:
            return Normalize.preset(given["preset"], color=order)
        return Normalize.from_stats(folder / given["stats"], color=order, constants_because=given.get("constants_because"))
    except PreprocError as error:
        raise RecipeError(f"{table.where}: {error}") from error


def _export(table: "Table", folder: Path) -> ExportSpec:
    formats = table.texts("formats", USUAL)
    for item in formats:
        if item not in FORMATS:
            raise RecipeError(
                f"[export] formats: expected some of {', '.join(FORMATS)}, got {item!r}{did_you_mean(item, FORMATS)}", name="unknown-choice"
            )
    if "tf32" in table.data:
        raise RecipeError(
            f'[export] tf32: expected precision = "tf32", which has taken its place, got tf32 = {table.data["tf32"]!r}', name="unknown-key"
        )
    images = table.text("images", None)
    precision = table.checked("precision", check_precision, "float32")
    spec = ExportSpec(
        formats=tuple(formats),
        fold=table.choice("fold", FOLDS, "auto"),
        opset=table.checked("opset", check_opset, ExportSpec.opset),
        images=None if images is None else folder / images,
        tolerance=table.checked("tolerance", check_tolerance, None),
        precision=precision,
        outputs_precision=table.checked("outputs_precision", lambda value: check_outputs_precision(value, precision), "float32"),
        verify_sizes=table.checked("verify_sizes", check_verify_sizes, ()),
        cpu=table.choice("cpu", CPUS, ExportSpec.cpu),
        device=table.choice("device", DEVICES, ExportSpec.device),
    )
    table.finish()
    return spec
