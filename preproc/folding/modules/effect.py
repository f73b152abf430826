"""What a torch module does to its input: it runs on flat planes, and every operator on the way to its first layers is looked at.

The module runs as it is, in Python: no export that would have to understand it. In-place operators and views are followed by the storage
that they write into.
"""

import copy
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

from ...errors import first_line
from .. import BRIGHTEST, RAW, InputEffect, Look, Planes, clearest, is_single

_LINEAR = frozenset(("convolution", "mm", "addmm", "bmm", "baddbmm", "linear", "matmul"))
_LAYERS = frozenset(
    (
        "mkldnn_convolution",
        "cudnn_convolution",
        "_convolution",
        "conv2d",
        "_scaled_dot_product_flash_attention_for_cpu",
        "_native_multi_head_attention",
        "_transformer_encoder_layer_fwd",
        "_scaled_dot_product_attention_math",
        "lstm",
        "gru",
        "quantized_lstm_cell",
        "conv2d_prepack",
    )
)
_TESTS = frozenset(
    (
        "isnan",
        "isinf",
        "isfinite",
        "lt",
        "le",
        "gt",
        "ge",
        "eq",
        "ne",
        "any",
        "all",
        "equal",
        "is_nonzero",
        "_local_scalar_dense",
    )
)
_PARTS = frozenset(
    (
        "select",
        "slice",
        "narrow",
        "split",
        "split_with_sizes",
        "unbind",
        "chunk",
        "index_select",
        "index",
        "gather",
        "as_strided",
    )
)
_MAKERS = frozenset(
    (
        "new_full",
        "new_zeros",
        "new_ones",
        "new_empty",
        "new_empty_strided",
        "zeros_like",
        "ones_like",
        "full_like",
        "empty_like",
    )
)
"""Whose shape or dtype is the argument's, and nothing else."""
_EXITS = frozenset(("numpy", "tolist", "__array__", "__dlpack__", "data_ptr"))
"""Methods by which values leave torch, for something that cannot be followed."""
_MOST = 4096
"""Operators on the way, of a module without any layer."""


@dataclass
class _Operator:
    """One call. read, made: samples of the tensors on the way; reads, makes: the storages that they lie in.  half: whether there is half
    precision among them."""

    name: str
    kind: str
    reads: list[int]
    read: list[NDArray[np.float64]]
    makes: list[int]
    made: list[NDArray[np.float64]] = field(default_factory=list)
    half: bool = False


def module_effect(module: nn.Module, example: Tensor) -> InputEffect:
    """What the module does to its input. example: (N, C, H, W) floats of a size that it takes; its values do not matter."""
    quiet = copy.deepcopy(module).eval() if module.training else module
    return clearest(_probe(quiet, example, top) for top in BRIGHTEST)


def _probe(module: nn.Module, example: Tensor, top: float) -> Look:
    planes, look = Planes(example.shape[1], top), Look(top)
    try:
        runs = list(_runs(module, example, planes))
    except Exception as error:  # noqa: BLE001 - whatever the module raises
        look.stop(f"a run on flat planes, which raises {first_line(error)}", [])
        return look
    if len({tuple((operator.name, len(operator.made)) for operator in run) for run in runs}) != 1:
        look.stop("its first operators, which are others for other values", [])
        return look
    followed = {0: False}  # storages, and whether half precision is on the way to them
    for calls in zip(*runs, strict=True):
        first = calls[0]
        turns = [number for number, storage in enumerate(first.reads) if storage in followed]
        half = first.half or any(followed[first.reads[number]] for number in turns)
        read = [rows for number in turns for rows in [planes.rows([call.read[number] for call in calls], half=half)] if rows is not None]
        if not any(rows.map is not None for rows in read):
            continue
        made = [planes.rows([call.made[number] for call in calls], half=half) for number in range(len(first.made))]
        if look.meet(first.name, first.kind, read, made):
            followed |= dict.fromkeys(first.makes, half)
        elif first.kind not in ("part", "test"):
            for storage in first.makes:
                followed.pop(storage, None)
    look.finish()
    return look


