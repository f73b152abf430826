"""What an .onnx file takes beside the picture that is varied: constants, and pictures that stay the same."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import graph
from ..oracle import reference
from ..sources import FurtherPicture, Recipe
from ..steps import Geometry
from ..verify import Given, inputs

if TYPE_CHECKING:
    import onnx_ir as ir

SIDE = 64
"""Of a further picture of any size in front of resizes, in pixels: what is behind them has one."""


@dataclass(frozen=True)
class Beside:
    """others: what the original takes.  given: what the file takes that is made of it: pixels for every picture."""

    others: Given
    given: Given


def beside(recipe: Recipe, model: "ir.Model") -> Beside:
    """Of the recipe's own picture. The further ones are photographs, another for each input, the same in each row of a batch, whose
    rows are then those of its pictures alone; prepared by the oracle where the original takes prepared values. model: the original."""
    picture = graph.picture_input(model, recipe.backbone.input, recipe.backbone.layout)
    constants = graph.others(model, picture, but=[other.input for other in recipe.further])
    if not recipe.further:
        return Beside(constants, constants)
    inputs_of = [graph.any_picture(model, other.input, _layout(other)).alone() for other in recipe.further]
    picture = picture.alone()

    @functools.cache
    def pixels(rows: int, size: tuple[int, int]) -> dict[str, NDArray[Any]]:
        return {other.takes: _pixels(other, rows, size, turn) for turn, other in enumerate(recipe.further, start=1)}

    @functools.cache
    def prepared(rows: int, size: tuple[int, int]) -> dict[str, NDArray[Any]]:
        pairs = zip(recipe.further, inputs_of, strict=True)
        return {other.input: _prepared(other, pixels(rows, size)[other.takes], taker) for other, taker in pairs}

    def asked(ready: NDArray[Any]) -> tuple[int, tuple[int, int]]:
        return picture.rows(ready), (int(ready.shape[2]), int(ready.shape[3]))

    return Beside(lambda ready: constants(ready) | prepared(*asked(ready)), lambda ready: constants(ready) | pixels(*asked(ready)))


def _layout(other: FurtherPicture) -> str | None:
    return other.pixels.whole_layout if other.given else other.layout


def _pixels(other: FurtherPicture, rows: int, size: tuple[int, int], turn: int) -> NDArray[Any]:
    """As the file takes them that is made. size: of the ready values that they go with, where theirs is free."""
    moving = any(isinstance(step, Geometry) for step in other.steps)
    height, width = (own or (SIDE if moving else side) for own, side in zip(other.pixels.size, size, strict=True))
    photographs: Sequence[NDArray[Any]] = [picture for _, _, picture in inputs.photographs(other.pixels, (height, width))]
    front = other.pixels.front(rows)
    chosen = [photographs[(turn + number) % len(photographs)] for number in range(math.prod(front[1:]))]
    one = np.concatenate(chosen).reshape(front[1:] + chosen[0].shape[1:])
    return np.ascontiguousarray(np.broadcast_to(one, front[:1] + one.shape))


def _prepared(other: FurtherPicture, pixels: NDArray[Any], picture: graph.Picture) -> NDArray[Any]:
    """As the original takes them."""
    if other.given:
        return pixels
    pictures = pixels.reshape(-1, *pixels.shape[-other.pixels.picture_axes :])
    return picture.arrange(reference.apply(other.steps, pictures))
