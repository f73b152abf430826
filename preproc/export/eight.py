"""The models of a job that is brought to 8 bits: the one that takes pixels, and the bare network that takes ready values."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import graph
from ..bundle import contract as contracts
from ..oracle import reference
from ..sources import Recipe
from .job import Eight
from .quantizing import quantized

if TYPE_CHECKING:
    import onnx_ir as ir


def in_eight_bits(model: "ir.Model", eight: Eight, held: graph.Held | None) -> "tuple[ir.Model, tuple[str, ...]]":
    """The model that takes pixels, quantized, and notes. held: as quantized()'s; None where nothing was folded."""

    def feeds() -> Iterator[Mapping[str, NDArray[Any]]]:
        return ({contracts.INPUT: picture} for picture in eight.calibration.pictures())

    return quantized(model, feeds, eight.calibration.count, eight.asked, held), eight.calibration.notes


def bare_in_eight_bits(model: "ir.Model", recipe: Recipe, eight: Eight) -> "ir.Model":
    """The bare network, quantized as the other is, with the same pictures as the reference prepares them."""
    picture = graph.picture_input(model, recipe.backbone.input, recipe.backbone.layout)

    def feeds() -> Iterator[Mapping[str, NDArray[Any]]]:
        for pixels in eight.calibration.pictures():
            yield {str(picture.value.name): picture.arrange(reference.apply(recipe.steps, pixels).astype(np.float32))}

    return quantized(model, feeds, eight.calibration.count, eight.asked)
