"""What the options of `preproc attach` choose: steps, pixels and the model's colour order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import PreprocError, check_choice
from ..sources import PixelsSpec, check_verify_sizes, load_front, published
from ..steps import (
    COLORS,
    LAYOUTS,
    PIXEL_DTYPES,
    UNITS,
    Resampling,
    Sides,
    Size,
    Statistics,
    Step,
    check_pillow,
    constants_steps,
    plausibility,
    preset,
    with_pillow,
)
from .geometry_options import GEOMETRY, geometry_steps

Choice = tuple[Sequence[Step], PixelsSpec, str, str | None]
"""The steps, the pixels, the model's colour order, and where the steps were published."""
PUBLISHED = ("--huggingface", "--timm", "--torchvision")
BY_HAND = ("--mean", "--std", "--units")


@dataclass(frozen=True, kw_only=True)
class Options:
    """As they were given; None: not. layout, color, dtype: None for NHWC, RGB, uint8.  pillow: of a resize, 12 or 13.
    backend: as published.from_huggingface()'s.  constants_because: as steps.Normalize's, of mean and std and of what is published.
    letterbox, resize, crop, interpolation: as geometry_steps()'s, beside a preset or a mean."""

    preset: str | None = None
    mean: str | None = None
    std: str | None = None
    units: str | None = None
    recipe: Path | None = None
    huggingface: Path | None = None
    backend: str | None = None
    timm: str | None = None
    torchvision: str | None = None
    layout: str | None = None
    color: str | None = None
    model_color: str | None = None
    dtype: str | None = None
    size: str | None = None
    pillow: int | None = None
    constants_because: str | None = None
    letterbox: str | None = None
    resize: str | None = None
    crop: str | None = None
    interpolation: str | None = None


def steps_and_pixels(given: Options) -> Choice:
    """Of just one of a preset, mean with std and units, something published, or a recipe, which says the pixels itself. Raises PreprocError
    for anything else. Upper and lower case are the same in layout, color, dtype."""
    chosen = _chosen(given)
    if given.recipe is not None:
        return _of_a_recipe(given, given.recipe)
    pixels = _pixels(given)
    return _of_a_publisher(given, pixels) if chosen in PUBLISHED else _of_constants(given, pixels)


def _chosen(given: Options) -> str:
    """The option that says the constants, beside which nothing stands that it says itself."""
    said: dict[str, object] = {f"--{name.replace('_', '-')}": value for name, value in vars(given).items()}
    chosen = [name for name in ("--preset", "--mean", "--recipe", *PUBLISHED) if said[name] is not None]
    if not chosen:
        raise PreprocError(
            f"expected one of --preset, --mean with --std and --units, {', '.join(PUBLISHED)} or --recipe, got none: nothing defaults to "
            "ImageNet",
            name="missing-constants",
        )
    of_steps = ("--preset", *BY_HAND, *GEOMETRY)
    of_pixels = ("--layout", "--color", "--dtype")
    alone = {"--preset": (*BY_HAND, "--recipe", *PUBLISHED), "--recipe": (*of_steps, *of_pixels, *PUBLISHED, "--pillow")}
    alone |= {name: (*of_steps, "--model-color", "--recipe", *(other for other in PUBLISHED if other != name)) for name in PUBLISHED}
    for name, others in alone.items():
        beside = [other for other in others if said[other] is not None]
        if said[name] is not None and beside:
            raise PreprocError(
                f"expected {name} without {' and '.join(beside)}, which it says itself, got both", name="conflicting-options"
            )
    if given.pillow is not None:
        if chosen[0] not in PUBLISHED and given.resize is None:
            raise PreprocError(
                f"--pillow: expected beside one of {', '.join(PUBLISHED)} or --resize, whose resizes it is of, got it with {chosen[0]}",
                name="option-without-effect",
            )
        check_pillow(given.pillow, "--pillow")
    if given.backend is not None and given.huggingface is None:
        raise PreprocError(
            f"--backend: expected beside --huggingface, which it is of, got it with {chosen[0]}", name="option-without-effect"
        )
    if given.constants_because is not None and chosen[0] not in ("--mean", *PUBLISHED):
        asked = f"--mean and --std, or one of {', '.join(PUBLISHED)}"
        raise PreprocError(
            f"--constants-because: expected beside {asked}, whose reason it is, got it with {chosen[0]}", name="option-without-effect"
        )
    return chosen[0]


def _of_a_recipe(given: Options, file: Path) -> Choice:
    made = load_front(file, model_color=_model_color(given))
    pixels = made.pixels if given.size is None else replace(made.pixels, size=_size(given.size))
    return made.steps[1:], pixels, made.color, made.steps_from


def _of_a_publisher(given: Options, pixels: PixelsSpec) -> Choice:
    try:
        found = _published(given)
    except PreprocError as error:
        if plausibility.BECAUSE not in str(error):
            raise
        raise PreprocError(str(error).replace(plausibility.BECAUSE, plausibility.BECAUSE_OPTION)) from error
    _check_ordered(given, found.steps)
    if pixels.dtype != "uint8":
        raise PreprocError(f"expected --dtype uint8 for what is published for 8 bits, got {pixels.dtype}", name="pixel-dtype")
    return found.steps, pixels, found.color, found.origin


