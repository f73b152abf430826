"""A bare model with its preprocessing in front: the one path by which every ONNX file of this project is made."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..errors import NotFoldableError, PreprocError
from ..folding import Eight, spoil_border
from ..sources import PixelsSpec
from ..steps import Affine, FromPixels, Geometry, Sides, Step, are_whole, channels_out, collapse_steps, output_size
from .axes import entering, leaving, sides_of_one
from .builder import Builder, Moved
from .folded import Left, fold_into
from .held import Held, held_of
from .messages import UNLISTED, inlined
from .nodes import append_channel, build, pixel_dtype
from .picture import Picture, any_picture, picture_input
from .pixels import blurred, quantize_pixels, quantizes
from .walk import first_convolutions, follow


@dataclass(frozen=True)
class Attached:
    """What attach() did. folded: whether the affine end is in the weights.  reason: why not, or None.
    form: "cast", "subtract" or "append", what is left at run time, or "quantized", nothing.  why: the reason for it, where there is one.
    convolutions: the names of the rewritten weights.  selected: which of the pixels' channels are chosen in front of what is folded, where
    they are.  near: how far padding is from what it was, in grey levels, where that was asked for.  border: by the name of what each first
    layer makes, the largest error of that there.  chroma: as Left's.  notes: what else somebody should know.  moved: the pixels behind
    resizes and crops, if there are some, or behind what makes a picture of Y, U and V, or luma and chroma.  levels: these, where they are
    whole and something else comes behind them.  held: what is on a grid of 8 bits, where that was asked for."""

    folded: bool
    reason: str | None
    form: str | None = None
    why: str = ""
    convolutions: tuple[str, ...] = ()
    selected: tuple[int, ...] = ()
    near: float = 0.0
    border: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    moved: Moved | None = None
    levels: Moved | None = None
    held: Held | None = None
    chroma: str = ""


def attach(
    model: ir.Model,
    steps: Sequence[Step],
    pixels: PixelsSpec,
    *,
    fold: str = "auto",
    name: str = "pixels",
    old: str | None = None,
    layout: str | None = None,
    again: bool = False,
    wide: ir.Model | None = None,
    eight: Eight | None = None,
) -> Attached:
    """Puts `steps` (a FromPixels first) in front of the model's picture input `old`, of that layout, in place; the new input is `name`.
    again: whether the model has another picture with nodes of ours.  wide: of a model in half precision, the same one before it was
    narrowed, whose weights are rounded once then.  eight: the fold is made for pixels that are a quantized tensor.

    fold: "auto" folds the affine end where that is exact and says why where it is not, "off" never folds, "require" raises
    NotFoldableError. Where the model quantizes its picture first, the pixels become the quantized numbers: see quantize_pixels().
    Raises PreprocError if the model's input does not fit.
    """
    picture = picture_input(model, old, layout)
    taker, ready = picture.value, channels_out(steps, pixels.channels)
    assert taker.dtype is not None
    size = output_size(steps, pixels.size)
    picture.check_fits(pixels, channels=ready, size=size)
    prefix = _check_names(model, taker, name, again=again)
    opset = model.opset_imports.get("", 0)
    are_levels = are_whole(step for step in steps if isinstance(step, Geometry))
    quantized = fold != "off" and quantizes(picture, ready, size) and are_levels
    asked = "auto" if quantized else fold
    left, done = _fold(asked, lambda: fold_into(picture, steps, pixels, channels=ready, size=size, opset=opset, wide=wide, eight=eight))
    done = replace(done, notes=tuple(_notes(model, done)))
    value = ir.Value(
        name=name, shape=_pixel_shape(picture, pixels, f"{name}_" if again else ""), type=ir.TensorType(pixel_dtype(pixels.dtype))
    )
    given = None if left is None else left.given
    builder = Builder(picture.computes, pixels.channels, opset=opset, size=pixels.size, prefix=prefix)
    output, whole, dtype = value, None, taker.dtype
    if given is not None:
        whole = given.put(builder, value, pixels)
    else:
        remaining = collapse_steps(steps, pixels.channels) if left is None else left.steps
        output = build(builder, remaining, entering(builder, value, pixels))
        if left is not None and left.constant is not None:
            output = append_channel(builder, left.constant, output)
        output = leaving(builder, output, pixels, value, size=size, layout=picture.layout)
        if picture.is_whole:  # they are, but for roundings
            output = builder.add("Floor", builder.add("Add", output, builder.floats(0.5)))
        if dtype != builder.dtype:
            output = builder.add("Cast", output, to=dtype)
        if pixels.axes == "NT" or picture.is_whole or (left is not None and left.constant is not None):  # the map is not seen, or not whole
            whole = Moved(str(output.name), dtype, picture.layout, builder.channels)
    insert(model.graph, taker, value, builder, output)
    if eight is not None and left is not None:
        read = Moved(str(output.name), taker.dtype, picture.layout, builder.channels)
        done = replace(done, held=held_of(output, read, left.found, int(left.zero), left.anchor, left.constant))
    if left is not None and left.near is not None:
        done = replace(done, near=left.near.levels, border=left.near.errors(output, picture.layout, size))
    done = replace(done, moved=whole or builder.moved, levels=builder.moved if are_levels else None)
    if not quantized:
        return done
    try:
        _check_unmixed(steps)
        done, why = hand_over(model, name, pixels, size, done)
    except NotFoldableError as error:
        if fold == "require":
            raise
        return replace(done, reason=str(error), notes=(*done.notes, *blurred(*_levels(model, name, pixels, size, done))))
    return replace(done, folded=True, reason=None, form="quantized", why=why)


def _check_unmixed(steps: Sequence[Step]) -> None:
    """Raises NotFoldableError where nodes of ours make something else of the pixels than whole levels."""
    first = steps[0]
    if isinstance(first, FromPixels) and first.conversion == "linear" and not first.of_luma:
        raise NotFoldableError(
            f"{first.color} pixels are mixed to {first.to} in front of what quantizes the picture, whose numbers are none of theirs",
            name="fold-quantized-grid",
        )


def hand_over(model: ir.Model, name: str, pixels: PixelsSpec, size: Sides, done: Attached) -> tuple[Attached, str]:
    """Makes the pixels, the input of that name, or the whole grey levels behind resizes and crops, what the model quantizes first, in
    place; and tells why that is the same. size: of the latter. Raises NotFoldableError as quantize_pixels() does."""
    why, levels = quantize_pixels(*_levels(model, name, pixels, size, done))
    left = {made.name for node in model.graph for made in node.outputs}
    if done.moved != done.levels and done.moved is not None and done.moved.to in left:  # behind an appended channel
        return done, why
    return replace(done, moved=done.levels and replace(done.levels, to=levels, dtype=ir.DataType.UINT8)), why


def _levels(model: ir.Model, name: str, pixels: PixelsSpec, size: Sides, done: Attached) -> tuple[Picture, int, Sides]:
    picture = any_picture(model, name, pixels.whole_layout)
    if done.levels is None:
        return picture, pixels.channels, pixels.size
    value = next(made for node in model.graph for made in node.outputs if made.name == done.levels.to)
    value.type = ir.TensorType(done.levels.dtype)
    return replace(picture, value=value, layout=done.levels.layout), pixels.channels, size


def _check_names(model: ir.Model, taker: ir.Value, name: str, *, again: bool) -> str:
    """What the names of our values begin with. Raises PreprocError if another value than the picture input, which goes, has one of them."""
    values = [*model.graph.inputs, *model.graph.initializers.values(), *(made for node in model.graph.all_nodes() for made in node.outputs)]
    taken = {str(value.name) for value in values if value is not taker}
    if name in taken:
        raise PreprocError(
            f"expected a model without a value named {name!r}, which will be the input's name, got one; rename it", name="unusable-name"
        )
    prefix = f"preproc/{name}" if again else "preproc"
    ours = sorted(value for value in taken if value.startswith(f"{prefix}/") or (value.endswith("/preproc") and not again))
    if ours:
        raise PreprocError(
            f"expected a model without values named preproc/... or .../preproc, got {ours[0]!r}; rename it", name="unusable-name"
        )
    return prefix


def opened(model: ir.Model, channels: int, *, name: str | None = None, layout: str | None = None) -> ir.Model:
    """The loaded model with those model-local functions in place of their calls that the picture enters; itself where it enters none."""
    before: list[tuple[str, str]] = []
    while True:
        picture = any_picture(model, name, layout)
        met = {node.op_identifier() for node in follow(picture, picture.channels or channels).strangers}
        calls = sorted((domain, kind) for domain, kind, overload in met if (domain, kind, overload) in model.functions)
        if not calls or calls == before:  # the same again: functions that call each other
            return model
        model, before = inlined(model, calls), calls


def _fold(fold: str, into: Callable[[], Left]) -> tuple[Left | None, Attached]:
    """Folds if it is asked for and possible."""
    if fold == "off":
        return None, Attached(False, "fold = off")
    try:
        left = into()
    except NotFoldableError as error:
        if fold == "require":
            raise
        return None, Attached(False, str(error))
    return left, Attached(True, None, left.form, left.why, left.convolutions, left.selected, chroma=left.chroma)


def _notes(model: ir.Model, done: Attached) -> Iterator[str]:
    if done.convolutions and model.ir_version < UNLISTED:
        weights = ", ".join(done.convolutions) + ", nor their biases"
        yield f"weights are listed as inputs, as IR version {model.ir_version} demands: callers must not override {weights}"
    if any(key.endswith("stack_trace") for node in model.graph.all_nodes() for key in node.metadata_props):
        yield "holds stack traces of the machine it was exported on, in its nodes' metadata, which stays as it was"


def _pixel_shape(picture: Picture, pixels: PixelsSpec, word: str) -> ir.Shape:
    """The old input's batch, height and width, symbols included, but for a side that the pixels fix, or leave free where the model's is
    not. word: in front of our own names of free sides: sides of one name are of one size."""
    shape = picture.value.shape
    assert shape is not None
    old = dict(zip(picture.layout, shape, strict=True))
    free = {
        axis: ir.SymbolicDim(f"{word}{name}") if isinstance(old[axis], int) else old[axis]
        for axis, name in (("H", "height"), ("W", "width"))
    }
    free |= {"H": ir.SymbolicDim(f"{word}height*3/2")} if pixels.layout == "NHW" else {}
    fixed = {axis: side for axis, side in zip(pixels.layout[1:], sides_of_one(pixels), strict=True) if side is not None}
    new = old | free | fixed
    return ir.Shape([new[axis] for axis in pixels.whole_layout])


def insert(graph: ir.Graph, old: ir.Value, new: ir.Value, builder: Builder, output: ir.Value) -> None:
    """Swaps the input, and makes every reader of the old one read the nodes' output."""
    if len(graph) == 0:
        raise PreprocError("expected a model that computes something, got one without nodes", name="no-picture-input")
    if old in graph.outputs:
        raise PreprocError(f"expected a model that computes something, got one that returns its input {old.name}", name="no-picture-input")
    for value in builder.constants:
        graph.register_initializer(value)
    for user, index in tuple(old.uses()):
        user.replace_input_with(index, output)
    first = graph[0]
    graph.insert_before(first, builder.nodes)
    graph.inputs[list(graph.inputs).index(old)] = new


def uncorrected_border(picture: Picture, affine: Affine, *, size: Sides = (None, None)) -> NDArray[np.float64] | None:
    """Makes the known mistake, in place, in the model whose picture input this is: see folding.spoil_border(). size: as follow()'s.

    Returns what has to be subtracted from the input, (C,), or None where there is no mistake to be made.
    """
    try:
        found = first_convolutions(picture, affine.channels_out, size)
    except PreprocError:
        return None
    return spoil_border(found, affine)
