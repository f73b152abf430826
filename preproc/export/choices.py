"""What the options of `preproc attach` choose: steps, pixels and the model's colour order."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..checks import check_choice
from ..errors import PreprocError
from ..presets import UNITS, Statistics, preset
from ..recipe import PixelsSpec, load_recipe
from ..steps import COLORS, Step
from .attaching import constants_steps

Choice = tuple[Sequence[Step], PixelsSpec, str]


def steps_and_pixels(
    *,
    preset: str | None,
    mean: str | None,
    std: str | None,
    units: str | None,
    recipe: Path | None,
    layout: str,
    color: str,
    model_color: str | None,
    dtype: str,
    size: str | None,
) -> Choice:
    """Just one of a preset, mean with std and units, or a recipe. Raises PreprocError for anything else."""
    chosen = [name for name, value in (("--preset", preset), ("--mean", mean), ("--recipe", recipe)) if value is not None]
    if len(chosen) != 1:
        raise PreprocError(
            "expected one of --preset, --mean with --std and --units, or --recipe, "
            f"got {' and '.join(chosen) or 'none'}: nothing defaults to ImageNet"
        )
    if recipe is not None:
        made = load_recipe(recipe)
        return made.steps[1:], made.pixels if size is None else replace(made.pixels, size=_size(size)), made.backbone.color
    check_choice("--color", color, COLORS)
    check_choice("--dtype", dtype, ("uint8", "uint16"))
    known, origin = (_by_hand(mean, std, units, model_color), "--mean and --std") if preset is None else _preset(preset)
    trained_on = model_color or known.color
    steps = constants_steps(known, color=trained_on, origin=origin, pixel_dtype=dtype)
    channels = len(COLORS[color]) or len(known.mean)
    return (
        steps,
        PixelsSpec(layout=layout, color=color, dtype=dtype, size=None if size is None else _size(size), channels=channels),
        trained_on,
    )


def _preset(name: str) -> tuple[Statistics, str]:
    return preset(name), f"preset {name}"


def _by_hand(mean: str | None, std: str | None, units: str | None, model_color: str | None) -> Statistics:
    if mean is None or std is None or units is None:
        raise PreprocError("expected --mean, --std and --units together, got some of them")
    check_choice("--units", units, UNITS)
    means, stds = _numbers("--mean", mean), _numbers("--std", std)
    color = model_color or {1: "GRAY", 3: "RGB"}.get(len(means), "ANY")
    return Statistics(means, stds, units, color, "the command line")


def _size(text: str) -> tuple[int, int]:
    try:
        height, width = (int(part) for part in text.split(","))
    except ValueError as error:
        raise PreprocError(f"expected --size to be height and width, as 224,224, got {text!r}") from error
    if min(height, width) < 1:
        raise PreprocError(f"expected --size of at least 1,1, got {text!r}")
    return height, width


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise PreprocError(f"expected {option} to be numbers with commas between, as 0.5,0.5,0.5, got {text!r}") from error
