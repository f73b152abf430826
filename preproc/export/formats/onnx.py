"""A torch backbone as a bare ONNX model. The preprocessing is put in front of it by graph/, as for any other file."""

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor, nn

from ...errors import PreprocError
from ...graph import strip
from ...steps import Sides
from .dynamic import exporting, with_free_sides


def export_backbone(backbone: nn.Module, example: Tensor, *, outputs: Sequence[str], opset: int, size: Sides) -> ir.Model:
    """The backbone alone, (N, C, H, W) float in, with a dynamic batch; stripped of everything about this machine.

    example: model-ready, a batch of at least 2.  size: height and width, None where they are free.  Raises
    PreprocError with torch's reason.
    """

    def export(free: tuple[dict[int, Any]]) -> Any:
        return torch.onnx.export(
            backbone,
            (example,),
            dynamo=True,
            input_names=["preproc_ready"],
            output_names=list(outputs),
            dynamic_shapes=free,
            opset_version=opset,
            verbose=False,
        )

    with exporting("torch.onnx", size):
        program = with_free_sides(export, "NCHW", size)
    assert program is not None
    model: ir.Model = program.model
    if model.opset_imports.get("") != opset:
        raise PreprocError(
            f"[export] opset: expected one that torch.onnx can write, got {opset}; it wrote {model.opset_imports.get('')}",
            name="not-exportable",
        )
    (taken,) = model.graph.inputs
    if taken.shape is not None and isinstance(taken.shape[0], int):
        raise PreprocError(
            f"expected a backbone for batches of any size, got one that torch exports for {taken.shape[0]} pictures, the example's: a loop "
            "over the pictures of a batch (for picture in x), or a size that is computed as a number, bakes it; the batch must be free",
            name="not-exportable",
        )
    for value in [*(made for node in model.graph for made in node.outputs), *model.graph.initializers.values()]:
        if value.name in outputs and value not in model.graph.outputs:  # torch names values after operations, and so may a user an output
            value.name = f"{value.name}/inner"
    strip(model)
    model.producer_name, model.producer_version = "preproc", None
    return model
