"""Every operator in float64 against ONNX Runtime's float32; those whose digits count against onnx's own evaluator in float64."""

import numpy as np
import pytest
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

from preproc.oracle.files import evaluating
from tests.oracle.files.operators import check, doubled, model

RNG = np.random.default_rng(7)
X = RNG.normal(size=(2, 4, 5, 6)).astype(np.float32)
Y = RNG.uniform(0.1, 0.9, size=(2, 4, 5, 6)).astype(np.float32)
SMALL = RNG.normal(size=(2, 5)).astype(np.float32)
OTHER = RNG.normal(size=(5, 3)).astype(np.float32)
C = [RNG.uniform(0.5, 2, size=4).astype(np.float32) for _ in range(4)]
WHOLE = np.array([[7, -7, 3], [-3, 2, 9]], np.int64)
DIVISORS = np.array([[2, 2, -2], [2, -5, 4]], np.int64)
LEVELS = RNG.integers(0, 256, (1, 3, 6, 5)).astype(np.uint8)
# Its half where ONNX Runtime multiplies 8 bits by 8 in 16: without VNNI a sum of two such products saturates.
KERNEL = RNG.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)


def ints(*values):
    return np.array(values, np.int64)


def floats(*values):
    return np.array(values, np.float32)


def scalar(value, dtype=np.float32):
    return np.array(value, dtype)


def recurrent(gates, *, ways=1, hidden=3):
    weights = [RNG.normal(size=(ways, gates * hidden, size)).astype(np.float32) for size in (4, hidden)]
    return [RNG.normal(size=(5, 2, 4)).astype(np.float32), *weights, RNG.normal(size=(ways, 2 * gates * hidden)).astype(np.float32)]