def _runs(module: nn.Module, example: Tensor, planes: Planes) -> Iterator[list[_Operator]]:
    """What is met with each picture. Only the first one is run to its end."""
    last = None
    for levels in planes.levels:
        picture = torch.from_numpy(levels).to(example).reshape(1, -1, 1, 1).expand(example.shape).contiguous()
        watch = _Watch(picture, planes, last)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whatever the module warns about, it says again when it runs
            try:
                with _Exits(watch), watch:
                    made = module(picture)
                watch.end(made)
            except BaseException:  # TorchScript's interpreter wraps it
                if not watch.done:
                    raise
        last = watch.last
        yield watch.met


class _SeenEnough(BaseException):
    """No Exception: the module's own `except Exception` must not take it."""


class _Exits(TorchFunctionMode):
    """Notes where values leave torch."""

    def __init__(self, watch: "_Watch") -> None:
        super().__init__()
        self.watch = watch

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in _EXITS:
            self.watch.note(f"Tensor.{name}", "", args)
        return func(*args, **(kwargs or {}))


class _Watch(TorchDispatchMode):
    """Notes the operators that read what the picture's values have become. stop: the number of the operator behind which the run ends; if
    None, it goes to its end, and last is the number of the last that was noted, or None where the module returns such values."""

    def __init__(self, picture: Tensor, planes: Planes, stop: int | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.planes, self.stop, self.last, self.count, self.done = planes, stop, stop, 0, False
        self.met = list[_Operator]()
        self.storages = {_storage(picture): 0}
        self.kept: list[Tensor] = [picture]  # a storage that is freed would be another's

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self.count += 1
        kind = _kind(func._schema.name.removeprefix("aten::"), args, kwargs)
        operator = self.note(str(func), kind, (args, kwargs))
        if operator is None:
            return func(*args, **kwargs)
        if self.stop is None:
            self.last = self.count
        if self.count == self.stop and kind == "layer":
            self._leave()
        result = func(*args, **kwargs)
        if kind != "layer":
            for value in tree_leaves(result):
                if isinstance(value, Tensor) and value.numel():
                    self.kept.append(value)
                    operator.makes.append(self.storages.setdefault(_storage(value), len(self.storages)))
                    operator.made.append(self._sample(value))
                    operator.half |= _is_half(value)
        if self.count == self.stop or len(self.met) > _MOST:
            self._leave()
        return result

    def note(self, name: str, kind: str, given: Any) -> _Operator | None:
        """Something that reads what is watched; None for what does not."""
        with _disable_current_modes():
            read = [value for value in tree_leaves(given) if isinstance(value, Tensor) and _storage(value) in self.storages]
            if not read:
                return None
            places, samples = [self.storages[_storage(value)] for value in read], [self._sample(value) for value in read]
        self.met.append(_Operator(name, kind, places, samples, [], half=any(map(_is_half, read))))
        return self.met[-1]

    def end(self, made: Any) -> None:
        """made: what the module returns. Where no layer stands in between, every run goes so far."""
        if self.note("its output", "layer", made) is not None:
            self.last = None

    def _leave(self) -> None:
        self.done = True
        raise _SeenEnough

    def _sample(self, value: Tensor) -> NDArray[np.float64]:
        if value.is_complex() or value.is_quantized or value.is_sparse:
            return np.empty(0)
        return self.planes.sample(value.detach().to("cpu", torch.float64).numpy())


def _storage(value: Tensor) -> int:
    try:
        return int(value.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):  # a sparse tensor has none
        return -1


def _kind(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> str:
    base = name.removesuffix("_")
    if base in _LAYERS or name.startswith(("quantized::", "mkldnn::", "prepacked::")):
        return "layer"
    if base in _LINEAR:
        if base != "convolution":
            return "linear"
        single = not args[6] and (all(side == 1 for side in args[1].shape[2:]) or is_single((args[1].detach() != 0).cpu().numpy()))
        return "linear" if single else "layer"
    if "batch_norm" in base and not (len(args) > 5 and args[5] is True):  # an InstanceNorm is one that trains
        return "batch_norm"
    if base in _TESTS or base in _MAKERS:
        return "test"
    if base in _PARTS:
        return "part"
    dtype = kwargs.get("dtype") if base == "_to_copy" else None
    return RAW.get(str(dtype).removeprefix("torch."), "")


def _is_half(value: Tensor) -> bool:
    return value.is_floating_point() and value.dtype.itemsize < 4
