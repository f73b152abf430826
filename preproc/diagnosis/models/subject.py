"""The network that is asked, how pictures come to it, and which recipe it has, if it has one."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...bundle import MANIFEST, open_bundle
from ...errors import BundleError, PreprocError, RecipeError
from ...export import rebuild
from ...host import Progress, recipe_file
from ...oracle import reference
from ...sources import PixelsSpec, Recipe, check_size, load_recipe
from ...steps import COLORS, CenterCrop, FromPixels, Geometry, Resize, Sides, Step, channels_out, compose, known
from ...verify import inputs
from .. import Variant, variants
from .files import FileNetwork
from .modules import ModuleNetwork
from .networks import Array, Network

if TYPE_CHECKING:
    from torch import nn

    from ...sources.backbones import Backbone

FEWEST = 5
"""Pictures whose own spread says anything."""


def check_enough(pictures: int) -> None:
    """Raises PreprocError for fewer than FEWEST."""
    if pictures < FEWEST:
        raise PreprocError(
            f"expected at least {FEWEST} pictures, for what a few have in common is not what all have, got {pictures}",
            name="few-pictures",
        )


@dataclass(frozen=True)
class Subject:
    """pixels: what pictures are read as.  front: the steps that bring them to grey levels of the network's size, a FromPixels first.
    steps: a recipe's, whole; None: there is no recipe.  labels: of its classes, where they are known."""

    name: str
    network: Network
    pixels: PixelsSpec
    front: tuple[Step, ...]
    steps: tuple[Step, ...] | None
    labels: Sequence[str] = ()

    @property
    def channels(self) -> int:
        """Of what the network takes."""
        return channels_out(self.front, self.pixels.channels)

    def variants(self) -> tuple[Variant, ...]:
        return variants(self.front if self.steps is None else self.steps, self.channels, own=self.steps is not None)

    def read(self, folder: Path) -> Iterator[tuple[str, Array]]:
        """Names and grey levels, (1, C, H, W), as the network's channels are, of all pictures in a folder. Raises PreprocError for a file
        that is no picture."""
        for name, picture in inputs.from_folder(folder, self.pixels, known(self.pixels.size)):
            yield name.removeprefix(inputs.OWN), reference.apply(self.front, picture)

    def read_one(self, file: Path) -> Array:
        """As read(), of one file; the first picture in it."""
        return reference.apply(self.front, inputs.one_picture(file, self.pixels))

    def order(self, variant: Variant) -> tuple[int, ...]:
        """For each channel that the network reads then, which of read()'s it is."""
        own, other = (COLORS[step.to] for step in (self.front[0], variant.steps[0]) if isinstance(step, FromPixels))
        return tuple(own.index(channel) for channel in other) or tuple(range(self.channels))

    def values(self, variant: Variant) -> tuple[Step, ...]:
        """What a variant does to read()'s levels in its order()."""
        return tuple(step for step in variant.steps if not isinstance(step, (FromPixels, Geometry)))


def subject_of(source: "Recipe | nn.Module | str | Path", size: Any, progress: Progress) -> Subject:
    """source: a recipe, or the path of one, of a bundle or of an .onnx file; or a module that takes one picture as floats.
    size: of what a module or an .onnx file of free sides takes, one number or (height, width); None: of the pictures. Raises PreprocError
    for anything else."""
    if isinstance(source, Recipe):
        return _of_recipe(source, _load(source, progress))
    if not isinstance(source, (str, Path)):
        return _of_module(source, size)
    path = recipe_file(Path(source))
    if path.suffix == ".toml":
        recipe = load_recipe(path)
        return _of_recipe(recipe, _load(recipe, progress))
    if path.is_dir() or path.name == MANIFEST:
        bundle = open_bundle(path.parent if path.name == MANIFEST else path)
        progress("looking for the original network")
        try:
            return _of_recipe(*rebuild(bundle, None))
        except PreprocError as error:
            raise BundleError(
                f"{path}: expected the network that it was made of, for in its own files the BatchNorms are part of the convolutions, got: "
                f"{error}; diagnose its recipe, or the .onnx file"
            ) from error
    progress(f"reading {path.name}")
    return _of_file(path, size)


