"""TOML -> frozen Recipe. Every error names the file, the key, what was expected and what was got."""

import dataclasses
import functools
import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from .. import steps
from ..errors import PreprocError, RecipeError, did_you_mean
from ..steps import COLORS, LAYOUTS, PIXEL_DTYPES, FromPixels, Normalize, Step
from . import published

SOURCES = ("embedded", "torchvision", "timm", "checkpoint", "import", "onnx")
OWN_CODE = ("checkpoint", "import")
"""The sources that run code which the recipe names."""
FORMATS = ("onnx", "torchscript", "pt2")
USUAL = ("onnx", "torchscript")
"""The formats of a recipe that names none."""
FOLDS = ("auto", "off", "require")
_REQUIRED = object()
_Value = TypeVar("_Value")


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """source, name, arguments, weights, checkpoint_key: see models/README.md.  color: the order the network was trained on.  override: why
    its own constants are not used.  outputs: their names, or () for those that the network gives them.  input: of an .onnx file with
    several, the one that takes the picture.  layout: NCHW or NHWC, of that input, where the file does not tell."""

    source: str
    color: str
    name: str | None = None
    weights: str | None = None
    checkpoint_key: str | None = None
    seed: int | None = None
    override: str | None = None
    outputs: tuple[str, ...] = ()
    input: str | None = None
    layout: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PixelsSpec:
    """What the caller has. size: (height, width), or None where both are dynamic.  channels: only for color = "ANY".  batch: None where it
    is free; a number where an .onnx file fixes it."""

    layout: str
    color: str
    dtype: str
    size: tuple[int, int] | None
    channels: int
    batch: int | None = None

    def shape(self, batch: int, size: tuple[int, int] | None = None) -> tuple[int, ...]:
        """The shape of a batch of pixels, with `size` where it is dynamic."""
        height, width = self.size or size or (64, 64)
        return (batch, height, width, self.channels) if self.layout == "NHWC" else (batch, self.channels, height, width)


@dataclass(frozen=True, kw_only=True)
class ExportSpec:
    """formats: which files.  fold: auto, off or require.  images: a folder of pictures to verify with and to take golden samples from.
    tolerance: how far a runtime may be from the reference, relative to the largest output; None: as far as the bare network's own error in
    that runtime makes necessary.  tf32: whether CUDA devices may compute in TF32."""

    formats: tuple[str, ...] = USUAL
    fold: str = "auto"
    opset: int = 18
    images: Path | None = None
    tolerance: float | None = None
    tf32: bool = False


@dataclass(frozen=True)
class Front:
    """What stands in front of a network: steps begin with the FromPixels that `pixels` and the network's colour order, `color`, make."""

    pixels: PixelsSpec
    steps: tuple[Step, ...]
    color: str
    steps_from: str | None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One exported model. steps begin with the FromPixels that [pixels] and the backbone's colour order make.  steps_from: where the others
    were published, if that is where they come from."""

    name: str
    backbone: BackboneSpec
    pixels: PixelsSpec
    steps: tuple[Step, ...]
    export: ExportSpec = ExportSpec()
    labels: tuple[str, ...] = ()
    folder: Path = Path()
    steps_from: str | None = None

    @property
    def ready_size(self) -> tuple[int, int] | None:
        """(height, width) of what the backbone gets; None where it is free."""
        return steps.output_size(self.steps, self.pixels.size)

    def resolve(self, name: str) -> Path:
        """A path that the recipe gives, relative to the recipe's folder."""
        return self.folder / name


def load_recipe(path: str | Path, *, pillow: int | None = None) -> Recipe:
    """Reads and checks a recipe. Raises RecipeError. pillow: as parse_recipe()'s."""
    return _loaded(path, functools.partial(parse_recipe, folder=Path(path).parent, pillow=pillow))


def load_front(path: str | Path, *, model_color: str | None = None) -> Front:
    """parse_front() of a recipe's file."""
    return _loaded(path, functools.partial(parse_front, folder=Path(path).parent, model_color=model_color))


