"""The small network that comes with the project."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from ...errors import RecipeError
from .. import BackboneSpec, Recipe
from .base import Backbone
from .weights import fill


class DigitsNet(nn.Module):
    """The embedded backbone: five 3x3 convolutions, 155,000 parameters, trained by models/train_digits.py.

    x: (N, 3, 32, 32) float, normalized.  y: (N, 10) float, logits.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = [3, 24, 32, 64, 80, 112]
        strides = [1, 2, 1, 2, 1]
        blocks: list[nn.Module] = []
        for before, after, stride in zip(widths, widths[1:], strides, strict=False):
            blocks += [nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.features = nn.Sequential(*blocks)
        self.classifier = nn.Linear(widths[-1], 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x).mean(dim=(2, 3)))
        return logits


EMBEDDED: Mapping[str, Callable[[], nn.Module]] = {"digits": DigitsNet}


def embedded(spec: BackboneSpec, recipe: Recipe) -> Backbone:
    if spec.name is None or spec.name not in EMBEDDED:
        raise RecipeError(f"[backbone] name: expected one of {', '.join(EMBEDDED)}, got {spec.name!r}", name="unknown-network")
    if spec.arguments:
        raise RecipeError("[backbone] arguments: expected none for an embedded network, got some", name="option-without-effect")
    return fill(EMBEDDED[spec.name], spec, recipe)
