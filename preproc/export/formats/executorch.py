"""A model as a program of ExecuTorch: what XNNPACK takes of its graph, and ExecuTorch's own kernels for the rest. And the same with test
cases beside it, as ExecuTorch's bundled program."""

import contextlib
import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import PreprocError, RuntimeAbsentError
from ...layers import Model
from ...steps import Sides
from ...verify.runtimes import executorch_runtime
from .dynamic import exporting, with_free_sides

BATCH = 8
"""Pictures in a batch at most: ExecuTorch plans its memory for the largest one."""
HALVES, EXACT = 14, 24
"""Bits at most of the lower part of a whole number whose sum is taken by itself; and of the numbers that float32 holds all of."""
MOST = 1 << 16
"""Whole numbers in one sum."""
ATEN = torch.ops.aten
_ELSE = "; the formats onnx, torchscript and pt2 may"


def export_executorch(
    model: Model, example: Tensor, path: Path, *, layout: str, size: Sides, at_most: Mapping[str, int], constants: Mapping[str, str]
) -> None:
    """Writes `path`, for ExecuTorch's runtime, with a batch of 1 to at_most["N"].

    example: pixels in `layout`, a batch of at least 2.  size: height and width, None where they are free, up to at_most's.
    constants: methods of the program without inputs, and the text that each answers.
    Raises PreprocError with the reason of torch or ExecuTorch, and where its runtime has no kernel for something.
    """
    edge = exir()
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir.passes.constant_prop_pass import constant_prop_pass

    with torch.no_grad(), exporting("ExecuTorch", size, _ELSE), unlogged():
        program = with_free_sides(
            lambda free: torch.export.export(model, (example,), dynamic_shapes=free, strict=False), layout, size, at_most
        )
        program = constant_prop_pass(program.run_decompositions(_EXACT))  # what the runtime would compute again and again
        lowered = edge.to_edge_transform_and_lower(
            program,
            partitioner=[XnnpackPartitioner()],
            compile_config=edge.EdgeCompileConfig(_core_aten_ops_exception_list=[ATEN.bitwise_right_shift.Tensor_Scalar]),
            constant_methods=dict(constants),
        ).to_executorch()
        _check_kernels(lowered.executorch_program)
    path.write_bytes(lowered.buffer)


def at_most(size: Sides, sizes: Sequence[Sequence[int]]) -> dict[str, int]:
    """How large a batch is in a program at most, and each of the sides that `size` leaves free: as large as in one of `sizes`, (height,
    width), that it is verified with."""
    free = [axis for axis, side in enumerate(size) if side is None]
    return {"N": BATCH} | {("height", "width")[axis]: max(each[axis] for each in sizes) for axis in free}


def bundle_executorch(program: Path, samples: Sequence[tuple[NDArray[Any], Sequence[Tensor]]], path: Path) -> None:
    """Writes `path`, the program in the file `program` with test cases of its method forward. samples: pixels, and the outputs that they
    lead to, in the program's order and dtypes."""
    exir()
    from executorch.devtools.bundled_program.config import MethodTestCase, MethodTestSuite
    from executorch.devtools.bundled_program.core import BundledProgram
    from executorch.devtools.bundled_program.serialize import serialize_from_bundled_program_to_flatbuffer

    cases = [MethodTestCase((torch.from_numpy(np.ascontiguousarray(pixels)),), tuple(expected)) for pixels, expected in samples]
    with unlogged():
        made = BundledProgram(None, [MethodTestSuite("forward", cases)], pte_file_path=str(program))
        path.write_bytes(serialize_from_bundled_program_to_flatbuffer(made))


def exir() -> Any:
    """executorch.exir. Raises PreprocError where it is not installed, or not for this torch."""
    try:
        with unlogged():
            executorch_runtime()
            from executorch import exir as edge
    except RuntimeAbsentError as error:
        raise PreprocError(f"expected executorch for the format executorch, got: {error}", name="not-installed") from error
    return edge


@contextlib.contextmanager
def unlogged() -> Iterator[None]:
    """What ExecuTorch and torch warn of each other, and log, is not the user's affair."""
    before = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(max(before, logging.WARNING))
        try:
            yield
        finally:
            logging.disable(before)


def _check_kernels(program: Any) -> None:
    """Raises PreprocError for what ExecuTorch's runtime would refuse to load."""
    known = executorch_runtime().operator_registry.operator_names
    (forward,) = [plan for plan in program.execution_plan if plan.name == "forward"]
    needed = {f"{operator.name}.{operator.overload}" if operator.overload else operator.name for operator in forward.operators}
    if missing := sorted(needed - set(known)):
        raise PreprocError(f"no kernel of {', '.join(missing)} in its runtime", name="not-exportable")


def _shift(x: Tensor, bits: int) -> Tensor:
    """The same under the name that ExecuTorch has a kernel for."""
    return torch.bitwise_right_shift(x, bits)


def _sum(x: Tensor, dim: Any, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Any:
    """Of whole numbers, which ExecuTorch's kernel adds in float32: exact up to 2^24 only. The upper bits of each and the lower ones, added
    apart, stay below that: the lower ones for there are so few of them, as many as the count of the numbers leaves, the upper ones of up to
    MOST numbers whose sum is nowhere beyond 2^31. Raises PreprocError for more, and where their count is free."""
    if x.is_floating_point() or x.is_complex() or x.dtype == torch.bool:
        return NotImplemented
    count = math.prod(x.shape[axis] for axis in dim or range(x.ndim))
    if not isinstance(count, int) or count > MOST:
        raise PreprocError(f"a sum of {count} whole numbers, which is exact in its runtime up to {MOST:,}", name="not-exportable")
    bits = min(HALVES, EXACT - (count - 1).bit_length())
    x = x.to(torch.int32) if x.dtype.itemsize < 4 else x  # as many bits as the mask has, which would be -1 in int8
    upper, lower = (
        part.float().sum(dim, keepdim).to(dtype or torch.int64)
        for part in (torch.bitwise_right_shift(x, bits), torch.bitwise_and(x, (1 << bits) - 1))
    )
    return upper * (1 << bits) + lower


_EXACT = {ATEN.__rshift__.Scalar: _shift, ATEN.sum.dim_IntList: _sum}
"""What is written otherwise, so that ExecuTorch computes what torch does."""
