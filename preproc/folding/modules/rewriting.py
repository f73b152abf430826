"""Model -> Model with the affine end of the pipeline inside the backbone's first convolution."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import ml_dtypes  # which onnx and onnx-ir need
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ... import layers
from ...errors import NotFoldableError, PreprocError
from ...layers import Model, Pipeline
from ...steps import PIXEL_DTYPES, Affine, FromPixels, Step, are_whole, split_affine_end, subtract_steps
from .. import (
    FOLDED,
    Cells,
    Reader,
    Whole,
    plan_for,
    plan_on_cells,
    planes_or_pixels,
    rewrite,
    selected,
    spoil_border,
    unit_for,
    whole_or_scaled,
)
from .cells import stand_in_on_cells, to_cells
from .running import Original
from .walk import TAKING_BIAS, first_convolutions

HALF: dict[Any, Any] = {torch.float16: np.float16, torch.bfloat16: ml_dtypes.bfloat16}
"""What half precision is for NumPy."""


@dataclass(frozen=True)
class FoldResult:
    """model: the folded copy, or the collapsed one where nothing could be folded.  folded: which of the two.  reason: why not.
    form: what is left at run time besides the cast: "cast" (nothing), "subtract" or "append".
    convolutions: the names of the weights that took the map up.  refusal: whose message the reason is.  why: the reason for the form, in
    half precision.  selected: which of the pixels' channels are chosen in front, where the network asks for that, see whole_or_scaled().
    chroma: of pixels that share it, FOLDED where the convolutions read it as it is, or why each pixel is given its own in front of them."""

    model: Model
    folded: bool
    reason: str | None
    form: str | None = None
    convolutions: tuple[str, ...] = ()
    refusal: NotFoldableError | None = None
    why: str = ""
    selected: tuple[int, ...] = ()
    chroma: str = ""


def fold(model: Model, *, example: Tensor, dtype: torch.dtype | None = None) -> FoldResult:
    """Moves the affine end of the model's pipeline into the first convolution, exactly, zero-padded borders included.

    model: prepend(pipeline, backbone); it is not changed.  example: pixels as the model takes them, of a size it accepts.
    dtype: float16 or bfloat16, of a backbone that is in float32 and will be narrowed: the folded weights are rounded to it, and the
    biases make up for that. In such a dtype, and where the weights have it already, whole numbers are subtracted of grey levels: it
    holds these, and no others.
    Where the fold is impossible the collapsed affine stays in front, and `reason` says why.
    """
    if not isinstance(model, Model):
        raise PreprocError(f"expected a Model, which prepend(pipeline, network) makes, got {type(model).__name__}", name="wrong-object")
    try:
        return _fold(model, example, dtype)
    except NotFoldableError as error:
        collapsed = model.pipeline
        if isinstance(collapsed, Pipeline):
            with torch.no_grad():
                collapsed = collapsed.collapse(channels=collapsed.layers[:1](example).shape[1])
        return FoldResult(Model(collapsed, copy.deepcopy(model.backbone)), False, str(error), refusal=error.with_traceback(None))


def why_not_foldable(model: Model, *, example: Tensor) -> str | None:
    """The reason why fold() would leave the affine in front, or give each pixel a chroma of its own there; None if it would do neither."""
    result = fold(model, example=example)
    return result.reason or (None if result.chroma in ("", FOLDED) else result.chroma)


def _fold(model: Model, example: Tensor, dtype: torch.dtype | None) -> FoldResult:
    if not isinstance(model.pipeline, Pipeline):
        raise PreprocError(
            f"expected a Model made by prepend(), got one whose pipeline is a {type(model.pipeline).__name__}", name="wrong-object"
        )
    with torch.no_grad():
        ready = model.pipeline(example)
    kept, affine = split_affine_end(model.pipeline.steps(), channels=ready.shape[1])
    found = first_convolutions(model.backbone, ready)
    like, original = next(model.pipeline.buffers(), ready), Original(model.backbone, ready)

    def into(affine: Affine, selection: Affine | None, cells: Cells | None) -> FoldResult:
        readers = found(ready.shape[1])
        backbone = copy.deepcopy(model.backbone)
        found.stand_in(backbone)
        convolutions = [_Convolution(backbone, reader) for reader in readers]
        narrow = dtype or next((item.dtype for item in convolutions if item.dtype in HALF), None)
        levels = _levels(kept)
        unit = unit_for([item.weights()[0] for item in convolutions], affine, top=levels) if narrow == torch.float16 else 1.0
        whole: Whole | None = "each" if narrow is not None and levels == 255 and are_whole(kept) else None
        scaled = Affine(affine.matrix / unit, affine.offset)
        if cells is None:
            plan = plan_for(readers, scaled, found, whole=whole, unit=unit)
        else:
            plan = plan_on_cells(readers, scaled, cells, whole=whole, unit=unit)
        rewrite(convolutions, plan, dtype=HALF.get(narrow))
        if isinstance(kept[0], FromPixels) and plan.cells is not None:
            values = ready.new_empty(0, device=like.device)
            moves = (layers.from_step(step, device=like.device, dtype=ready.dtype) for step in kept[1:])
            front: list[nn.Module] = [to_cells(kept[0], plan.cells, plan.shift, values, unit=unit, constant=plan.constant), *moves]
        else:
            left = [*kept, *subtract_steps(plan.shift, unit=unit, selection=selection)]
            front = [layers.from_step(step, device=like.device, dtype=ready.dtype) for step in left]
            front += [] if plan.constant is None else [_Append(plan.constant)]
        folded = Model(layers.in_order(*front), backbone)
        given = {item.path: item.reader.weight for item in convolutions if item.is_given_a_bias}
        original.check(folded, example, given=given, dtypes=[item.dtype for item in convolutions] if narrow is None else [narrow])
        names = tuple(sorted(reader.weight for reader in readers))
        return FoldResult(folded, True, None, plan.form, names, why=plan.why, selected=selected(selection))

    made, chroma = planes_or_pixels(kept, lambda cells: whole_or_scaled(affine, lambda affine, selection: into(affine, selection, cells)))
    return replace(made, chroma=chroma)


def _levels(kept: Sequence[Step]) -> float:
    """The largest of what the steps start with; of floats nobody knows."""
    first = kept[0] if kept else None
    return PIXEL_DTYPES[first.pixel_dtype] if isinstance(first, FromPixels) else 1.0


@dataclass(frozen=True)
class _Convolution:
    """One that reads the backbone's input: its weights are parameters of the backbone, by the reader's names."""

    backbone: nn.Module
    reader: Reader

    def weights(self) -> tuple[NDArray[Any], NDArray[Any] | None]:
        weight, bias = self._get(self.reader.weight), None if self.reader.bias is None else self._get(self.reader.bias)
        return self.reader.arranged(_array(weight)), None if bias is None else _array(bias)

    def put_on_cells(self, luma: NDArray[Any], shared: NDArray[Any], bias: NDArray[Any] | None, cells: Cells) -> None:
        old = self._get(self.reader.weight)
        if self.reader.window is not None:
            stand_in_on_cells(self.backbone, self.reader.weight, cells, cells.window(self.reader.window))
        self.put(luma, bias)
        owner, _ = self._place(self.reader.weight)
        owner.get_submodule("shared").weight = _like(old, shared)

    def put(self, weight: NDArray[Any] | None, bias: NDArray[Any] | None, *, groups: int | None = None) -> None:
        old = self._get(self.reader.weight)
        owner, weight_name = self._place(self.reader.weight)
        reader = self.reader if groups is None else replace(self.reader, groups=groups)
        if reader.groups != self.reader.groups:
            if not isinstance(owner, TAKING_BIAS):
                raise NotFoldableError(
                    f"{self.reader.weight} is used in groups outside of an nn.Conv2d, and all of them would have to be one",
                    name="fold-shared-weight",
                )
            owner.groups = reader.groups
        if weight is not None:
            setattr(owner, weight_name, _like(old, np.ascontiguousarray(reader.arranged(weight))))
            if isinstance(owner, TAKING_BIAS):
                setattr(owner, "in_features" if isinstance(owner, nn.Linear) else "in_channels", weight.shape[1] * reader.groups)
        if bias is None:
            return
        if self.reader.bias is not None:
            setattr(*self._place(self.reader.bias), _like(old, bias))
        else:
            owner.bias = _like(old, bias)

    @property
    def dtype(self) -> torch.dtype:
        return self._get(self.reader.weight).dtype

    @property
    def path(self) -> str:
        """Of the module that has the weight."""
        return self.reader.weight.rpartition(".")[0]

    @property
    def is_given_a_bias(self) -> bool:
        """Whether the module has one now where it was read without."""
        return self.reader.bias is None and getattr(self.backbone.get_submodule(self.path), "bias", None) is not None

    def _place(self, name: str) -> tuple[nn.Module, str]:
        owner, _, attribute = name.rpartition(".")
        return self.backbone.get_submodule(owner), attribute

    def _get(self, name: str) -> Tensor:
        value: Tensor = getattr(*self._place(name))
        return value


def _array(values: Tensor) -> NDArray[Any]:
    """In NumPy, which calls bfloat16 ml_dtypes'."""
    held = values.detach().cpu()
    return held.float().numpy().astype(ml_dtypes.bfloat16) if held.dtype == torch.bfloat16 else held.numpy()