UNARY = (
    "Abs Neg Floor Ceil Round Sign Exp Sin Cos Tan Sinh Cosh Tanh Atan Asinh Sigmoid Relu Softplus Softsign Erf Identity HardSwish IsNaN"
)
UNIT = "Log Sqrt Reciprocal Asin Acos Atanh"  # of 0.1..0.9
BINARY = "Add Sub Mul Div Max Min Sum Mean Greater Less Equal GreaterOrEqual LessOrEqual"
REDUCE = "L1 L2 LogSumExp Max Mean Min Prod Sum SumSquare"
ONE = {
    **{name: (name, [X], {}) for name in UNARY.split()},
    **{name: (name, [Y], {}) for name in UNIT.split()},
    **{name: (name, [X, X[:1, :, :1]], {}) for name in BINARY.split()},
    **{f"Reduce{name}": (f"Reduce{name}", [Y], {"axes": [1, -1], "opset": 11}) for name in REDUCE.split()},
    "ReduceSum axes given": ("ReduceSum", [X, ints(2)], {"keepdims": 0}),
    "ReduceMean all": ("ReduceMean", [X], {}),
    "ReduceLogSum": ("ReduceLogSum", [Y], {"axes": [1]}),
    "Acosh": ("Acosh", [1 + Y], {}),
    "ArgMax": ("ArgMax", [X], {"axis": 2, "keepdims": 0}),
    "ArgMax last": ("ArgMax", [np.sign(X)], {"axis": 1, "select_last_index": 1}),
    "ArgMin": ("ArgMin", [np.sign(X)], {"axis": -1}),
    "BatchNormalization": ("BatchNormalization", [X, *C], {"epsilon": 1e-3}),
    "Cast to int": ("Cast", [3 * X], {"to": TensorProto.INT32}),
    "Cast to float": ("Cast", [WHOLE], {"to": TensorProto.FLOAT}),
    "CastLike": ("CastLike", [WHOLE, X], {}),
    "Celu": ("Celu", [X], {"alpha": 0.7}),
    "Clip": ("Clip", [X, scalar(-0.5), scalar(0.25)], {}),
    "Clip by attributes": ("Clip", [X], {"min": -0.5, "max": 0.25, "opset": 9}),
    "Clip above": ("Clip", [X, None, scalar(0.25)], {}),
    "Compress": ("Compress", [X, np.array([True, False, True])], {"axis": 1}),
    "Concat": ("Concat", [X, Y], {"axis": 1}),
    "ConstantOfShape": ("ConstantOfShape", [ints(2, 3)], {}),
    "CumSum": ("CumSum", [X, scalar(1, np.int64)], {"exclusive": 1, "reverse": 1}),
    "DepthToSpace": ("DepthToSpace", [X], {"blocksize": 2}),
    "DepthToSpace CRD": ("DepthToSpace", [X], {"blocksize": 2, "mode": "CRD"}),
    "Div of integers": ("Div", [WHOLE, DIVISORS], {}),
    "Dropout": ("Dropout", [X], {}),
    "Einsum": ("Einsum", [SMALL, OTHER], {"equation": "ij,jk->ki"}),
    "Elu": ("Elu", [X], {"alpha": 0.7}),
    "Expand": ("Expand", [X[:, :1], ints(2, 4, 1, 6)], {}),
    "EyeLike": ("EyeLike", [SMALL], {"k": 1}),
    "Flatten": ("Flatten", [X], {"axis": 2}),
    "Gather": ("Gather", [X, ints(1, -1)], {"axis": 1}),
    "GatherElements": ("GatherElements", [SMALL, ints(0, -2, 1).reshape(1, 3)], {"axis": 1}),
    "GatherND": ("GatherND", [X, ints(1, 2, 0, -1).reshape(2, 2)], {}),
    "Gelu": ("Gelu", [X], {"opset": 20}),
    "Gelu tanh": ("Gelu", [X], {"opset": 20, "approximate": "tanh"}),
    "Gemm": ("Gemm", [SMALL.T, OTHER.T, OTHER[0]], {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0}),
    "GlobalAveragePool": ("GlobalAveragePool", [X], {}),
    "GlobalMaxPool": ("GlobalMaxPool", [X], {}),
    "GRU": ("GRU", recurrent(3), {"hidden_size": 3, "outputs": 2}),
    "GRU late, both ways": (
        "GRU",
        recurrent(3, ways=2),
        {"hidden_size": 3, "outputs": 2, "direction": "bidirectional", "linear_before_reset": 1},
    ),
    "HardSigmoid": ("HardSigmoid", [X], {"alpha": 0.3}),
    "HardSigmoid as it is": ("HardSigmoid", [X], {}),
    "Hardmax": ("Hardmax", [X], {"axis": 2}),
    "InstanceNormalization": ("InstanceNormalization", [X, *C[:2]], {}),
    "IsInf": ("IsInf", [floats(1, np.inf, -np.inf)], {"detect_negative": 0}),
    "LRN": ("LRN", [X], {"size": 3, "alpha": 0.5, "beta": 0.6, "bias": 1.5}),
    "LayerNormalization": ("LayerNormalization", [X, X[0, 0, 0], Y[0, 0, 0]], {}),
    "LeakyRelu": ("LeakyRelu", [X], {}),
    "LogSoftmax": ("LogSoftmax", [X], {"axis": 1}),
    "LogSoftmax before opset 13": ("LogSoftmax", [X], {"opset": 11}),
    "LpNormalization": ("LpNormalization", [X], {"axis": 1}),
    "LpPool": ("LpPool", [X], {"kernel_shape": [2, 3], "strides": [2, 2]}),
    "LSTM": ("LSTM", recurrent(4), {"hidden_size": 3, "outputs": 3}),
    "LSTM both ways": ("LSTM", recurrent(4, ways=2), {"hidden_size": 3, "outputs": 3, "direction": "bidirectional"}),
    "LSTM with peepholes": (
        "LSTM",
        [*recurrent(4), None, None, None, RNG.normal(size=(1, 9)).astype(np.float32)],
        {"hidden_size": 3, "outputs": 1},
    ),
    "MatMul": ("MatMul", [X, X.swapaxes(2, 3)], {}),
    "Mish": ("Mish", [X], {"opset": 18}),
    "Mod": ("Mod", [WHOLE, DIVISORS], {}),
    "Mod of floats": ("Mod", [X, Y], {"fmod": 1}),
    "NonMaxSuppression": (
        "NonMaxSuppression",
        [
            np.concatenate([Y[0, 0, 0].reshape(1, 3, 2)] * 2, axis=1)[:, :, [0, 1, 0, 1]] + floats(0, 0, 0.5, 0.4),
            RNG.uniform(size=(1, 2, 6)).astype(np.float32),
            ints(2),
            floats(0.5),
            floats(0.1),
        ],
        {},
    ),
    "NonZero": ("NonZero", [np.sign(np.floor(X))], {}),
    "Not": ("Not", [X > 0], {}),
    "And": ("And", [X > 0, Y > 0.5], {}),
    "Or": ("Or", [X > 0, Y > 0.5], {}),
    "Xor": ("Xor", [X > 0, Y > 0.5], {}),
    "OneHot": ("OneHot", [ints(0, 2, -1), scalar(4, np.int64), floats(-1, 3)], {"axis": 0}),
    "Pad": ("Pad", [X, ints(0, 0, 1, 2, 0, 0, -1, 1), scalar(2.5)], {}),
    "Pad reflect": ("Pad", [X, ints(0, 0, 1, 2, 0, 0, 2, 1)], {"mode": "reflect"}),
    "Pad by attributes": ("Pad", [X], {"mode": "edge", "pads": [0, 0, 1, 2, 0, 0, 2, 1], "opset": 9}),
    "Pow": ("Pow", [Y, floats(2.5)], {}),
    "PRelu": ("PRelu", [X, C[0].reshape(4, 1, 1)], {}),
    "Range": ("Range", [scalar(1.5), scalar(9), scalar(2.5)], {}),
    "Reshape": ("Reshape", [X, ints(0, -1, 6)], {}),
    "RNN": ("RNN", recurrent(1), {"hidden_size": 3, "outputs": 2, "direction": "reverse"}),
    "ScatterElements": ("ScatterElements", [SMALL, ints(1, 0, 1).reshape(1, 3), floats(9, 8, 7).reshape(1, 3)], {"opset": 16}),
    "ScatterND add": ("ScatterND", [SMALL, ints(1, 1).reshape(2, 1), SMALL], {"opset": 16, "reduction": "add"}),
    "Selu": ("Selu", [X], {}),
    "Shape": ("Shape", [X], {"start": 1, "end": -1}),
    "Size": ("Size", [X], {}),
    "Slice": ("Slice", [X, ints(-1, 1), ints(-9, 99), ints(2, 3), ints(-2, 2)], {}),
    "Slice by attributes": ("Slice", [X], {"starts": [1, -3], "ends": [99, -1], "axes": [1, 3], "opset": 9}),
    "Softmax": ("Softmax", [X], {"axis": 1}),
    "Softmax before opset 13": ("Softmax", [X], {"opset": 11}),
    "SpaceToDepth": ("SpaceToDepth", [X[:, :, :4]], {"blocksize": 2}),
    "Split": ("Split", [X, ints(1, 3)], {"axis": 1, "outputs": 2}),
    "Split evenly": ("Split", [X], {"axis": 3, "outputs": 2}),
    "Squeeze": ("Squeeze", [X[:, :1], ints(1)], {}),
    "ThresholdedRelu": ("ThresholdedRelu", [X], {"alpha": 0.3}),
    "Tile": ("Tile", [SMALL, ints(2, 3)], {}),
    "TopK": ("TopK", [np.floor(2 * X), ints(3)], {"axis": 2, "outputs": 2}),
    "TopK smallest": ("TopK", [X, ints(2)], {"axis": 1, "largest": 0, "outputs": 2}),
    "Transpose": ("Transpose", [X], {"perm": [3, 0, 2, 1]}),
    "Trilu": ("Trilu", [X, scalar(1, np.int64)], {"upper": 0}),
    "Unsqueeze": ("Unsqueeze", [X, ints(0, -1)], {}),
    "Where": ("Where", [X > 0, X, Y], {}),
    "QuantizeLinear": ("QuantizeLinear", [X, scalar(0.0173), scalar(130, np.uint8)], {}),
    "QuantizeLinear by channel": ("QuantizeLinear", [X, C[0] / 100, np.zeros(4, np.int8)], {"axis": 1}),
    "DequantizeLinear": ("DequantizeLinear", [LEVELS, floats(0.1, 0.2, 0.3), np.array([1, 2, 3], np.uint8)], {"axis": 1}),
    "DynamicQuantizeLinear": ("DynamicQuantizeLinear", [X], {"outputs": 3}),
    "ConvInteger": ("ConvInteger", [LEVELS, KERNEL.astype(np.int8), scalar(117, np.uint8)], {"pads": [1, 1, 1, 1]}),
    "MatMulInteger": (
        "MatMulInteger",
        [LEVELS[0, 0], KERNEL[0, :, :, 0][[0, 1, 2, 0, 1]][:, [0, 1]], scalar(9, np.uint8), scalar(-3, np.int8)],
        {},
    ),
    "QLinearConv": (
        "QLinearConv",
        [
            LEVELS,
            scalar(0.013),
            scalar(120, np.uint8),
            KERNEL // 2,
            floats(0.01, 0.02, 0.03, 0.04),
            np.zeros(4, np.int8),
            scalar(0.17),
            scalar(90, np.uint8),
            np.array([5, -900, 70, 0], np.int32),
        ],
        {"strides": [2, 1]},
    ),
    "QLinearMatMul": (
        "QLinearMatMul",
        [
            LEVELS[0, 0],
            scalar(0.01),
            scalar(120, np.uint8),
            LEVELS[0, 1].T.copy(),
            scalar(0.02),
            scalar(99, np.uint8),
            scalar(0.05),
            scalar(128, np.uint8),
        ],
        {},
    ),
    "com.microsoft:Gelu": ("com.microsoft:Gelu", [X], {}),
    "com.microsoft:BiasGelu": ("com.microsoft:BiasGelu", [X, X[0, 0, 0]], {}),
    "com.microsoft:QuickGelu": ("com.microsoft:QuickGelu", [X], {}),
    "com.microsoft:FusedMatMul": ("com.microsoft:FusedMatMul", [SMALL, OTHER.T.copy()], {"transB": 1, "alpha": 0.3}),
    "com.microsoft:SkipLayerNormalization": ("com.microsoft:SkipLayerNormalization", [X[0], Y[0], X[0, 0, 0], Y[0, 0, 0]], {}),
    "com.microsoft:QLinearAdd": (
        "com.microsoft:QLinearAdd",
        [
            LEVELS,
            scalar(0.01),
            scalar(7, np.uint8),
            LEVELS[:, ::-1].copy(),
            scalar(0.03),
            scalar(100, np.uint8),
            scalar(0.02),
            scalar(50, np.uint8),
        ],
        {},
    ),
    "com.microsoft:FusedConv": ("com.microsoft:FusedConv", [X, X[:, :, :2, :2]], {"activation": "Relu"}),
}
"""By name: operator, inputs, options."""


