"""A bare model with its preprocessing in front: the one path by which every ONNX file of this project is made."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..errors import NotFoldableError, PreprocError
from ..folding import plan_for, rewrite, spoil_border, unit_for
from ..sources import PixelsSpec
from ..steps import Affine, Sides, Step, are_whole, channels_out, collapse_steps, output_size, split_affine_end, subtract_steps
from .axes import entering, leaving
from .builder import Builder, Moved
from .messages import UNLISTED, inlined
from .nodes import append_channel, build, pixel_dtype
from .picture import HALF, Picture, any_picture, picture_input
from .walk import first_convolutions, follow


@dataclass(frozen=True)
class Attached:
    """What attach() did. folded: whether the affine end is in the weights.  reason: why not, or None.
    form: "cast", "subtract" or "append", what is left at run time.  why: the reason for the form, where half precision has one.
    convolutions: the names of the rewritten weights.
    notes: what else somebody should know.  moved: the pixels behind resizes and crops, if there are some."""

    folded: bool
    reason: str | None
    form: str | None = None
    why: str = ""
    convolutions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    moved: Moved | None = None


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
) -> Attached:
    """Puts `steps` (a FromPixels first) in front of the model's picture input `old`, of that layout, in place; the new input is `name`.
    again: whether the model has another picture with nodes of ours.

    fold: "auto" folds the affine end where that is exact and says why where it is not, "off" never folds, "require" raises
    NotFoldableError. Raises PreprocError if the model's input does not fit.
    """
    picture = picture_input(model, old, layout)
    taker, ready = picture.value, channels_out(steps, pixels.channels)
    assert taker.dtype is not None
    size = output_size(steps, pixels.size)
    picture.check_fits(pixels, channels=ready, size=size)
    prefix = _check_names(model, taker, name, again=again)
    opset = model.opset_imports.get("", 0)
    left, constant, done = _plan(picture, size, steps, pixels, ready, fold, opset)
    done = replace(done, notes=tuple(_notes(model, done)))
    value = ir.Value(
        name=name, shape=_pixel_shape(picture, pixels, f"{name}_" if again else ""), type=ir.TensorType(pixel_dtype(pixels.dtype))
    )
    builder = Builder(picture.computes, pixels.channels, opset=opset, size=pixels.size, prefix=prefix)
    output = build(builder, left, entering(builder, value, pixels))
    if constant is not None:
        output = append_channel(builder, constant, output)
    output = leaving(builder, output, pixels, value, size=size, layout=picture.layout)
    if picture.is_whole:  # they are, but for roundings
        output = builder.add("Floor", builder.add("Add", output, builder.floats(0.5)))
    if taker.dtype != builder.dtype:
        output = builder.add("Cast", output, to=taker.dtype)
    insert(model.graph, taker, value, builder, output)
    whole = Moved(str(output.name), taker.dtype, picture.layout, builder.channels) if pixels.axes == "NT" or picture.is_whole else None
    return replace(done, moved=whole or builder.moved)


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


def _plan(
    picture: Picture, size: Sides, steps: Sequence[Step], pixels: PixelsSpec, ready: int, fold: str, opset: int
) -> tuple[list[Step], float | None, Attached]:
    """Folds if it is asked for and possible: the steps that stay, the channel to append, and what was done."""
    if fold == "off":
        return collapse_steps(steps, pixels.channels), None, Attached(False, "fold = off")
    try:
        kept, affine = split_affine_end(steps, channels=ready)
        walk = follow(picture, ready, size)
        walk.check()
        found = walk.found
        for item in found:
            takes, given = item.weights()[0].shape[1] * item.reader.groups, len(item.reader.slots)
            if takes != given:
                raise PreprocError(
                    f"expected steps that make the {takes} channels which the first convolution reads, got {given}", name="channel-mismatch"
                )
        unit = 1.0
        if ir.DataType.FLOAT16 in walk.floats:
            unit = unit_for([item.weights()[0] for item in found], affine, top=np.iinfo(pixels.dtype).max)
        plan = plan_for(
            [item.reader for item in found],
            Affine(affine.matrix / unit, affine.offset),
            lambda count: [item.reader for item in first_convolutions(picture, count, size)],
            whole="each" if walk.floats & set(HALF) and pixels.dtype == "uint8" and are_whole(kept) else None,
            unit=unit,
        )
        if plan.constant is not None and opset < 11:
            raise NotFoldableError(f"appending a channel needs opset 11, the model has {opset}", name="opset-too-old")
        rewrite(found, plan)
        if plan.constant is not None or affine.channels_in != affine.channels_out:
            walk.forget_shapes()
    except NotFoldableError as error:
        if fold == "require":
            raise
        return collapse_steps(steps, pixels.channels), None, Attached(False, str(error))
    names = {str(item.constants[0].name) for item in found}
    return [*kept, *subtract_steps(plan.shift, unit=unit)], plan.constant, Attached(True, None, plan.form, plan.why, tuple(sorted(names)))


def _notes(model: ir.Model, done: Attached) -> Iterator[str]:
    if done.folded and model.ir_version < UNLISTED:
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
    fixed = {axis: side for axis, side in zip("HW", pixels.size, strict=True) if side is not None}
    new = old | {"C": pixels.channels} | free | fixed
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
