"""First convolutions that are given luma and chroma apart in place of the picture: what else the graph asks of that is its shape."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from ..errors import NotFoldableError
from ..folding import Cells, FoldPlan
from ..sources import PixelsSpec
from ..steps import FromPixels, Geometry, Step, divided, known, output_size, subtract_steps
from .beside import beside
from .builder import Builder, Moved
from .constants import attribute
from .first_convolutions import First
from .frame import Numbers, Side
from .nodes import append_channel, build
from .unread import drop
from .video import luma_and_chroma, picture_size
from .walk import Walk


@dataclass(frozen=True)
class Given:
    """step, moves: what the pixels are, and what moves their planes.  found: the convolutions, which have one of chroma beside them.
    shapes: what asks for the picture's shape, with the order of its axes there.  channels: that the picture has.  less: what is done to
    luma, and to chroma, before they are read.  constant: that one more plane of chroma holds; None without one."""

    step: FromPixels
    moves: Sequence[Geometry]
    found: Sequence[First]
    shapes: Sequence[tuple[ir.Node, str]]
    channels: int
    less: Sequence[Sequence[Step]]
    constant: float | None

    @staticmethod
    def of(walk: Walk, kept: Sequence[Step], plan: FoldPlan, cells: Cells, unit: float) -> "Given":
        """Raises NotFoldableError where the shape of something else is asked for that is made of it, and where no second convolution can
        stand beside one. walk: to the plan's convolutions.  kept: the steps that cells_of() has made `cells` of, which are without a
        constant.  unit: what the pixels are multiplied with."""
        if any(item.node.graph is not item.graph for item in walk.found):
            raise NotFoldableError("a first convolution is in a branch of the graph, where none is put beside it", name="fold-untraceable")
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
        less = [subtract_steps(plan.shift[channels], unit=unit) for channels in cells.parts]
        first, front, _ = divided(kept)
        moves = [step for step in front if isinstance(step, Geometry)]
        return Given(first, moves, walk.found, shapes, walk.channels, less, plan.constant)

    def put(self, b: Builder, pixels: ir.Value, spec: PixelsSpec) -> Moved | None:
        """In place. pixels: the file's input, of that spec. Returns what the convolutions read, where there is a constant."""
        parts, starts = list[ir.Value](), list[Moved]()
        for part, less in zip(luma_and_chroma(b, self.step, pixels, self.moves), self.less, strict=True):
            b.channels = 2 if parts else 1
            value = b.add("Cast", part, to=b.dtype)
            starts.append(Moved(str(value.name), b.dtype, channels=b.channels))
            value = build(b, less, value)
            parts.append(append_channel(b, self.constant, value) if parts and self.constant is not None else value)
        b.moved = replace(starts[0], beside=starts[1])
        old = self._give(b, parts) + self._tell(b, pixels, spec)
        for unread in old:
            if unread is not None and unread.producer() is not None:
                drop(unread)
        if self.constant is None:
            return None
        luma, chroma = (Moved(str(value.name), b.dtype, channels=channels) for value, channels in zip(parts, (1, 3), strict=True))
        return replace(luma, beside=chroma)

    def _give(self, b: Builder, parts: Sequence[ir.Value]) -> list[ir.Value | None]:
        """Returns what the convolutions have read until now."""
        old, cast = list[ir.Value | None](), {(number, b.dtype): value for number, value in enumerate(parts)}
        for item in self.found:
            dtype = ir.DataType.from_numpy(item.weights()[0].dtype)
            old.append(item.node.inputs[0])
            second = beside(item.node)
            assert second is not None
            for number, node in enumerate((item.node, second)):
                if (number, dtype) not in cast:
                    cast[number, dtype] = b.add("Cast", parts[number], to=dtype)
                node.replace_input_with(0, cast[number, dtype])
        return old

    def _tell(self, b: Builder, pixels: ir.Value, spec: PixelsSpec) -> list[ir.Value | None]:
        """Whoever asks for the picture's shape is told. Returns what nobody has to make any more."""
        if not self.shapes:
            return []
        n, fixed = Numbers(b), known(output_size((self.step, *self.moves), b.size))
        height, width = fixed or picture_size(b, self.step, pixels)  # none is free behind what moves planes: chroma_moves() refuses that
        batch: Side = spec.batch or b.add("Gather", b.add("Shape", pixels), np.array([0]))
        sides = {"N": batch, "C": self.channels, "H": height, "W": width}
        old = [node.inputs[0] for node, _ in self.shapes]
        for node, order in self.shapes:
            asked = order[attribute(node, "start", 0) : attribute(node, "end", None)]
            told = n.vector([sides[axis] for axis in asked])
            node.outputs[0].replace_all_uses_with(b.constant(told) if isinstance(told, np.ndarray) else told)
            old.append(node.outputs[0])
        return old