def parse_front(data: Mapping[str, Any], *, folder: Path, model_color: str | None = None) -> Front:
    """What TOML's tables say of the pixels and of what is done to them, for a network that is known otherwise: [pixels], [[steps]] or
    steps_from, and [backbone] color, or `model_color` where there is none. The rest may be there, and is not read. Raises RecipeError."""
    top = _Table(data, "")
    table = top.table("backbone", {})
    color = table.choice("color", COLORS) if "color" in table.data else model_color
    if color is None:
        raise RecipeError("[backbone] color: expected what the model was trained on, there or as --model-color, got nothing")
    if model_color not in (None, color):
        raise RecipeError(f"[backbone] color: expected {model_color}, as --model-color says, got {color}")
    source, name, weights = (table.text(key, None) for key in ("source", "name", "weights"))
    found = _front(top, BackboneSpec(source=source or "none", color=color, name=name, weights=weights), folder, None)
    top.taken += ["name", "labels", "export"]
    table.taken += [field.name for field in dataclasses.fields(BackboneSpec)]
    top.finish()
    table.finish()
    return found


def _loaded(path: str | Path, parse: Callable[[Mapping[str, Any]], _Value]) -> _Value:
    path = Path(path)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{path}: expected a recipe, got {error.strerror or error}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"{path}: expected TOML, got something else: {error}") from error
    try:
        return parse(data)
    except PreprocError as error:
        raise RecipeError(f"{path}: {error}") from error


def parse_recipe(data: Mapping[str, Any], *, folder: Path, pillow: int | None = None) -> Recipe:
    """A Recipe from TOML's tables. folder: what relative paths in it start from.  pillow: whose order of passes resizes have where the
    recipe names none, 12 or 13; None: that of the Pillow which is installed."""
    top = _Table(data, "")
    name = top.text("name")
    check_name(name)
    backbone = _backbone(top.table("backbone"))
    front = _front(top, backbone, folder, pillow)
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
    )


def _front(top: "_Table", backbone: BackboneSpec, folder: Path, pillow: int | None) -> "Front":
    pixels = top.table("pixels")
    first = FromPixels(
        layout=pixels.choice("layout", LAYOUTS),
        color=pixels.choice("color", COLORS),
        to=backbone.color,
        pixel_dtype=pixels.choice("dtype", PIXEL_DTYPES, "uint8"),
    )
    known = _published_steps(top, backbone, pillow)
    later = tuple(_step(table, backbone.color, folder, pillow) for table in top.tables("steps")) if known is None else known.steps
    sequence = (first, *later)
    channels = pixels.number("channels", steps.channels_in(sequence))
    if channels != (steps.channels_in(sequence) or channels):
        raise RecipeError(
            f"[pixels] channels: expected {steps.channels_in(sequence)}, as the colour order or the statistics say, got {channels}"
        )
    if channels is None:
        raise RecipeError('[pixels] channels: expected the number of channels, for color = "ANY" does not say it, got nothing')
    try:
        steps.check(sequence, channels=channels)
    except PreprocError as error:
        raise RecipeError(f"[[steps]]: {error}") from error
    size, batch = pixels.checked("size", check_size), pixels.number("batch", None)
    pixels.finish()
    spec = PixelsSpec(layout=first.layout, color=first.color, dtype=first.pixel_dtype, size=size, channels=channels, batch=batch)
    return Front(spec, sequence, backbone.color, None if known is None else known.origin)


def _published_steps(top: "_Table", backbone: BackboneSpec, pillow: int | None) -> published.Published | None:
    """What steps_from = "weights" stands for, with the recipe's own `pillow` or that one, or None without it."""
    value, own, because = top.text("steps_from", None), top.any("pillow", None), top.text("constants_because", None)
    for key, said, step in (("pillow", own, "resize"), ("constants_because", because, "normalize")):
        if value is None and said is not None:
            raise RecipeError(f"{key}: expected beside steps_from, got {said!r} without; in [[steps]] each {step} may say its own")
    if value is None:
        return None
    if value != "weights" or "steps" in top.data:
        what = "[[steps]] beside it" if "steps" in top.data else repr(value)
        raise RecipeError(f'steps_from: expected "weights", in place of [[steps]], got {what}')
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
        raise RecipeError(f'[backbone] color: expected "{known.color}", which its weights were trained on, got "{backbone.color}"')
    return known


