"""Convolutions and pools, over any number of axes."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .pointwise import Form, along_channels
from .reading import Array, Node

BLOCK = 1 << 22
"""Values of an unfolded picture at a time: 32 MB."""


@dataclass(frozen=True)
class _Window:
    """Of each spatial axis: the kernel's size, its strides and dilations, how much is padded before and behind."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    behind: tuple[int, ...]

    @property
    def reach(self) -> tuple[int, ...]:
        return tuple(dilation * (size - 1) + 1 for size, dilation in zip(self.kernel, self.dilations, strict=True))

    def around(self) -> list[tuple[int, int]]:
        return [(0, 0), (0, 0), *zip(self.before, self.behind, strict=True)]

    def outputs(self, size: Sequence[int]) -> tuple[int, ...]:
        """How many windows there are in a padded picture."""
        return tuple((s - r) // step + 1 for s, r, step in zip(size, self.reach, self.strides, strict=True))

    def taps(self) -> Iterator[tuple[int, ...]]:
        return itertools.product(*map(range, self.kernel))

    def seen(self, tap: Sequence[int], outputs: Sequence[int]) -> tuple[slice, ...]:
        """Where a tap's values are in the padded picture."""
        starts = [at * dilation for at, dilation in zip(tap, self.dilations, strict=True)]
        return tuple(slice(start, start + step * (n - 1) + 1, step) for start, step, n in zip(starts, self.strides, outputs, strict=True))


def _window(node: Node, kernel: Sequence[int], size: Sequence[int]) -> _Window:
    """With auto_pad; ceil_mode as more padding behind, up to windows that would start there."""
    n = len(kernel)
    strides, dilations = node.get("strides", [1] * n), node.get("dilations", [1] * n)
    pads, auto = list(node.get("pads", [0] * 2 * n)), node.get("auto_pad", "NOTSET")
    if auto == "VALID":
        pads = [0] * 2 * n
    elif auto != "NOTSET":
        for at in range(n):
            reach = dilations[at] * (kernel[at] - 1) + 1
            total = max(0, (-(-size[at] // strides[at]) - 1) * strides[at] + reach - size[at])
            pads[at], pads[at + n] = (total // 2, total - total // 2) if auto == "SAME_UPPER" else (total - total // 2, total // 2)
    return _Window(tuple(kernel), tuple(strides), tuple(dilations), tuple(pads[:n]), tuple(pads[n:]))


def convolved(node: Node, x: Array, w: Array, pad: float = 0.0) -> Array:
    """x: (N, C, ...), w: (M, C / group, ...), float64.  pad: the padding's value."""
    groups, window = node.get("group", 1), _window(node, w.shape[2:], x.shape[2:])
    padded = np.pad(x, window.around(), constant_values=pad) if any(window.before + window.behind) else x
    outputs = window.outputs(padded.shape[2:])
    given, made = x.shape[1] // groups, w.shape[0] // groups
    y = np.empty((len(x), w.shape[0], *outputs))
    if given == 1:
        return _depthwise(padded, w.reshape(groups, made, *w.shape[2:]), window, y)
    rows = max(1, BLOCK // max(1, given * int(np.prod(window.kernel)) * int(np.prod(outputs[1:]))))
    for picture, group in np.ndindex(len(x), groups):
        part, kernel = padded[picture, group * given : (group + 1) * given], w[group * made : (group + 1) * made].reshape(made, -1)
        for first in range(0, outputs[0], rows):
            some = (min(rows, outputs[0] - first), *outputs[1:])
            lines = part[:, first * window.strides[0] :]
            unfolded = np.stack([lines[(slice(None), *window.seen(tap, some))] for tap in window.taps()], axis=1)
            result = (kernel @ unfolded.reshape(kernel.shape[1], -1)).reshape(made, *some)
            y[picture, group * made : (group + 1) * made, first : first + rows] = result
    return y


def _depthwise(padded: Array, w: Array, window: _Window, y: Array) -> Array:
    """One channel a group: w is (groups, M / groups, ...)."""
    result = y.reshape(len(y), *w.shape[:2], *y.shape[2:])
    result[...] = 0
    for tap in window.taps():
        seen = padded[(slice(None), slice(None), None, *window.seen(tap, y.shape[2:]))]
        result += _at(w, tap).reshape(1, *w.shape[:2], *[1] * (y.ndim - 2)) * seen
    return result.reshape(y.shape)


def _at(w: Array, tap: Sequence[int]) -> Array:
    """The weights of one tap: their last axes are the kernel's."""
    index: Any = (..., *tap)
    return np.asarray(w[index])


def _conv(node: Node, x: Array, w: Array, bias: Array | None = None) -> Array:
    y = convolved(node, x, w)
    return y if bias is None else y + along_channels(bias, y)


def _conv_transpose(node: Node, x: Array, w: Array, bias: Array | None = None) -> Array:
    """w: (C, M / group, ...)."""
    n, groups = x.ndim - 2, node.get("group", 1)
    window = _window(node, w.shape[2:], x.shape[2:])
    more = list(node.get("output_padding", [0] * n))
    whole = [step * (size - 1) + reach for step, size, reach in zip(window.strides, x.shape[2:], window.reach, strict=True)]
    before, behind = list(window.before), list(window.behind)
    auto, asked = node.get("auto_pad", "NOTSET"), node.get("output_shape")
    if auto.startswith("SAME") and asked is None:
        asked = [size * step for size, step in zip(x.shape[2:], window.strides, strict=True)]
    if asked is not None:
        asked = asked[-n:]
        for at in range(n):
            more[at] += max(0, asked[at] - whole[at] - more[at])
            total = whole[at] + more[at] - asked[at]
            before[at] = total // 2 if auto == "SAME_UPPER" else total - total // 2
            behind[at] = total - before[at]
    made, given = w.shape[1], x.shape[1] // groups
    y = np.zeros((len(x), groups, made, *(a + b for a, b in zip(whole, more, strict=True))))
    parts, kernels = x.reshape(len(x), groups, given, -1), w.reshape(groups, given, *w.shape[1:])
    for tap in window.taps():
        share = np.swapaxes(_at(kernels, tap), 1, 2) @ parts
        y[(slice(None), slice(None), slice(None), *window.seen(tap, x.shape[2:]))] += share.reshape(*share.shape[:3], *x.shape[2:])
    y = y.reshape(len(x), groups * made, *y.shape[3:])
    y = y[(slice(None), slice(None), *(slice(b, s - a) for b, a, s in zip(before, behind, y.shape[2:], strict=True)))]
    return y if bias is None else y + along_channels(bias, y)


def _with_ceil(node: Node, window: _Window, size: Sequence[int]) -> _Window:
    """The padding behind that the last window needs: it starts in the picture or in front of it."""
    behind = []
    for at, inside in enumerate(size):
        padded, step, reach = inside + window.before[at] + window.behind[at], window.strides[at], window.reach[at]
        windows = -(-(padded - reach) // step) + 1 if node.get("ceil_mode", 0) else (padded - reach) // step + 1
        if (windows - 1) * step >= inside + window.before[at]:
            windows -= 1
        behind.append(max(window.behind[at], (windows - 1) * step + reach - inside - window.before[at]))
    return _Window(window.kernel, window.strides, window.dilations, window.before, tuple(behind))


def _pooled(x: Array, window: _Window, fill: float, function: Callable[..., Array]) -> Array:
    padded = np.pad(x, window.around(), constant_values=fill)
    outputs = window.outputs(padded.shape[2:])
    views = (padded[(slice(None), slice(None), *window.seen(tap, outputs))] for tap in window.taps())
    result = next(views).copy()
    for view in views:
        function(result, view, out=result)
    return result


def _max_pool(node: Node, x: Array) -> Array:
    if len(node.outputs) > 1:
        raise node.refuse("answers places")
    least = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    window = _window(node, node.get("kernel_shape"), x.shape[2:])
    return _pooled(x, _with_ceil(node, window, x.shape[2:]), least, np.maximum)


def _average_pool(node: Node, x: Array) -> Array:
    window = _window(node, node.get("kernel_shape"), x.shape[2:])
    wide = _with_ceil(node, window, x.shape[2:])
    ones = np.ones((1, 1, *x.shape[2:]))
    counted = np.pad(ones, window.around(), constant_values=float(bool(node.get("count_include_pad", 0))))
    further = tuple(more - less for more, less in zip(wide.behind, window.behind, strict=True))
    nothing = (0,) * len(further)
    count = _pooled(counted, _Window(wide.kernel, wide.strides, wide.dilations, nothing, further), 0.0, np.add)
    return np.asarray(_pooled(x, wide, 0.0, np.add) / count)


def _lp_pool(node: Node, x: Array) -> Array:
    p, window = node.get("p", 2), _window(node, node.get("kernel_shape"), x.shape[2:])
    return np.asarray(_pooled(np.abs(x) ** p, _with_ceil(node, window, x.shape[2:]), 0.0, np.add) ** (1 / p))


def _fused_conv(node: Node, x: Array, w: Array, bias: Array | None = None, more: Array | None = None) -> Array:
    """com.microsoft's: with an activation behind."""
    y = _conv(node, x, w, bias)
    y = y if more is None else y + more
    kind, told = node.get("activation", ""), node.get("activation_params", [])
    if kind in ("", "Relu"):
        return np.maximum(y, 0) if kind else y
    if kind == "LeakyRelu":
        return np.where(y < 0, told[0] * y, y)
    if kind == "Clip":
        return np.clip(y, told[0], told[1])
    raise node.refuse(f"has the activation {kind}")


WINDOWS: Mapping[str, Form] = {
    "AveragePool": _average_pool,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "LpPool": _lp_pool,
    "MaxPool": _max_pool,
    "com.microsoft:FusedConv": _fused_conv,
}