def _load(recipe: Recipe, progress: Progress) -> "Backbone | Path":
    if recipe.backbone.source == "onnx":
        return recipe.resolve(str(recipe.backbone.weights))
    from ...sources.backbones import load_backbone

    progress(f"loading the backbone {recipe.backbone.name}")
    return load_backbone(recipe)


def _of_recipe(recipe: Recipe, backbone: "Backbone | Path") -> Subject:
    if isinstance(backbone, Path):
        network: Network = FileNetwork(backbone, name=recipe.backbone.input, layout=recipe.backbone.layout)
    elif not backbone.trained:
        raise RecipeError(
            f"{recipe.name}: expected trained weights, for random ones were made with no preprocessing, got {backbone.weights}",
            name="option-value",
        )
    else:
        network = ModuleNetwork(backbone.module, recipe.backbone.outputs)
    front = tuple(step for step in recipe.steps if isinstance(step, (FromPixels, Geometry)))
    labels = recipe.labels or (() if isinstance(backbone, Path) else backbone.labels)
    return Subject(recipe.name, network, recipe.pixels, front, recipe.steps, labels)


def _of_file(path: Path, size: Any) -> Subject:
    network = FileNetwork(path)
    channels = network.picture.channels or 3
    sides = _sides(size) if known(network.picture.size) is None else network.picture.size
    return Subject(path.stem, network, *_bare(channels, sides), None)


def _of_module(module: "nn.Module", size: Any) -> Subject:
    import torch

    from ...layers import Model

    if not isinstance(module, torch.nn.Module) or isinstance(module, Model):
        told = "a Model, whose backbone it is" if isinstance(module, torch.nn.Module) else f"a {type(module).__name__}"
        raise PreprocError(f"expected a path, a Recipe, or an nn.Module that takes prepared floats, got {told}", name="wrong-object")
    copied = copy.deepcopy(module).to("cpu", torch.float32).eval()
    first = next((value for value in copied.parameters() if value.dim() == 4), None)
    channels = 1 if first is not None and first.shape[1] == 1 and first.shape[0] != 3 else 3
    return Subject(type(module).__name__, ModuleNetwork(copied), *_bare(channels, _sides(size)), None)


def _sides(size: Any) -> Sides:
    return (None, None) if size is None else check_size([size, size] if isinstance(size, int) else size)


def _bare(channels: int, sides: Sides) -> tuple[PixelsSpec, tuple[Step, ...]]:
    """Pictures for a network without a recipe: RGB, or grey for one channel; to its size by their shorter side and a crop of the middle."""
    color = {1: "GRAY", 3: "RGB"}.get(channels, "ANY")
    pixels = PixelsSpec(layout="NHWC", color=color, dtype="uint8", size=(None, None), channels=channels)
    size = known(sides)
    moving: tuple[Step, ...] = ()
    if size is not None:
        moving = (Resize(size=size[0]) if size[0] == size[1] else Resize(size=size), CenterCrop(size=size))
    return pixels, (FromPixels(layout="NHWC", color=color, to=color), *moving)


def factors(values: Sequence[Step], pictures: Sequence[Array]) -> Array | None:
    """Responses' factors s, o and 1 for these steps: (B,), (N, B) where they take their numbers from each picture, None where they are not
    affine on single channels."""
    channels = pictures[0].shape[1]
    whole = compose(values, channels)
    if whole is not None:
        return np.concatenate([np.diag(whole.matrix), whole.offset, [1.0]]) if whole.is_diagonal else None
    found = []
    for picture in pictures:
        made, flat = reference.apply(values, picture), picture.reshape(channels, -1)
        moved = made.reshape(channels, -1)
        spread = flat - flat.mean(axis=1, keepdims=True)
        squares = np.square(spread).sum(axis=1)
        scale = (spread * moved).sum(axis=1) / np.where(squares > 0, squares, 1)
        offset = moved.mean(axis=1) - scale * flat.mean(axis=1)
        if np.abs(scale[:, None] * flat + offset[:, None] - moved).max() > 1e-6 * max(1.0, float(np.abs(moved).max())):
            return None
        found.append(np.concatenate([scale, offset, [1.0]]))
    return np.stack(found)
