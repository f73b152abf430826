"""Collects nodes and constants of one opset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx.defs
import onnx_ir as ir
from numpy.typing import NDArray

from ..errors import PreprocError
from ..steps import Sides


@dataclass(frozen=True)
class Moved:
    """Pixels behind what moves them, resizes and crops: grey levels (N, C, H, W). Or frames, whole numbers, or pixels with an appended
    channel, behind all steps, as the model takes them.
    to: the value's name.  channels: that it has; None: as many as the pixels.  less: the number that its grey levels are less.
    beside: of luma that convolutions read apart from chroma, that."""

    to: str
    dtype: ir.DataType
    layout: str = "NCHW"
    channels: int | None = None
    less: int = 0
    beside: "Moved | None" = None


class Builder:
    """Collects nodes and constants with names that depend on the steps alone. `channels` follows the value that was built last.
    size: of the picture, (height, width), None where a side is free.  prefix: of the names.
    moved: the pixels behind resizes and crops, if there are some, or behind what makes a picture of Y, U and V, or luma and chroma."""

    def __init__(
        self,
        dtype: ir.DataType,
        channels: int,
        *,
        opset: int = 18,
        size: Sides = (None, None),
        prefix: str = "preproc",
    ) -> None:
        self.dtype, self.channels, self.opset, self.size, self.prefix = dtype, channels, opset, size, prefix
        self.step = "these steps"
        self.moved: Moved | None = None
        self.nodes: list[ir.Node] = []
        self.constants: list[ir.Value] = []

    def add(self, op: str, *inputs: ir.Value | NDArray[Any] | None, **attributes: Any) -> ir.Value:
        """Appends a node; arrays among the inputs become initializers, None stands for one left out.

        Raises PreprocError if the model's opset has no such operator.
        """
        if not _has(self.opset, op, len(inputs), attributes):
            needed = next((opset for opset in range(self.opset, NEWEST + 1) if _has(opset, op, len(inputs), attributes)), NEWEST)
            raise PreprocError(
                f"expected a model of opset {needed} or newer for {self.step}, whose {op} came with it, got opset {self.opset}; "
                "export it again with a newer opset",
                name="opset-too-old",
            )
        name = f"{self.prefix}/{len(self.nodes)}_{op}"
        values = [self._constant(f"{name}/{i}", value) if isinstance(value, np.ndarray) else value for i, value in enumerate(inputs)]
        output = ir.Value(name=name)
        self.nodes.append(ir.node(op, inputs=values, attributes=attributes, outputs=[output], name=name))
        return output

    def reduce(self, op: str, x: ir.Value, axes: list[int]) -> ir.Value:
        """A Reduce node that keeps the axes. Which form axes have, an input or an attribute, differs by operator up to opset 18."""
        if self.opset >= (13 if op == "ReduceSum" else 18):
            return self.add(op, x, np.array(axes, np.int64), keepdims=1)
        return self.add(op, x, axes=axes, keepdims=1)

    def on_axes(self, op: str, x: ir.Value, axes: list[int]) -> ir.Value:
        """A Squeeze or an Unsqueeze, whose axes are an attribute up to opset 12."""
        return self.add(op, x, np.array(axes, np.int64)) if self.opset >= 13 else self.add(op, x, axes=axes)

    def floats(self, values: Any) -> NDArray[Any]:
        return np.asarray(values, np.float64).astype(self.dtype.numpy())

    def per_channel(self, values: Sequence[float] | NDArray[np.float64]) -> NDArray[Any]:
        return self.floats(values).reshape(1, -1, 1, 1)

    def constant(self, array: NDArray[Any]) -> ir.Value:
        """An initializer of its own."""
        return self._constant(f"{self.prefix}/constant_{len(self.constants)}", array)

    def _constant(self, name: str, array: NDArray[Any]) -> ir.Value:
        value = ir.Value(name=name, const_value=ir.Tensor(np.array(array, order="C"), name=name))
        value.shape, value.dtype = ir.Shape(array.shape), ir.DataType.from_numpy(array.dtype)
        self.constants.append(value)
        return value


NEWEST = onnx.defs.onnx_opset_version()
BROADCASTING = {"Max": 8, "Min": 8}
"""The opset since which an operator broadcasts as NumPy does; 7 for all others."""


def _has(opset: int, op: str, inputs: int, attributes: Mapping[str, Any]) -> bool:
    """Whether the operator takes so many inputs and these attributes at this opset."""
    if opset < BROADCASTING.get(op, 7):
        return False
    try:
        schema = onnx.defs.get_schema(op, opset)
    except onnx.defs.SchemaError:
        return False
    return inputs <= schema.max_input and all(name in schema.attributes for name in attributes)
