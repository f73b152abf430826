"""Steps -> torchvision's transforms, for training."""

import math
from collections.abc import Sequence
from typing import Any

from ...errors import PreprocError
from ...steps import CenterCrop, Normalize, Pad, Rescale, Resize, Step, installed_pillow


def to_torchvision(steps: Sequence[Step]) -> Any:
    """The v2 transform that computes on a PIL image what these steps compute behind from_pixels. Raises PreprocError for those that
    torchvision has no transform for, and for resizes with the order of passes of another Pillow than the one here."""
    import torch
    from torchvision.transforms import v2

    found: list[Any] = []
    tensor = turned = False  # what has been made: integers, floats
    for step in steps:
        match step:
            case Resize(pillow=int(pillow)) if pillow != installed_pillow():
                here = installed_pillow()
                raise PreprocError(
                    f"expected resizes with the order of passes of Pillow {here}, which is installed, got {pillow}'s", name="pillow-version"
                )
            case Resize(antialias=True) if not turned and step.rounds and (step.torch is not None or not tensor):
                size = [step.size] if isinstance(step.size, int) else list(step.size)
                method = v2.InterpolationMode(step.interpolation)
                found += [v2.PILToTensor()] if step.torch is not None and not tensor else []
                found.append(v2.Resize(size, interpolation=method, max_size=step.max_size, antialias=True))
                tensor = step.torch is not None
            case CenterCrop(fill=0, rounding="half_even") if not turned:
                found.append(v2.CenterCrop(list(step.size)))
            case Pad() if not turned:
                found.append(v2.Pad(list(step.padding), fill=step.fill))
            case Rescale(offset=0) if not turned and math.isclose(step.scale, 1 / 255, rel_tol=1e-9):
                found += [*([] if tensor else [v2.PILToTensor()]), v2.ToDtype(torch.float32, scale=True)]
                tensor = turned = True
            case Normalize():
                found += [] if tensor else [v2.PILToTensor()]
                found += [] if turned else [v2.ToDtype(torch.float32, scale=False)]
                found.append(v2.Normalize(mean=list(step.mean), std=list(step.std)))
                tensor = turned = True
            case _:
                raise PreprocError(f"expected steps that torchvision has transforms for, got {step}", name="steps-cannot-say")
    ends = [*([] if tensor else [v2.PILToTensor()]), *([] if turned else [v2.ToDtype(torch.float32, scale=False)])]
    return v2.Compose([*found, *ends])