def _like(old: Tensor, values: NDArray[Any]) -> nn.Parameter:
    """A parameter of these values on the device, in the dtype and the memory layout of an old one."""
    held = torch.from_numpy(values.astype(np.float32) if values.dtype == ml_dtypes.bfloat16 else values).to(old.device, old.dtype)
    if held.dim() == 4 and not old.is_contiguous() and old.is_contiguous(memory_format=torch.channels_last):
        held = held.contiguous(memory_format=torch.channels_last)
    return nn.Parameter(held, requires_grad=old.requires_grad)


def uncorrected_border(backbone: nn.Module, affine: Affine, example: Tensor) -> NDArray[np.float64] | None:
    """Makes the known mistake, in place, in the convolutions that read the backbone's input: see folding.spoil_border().

    example: (N, C, H, W) float, model-ready.  Returns what has to be subtracted from the input, (C,), or None where there is no mistake
    to be made.
    """
    try:
        found = first_convolutions(backbone, example)
        readers = found(example.shape[1])
    except PreprocError:
        return None
    found.stand_in(backbone)
    return spoil_border([_Convolution(backbone, reader) for reader in readers], affine)


class _Append(nn.Module):
    """Appends a channel that holds one value everywhere: x: (N, C, H, W) -> (N, C + 1, H, W)."""

    def __init__(self, constant: float) -> None:
        super().__init__()
        self.constant = constant

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pad(x, (0, 0, 0, 0, 0, 1), value=self.constant)