def _backbone(table: "_Table") -> BackboneSpec:
    spec = BackboneSpec(
        source=table.choice("source", SOURCES),
        color=table.choice("color", COLORS),
        name=table.text("name", None),
        weights=table.text("weights", None),
        checkpoint_key=table.text("checkpoint_key", None),
        seed=table.number("seed", None),
        override=table.text("override", None),
        outputs=table.texts("outputs", ()),
        input=table.text("input", None),
        layout=table.choice("layout", LAYOUTS) if "layout" in table.data else table.any("layout", None),
        arguments=table.table("arguments", {}).data,
    )
    table.finish()
    for name in spec.outputs:
        check_output_name(name)
    try:
        json.dumps(spec.arguments, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"[backbone] arguments: expected numbers, strings, lists and tables, got {spec.arguments}") from error
    if spec.source != "onnx" and spec.name is None:
        raise RecipeError(f'[backbone] name: expected the name of the network, for source = "{spec.source}", got nothing')
    if spec.source == "onnx" and spec.arguments:
        raise RecipeError("[backbone] arguments: expected none for an .onnx file, which nothing constructs, got some")
    if spec.source != "onnx" and spec.input is not None:
        raise RecipeError(f"[backbone] input: expected for an .onnx file only, got {spec.input!r}")
    if spec.source != "onnx" and spec.layout is not None:
        raise RecipeError(f"[backbone] layout: expected for an .onnx file only, got {spec.layout!r}; what the caller has is in [pixels]")
    if spec.source == "import" and spec.weights not in (None, "random"):
        raise RecipeError(
            f'[backbone] weights: expected none for source = "import", whose factory brings them, got {spec.weights!r}; '
            'source = "checkpoint" fills a network with a file'
        )
    if spec.checkpoint_key is not None and (spec.source in ("import", "onnx") or spec.weights in (None, "random")):
        raise RecipeError(
            f"[backbone] checkpoint_key: expected beside a weights file with several networks' tensors, got {spec.checkpoint_key!r}"
        )
    if spec.weights is None and spec.source != "import":
        raise RecipeError('[backbone] weights: expected a weights name, a file, or "random" with a seed, got nothing')
    if (spec.weights == "random") != (spec.seed is not None):
        raise RecipeError(
            f'[backbone] seed: expected with weights = "random" and only there, got weights = "{spec.weights}", seed = {spec.seed}'
        )
    return spec


def check_name(name: str) -> None:
    """A recipe's name is a folder's. Raises RecipeError."""
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name.startswith("."):
        raise RecipeError(f"name: expected letters, digits, '-', '_' and '.', for it names a folder, got {name!r}")


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


def check_output_name(name: str) -> None:
    """An output's name is also a file's, in golden/. Raises RecipeError."""
    if not name.replace("_", "").replace("-", "").isalnum() or name == "pixels":
        raise RecipeError(f"[backbone] outputs: expected letters, digits, '-' and '_', and not 'pixels', got {name!r}")


def _step(table: "_Table", color: str, folder: Path, pillow: int | None) -> Step:
    """A step of a recipe: its own fields, and for normalize also `preset` or `stats`."""
    given = dict(table.data)
    sources = [key for key in ("preset", "stats", "mean") if key in given]
    try:
        if given.get("step") == "from_pixels":
            raise PreprocError("expected the [pixels] table instead, which makes this step")
        if given.get("step") != "normalize":
            return steps.parse(given, pillow=pillow)
        if len(sources) != 1:
            raise PreprocError(
                f"normalize: expected one of preset, stats, or mean with std and unit, got {' and '.join(sources) or 'none'}: "
                "nothing defaults to ImageNet"
            )
        if sources == ["mean"]:
            if "unit" not in given:
                raise PreprocError("normalize: expected unit = '0-1' or '0-255' beside mean and std, got nothing")
            return steps.parse(given)
        extra = [key for key in given if key not in ("step", *sources, *(("constants_because",) if sources == ["stats"] else ()))]
        if extra:
            raise PreprocError(
                f"normalize: expected nothing beside {sources[0]}, got {extra[0]!r}{did_you_mean(extra[0], ['mean', 'std'])}"
            )
        order = None if color == "ANY" else color
        if not isinstance(given[sources[0]], str):
            raise PreprocError(f"normalize: expected {sources[0]} to be a string, got {given[sources[0]]!r}")
        if sources == ["preset"]:
            return Normalize.preset(given["preset"], color=order)
        return Normalize.from_stats(folder / given["stats"], color=order, constants_because=given.get("constants_because"))
    except PreprocError as error:
        raise RecipeError(f"{table.where}: {error}") from error


def check_size(value: object) -> tuple[int, int] | None:
    """(height, width), or None for "dynamic". Raises RecipeError."""
    if isinstance(value, str) and value == "dynamic":
        return None
    sides = list(value) if isinstance(value, (list, tuple)) else []
    if len(sides) != 2 or not all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in sides):
        raise RecipeError(f'size: expected [height, width] or "dynamic", got {value!r}')
    return sides[0], sides[1]


