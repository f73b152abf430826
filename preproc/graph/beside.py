"""A convolution beside another one, whose numbers are added to its own."""

from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from ..folding import Window


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


def beside(node: ir.Node) -> ir.Node:
    """What put_beside() has put there."""
    ((add, place),) = node.outputs[0].uses()
    other = add.inputs[1 - place]
    found = None if other is None else other.producer()
    assert found is not None
    return found
