"""What nobody reads any more leaves the file: a weight that the fold has replaced, and the nodes that made it."""

import onnx_ir as ir


def drop(value: ir.Value) -> None:
    """Takes an initializer, or the node that makes the value, out of its graph if nothing reads it; then what only that has read."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        node = value.producer()
        made = [value] if node is None else list(node.outputs)
        if any(each.uses() or each.is_graph_output() or each.is_graph_input() for each in made):
            continue
        if node is not None and node.graph is not None:
            read = [source for source in node.inputs if source is not None]
            node.graph.remove(node, safe=True)
            waiting += dict.fromkeys(read)
        elif node is None and value.is_initializer() and value.graph is not None:
            value.graph.initializers.pop(str(value.name))
