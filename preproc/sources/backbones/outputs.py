"""What a backbone takes and answers: one picture in; a tensor, a tuple or a table of tensors out, each by its name."""

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ...errors import PreprocError, first_line
from .. import check_output_name
from .base import Backbone, State

ONE = "logits"
"""The name of an only output that nobody has named."""


def name_outputs(backbone: Backbone, asked: Sequence[str], picture: Tensor) -> tuple[Backbone, tuple[str, ...]]:
    """The backbone, answering a tensor or a tuple of tensors, and their names, found by running it on `picture`.

    asked: names, for a tensor or a tuple in their order, for a table (a dict or a named tuple) the keys that are wanted; none: the keys.
    picture: (1, C, H, W) float32, model-ready.  Raises PreprocError if it takes other than one picture or answers other things.
    """
    _check_names(asked)
    _check_one_input(backbone.module)
    with torch.inference_mode():
        answer = run(backbone.module, picture)
    if isinstance(answer, Tensor):
        return backbone, (_name_one(answer, asked),)
    names, keys = _name_several(answer, asked)
    return dataclasses.replace(backbone, module=Selected(backbone.module, keys)), names


def _check_names(asked: Sequence[str]) -> None:
    for name in asked:
        check_output_name(name)
    if len(set(asked)) != len(asked):
        raise PreprocError(f"[backbone] outputs: expected different names, got {', '.join(asked)}", name="output-names")


def _name_one(answer: Tensor, asked: Sequence[str]) -> str:
    if len(asked) > 1:
        raise PreprocError(f"expected {len(asked)} outputs ({', '.join(asked)}), got one tensor; name just one", name="output-names")
    (name,) = asked or (ONE,)
    _check_comparable({name: answer})
    return name


def _name_several(answer: object, asked: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the tensors, and by which keys they are taken from a table: none for a plain tuple."""
    known = _keys(answer)
    if known is None or not answer:
        raise PreprocError(
            f"expected a backbone that returns a tensor, a tuple or a dict of tensors, "
            f"got {'a' if answer else 'an empty'} {type(answer).__name__}; "
            "wrap it in a module that returns one of them",
            name="output-unfit",
        )
    names = tuple(asked) or known
    missing = [name for name in names if known and name not in known]
    if missing:
        raise PreprocError(f"[backbone] outputs: expected some of {', '.join(known)}, got {missing[0]!r}", name="output-names")
    keys = names if known else ()
    values = _values(answer, keys)
    _check_tensors(values, keys)
    if len(names) != len(values):
        raise PreprocError(
            f"[backbone] outputs: expected {len(values)} names, for the backbone returns a tuple of {len(values)} tensors, "
            f"got {', '.join(names) or 'none'}",
            name="output-names",
        )
    for name in names:
        check_output_name(name)
    _check_comparable(dict(zip(names, values, strict=True)))
    return names, keys


class Selected(nn.Module):
    """A network that answers a tuple: the values under `keys` of the table that `network` answers; without keys all of its tuple."""

    def __init__(self, network: nn.Module, keys: Sequence[str] = ()) -> None:
        super().__init__()
        self.network, self.keys = network, tuple(keys)

    def forward(self, x: Tensor) -> tuple[Tensor, ...] | Tensor:
        values = tuple(_values(self.network(x), self.keys))
        return values if len(values) > 1 else values[0]


def answered(module: nn.Module, ready: NDArray[np.float64]) -> list[NDArray[Any]]:
    """All tensors in the module's answer to `ready`, (N, C, H, W), in float32. Raises PreprocError as run() does, and where it takes other
    than one picture."""
    _check_one_input(module)
    with torch.inference_mode():
        leaves = pytree.tree_leaves(run(module, torch.from_numpy(ready.astype(np.float32))))
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
    return [(tensor.double() if tensor.is_floating_point() else tensor).numpy() for tensor in tensors]


def run(module: nn.Module, picture: Tensor) -> object:
    """The module's answer. Raises PreprocError where it does not take a picture of that size."""
    try:
        return module(picture)
    except Exception as error:  # a user's own network may raise anything
        height, width = picture.shape[2:]
        reason = first_line(error)
        raise PreprocError(
            f"expected a backbone that takes pictures of {picture.shape[1]} channels, height, width {height}, {width}, got: {reason}; "
            "write the size that it takes as [pixels] size",
            name="network-refuses-picture",
        ) from error


def named_outputs(outputs: object, names: tuple[str, ...]) -> State:
    """A tensor or a tuple of tensors as a table. Raises PreprocError if it does not match the names."""
    values = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
    if len(values) != len(names):
        raise PreprocError(f"expected {len(names)} outputs ({', '.join(names)}), got {len(values)}", name="output-names")
    return dict(zip(names, values, strict=True))


def _check_one_input(module: nn.Module) -> None:
    needed = [
        parameter.name
        for parameter in inspect.signature(module.forward).parameters.values()
        if parameter.default is parameter.empty and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    if len(needed) > 1:
        raise PreprocError(
            f"expected a backbone that takes one picture, got {type(module).__name__}.forward({', '.join(needed)}); "
            "wrap it in a module that takes the one that needs preprocessing, and makes or holds the others",
            name="several-inputs",
        )


def _check_tensors(values: Sequence[object], keys: Sequence[str]) -> None:
    for key, value in zip(keys or range(len(values)), values, strict=True):
        if not isinstance(value, Tensor):
            raise PreprocError(
                f"expected a backbone whose outputs are tensors, got a {type(value).__name__} as output {key}; "
                "name those that are tensors, or wrap it in a module that returns them",
                name="output-unfit",
            )


def _check_comparable(outputs: State) -> None:
    for name, value in outputs.items():
        if value.dim() == 0 or len(value) != 1 or not value.numel():
            raise PreprocError(
                f"expected outputs with one row per picture, got {name} of shape {tuple(value.shape)} for one picture; "
                "name the others only",
                name="output-unfit",
            )
        if value.dtype == torch.bfloat16:
            raise PreprocError(f"expected outputs that NumPy can hold, got bfloat16 in {name}; return {name}.float()", name="output-unfit")
        if value.is_complex():
            raise PreprocError(f"expected outputs of real numbers, got {value.dtype} in {name}; return its two parts", name="output-unfit")


def _keys(answer: object) -> tuple[str, ...] | None:
    """The names that a table brings, none for a plain tuple; None: it is neither."""
    if isinstance(answer, Mapping):
        return tuple(map(str, answer))
    if isinstance(answer, (tuple, list)):
        return tuple(getattr(answer, "_fields", ()))
    return None


def _values(answer: object, keys: Sequence[str]) -> list[Tensor]:
    if isinstance(answer, Mapping):
        named = {str(key): value for key, value in answer.items()}
        return [named[key] for key in keys]
    assert isinstance(answer, (tuple, list))
    return [getattr(answer, key) for key in keys] if keys else list(answer)
