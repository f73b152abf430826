"""What is published of a network's preprocessing, and what its readers share."""

import platform
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from ...errors import NotAtHandError, PreprocError, first_line
from ...steps import BECAUSE, INTERPOLATIONS, Normalize, Resampling, Resize, Step, with_pillow

UNJUDGED = "as published"
"""The reason of a Normalize in the making: finished() puts the caller's in its place, or none, and only then are its constants judged."""


@dataclass(frozen=True)
class Published:
    """What is said of a network's preprocessing: the steps behind grey levels, in the channel order `color`.  origin: where it is said;
    of a preprocessor_config.json with its text, so that original() can run it."""

    color: str
    steps: tuple[Step, ...]
    origin: str = ""

    def __str__(self) -> str:
        return f"{self.color} through " + ", ".join(map(str, self.steps))


def resize_step(size: Any, interpolation: Any, max_size: int | None, where: str) -> Resize:
    method = str(getattr(interpolation, "value", interpolation)).removesuffix("-exact")  # on a PIL image they are the same
    if method not in INTERPOLATIONS:
        raise PreprocError(
            f"{where}: expected interpolation to be one of {', '.join(INTERPOLATIONS)}, got {method}", name="steps-cannot-say"
        )
    sides = [size] if isinstance(size, int) else list(size or ())
    if len(sides) not in (1, 2):
        raise PreprocError(f"{where}: expected a size of one or two numbers, got {size}", name="published-value")
    return Resize(size=sides[0] if len(sides) == 1 else (sides[0], sides[1]), interpolation=method, max_size=max_size)


def finished(steps: Iterable[Step], pillow: int | None, constants_because: str | None) -> tuple[Step, ...]:
    """The steps that were read with the caller's choices: as steps.with_pillow(), and steps.Normalize's constants_because. Raises
    PreprocError for constants that can be no mean and std where no reason is given, and for a reason without constants."""
    made = [replace(step, constants_because=constants_because) if isinstance(step, Normalize) else step for step in steps]
    if constants_because is not None and not any(isinstance(step, Normalize) for step in made):
        told = ", ".join(step.name for step in made) or "no steps"
        raise PreprocError(
            f"expected a normalization, whose constants the reason in {BECAUSE} is for, got {told}", name="option-without-effect"
        )
    return with_pillow(made, pillow)


def through_floats(steps: Iterable[Step]) -> str:
    """Why torchvision resizes tensors of uint8 otherwise here than these steps: bilinear ones go through floats where torch does not use
    AVX2 (torchvision.transforms.v2.functional.resize_image, which knows that of ARM it need not). "" where it does not."""
    if not any(isinstance(step, Resampling) and (step.torch, step.interpolation) == ("uint8", "bilinear") for step in steps):
        return ""
    import torch

    if torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512") or platform.machine() in ("aarch64", "arm64"):
        return ""
    return "torch uses no AVX2 here, without which torchvision resizes uint8 tensors through floats"


def check_torchvision() -> None:
    """Raises NotAtHandError for a torchvision that was built for another torch, which says no more than that an operator does not exist.

    It is called where torchvision is imported, and timm, which imports it.
    """
    try:
        import torchvision  # noqa: F401
    except ModuleNotFoundError:
        raise
    except (ImportError, RuntimeError) as error:
        raise NotAtHandError(
            f"expected a torchvision that was built for this torch, got: {first_line(error)}; install both anew, together",
            name="not-installed",
        ) from error


def title(origin: str) -> str:
    """An origin without the text of the file that it names."""
    return origin.partition(" {")[0]
