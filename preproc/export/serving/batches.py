"""Several pictures in one request."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...verify import Case, unresolved_together


def why_none(contract: Mapping[str, Any], golden: Sequence[Case]) -> str | None:
    """Why several pictures cannot be one request, whose answers are cut apart again, or None. (That a batch's rows are those of its
    pictures alone, in order, is what was verified.)"""
    batch = contract["input"]["shape"][0]
    if "N" not in contract["input"]["layout"]:
        return "pixels is one picture, without a batch"
    if isinstance(batch, int):
        return f"pixels has a fixed batch of {batch}"
    for other in contract["other_inputs"]:
        if not other["shape"] or other["shape"][0] != batch:
            return f"{other['name']} is not given per picture, its shape is {other['shape']}"
    for case in golden:
        for name, array in case.expected.items():
            if array.shape[:1] != (case.batch,):
                return f"{name} has {len(array) if array.ndim else 'no'} rows for {case.batch} picture"
    for output in contract["outputs"]:
        if output.get("whole", False):
            return f"{output['name']} has no row for each picture, whatever else is in the batch"
    return None


def in_one_request(contract: Mapping[str, Any], golden: Sequence[Case]) -> list[Case]:
    """All samples of the first one's size as a batch, which shows answers that are given to the wrong pictures; nothing where there is one
    only, or the model takes no batches."""
    same = [case for case in golden if case.pixels.shape == golden[0].pixels.shape]
    if len(same) < 2 or why_none(contract, golden) is not None:
        return []

    def joined(arrays: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {name: np.concatenate([array[name] for array in arrays]) for name in arrays[0]}

    pixels = np.concatenate([case.pixels for case in same])
    expected, others = joined([case.expected for case in same]), joined([case.others for case in same])
    unresolved = unresolved_together(same, list(expected))
    return [Case(f"{len(same)} samples together", pixels, expected, others, unresolved=unresolved, axes=same[0].axes)]
