"""First convolutions that are given planes of cells in place of the picture: what else the graph asks of the picture is its shape."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ..errors import NotFoldableError
from ..sources import PixelsSpec
from ..steps import FromPixels
from .builder import Builder
from .constants import attribute
from .first_convolutions import First
from .frame import Numbers, Side
from .unread import drop
from .video import picture_size
from .walk import Walk


@dataclass(frozen=True)
class Given:
    """step: what the pixels are.  found: the convolutions.  shapes: what asks for the picture's shape, with the order of its axes there.
    channels: that the picture has."""

    step: FromPixels
    found: Sequence[First]
    shapes: Sequence[tuple[ir.Node, str]]
    channels: int

    @staticmethod
    def of(walk: Walk, step: FromPixels) -> "Given":
        """Raises NotFoldableError where the shape of something else is asked for that is made of it. walk: to convolutions that can read
        planes."""
        shapes = list[tuple[ir.Node, str]]()
        for node in walk.graph.all_nodes():
            source = node.inputs[0] if node.inputs else None
            if node.op_type != "Shape" or source is None or source not in walk.tracked:
                continue
            tracked = walk.tracked[source]
            if sorted(tracked.order) != sorted("NCHW") or tracked.moves or node.outputs[0].is_graph_output():
                raise NotFoldableError(
                    f"{node.name or node.outputs[0].name} asks for the shape of what is made of the picture", name="fold-untraceable"
                )
            shapes.append((node, "".join(tracked.order)))
        return Given(step, walk.found, shapes, walk.channels)

    def put(self, b: Builder, pixels: ir.Value, spec: PixelsSpec, planes: ir.Value) -> None:
        """In place. pixels: the file's input, of that spec.  planes: what the steps make of it."""
        old = [value for node in (*(item.node for item in self.found), *(node for node, _ in self.shapes)) for value in node.inputs[:1]]
        cast = {b.dtype: planes}
        for item in self.found:
            dtype = ir.DataType.from_numpy(item.weights()[0].dtype)
            if dtype not in cast:
                cast[dtype] = b.add("Cast", planes, to=dtype)
            item.node.replace_input_with(0, cast[dtype])
        if self.shapes:
            n, (height, width) = Numbers(b), picture_size(b, self.step, pixels)
            batch: Side = spec.batch or b.add("Gather", b.add("Shape", pixels), np.array([0]))
            sides = {"N": batch, "C": self.channels, "H": height, "W": width}
            for node, order in self.shapes:
                asked = order[attribute(node, "start", 0) : attribute(node, "end", None)]
                told = n.vector([sides[axis] for axis in asked])
                node.outputs[0].replace_all_uses_with(b.constant(told) if isinstance(told, np.ndarray) else told)
                old.append(node.outputs[0])
        for value in old:
            if value is not None and value.producer() is not None:
                drop(value)
