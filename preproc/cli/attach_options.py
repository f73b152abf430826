"""What the options of `preproc attach` choose: steps, pixels and the model's colour order."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import PreprocError, check_choice
from ..sources import PixelsSpec, check_verify_sizes, load_front, published
from ..steps import (
    COLORS,
    PIXEL_COLORS,
    PIXEL_DTYPES,
    UNITS,
    FromPixels,
    Resampling,
    Sides,
    Size,
    Statistics,
    Step,
    channels_in,
    check_pillow,
    constants_steps,
    layouts_of,
    plausibility,
    preset,
    with_pillow,
)
from .geometry_options import GEOMETRY, geometry_steps

Choice = tuple[Sequence[Step], PixelsSpec, str, str | None]
"""The steps, a FromPixels first, the pixels, the model's colour order, and where the steps were published."""
PUBLISHED = ("--huggingface", "--timm", "--torchvision")
OF_YUV = ("matrix", "range", "conversion", "chroma", "siting")
SIZE = "--size H,W, that of the pixels that come (the camera's, as 1080,1920)"
BY_HAND = ("--mean", "--std", "--units")


@dataclass(frozen=True, kw_only=True)
class Options:
    """As they were given; None: not. layout, color, dtype: None for the colour's usual one, RGB, uint8.  matrix, range, conversion, chroma,
    siting: as steps.FromPixels'.  pillow: of a resize, 12 or 13.
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
    matrix: str | None = None
    range: str | None = None
    conversion: str | None = None
    chroma: str | None = None
    siting: str | None = None
    size: str | None = None
    pillow: int | None = None
    constants_because: str | None = None
    letterbox: str | None = None
    resize: str | None = None
    crop: str | None = None
    interpolation: str | None = None


def steps_and_pixels(given: Options) -> Choice:
    """Of just one of a preset, mean with std and units, something published, or a recipe, which says the pixels itself. Raises PreprocError
    for anything else. Upper and lower case are the same in what says the pixels."""
    chosen = _chosen(given)
    if given.recipe is not None:
        return _of_a_recipe(given, given.recipe)
    return _of_a_publisher(given) if chosen in PUBLISHED else _of_constants(given)


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
    of_pixels = ("--layout", "--color", "--dtype", *(f"--{name}" for name in OF_YUV))
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
    return made.steps, pixels, made.color, made.steps_from


def _of_a_publisher(given: Options) -> Choice:
    try:
        found = _published(given)
    except PreprocError as error:
        if plausibility.BECAUSE not in str(error):
            raise
        raise PreprocError(str(error).replace(plausibility.BECAUSE, plausibility.BECAUSE_OPTION)) from error
    _check_ordered(given, found.steps)
    first = _first(given, found.color)
    if first.pixel_dtype != "uint8":
        raise PreprocError(f"expected --dtype uint8 for what is published for 8 bits, got {first.pixel_dtype}", name="pixel-dtype")
    return (first, *found.steps), _pixels(given, first, len(COLORS[found.color])), found.color, found.origin


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


def _of_constants(given: Options) -> Choice:
    model_color, color, dtype = _model_color(given), *_color_and_dtype(given)
    if given.preset is None:
        known, origin = _by_hand(given.mean, given.std, given.units, model_color), "--mean and --std"
    else:
        known, origin = preset(given.preset), f"preset {given.preset}"
    if given.constants_because is None and len(known.mean) == len(known.std) and min(known.std) > 0:  # else Normalize tells
        plausibility.check(known.mean, known.std, known.unit, options=True)
    if known.color == "GRAY" and model_color is None and color in ("RGB", "BGR"):
        numbers = len(known.mean)
        raise PreprocError(
            f"expected one number per channel, 3 for {color} pixels, got {numbers} from {origin}; for a grey model: --color GRAY",
            name="channel-mismatch",
        )
    if known.color == "ANY" and color != "ANY":
        raise PreprocError(
            f"expected one number per channel of the model, {1 if color == 'GRAY' else 3} for {color} pixels, got "
            f"{len(known.mean)} from {origin}; for a model of other channels: --color ANY",
            name="channel-mismatch",
        )
    trained_on = model_color or known.color
    moving = geometry_steps(letterbox=given.letterbox, resize=given.resize, crop=given.crop, interpolation=given.interpolation)
    _check_ordered(given, moving)
    normalizing = constants_steps(known, color=trained_on, origin=origin, pixel_dtype=dtype, constants_because=given.constants_because)
    first = _first(given, trained_on)
    steps = (first, *with_pillow(moving, given.pillow), *normalizing)
    return steps, _pixels(given, first, len(known.mean)), trained_on, None


def _by_hand(mean: str | None, std: str | None, units: str | None, model_color: str | None) -> Statistics:
    if mean is None or std is None or units is None:
        raise PreprocError("expected --mean, --std and --units together, got some of them", name="missing-constants")
    check_choice("--units", units, UNITS)
    means, stds = _numbers("--mean", mean), _numbers("--std", std)
    color = model_color or {1: "GRAY", 3: "RGB"}.get(len(means), "ANY")
    return Statistics(means, stds, units, color, "the command line")


def _color_and_dtype(given: Options) -> tuple[str, str]:
    color, dtype = (given.color or "RGB").upper(), (given.dtype or "uint8").lower()
    check_choice("--color", color, PIXEL_COLORS)
    check_choice("--dtype", dtype, PIXEL_DTYPES)
    return color, dtype


def _first(given: Options, to: str) -> FromPixels:
    color, dtype = _color_and_dtype(given)
    layout = (given.layout or layouts_of(color)[0]).upper()
    check_choice("--layout", layout, layouts_of(color))
    said = {name: None if (value := getattr(given, name)) is None else value.lower() for name in OF_YUV}
    return FromPixels(layout=layout, color=color, to=to, pixel_dtype=dtype, **said)


def _pixels(given: Options, first: FromPixels, channels: int) -> PixelsSpec:
    """What the caller has. channels: where the colour does not tell their number."""
    size = (None, None) if given.size is None else _size(given.size)
    return PixelsSpec.of(first, size=size, channels=channels_in([first]) or channels)


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


def in_options(error: PreprocError, given: Options) -> PreprocError:
    """The error with what to write in a recipe as the options say it."""
    if given.recipe is not None:
        return error
    said = str(error)
    text = said.replace('write conversion = "rgb8"', "say --conversion rgb8").replace('or conversion = "rgb8"', "or --conversion rgb8")
    text = re.sub(r"write size = \[(\d+), (\d+)\]", rf"say --{'crop' if said.startswith('center_crop') else 'resize'} \1,\2", text)
    if error.name == "shape-unknown" and given.size is None:
        text = text.replace("free: say", f"free: say {SIZE}, which keeps the linear conversion, or")
    return error if text == said else PreprocError(text, name=error.name)


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
