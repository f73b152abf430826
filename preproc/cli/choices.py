"""What the options of `preproc attach` choose: steps, pixels and the model's colour order."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import PreprocError, check_choice
from ..sources import PixelsSpec, load_front, published
from ..steps import COLORS, LAYOUTS, PIXEL_DTYPES, UNITS, Resampling, Statistics, Step, check_pillow, constants_steps, plausibility, preset

Choice = tuple[Sequence[Step], PixelsSpec, str, str | None]


def steps_and_pixels(
    *,
    preset: str | None,
    mean: str | None,
    std: str | None,
    units: str | None,
    recipe: Path | None,
    huggingface: Path | None,
    backend: str | None,
    timm: str | None,
    torchvision: str | None,
    layout: str | None,
    color: str | None,
    model_color: str | None,
    dtype: str | None,
    size: str | None,
    pillow: int | None,
    constants_because: str | None = None,
) -> Choice:
    """The steps, the pixels, the model's colour order, and where the steps were published.

    Just one of a preset, mean with std and units, something published, or a recipe, which says the pixels itself. Raises PreprocError for
    anything else.

    layout, color, dtype: None for NHWC, RGB, uint8. Upper and lower case are the same.  pillow: of what is published, 12, 13 or None.
    backend: as published.from_huggingface()'s.
    constants_because: as steps.Normalize's, of mean and std and of what is published.
    """
    given: dict[str, object] = {"--preset": preset, "--mean": mean, "--std": std, "--units": units, "--recipe": recipe}
    given |= {"--layout": layout, "--color": color, "--model-color": model_color, "--dtype": dtype}
    given |= {"--huggingface": huggingface, "--timm": timm, "--torchvision": torchvision, "--pillow": pillow}
    chosen = [name for name in ("--preset", "--mean", "--recipe", *PUBLISHED) if given[name] is not None]
    if not chosen:
        raise PreprocError(
            f"expected one of --preset, --mean with --std and --units, {', '.join(PUBLISHED)} or --recipe, got none: nothing defaults to "
            "ImageNet",
            name="missing-constants",
        )
    by_hand = ("--mean", "--std", "--units", "--recipe")
    alone = {"--preset": (*by_hand, *PUBLISHED), "--recipe": tuple(name for name in given if name not in ("--recipe", "--model-color"))}
    alone |= {name: ("--preset", "--model-color", *by_hand, *(other for other in PUBLISHED if other != name)) for name in PUBLISHED}
    for name, others in alone.items():
        beside = [other for other in others if given[other] is not None]
        if given[name] is not None and beside:
            raise PreprocError(
                f"expected {name} without {' and '.join(beside)}, which it says itself, got both", name="conflicting-options"
            )
    if pillow is not None:
        if chosen[0] not in PUBLISHED:
            raise PreprocError(
                f"--pillow: expected beside one of {', '.join(PUBLISHED)}, whose resizes it is of, got it with {chosen[0]}",
                name="option-without-effect",
            )
        check_pillow(pillow, "--pillow")
    if backend is not None and huggingface is None:
        raise PreprocError(
            f"--backend: expected beside --huggingface, which it is of, got it with {chosen[0]}", name="option-without-effect"
        )
    if constants_because is not None and chosen[0] not in ("--mean", *PUBLISHED):
        asked = f"--mean and --std, or one of {', '.join(PUBLISHED)}"
        raise PreprocError(
            f"--constants-because: expected beside {asked}, whose reason it is, got it with {chosen[0]}", name="option-without-effect"
        )
    if recipe is not None:
        if model_color is not None:
            model_color = model_color.upper()
            check_choice("--model-color", model_color, COLORS)
        made = load_front(recipe, model_color=model_color)
        pixels = made.pixels if size is None else replace(made.pixels, size=_size(size))
        return made.steps[1:], pixels, made.color, made.steps_from
    layout, color, dtype = (layout or "NHWC").upper(), (color or "RGB").upper(), (dtype or "uint8").lower()
    check_choice("--layout", layout, LAYOUTS)
    check_choice("--color", color, COLORS)
    check_choice("--dtype", dtype, PIXEL_DTYPES)
    if chosen[0] in PUBLISHED:
        try:
            found = _published(huggingface, backend, timm, torchvision, pillow=pillow, constants_because=constants_because)
        except PreprocError as error:
            if plausibility.BECAUSE not in str(error):
                raise
            raise PreprocError(str(error).replace(plausibility.BECAUSE, plausibility.BECAUSE_OPTION)) from error
        if pillow is not None and not any(isinstance(step, Resampling) and step.pillow is not None for step in found.steps):
            raise PreprocError(
                "--pillow: expected a resize of Pillow's, whose order of passes it says, got none in what is published: "
                + ", ".join(map(str, found.steps)),
                name="option-without-effect",
            )
        if dtype != "uint8":
            raise PreprocError(f"expected --dtype uint8 for what is published for 8 bits, got {dtype}", name="pixel-dtype")
        pixels = PixelsSpec(
            layout=layout, color=color, dtype=dtype, size=None if size is None else _size(size), channels=len(COLORS[color])
        )
        return found.steps, pixels, found.color, found.origin
    if model_color is not None:
        model_color = model_color.upper()
        check_choice("--model-color", model_color, COLORS)
    known, origin = (_by_hand(mean, std, units, model_color), "--mean and --std") if preset is None else _preset(preset)
    if constants_because is None and len(known.mean) == len(known.std) and min(known.std) > 0:  # else Normalize tells
        plausibility.check(known.mean, known.std, known.unit, options=True)
    trained_on = model_color or known.color
    if known.color == "GRAY" and model_color is None and color in ("RGB", "BGR"):
        numbers = len(known.mean)
        raise PreprocError(
            f"expected one number per channel, 3 for {color} pixels, got {numbers} from {origin}; for a grey model: --color GRAY",
            name="channel-mismatch",
        )
    steps = constants_steps(known, color=trained_on, origin=origin, pixel_dtype=dtype, constants_because=constants_because)
    channels = len(COLORS[color]) or len(known.mean)
    return (
        steps,
        PixelsSpec(layout=layout, color=color, dtype=dtype, size=None if size is None else _size(size), channels=channels),
        trained_on,
        None,
    )


PUBLISHED = ("--huggingface", "--timm", "--torchvision")


def _published(
    huggingface: Path | None,
    backend: str | None,
    timm: str | None,
    torchvision: str | None,
    *,
    pillow: int | None,
    constants_because: str | None,
) -> published.Published:
    if huggingface is not None:
        return published.from_huggingface(huggingface, backend=backend, pillow=pillow, constants_because=constants_because)
    if timm is not None:
        return published.from_timm(timm, pillow=pillow, constants_because=constants_because)
    return published.named_weights(str(torchvision), pillow=pillow, constants_because=constants_because)


def _preset(name: str) -> tuple[Statistics, str]:
    return preset(name), f"preset {name}"


def _by_hand(mean: str | None, std: str | None, units: str | None, model_color: str | None) -> Statistics:
    if mean is None or std is None or units is None:
        raise PreprocError("expected --mean, --std and --units together, got some of them", name="missing-constants")
    check_choice("--units", units, UNITS)
    means, stds = _numbers("--mean", mean), _numbers("--std", std)
    color = model_color or {1: "GRAY", 3: "RGB"}.get(len(means), "ANY")
    return Statistics(means, stds, units, color, "the command line")


def _size(text: str) -> tuple[int, int]:
    try:
        height, width = (int(part) for part in text.split(","))
    except ValueError as error:
        raise PreprocError(f"expected --size to be height and width, as 224,224, got {text!r}", name="option-value") from error
    if min(height, width) < 1:
        raise PreprocError(f"expected --size of at least 1,1, got {text!r}", name="option-value")
    return height, width


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise PreprocError(
            f"expected {option} to be numbers with commas between, as 0.5,0.5,0.5, got {text!r}", name="option-value"
        ) from error
