"""A Model that somebody built in Python -> the recipe that says the same, and its backbone. The model itself is not touched."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import PreprocError, check_choice
from ..sources import (
    CPUS,
    DEVICES,
    FOLDS,
    BackboneSpec,
    ExportSpec,
    PixelsSpec,
    Recipe,
    check_name,
    check_opset,
    check_outputs_precision,
    check_precision,
    check_size,
    check_tolerance,
    check_verify_sizes,
    read_labels,
)
from ..steps import YUV, FromPixels, Size, channels_in

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from ..layers import Model
    from ..sources.backbones import Backbone


def recipe_of(
    model: "Model",
    formats: tuple[str, ...],
    *,
    example: "Tensor | NDArray[Any] | None" = None,
    size: object = None,
    name: str | None = None,
    labels: "Sequence[str] | str | Path" = (),
    outputs: Sequence[str] = (),
    override: str | None = None,
    fold: str = "auto",
    opset: int = ExportSpec.opset,
    tolerance: float | None = None,
    precision: str = "float32",
    outputs_precision: str = "float32",
    verify_sizes: object = (),
    cpu: str = ExportSpec.cpu,
    device: str = ExportSpec.device,
) -> "tuple[Recipe, Backbone]":
    """A recipe for a Model that somebody built in Python; the model itself is not touched."""
    import torch

    from ..layers import Model, Pipeline
    from ..sources.backbones import Backbone

    if not isinstance(model, Model) or not isinstance(model.pipeline, Pipeline):
        raise PreprocError(f"expected a Recipe, or a Model made by prepend(), got {type(model).__name__}", name="wrong-object")
    sequence = model.pipeline.steps()
    if not sequence or not isinstance(sequence[0], FromPixels):
        raise PreprocError(
            "expected a pipeline that starts with FromPixels, for the file takes pixels, got one that does not", name="no-from-pixels"
        )
    pixels = _pixels(sequence[0], channels_in(sequence), example, size)
    kinds = {value.dtype for value in model.backbone.parameters()} - {torch.float32}
    if kinds:
        raise PreprocError(
            f"expected a backbone with float32 weights, got {', '.join(map(str, kinds))}; call .float() on a copy of it", name="not-float32"
        )
    backbone = Backbone(copy.deepcopy(model.backbone).to("cpu").eval().requires_grad_(False), "as given", True)
    kind = type(model.backbone).__name__
    name = kind.lower() if name is None else name
    check_name(name)
    for word, value, known in (("fold", fold, FOLDS), ("cpu", cpu, CPUS), ("device", device, DEVICES)):
        check_choice(word, value, known)
    tolerance = None if tolerance is None else check_tolerance(tolerance)
    recipe = Recipe(
        name=name,
        backbone=BackboneSpec(
            source="module", color=sequence[0].to, name=kind, weights="as given", outputs=tuple(outputs), override=override
        ),
        pixels=pixels,
        steps=sequence,
        export=ExportSpec(
            formats=formats,
            fold=fold,
            opset=check_opset(opset),
            tolerance=tolerance,
            precision=check_precision(precision),
            outputs_precision=check_outputs_precision(outputs_precision, precision),
            verify_sizes=check_verify_sizes(verify_sizes) if verify_sizes else (),
            cpu=cpu,
            device=device,
        ),
        labels=read_labels(labels),
    )
    return recipe, backbone


def _pixels(first: FromPixels, channels: int | None, example: "Tensor | NDArray[Any] | None", size: object) -> PixelsSpec:
    """What the caller has: of the example's size, or of `size` where that is said. channels: where the steps tell."""
    sides = (None, None) if size is None else check_size(size)
    wanted = f"expected example=, a batch of pixels of the size that the file shall take, {len(first.layout)}-D"
    if example is None and channels is None:
        raise PreprocError(
            f'expected example=, a batch of pixels, for their number of channels, which color = "{first.color}" and the other steps do not '
            f"say, got {'none' if size is None else f'size={size!r} alone'}",
            name="shape-unknown",
        )
    if example is None and size is None:
        raise PreprocError(f"{wanted}, or size=, got none", name="shape-unknown")
    if example is not None:
        shape, dtype = tuple(getattr(example, "shape", ())), str(getattr(example, "dtype", type(example).__name__)).removeprefix("torch.")
        if len(shape) != len(first.layout):
            raise PreprocError(f"{wanted}, got one of shape {shape}", name="not-a-batch")
        if dtype != first.pixel_dtype:
            raise PreprocError(f"expected example= of {first.pixel_dtype} pixels, got {dtype}", name="pixel-dtype")
        channels, given = _taken(first, channels, tuple(map(int, shape)))
        if any(side not in (None, own) for side, own in zip(sides, given, strict=True)):
            raise PreprocError(
                f'expected size= to be the example\'s height and width, {given}, or "dynamic" for one of them or both, got {size}',
                name="shape-mismatch",
            )
        sides = given if size is None else sides
    assert channels is not None
    return PixelsSpec.of(first, size=sides, channels=channels)


def _taken(first: FromPixels, channels: int | None, shape: tuple[int, ...]) -> tuple[int, Size]:
    """The channels of an example of that shape, which may not be said otherwise, and its height and width."""
    if first.color in YUV:
        return first.channels() or 3, YUV[first.color].size(first.layout, shape[1:])
    axis, nhwc = (3, True) if first.layout == "NHWC" else (1, False)
    channels = channels or shape[axis]
    if shape[axis] != channels:
        raise PreprocError(
            f"expected example= of shape (N, {'H, W, ' if nhwc else ''}{channels}{'' if nhwc else ', H, W'}), got {shape}",
            name="shape-mismatch",
        )
    return channels, (shape[1], shape[2]) if nhwc else (shape[2], shape[3])
