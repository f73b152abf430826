"""A model as one pt2 archive: torch.export's graph and weights, without the code that made them."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..pipeline import Model
from .dynamic import exporting, free_dimensions

TRACES = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node")
"""What torch.export notes of the code and of this machine's paths."""


def export_pt2(model: Model, example: Tensor, path: Path, *, layout: str, dynamic_size: bool, extra: Mapping[str, str]) -> None:
    """Writes `path`, for torch.export.load, with a dynamic batch.

    example: pixels in `layout`, a batch of at least 2.  extra: the archive's extra files by name.
    Raises PreprocError with torch's reason.
    """
    with torch.no_grad(), exporting("torch.export", dynamic_size=dynamic_size):
        program = torch.export.export(model, (example,), dynamic_shapes=free_dimensions(layout, dynamic_size=dynamic_size), strict=False)
    program._example_inputs = None  # they would be pickled
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                for key in TRACES:
                    node.meta.pop(key, None)
    torch.export.save(program, path, extra_files=dict(extra))
