"""The first layers of a network that is brought to 8 bits, by themselves: what they make, and what the rounding of their weights may do."""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from .held import Held


def layers_of(attached: ir.Model, made: ir.Model, held: Held) -> dict[str, str]:
    """By the name of what the layers made before they were quantized, that of what they make now, without what rounds it: a Relu behind
    them goes into that. Only of layers that read the pixels themselves, and add their biases. made: the quantized model."""
    before = {str(node.outputs[0].name): str(node.inputs[0].name) for node in attached.graph if node.inputs and node.inputs[0] is not None}
    weights = {f"{weight}_quantized": name for weight, name in held.made.items() if before[name] in held.levels}
    found = {}
    for node in made.graph:
        name = weights.get(str(node.inputs[0].name)) if node.op_type == "DequantizeLinear" and node.inputs[0] is not None else None
        for reader, _ in node.outputs[0].uses() if name is not None else ():
            found[str(name)] = str(reader.outputs[0].name)
    return found


def half_steps(model: ir.Model, held: Held) -> dict[str, NDArray[np.float64]]:
    """Puts half a step of its grid in the place of each weight of these layers, in place. Returns these, (channels_out,), by what the
    layers make."""
    for name, (scales, axis) in held.weights.items():
        weight = model.graph.initializers[name]
        assert weight.const_value is not None
        shape = weight.const_value.numpy().shape
        halves = np.broadcast_to(scales.reshape([-1 if at == axis else 1 for at in range(len(shape))]) / 2, shape)
        weight.const_value = ir.tensor(np.ascontiguousarray(halves, np.float32), name=name)
    return {made: held.weights[name][0] / 2 for name, made in held.made.items()}


def all_taps(model: ir.Model, held: Held) -> Mapping[str, NDArray[np.float64]]:
    """By what each layer makes: (channels_out,) half a step for each of its weights that read one channel of the entry."""
    found = {}
    for name, made in held.made.items():
        scales, axis = held.weights[name]
        value = model.graph.initializers[name].const_value
        assert value is not None
        shape = value.numpy().shape
        found[made] = scales / 2 * (np.prod(shape) / shape[axis] / (held.entry.channels or 1))
    return found