@pytest.mark.parametrize("name", ONE)
def test_an_operator_answers_what_onnx_runtime_answers(name, tmp_path):
    kind, inputs, options = ONE[name]
    check(kind, inputs, tmp_path, **options)


@pytest.mark.parametrize("name", ["Add", "MatMul", "Softmax", "LSTM", "QuantizeLinear", "ArgMax", "BatchNormalization", "Slice"])
def test_a_wrong_operator_is_seen(name, tmp_path, monkeypatch):
    kind, inputs, options = ONE[name]
    right = evaluating.FORMS[kind]

    def wrong(node, *given):
        made = right(node, *given)
        first, *rest = made if isinstance(made, tuple) else (made,)
        return (np.roll(first * (1 + np.float64(2e-5)) if first.dtype.kind == "f" else first, 0 if first.dtype.kind == "f" else 1), *rest)

    monkeypatch.setattr(evaluating, "FORMS", {**evaluating.FORMS, kind: wrong})
    with pytest.raises(AssertionError):
        check(kind, inputs, tmp_path, **options)


FINE = "Exp Tanh Sigmoid Softplus Add Div MatMul Gemm Einsum Softmax LSTM BatchNormalization LayerNormalization ReduceMean CumSum"


@pytest.mark.parametrize("name", [*FINE.split(), "GRU", "PRelu", "Celu", "HardSigmoid"])
def test_digits_are_those_of_float64(name, tmp_path):
    """Fed with values that float32 does not hold: an operator that goes through float32 somewhere is off by 1e-8."""
    kind, inputs, options = ONE.get(name, (name, [Y], {"axes": [1, -1], "opset": 11}))
    options = options | ({"outputs": 2} if kind == "LSTM" else {})
    fine = [array * (1 + 1e-9) if array is not None and array.dtype == np.float32 else array for array in map(_wide, inputs)]
    proto, feeds, names = model(kind, fine, **options)
    theirs = ReferenceEvaluator(proto).run(None, feeds)
    ours = doubled(proto, feeds, names, tmp_path)
    for there, name in zip(theirs, names, strict=True):
        np.testing.assert_allclose(ours[name], there, rtol=0, atol=1e-13 * max(1.0, np.abs(there).max()))


def test_the_last_cell_of_an_lstm_has_the_digits_of_float64(tmp_path):
    """onnx's reference does not tell it up to 1.19: its next step, from our state, is that of the whole sequence."""
    x, *weights = map(_wide, recurrent(4))
    proto, feeds, names = model("LSTM", [x[:-1], *weights], hidden_size=3, outputs=3)
    ours = doubled(proto, feeds, names, tmp_path)
    state = [ours["y1"], ours["y2"]]
    next_step, whole = (
        ReferenceEvaluator(made).run(None, given)[0][-1]
        for made, given, _ in (
            model("LSTM", [x[-1:], *weights, *[None] * (5 - len(weights) - 1), *state], hidden_size=3),
            model("LSTM", [x, *weights], hidden_size=3),
        )
    )
    np.testing.assert_allclose(next_step, whole, rtol=0, atol=1e-13)


def _wide(array):
    return array.astype(np.float64) * (1 + 1e-9) if array is not None and array.dtype == np.float32 else array