def _export(table: "_Table", folder: Path) -> ExportSpec:
    formats = table.texts("formats", USUAL)
    for item in formats:
        if item not in FORMATS:
            raise RecipeError(f"[export] formats: expected some of {', '.join(FORMATS)}, got {item!r}{did_you_mean(item, FORMATS)}")
    images = table.text("images", None)
    spec = ExportSpec(
        formats=tuple(formats),
        fold=table.choice("fold", FOLDS, "auto"),
        opset=table.checked("opset", check_opset, ExportSpec.opset),
        images=None if images is None else folder / images,
        tolerance=table.checked("tolerance", check_tolerance, None),
        tf32=table.flag("tf32", False),
    )
    table.finish()
    return spec


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


class _Table:
    """One TOML table, its keys taken one by one; finish() refuses what nobody took."""

    def __init__(self, data: Mapping[str, Any], where: str) -> None:
        self.data, self.where, self.taken = data, where, list[str]()

    def any(self, key: str, default: Any = _REQUIRED) -> Any:
        self.taken.append(key)
        if key in self.data:
            return self.data[key]
        if default is _REQUIRED:
            close = [other for other in self.data if other not in self.taken and did_you_mean(other, [key])]
            raise RecipeError(f"{self._key(key)}: expected a value, got nothing{f'; did you mean it by {close[0]!r}?' if close else ''}")
        return default

    def text(self, key: str, default: Any = _REQUIRED) -> Any:
        return self._typed(key, default, str, "a string")

    def number(self, key: str, default: int | None = None) -> int | None:
        value: int | None = self._typed(key, default, int, "a whole number")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self.any(key, default)
        if not isinstance(value, bool):
            raise RecipeError(f"{self._key(key)}: expected true or false, got {value!r}")
        return value

    def checked(self, key: str, check: Callable[[object], _Value], default: Any = _REQUIRED) -> _Value:
        """What `check` makes of the value; a default is taken as it is."""
        value = self.any(key, default)
        if value is default:
            return default  # type: ignore[no-any-return]
        try:
            return check(value)
        except RecipeError as error:
            raise RecipeError(f"{self.where} {error}" if self.where else str(error)) from error

    def texts(self, key: str, default: Iterable[str]) -> tuple[str, ...]:
        values = self._typed(key, list(default), list, "a list of strings")
        if not all(isinstance(value, str) for value in values) or len(set(values)) != len(values) or (key in self.data and not values):
            raise RecipeError(f"{self._key(key)}: expected a list of different strings, got {values!r}")
        return tuple(values)

    def choice(self, key: str, known: Iterable[str], default: Any = _REQUIRED) -> str:
        value: str = self.text(key, default)
        if value not in known:
            raise RecipeError(f"{self._key(key)}: expected one of {', '.join(known)}, got {value!r}{did_you_mean(value, known)}")
        return value

    def table(self, key: str, default: Any = _REQUIRED) -> "_Table":
        return _Table(self._typed(key, default, dict, "a table"), f"[{key}]")

    def tables(self, key: str) -> "list[_Table]":
        if key not in self.data:
            raise RecipeError(f"[[{key}]]: expected the preprocessing steps, got nothing: a network that takes grey levels says {key} = []")
        values = self._typed(key, _REQUIRED, list, "a list of tables")
        for position, value in enumerate(values, start=1):
            if not isinstance(value, dict):
                raise RecipeError(f"{key}[{position}]: expected a table, got {value!r}")
        return [_Table(value, f"[[{key}]] number {position}") for position, value in enumerate(values, start=1)]

    def finish(self) -> None:
        for key in self.data:
            if key not in self.taken:
                raise RecipeError(
                    f"{self._key(key)}: expected one of {', '.join(self.taken)}, got an unknown key{did_you_mean(key, self.taken)}"
                )

    def _typed(self, key: str, default: Any, kind: type, word: str) -> Any:
        value = self.any(key, default)
        if value is not default and (not isinstance(value, kind) or isinstance(value, bool)):
            raise RecipeError(f"{self._key(key)}: expected {word}, got {value!r}")
        return value

    def _key(self, key: str) -> str:
        return f"{self.where} {key}" if self.where else key


def replace(recipe: Recipe, **changes: Any) -> Recipe:
    """A copy with other fields of the backbone, pixels or export tables: replace(recipe, backbone={"weights": "random", "seed": 0})."""
    fields = {
        key: dataclasses.replace(getattr(recipe, key), **value) if isinstance(value, dict) else value for key, value in changes.items()
    }
    return dataclasses.replace(recipe, **fields)
