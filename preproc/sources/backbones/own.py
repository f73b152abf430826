"""Networks of the user's own: any import path that makes one, with the weights it has or those of a checkpoint."""

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...errors import RecipeError, did_you_mean, shortened
from .. import BackboneSpec, Recipe
from .base import Backbone
from .weights import fill


def checkpoint(spec: BackboneSpec, recipe: Recipe) -> Backbone:
    """name: package.module:factory, a class or function that makes the network from `arguments`; weights: the file to fill it with."""
    return fill(_maker(spec, recipe), spec, recipe)


def imported(spec: BackboneSpec, recipe: Recipe) -> Backbone:
    """name: package.module:factory, which makes the network with its weights inside."""
    make = _maker(spec, recipe)
    if spec.weights == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(spec.seed or 0)
            return Backbone(make(), f"random (seed {spec.seed})", False)
    return Backbone(make(), f"as {spec.name} makes them", True)


def _maker(spec: BackboneSpec, recipe: Recipe) -> Callable[[], nn.Module]:
    factory = _find(str(spec.name), recipe.folder)

    def make() -> nn.Module:
        try:
            with _searching(recipe.folder):
                module = factory(**spec.arguments)
        except (Exception, SystemExit) as error:  # the user's own code, which may raise anything
            raise RecipeError(
                f"[backbone] name: expected {spec.name} to make a network from {dict(spec.arguments)}, got {_short(error)}",
                name="network-not-made",
            ) from error
        if not isinstance(module, nn.Module):
            raise RecipeError(
                f"[backbone] name: expected {spec.name} to return an nn.Module, got {type(module).__name__}", name="network-not-made"
            )
        return module.to("cpu", torch.float32)

    return make


@contextlib.contextmanager
def _searching(folder: Path) -> Iterator[list[str]]:
    """Imports look into the recipe's folder and the working directory first."""
    places = [str(folder.absolute()), str(Path.cwd())]
    sys.path[:0] = places
    try:
        yield places
    finally:
        for place in places:
            with contextlib.suppress(ValueError):
                sys.path.remove(place)


def _check_same(name: str, places: list[str]) -> None:
    """Python keeps one module of a name: another recipe's must not be taken for this one's."""
    there, loaded = PathFinder.find_spec(name, places), sys.modules.get(name)
    if there is not None and loaded is not None and there.origin != getattr(loaded, "__file__", None):
        raise RecipeError(
            f"[backbone] name: expected the module {name} of {there.origin}, got another one of that name imported before, "
            f"{getattr(loaded, '__file__', 'built in')}; give it another name, or export in a process of its own",
            name="network-not-made",
        )


def _short(error: BaseException) -> str:
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {shortened(lines[0])}"


def _find(path: str, folder: Path) -> Any:
    """The factory at package.module:factory. The recipe's folder and the working directory are looked in first."""
    module_name, _, name = path.partition(":")
    if not module_name or not name:
        raise RecipeError(f"[backbone] name: expected package.module:factory, got {path!r}", name="network-not-made")
    try:
        with _searching(folder) as places:
            _check_same(module_name.partition(".")[0], places)
            module = importlib.import_module(module_name)
    except RecipeError:
        raise
    except (Exception, SystemExit) as error:  # importing runs the user's code, which may raise anything
        raise RecipeError(
            f"[backbone] name: expected a module {module_name} in {folder}, here or installed, got {_short(error)}", name="network-not-made"
        ) from error
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise RecipeError(
                f"[backbone] name: expected {part} in {module_name}, got nothing there{did_you_mean(part, dir(found))}",
                name="network-not-made",
            )
        found = getattr(found, part)
    if not callable(found):
        raise RecipeError(
            f"[backbone] name: expected {path} to be a class or a function, got {type(found).__name__}", name="network-not-made"
        )
    return found
