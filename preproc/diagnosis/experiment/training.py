"""A network trained with each variant, by a function of the user's."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import PreprocError, first_line
from ...steps import Step
from ...verify import inputs
from .networks import of_module
from .pictures import read, sent
from .plan import Plan, Variant
from .running import Preparing
from .scores import Outcome, kind_of, outcome

if TYPE_CHECKING:
    from torch import nn

HOW = "a function of one argument, `prepare`, that returns the trained network"


def trainable(plan: Plan) -> list[Variant]:
    """Those that are other steps in front of the model's network, on pictures as they are; mistakes are none that anybody trains with."""
    own = next((each for each in plan.variants if each.steps is not None), None)
    return [
        each
        for each in plan.variants
        if own is not None
        and each.steps is not None
        and not each.mistake
        and each.network == own.network
        and each.jpeg is None
        and each.camera is None
    ]


def trained(function: Callable[..., Any], name: str, variant: Variant, pictures: Sequence[tuple[Path, int]]) -> list[Outcome]:
    """What the network that it trains says of each picture, prepared as it was trained. Raises PreprocError with the function's own words.

    The function gets a torch module that makes (N, C, H, W) float32 of pixels as the recipe's caller has them.
    """
    assert variant.steps is not None
    try:
        module = function(_pipeline(variant.steps))
    except (Exception, SystemExit) as error:  # the user's own code, which may raise anything
        raise PreprocError(
            f"{name}: expected it to train with {variant.name!r}, got {type(error).__name__}: {first_line(error)}", name="function-failed"
        ) from error
    import torch

    if not isinstance(module, torch.nn.Module):
        raise PreprocError(f"{name}: expected {HOW}, got {type(module).__name__} returned", name="function-failed")
    network, prepare, found = of_module(module), Preparing(), list[Any]()
    for path, _ in pictures:
        given = inputs.laid_out(sent(read(path, variant.pixels), variant)[0], variant.pixels)
        found.append(network(prepare(variant.steps, given))[0])
    kind = kind_of(np.stack(found[:4]))
    return [outcome(scores, label, kind) for scores, (_, label) in zip(found, pictures, strict=True)]


def _pipeline(steps: Sequence[Step]) -> "nn.Module":
    """Unchecked: whether it makes sense is what is asked."""
    from torch import nn

    from ...layers import from_step

    return nn.Sequential(*(from_step(step) for step in steps))
