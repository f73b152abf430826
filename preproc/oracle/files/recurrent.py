"""LSTM, GRU and RNN, step by step."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from .integers import dynamic
from .pointwise import Form, sigmoid
from .reading import Array, Node

_FUNCTIONS: Mapping[str, Callable[[Array], Array]] = {"sigmoid": sigmoid, "tanh": np.tanh, "relu": lambda x: np.maximum(x, 0)}
Functions = Sequence[Callable[[Array], Array]]
Step = Callable[[Array, list[Array]], list[Array]]
"""step(x: (N, inputs), states) -> states; the first one is the output."""


def _functions(node: Node, *usual: str) -> list[Functions]:
    """One list for each direction."""
    names = [name.lower() for name in node.get("activations", ())] or list(usual) * 2
    if "clip" in node.attributes or node.get("layout", 0) or not set(names) <= set(_FUNCTIONS):
        raise node.refuse(f"has {', '.join(names)}, a clip or another layout")
    found = [_FUNCTIONS[name] for name in names]
    return [found[: len(usual)], found[len(usual) :] or found[: len(usual)]]


def _run(node: Node, x: Array, lengths: Array | None, initial: list[Array | None], hidden: int, steps: Sequence[Step]) -> tuple[Array, ...]:
    """x: (T, N, inputs).  initial: of each state (directions, N, hidden), or None.  Y: (T, directions, N, hidden), and the last states."""
    if lengths is not None and (lengths != len(x)).any():
        raise node.refuse("has sequences of different lengths")
    told, outputs, last = node.get("direction", "forward"), [], []
    for at, (way, step) in enumerate(zip(("forward", "reverse") if told == "bidirectional" else (told,), steps, strict=False)):
        state = [np.zeros((x.shape[1], hidden)) if start is None else start[at] for start in initial]
        y = np.empty((*x.shape[:2], hidden))
        for t in range(len(x)) if way == "forward" else reversed(range(len(x))):
            state = step(x[t], state)
            y[t] = state[0]
        outputs.append(y)
        last.append(state)
    return (np.stack(outputs, axis=1), *(np.stack(values) for values in zip(*last, strict=True)))


def _lstm_step(
    functions: Functions,
    w: Array,
    r: Array,
    bias: Array,
    peepholes: Array,
    seen: Callable[[Array], Array],
    x: Array,
    state: list[Array],
) -> list[Array]:
    """Gates in the order i, o, f, c; peepholes in the order i, o, f."""
    (f, g, h), (of_i, of_o, of_f) = functions, np.split(peepholes, 3)
    i, o, forget, new = np.split(x @ w.T + seen(state[0]) @ r.T + bias, 4, axis=1)
    cell = f(forget + of_f * state[1]) * state[1] + f(i + of_i * state[1]) * g(new)
    return [f(o + of_o * cell) * h(cell), cell]


def _lstm(
    node: Node,
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    lengths: Array | None = None,
    h: Array | None = None,
    c: Array | None = None,
    peepholes: Array | None = None,
    seen: Callable[[Array], Array] = lambda state: state,
) -> tuple[Array, ...]:
    """seen: what the recurrent product sees of the state."""
    if node.get("input_forget", 0):
        raise node.refuse("couples its gates")
    hidden = r.shape[2]
    bias = np.zeros((len(w), 4 * hidden)) if b is None else b[:, : 4 * hidden] + b[:, 4 * hidden :]
    p = np.zeros((len(w), 3 * hidden)) if peepholes is None else peepholes
    used = _functions(node, "sigmoid", "tanh", "tanh")
    steps = [partial(_lstm_step, used[at], w[at], r[at], bias[at], p[at], seen) for at in range(len(w))]
    return _run(node, x, lengths, [h, c], hidden, steps)


def _gru_step(functions: Functions, w: Array, r: Array, of_x: Array, of_h: Array, late: bool, x: Array, state: list[Array]) -> list[Array]:
    """Gates in the order z, r, h. late: the reset comes behind the linear map."""
    (f, g), n = functions, r.shape[1]
    xz, xr, xh = np.split(x @ w.T + of_x, 3, axis=1)
    hz, hr, hh = np.split(state[0] @ r.T + of_h, 3, axis=1)
    z, reset = f(xz + hz), f(xr + hr)
    inner = reset * hh if late else (reset * state[0]) @ r[2 * n :].T + of_h[2 * n :]
    return [(1 - z) * g(xh + inner) + z * state[0]]


def _gru(
    node: Node, x: Array, w: Array, r: Array, b: Array | None = None, lengths: Array | None = None, h: Array | None = None
) -> tuple[Array, ...]:
    hidden, used = r.shape[2], _functions(node, "sigmoid", "tanh")
    biases = np.zeros((len(w), 6 * hidden)) if b is None else b
    late = bool(node.get("linear_before_reset", 0))
    steps = [partial(_gru_step, used[at], w[at], r[at], biases[at][: 3 * hidden], biases[at][3 * hidden :], late) for at in range(len(w))]
    return _run(node, x, lengths, [h], hidden, steps)


def _rnn_step(functions: Functions, w: Array, r: Array, bias: Array, x: Array, state: list[Array]) -> list[Array]:
    return [functions[0](x @ w.T + state[0] @ r.T + bias)]


def _rnn(
    node: Node, x: Array, w: Array, r: Array, b: Array | None = None, lengths: Array | None = None, h: Array | None = None
) -> tuple[Array, ...]:
    hidden, used = r.shape[2], _functions(node, "tanh")
    bias = np.zeros((len(w), hidden)) if b is None else b[:, :hidden] + b[:, hidden:]
    return _run(node, x, lengths, [h], hidden, [partial(_rnn_step, used[at], w[at], r[at], bias[at]) for at in range(len(w))])


def _dynamically(x: Array) -> Array:
    """As uint8 on a scale of its own, and back."""
    levels, scale, zero = dynamic(x)
    return np.asarray((levels.astype(np.float64) - zero) * scale)


def _dynamic_quantize_lstm(
    node: Node,
    x: Array,
    w: Array,
    r: Array,
    b: Array | None,
    lengths: Array | None,
    h: Array | None,
    c: Array | None,
    peepholes: Array | None,
    ws: Array,
    wz: Array,
    rs: Array,
    rz: Array,
) -> tuple[Array, ...]:
    """com.microsoft's: the weights are transposed and quantized; the whole sequence, and the state at each step, are quantized as they
    come."""
    w, r = (
        (values.astype(np.float64) - zero.reshape(len(zero), 1, -1)) * scale.reshape(len(scale), 1, -1)
        for values, scale, zero in ((w, ws, wz), (r, rs, rz))
    )
    return _lstm(node, _dynamically(x), w.swapaxes(1, 2), r.swapaxes(1, 2), b, lengths, h, c, peepholes, seen=_dynamically)


RECURRENT: Mapping[str, Form] = {"GRU": _gru, "LSTM": _lstm, "RNN": _rnn, "com.microsoft:DynamicQuantizeLSTM": _dynamic_quantize_lstm}
