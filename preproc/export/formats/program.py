"""A model as torch.export's program: its graph and weights, without the code that made them."""

import operator

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from ...layers import Model
from ...steps import Sides
from .dynamic import exporting, with_free_sides

TRACES = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node")
"""What torch.export notes of the code and of this machine's paths."""
ATEN = torch.ops.aten
RESHAPES = {ATEN.view.default: ATEN.reshape.default, ATEN.view_as.default: ATEN.reshape_as.default}
RESHAPES |= {ATEN._unsafe_view.default: ATEN.reshape.default}
"""What needs a memory layout that another device's kernels may not leave, and what does the same with any."""
MAY_RETURN_ITS_INPUT = (ATEN.dropout.default, ATEN.alpha_dropout.default, ATEN.feature_dropout.default, ATEN.feature_alpha_dropout.default)
"""Operators whose schemas do not say so."""


def export_program(model: Model, example: Tensor, *, layout: str, size: Sides) -> torch.export.ExportedProgram:
    """The program with a dynamic batch, from which pt2 archives and AOTInductor packages are written; its example is not in it.

    example: pixels in `layout`, a batch of at least 2.  size: height and width, None where they are free.
    Raises PreprocError with torch's reason.
    """
    with torch.no_grad(), exporting("torch.export", size):
        program = with_free_sides(lambda free: torch.export.export(model, (example,), dynamic_shapes=free, strict=False), layout, size)
        program._example_inputs = None  # they would be pickled
        for module in program.graph_module.modules():
            if isinstance(module, fx.GraphModule):
                for node in module.graph.nodes:
                    for key in TRACES:
                        node.meta.pop(key, None)
                free_of_layout(module)
        program.validate()
    return program


def free_of_layout(module: fx.GraphModule) -> None:
    """Makes every view a reshape, which on this machine is a view as well; but those of memory that the graph writes to later, for a copy
    would not see that, or be seen."""
    memory: dict[fx.Node, fx.Node] = {}  # of each node, the one that allocated it
    written: dict[fx.Node, int] = {}  # of that one, where it is written to for the last time
    for place, node in enumerate(module.graph.nodes):
        inputs = [memory[value] for value in node.all_input_nodes]
        memory[node] = inputs[0] if inputs and _is_alias(node) else node
        written |= {memory[value]: place for value in _written(node)}
    for place, node in enumerate(module.graph.nodes):
        if node.target in RESHAPES and written.get(memory[node], -1) < place:
            node.target = RESHAPES[node.target]
    module.recompile()


def _is_alias(node: fx.Node) -> bool:
    """Whether it answers its first input's memory, or may."""
    if isinstance(node.target, torch._ops.OpOverload):
        return node.target in MAY_RETURN_ITS_INPUT or any(value.alias_info is not None for value in node.target._schema.returns)
    return node.target is operator.getitem


def _written(node: fx.Node) -> list[fx.Node]:
    """The inputs that a node writes to."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return []
    arguments = node.target._schema.arguments
    given = {argument.name: value for argument, value in zip(arguments, node.args, strict=False)} | node.kwargs
    targets = [given[argument.name] for argument in arguments if argument.is_write and argument.name in given]
    return [value for value in pytree.tree_leaves(targets) if isinstance(value, fx.Node)]
