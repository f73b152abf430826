"""A convolution beside another one, whose numbers are added to its own."""

from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from ..folding import Window
from .constants import OURS


def put_beside(node: ir.Node, graph: ir.Graph, weight: NDArray[Any], window: Window) -> None:
    """Behind a Conv, in place: another one of the same input, without a bias, and an Add of both in place of what the first one made, of
    that name. graph: that holds the weights.  weight, window: of the other one."""
    made, sides = node.outputs[0], (window.rows, window.columns)
    assert node.graph is not None
    name = f"preproc/{made.name}"
    held = ir.Value(name=f"{name}/weight", const_value=ir.tensor(weight, name=f"{name}/weight"))
    held.shape, held.dtype = ir.Shape(weight.shape), ir.DataType.from_numpy(weight.dtype)
    graph.register_initializer(held)
    attributes = {
        "kernel_shape": [side.kernel for side in sides],
        "strides": [side.stride for side in sides],
        "dilations": [side.dilation for side in sides],
        "pads": [*(side.before for side in sides), *(side.behind for side in sides)],
    }
    total = ir.Value(name=made.name, shape=made.shape, type=made.type)
    made.replace_all_uses_with(total, replace_graph_outputs=True)
    made.name = f"{name}/first"
    outputs = [ir.Value(name=f"{name}/second", shape=made.shape, type=made.type)]
    other = ir.node("Conv", [node.inputs[0], held], attributes=attributes, outputs=outputs, name=f"{name}/Conv")
    node.graph.insert_after(node, [other, ir.node("Add", [made, *outputs], outputs=[total], name=f"{name}/Add")])


def beside(node: ir.Node) -> ir.Node | None:
    """The convolution that put_beside() has put there: whose numbers an Add adds to what this one makes, and nobody else reads of either;
    None where there is none."""
    uses = tuple(node.outputs[0].uses())
    if len(uses) != 1 or uses[0].node.op_type != "Add" or uses[0].node.domain not in OURS:
        return None
    other = uses[0].node.inputs[1 - uses[0].idx]
    found = None if other is None or len(other.uses()) != 1 else other.producer()
    alone = found is not None and not node.outputs[0].is_graph_output() and not found.outputs[0].is_graph_output()
    return found if alone and found.op_type == "Conv" and found.domain in OURS else None  # type: ignore[union-attr]
