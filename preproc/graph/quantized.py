"""QuantizeLinear and DequantizeLinear as opsets before 19 have them, which onnx's reference implementation leaves out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx.reference.op_run import OpRun


class QuantizeLinear(OpRun):
    """round(x / scale) + zero, to the nearest even, saturated."""

    op_domain = ""

    def _run(self, x: NDArray[Any], scale: NDArray[Any], zero: NDArray[Any] | None = None, axis: int = 1, **_: Any) -> tuple[NDArray[Any]]:
        zero = np.zeros((), np.uint8) if zero is None else zero
        info = np.iinfo(zero.dtype)
        whole = np.rint(x / _along(scale, x, axis)) + _along(zero, x, axis).astype(np.float64)
        return (np.clip(whole, info.min, info.max).astype(zero.dtype),)


class DequantizeLinear(OpRun):
    """(x - zero) * scale."""

    op_domain = ""

    def _run(self, x: NDArray[Any], scale: NDArray[Any], zero: NDArray[Any] | None = None, axis: int = 1, **_: Any) -> tuple[NDArray[Any]]:
        whole = x.astype(np.int64) - (0 if zero is None else _along(zero, x, axis).astype(np.int64))
        return ((whole * _along(scale, x, axis)).astype(scale.dtype),)


def _along(values: NDArray[Any], x: NDArray[Any], axis: int) -> NDArray[Any]:
    """One per position of the axis, or one for all."""
    return values.reshape([-1 if at == axis % x.ndim else 1 for at in range(x.ndim)]) if values.size > 1 else values.reshape(())