def _check_ordered(given: Options, steps: Sequence[Step]) -> None:
    """Raises PreprocError if a Pillow was said, and no step has an order of passes."""
    if given.pillow is not None and not any(isinstance(step, Resampling) and step.pillow is not None for step in steps):
        raise PreprocError(
            f"--pillow: expected a resize of Pillow's, whose order of passes it says, got none in {', '.join(map(str, steps))}",
            name="option-without-effect",
        )


def _published(given: Options) -> published.Published:
    if given.huggingface is not None:
        return published.from_huggingface(
            given.huggingface, backend=given.backend, pillow=given.pillow, constants_because=given.constants_because
        )
    if given.timm is not None:
        return published.from_timm(given.timm, pillow=given.pillow, constants_because=given.constants_because)
    return published.named_weights(str(given.torchvision), pillow=given.pillow, constants_because=given.constants_because)


def _of_constants(given: Options, pixels: PixelsSpec) -> Choice:
    model_color = _model_color(given)
    if given.preset is None:
        known, origin = _by_hand(given.mean, given.std, given.units, model_color), "--mean and --std"
    else:
        known, origin = preset(given.preset), f"preset {given.preset}"
    if given.constants_because is None and len(known.mean) == len(known.std) and min(known.std) > 0:  # else Normalize tells
        plausibility.check(known.mean, known.std, known.unit, options=True)
    if known.color == "GRAY" and model_color is None and pixels.color in ("RGB", "BGR"):
        numbers = len(known.mean)
        raise PreprocError(
            f"expected one number per channel, 3 for {pixels.color} pixels, got {numbers} from {origin}; for a grey model: --color GRAY",
            name="channel-mismatch",
        )
    if known.color == "ANY" and pixels.color != "ANY":
        raise PreprocError(
            f"expected one number per channel of the model, {1 if pixels.color == 'GRAY' else 3} for {pixels.color} pixels, got "
            f"{len(known.mean)} from {origin}; for a model of other channels: --color ANY",
            name="channel-mismatch",
        )
    trained_on = model_color or known.color
    moving = geometry_steps(letterbox=given.letterbox, resize=given.resize, crop=given.crop, interpolation=given.interpolation)
    _check_ordered(given, moving)
    normalizing = constants_steps(
        known, color=trained_on, origin=origin, pixel_dtype=pixels.dtype, constants_because=given.constants_because
    )
    steps = (*with_pillow(moving, given.pillow), *normalizing)
    return steps, replace(pixels, channels=pixels.channels or len(known.mean)), trained_on, None


def _by_hand(mean: str | None, std: str | None, units: str | None, model_color: str | None) -> Statistics:
    if mean is None or std is None or units is None:
        raise PreprocError("expected --mean, --std and --units together, got some of them", name="missing-constants")
    check_choice("--units", units, UNITS)
    means, stds = _numbers("--mean", mean), _numbers("--std", std)
    color = model_color or {1: "GRAY", 3: "RGB"}.get(len(means), "ANY")
    return Statistics(means, stds, units, color, "the command line")


def _pixels(given: Options) -> PixelsSpec:
    """What the caller has; 0 channels where the colour does not tell their number."""
    layout, color, dtype = (given.layout or "NHWC").upper(), (given.color or "RGB").upper(), (given.dtype or "uint8").lower()
    check_choice("--layout", layout, LAYOUTS)
    check_choice("--color", color, COLORS)
    check_choice("--dtype", dtype, PIXEL_DTYPES)
    size = (None, None) if given.size is None else _size(given.size)
    return PixelsSpec(layout=layout, color=color, dtype=dtype, size=size, channels=len(COLORS[color]))


def _model_color(given: Options) -> str | None:
    if given.model_color is None:
        return None
    check_choice("--model-color", given.model_color.upper(), COLORS)
    return given.model_color.upper()


def _size(text: str) -> Sides:
    try:
        height, width = (None if part.strip() == "*" else int(part) for part in text.split(","))
    except ValueError as error:
        raise PreprocError(
            f"expected --size to be height and width, as 224,224, or with * for a side that stays as the model has it, got {text!r}",
            name="option-value",
        ) from error
    if any(side is not None and side < 1 for side in (height, width)):
        raise PreprocError(f"expected --size of at least 1,1, got {text!r}", name="option-value")
    return height, width


def verify_sizes(texts: Sequence[str]) -> tuple[Size, ...]:
    """Of --verify-size, as often as it was given. Raises PreprocError."""
    sizes = []
    for text in texts:
        try:
            height, width = map(int, text.split(","))
        except ValueError as error:
            raise PreprocError(f"expected --verify-size to be height and width, as 320,480, got {text!r}", name="option-value") from error
        sizes.append((height, width))
    return check_verify_sizes(sizes) if sizes else ()


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise PreprocError(
            f"expected {option} to be numbers with commas between, as 0.5,0.5,0.5, got {text!r}", name="option-value"
        ) from error
