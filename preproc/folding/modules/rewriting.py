"""Model -> Model with the affine end of the pipeline inside the backbone's first convolution."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ... import layers
from ...errors import NotFoldableError, PreprocError, first_line
from ...layers import Model, Pipeline
from ...steps import Affine, split_affine_end, subtract_steps
from .. import FoldPlan, Reader, border_error, common_through, fold_conv, plan_for
from .walk import first_convolutions


@dataclass(frozen=True)
class FoldResult:
    """model: the folded copy, or the collapsed one where nothing could be folded.  folded: which of the two.  reason: why not.
    form: what is left at run time besides the cast: "cast" (nothing), "subtract" or "append".
    convolutions: the names of the weights that took the map up.  refusal: whose message the reason is."""

    model: Model
    folded: bool
    reason: str | None
    form: str | None = None
    convolutions: tuple[str, ...] = ()
    refusal: NotFoldableError | None = None


def fold(model: Model, *, example: Tensor) -> FoldResult:
    """Moves the affine end of the model's pipeline into the first convolution, exactly, zero-padded borders included.

    model: prepend(pipeline, backbone); it is not changed.  example: pixels as the model takes them, of a size it accepts.
    Where the fold is impossible the collapsed affine stays in front, and `reason` says why.
    """
    if not isinstance(model, Model):
        raise PreprocError(f"expected a Model, which prepend(pipeline, network) makes, got {type(model).__name__}", name="wrong-object")
    try:
        return _fold(model, example)
    except NotFoldableError as error:
        collapsed = model.pipeline
        if isinstance(collapsed, Pipeline):
            with torch.no_grad():
                collapsed = collapsed.collapse(channels=collapsed.layers[:1](example).shape[1])
        return FoldResult(Model(collapsed, copy.deepcopy(model.backbone)), False, str(error), refusal=error.with_traceback(None))


def why_not_foldable(model: Model, *, example: Tensor) -> str | None:
    """The reason why fold() would leave the affine in front, or None if it would fold."""
    return fold(model, example=example).reason


def _fold(model: Model, example: Tensor) -> FoldResult:
    if not isinstance(model.pipeline, Pipeline):
        raise PreprocError(
            f"expected a Model made by prepend(), got one whose pipeline is a {type(model.pipeline).__name__}", name="wrong-object"
        )
    with torch.no_grad():
        ready = model.pipeline(example)
    kept, affine = split_affine_end(model.pipeline.steps(), channels=ready.shape[1])
    readers = first_convolutions(model.backbone, ready)
    plan = plan_for(readers, affine)
    backbone = copy.deepcopy(model.backbone)
    for reader in readers:
        _rewrite(backbone, reader, plan)
    like = next(model.pipeline.buffers(), ready)
    left = [layers.from_step(step, device=like.device, dtype=ready.dtype) for step in [*kept, *subtract_steps(plan.shift)]]
    front: list[nn.Module] = list(left)
    if plan.constant is not None:
        front.append(_Append(plan.constant))
    folded = Model(nn.Sequential(*front), backbone)
    _check_runs(folded, example)
    return FoldResult(folded, True, None, plan.form, tuple(sorted(reader.weight for reader in readers)))


def _check_runs(folded: Model, example: Tensor) -> None:
    """A backbone may count its channels where no graph shows it. Raises NotFoldableError if it does not take those that are left."""
    try:
        with torch.no_grad():
            folded(example)
    except Exception as error:  # whatever the backbone raises, it all means the same here
        reason = first_line(error)
        raise NotFoldableError(f"the backbone does not run on what the fold leaves: {reason}") from error


def _rewrite(backbone: nn.Module, reader: Reader, plan: FoldPlan) -> None:
    """Puts the new weights of one convolution into a copy of the backbone."""
    owner_name, _, weight_name = reader.weight.rpartition(".")
    owner = backbone.get_submodule(owner_name)
    weight = getattr(owner, weight_name)
    if weight.dtype == torch.bfloat16:
        raise NotFoldableError(
            "the weights are bfloat16, which NumPy has no arithmetic for; fold in float32 and convert then", name="fold-dtype"
        )
    bias = None if reader.bias is None else _get(backbone, reader.bias)
    new_weight, new_bias = fold_conv(
        weight.detach().cpu().numpy(),
        None if bias is None else bias.detach().cpu().numpy(),
        plan,
        pad=reader.pad,
        groups=reader.groups,
    )
    setattr(owner, weight_name, _like(weight, new_weight))
    if isinstance(owner, nn.Conv2d):
        owner.in_channels = new_weight.shape[1] * reader.groups
    if new_bias is None:
        return
    if reader.bias is not None:
        bias_owner, _, bias_name = reader.bias.rpartition(".")
        setattr(backbone.get_submodule(bias_owner), bias_name, _like(weight, new_bias))
    elif isinstance(owner, nn.Conv2d) and weight_name == "weight":
        owner.bias = _like(weight, new_bias)
    else:
        raise NotFoldableError(
            f"the fold needs a bias, and {reader.weight} is used without one outside of an nn.Conv2d", name="fold-shared-weight"
        )


def _get(module: nn.Module, name: str) -> Tensor:
    owner, _, attribute = name.rpartition(".")
    value: Tensor = getattr(module.get_submodule(owner), attribute)
    return value


def _like(old: Tensor, values: Any) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(values).to(old.device, old.dtype), requires_grad=old.requires_grad)


def uncorrected_border(backbone: nn.Module, affine: Affine, example: Tensor) -> NDArray[np.float64] | None:
    """The negative control of verify: makes the mistake, in place, of folding the offset into the bias of a padded convolution.

    Where the padding should hold v it then acts as if it held p = T(A(v)), and conv(u) padded with p equals
    conv(u - (p - v)) padded with v, plus W (p - v) in the bias. The bias is changed here; what has to be subtracted from the
    backbone's input is returned, (C,). None, and nothing changed, where that fold would be right.
    """
    try:
        readers = first_convolutions(backbone, example)
        through = common_through(readers)
        back = None if through is None else through.inverse()
    except PreprocError:
        return None
    pads = [reader.pad for reader in readers if reader.pad is not None]
    error = border_error(affine if through is None else affine.then(through), pads[0]) if pads else None
    if error is None:
        return None
    for reader in readers:
        owner = backbone.get_submodule(reader.weight.rpartition(".")[0])
        if not isinstance(owner, nn.Conv2d):
            return None
    for reader in readers:
        owner = backbone.get_submodule(reader.weight.rpartition(".")[0])
        assert isinstance(owner, nn.Conv2d)
        taps = owner.weight.detach().sum(dim=(2, 3))
        per_group = torch.from_numpy(error).to(taps).reshape(reader.groups, -1)
        change = torch.cat([part @ values for part, values in zip(taps.chunk(reader.groups), per_group, strict=True)])
        owner.bias = nn.Parameter(change if owner.bias is None else owner.bias.detach() + change, requires_grad=False)
    return error if back is None else back.matrix @ error


class _Append(nn.Module):
    """Appends a channel that holds one value everywhere: x: (N, C, H, W) -> (N, C + 1, H, W)."""

    def __init__(self, constant: float) -> None:
        super().__init__()
        self.constant = constant

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pad(x, (0, 0, 0, 0, 0, 1), value=self.constant)
