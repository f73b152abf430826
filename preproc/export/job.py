"""What is to be made, as a value."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..sources import Recipe
from ..steps import Step
from ..verify import inputs
from .quantizing import Calibration, Quantization

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import Tensor

    from ..sources.backbones import Backbone


@dataclass(frozen=True)
class Eight:
    """A network that is to be brought to 8 bits: how, and with which pictures."""

    asked: Quantization
    calibration: Calibration

    @property
    def told(self) -> dict[str, Any]:
        """For the contract."""
        asked = {key: getattr(self.asked, key) for key in ("format", "per_channel", "method", "border", "target")}
        return asked | {"pictures": self.calibration.count}

    def runtimes(self, steps: Iterable[Step]) -> tuple[str, ...]:
        """That decide, beside those that always do."""
        return () if self.asked.without_openvino(steps) else ("openvino-cpu",)


@dataclass(frozen=True)
class Job:
    """Everything that the files are made from. backbone: a network in Python, or the .onnx file that is one.
    load: reads that file, for the steps to be put in front of, when they are: it is as large as its weights.  size: about how many bytes
    the files will have: those of the weights, in each format.  example: of a network in Python, two pictures as the model takes them, and
    what the steps make of them.  before: the contract that a file has already, whose pictures it goes on taking.
    written: the backbone as it is written, which in half precision has its batch norms in the convolutions.
    eight: None: it stays in its own precision."""

    recipe: Recipe
    backbone: "Backbone | Path"
    constants_agree: str
    weights: str
    weights_sha256: str
    trained: bool
    labels: Sequence[str]
    notes: tuple[str, ...]
    size: int
    load: "Callable[[], ir.Model] | None" = None
    example: "tuple[Tensor, Tensor] | None" = None
    before: Mapping[str, Any] | None = None
    written: "Backbone | None" = None
    eight: Eight | None = None

    @property
    def pixels(self) -> "Tensor":
        """The example as the model takes it."""
        assert self.example is not None
        return self.example[0]

    @property
    def ready(self) -> "Tensor":
        """The example as the backbone takes it, (2, C, H, W) float32."""
        assert self.example is not None
        return self.example[1]


def images_of(recipe: Recipe, images: str | Path | None) -> Path | None:
    """The folder of the user's own pictures to verify with, this one or the recipe's."""
    return recipe.export.images if images is None else Path(images)


def check_images(recipe: Recipe, images: str | Path | None) -> None:
    """Raises PreprocError if these pictures are not what the model takes."""
    folder = images_of(recipe, images)
    if folder is not None:
        inputs.check(folder, recipe.pixels)
