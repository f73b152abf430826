"""Published weights by their names -> steps."""

from ...errors import PreprocError, did_you_mean
from .base import Published, check_torchvision
from .timm import from_timm
from .torchvision import from_torchvision


def of_weights(source: str, name: str, weights: str, *, pillow: int | None = None, constants_because: str | None = None) -> Published:
    """What torchvision or timm publishes with the weights of a network: ("torchvision", "resnet50", "IMAGENET1K_V2")."""
    if source == "timm":
        return from_timm(f"{name}.{weights}", pillow=pillow, constants_because=constants_because)
    if source != "torchvision":
        raise PreprocError(
            f'expected source = "torchvision" or "timm", whose weights say how they were trained, got {source!r}', name="unknown-source"
        )
    check_torchvision()
    from torchvision import models

    try:
        enum = models.get_model_weights(name)
    except ValueError as error:
        raise PreprocError(
            f"expected a model of torchvision, got {name!r}{did_you_mean(name, models.list_models())}", name="unknown-network"
        ) from error
    if weights not in enum.__members__:
        raise PreprocError(
            f"expected one of {', '.join(enum.__members__)}, got {weights!r}{did_you_mean(weights, enum.__members__)}",
            name="unknown-weights",
        )
    return from_torchvision(enum[weights], pillow=pillow, constants_because=constants_because)


def named_weights(text: str, *, pillow: int | None = None, constants_because: str | None = None) -> Published:
    """Of a torchvision weights enum's member by its whole name: "ResNet50_Weights.IMAGENET1K_V2"."""
    check_torchvision()
    from torchvision import models

    enums = {models.get_model_weights(name).__name__: name for name in models.list_models()}
    enum, _, member = text.partition(".")
    if enum not in enums:
        raise PreprocError(
            f"expected weights of torchvision, as ResNet50_Weights.IMAGENET1K_V2, got {text!r}{did_you_mean(enum, enums)}",
            name="unknown-weights",
        )
    return of_weights("torchvision", enums[enum], member, pillow=pillow, constants_because=constants_because)
