"""What a quantized model answers, not rounded to 256 numbers: nobody computes with it any more."""

import onnx_ir as ir

from .unread import drop


def answer_unrounded(model: ir.Model) -> None:
    """Takes QuantizeLinear and DequantizeLinear away, in place, where nothing is behind them but an output of the model."""
    for at, output in enumerate(model.graph.outputs):
        source = _rounded(output)
        maker = None if source is None else source.producer()
        if maker is not None and len(maker.outputs) == 1 and len(maker.outputs[0].uses()) == 1:
            value = ir.Value(name=output.name, type=output.type, shape=output.shape)
            again = ir.Node(maker.domain, maker.op_type, maker.inputs, maker.attributes.values(), outputs=[value], name=maker.name)
            again.metadata_props.update(maker.metadata_props)
            model.graph.insert_after(maker, again)
            model.graph.outputs[at] = value
            drop(output)


def _rounded(output: ir.Value) -> ir.Value | None:
    """What is rounded to make it; None where it is not, or something else reads it, too."""
    last = output.producer()
    if last is None or last.op_type != "DequantizeLinear" or last.inputs[0] is None or output.uses():
        return None
    first = last.inputs[0].producer()
    return first.inputs[0] if first is not None and first.op_type == "QuantizeLinear" and len(first.outputs[0].uses()) == 1 else None
