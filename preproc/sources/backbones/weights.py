"""Weights from files, and random ones. Nothing that runs code is ever loaded."""

import argparse
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import nn

from ... import steps
from ...errors import PreprocError, check_choice, first_line, shortened
from .. import BackboneSpec, Recipe
from ..published import Published
from .base import Backbone, State
from .checkpoints import AUXILIARY, find


def is_file(weights: str | None) -> bool:
    return Path(str(weights)).suffix in (".safetensors", ".pt", ".pth", ".ckpt", ".tar", ".bin")


def fill(build: Callable[[], nn.Module], spec: BackboneSpec, recipe: Recipe) -> Backbone:
    """A network with weights from a file, or random ones."""
    if spec.weights == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(spec.seed or 0)
            return Backbone(_without_zero_weights(build()), f"random (seed {spec.seed})", False)
    module, file = build(), recipe.resolve(str(spec.weights))
    loaded, metadata = read_weights(file)
    found = find(loaded, module.state_dict().keys(), spec.checkpoint_key, str(file))
    load_state(module, found.state, f"{file}, {found}" if str(found) else str(file))
    weights = f"{file.name}, {found}" if str(found) else file.name
    return Backbone(module, weights, True, _published(metadata, file), notes=(f"weights: {weights}",) if str(found) else ())


def _without_zero_weights(module: nn.Module) -> nn.Module:
    """Some heads (ViT's) start at zero, and a network that answers zero to everything proves nothing: those get normal weights."""
    for parameter in module.parameters():
        if parameter.dim() > 1 and not parameter.any():
            nn.init.normal_(parameter, std=0.02)
    return module


def read_weights(file: Path) -> tuple[object, Mapping[str, str]]:
    """What .safetensors holds, or .pt with weights_only=True, and its metadata: never anything that runs code."""
    try:
        if file.suffix == ".safetensors":
            from safetensors import safe_open

            with safe_open(file, framework="pt") as handle:
                return {name: handle.get_tensor(name) for name in handle.keys()}, handle.metadata() or {}  # noqa: SIM118
        # Scripts for training save their options in one: it holds values, and no more.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(file, map_location="cpu", weights_only=True), {}
    except FileNotFoundError as error:
        raise PreprocError(f"{file}: expected a weights file, got nothing there", name="nothing-there") from error
    except Exception as error:  # what torch and safetensors raise for a broken file is of any class: unpickling, struct, key, ...
        raise PreprocError(
            f"{file}: expected a {file.suffix} file of tensors only, got: {_refused(error)}", name="weights-unreadable"
        ) from error


_ALONE = "where it was made, torch.save(network.state_dict(), ...) writes its tensors alone"


def _refused(error: Exception) -> str:
    """Without torch's advice to load it all the same."""
    text = str(error)
    if "TorchScript archive" in text:
        return f"TorchScript, which is code; {_ALONE}"
    kind = re.search(r"GLOBAL ([\w.]+) was not an allowed global", text)
    if kind is not None:
        return f"objects of Python in it ({kind[1]}), which are never loaded; {_ALONE}"
    return "what torch.save does not write" if "weights_only" in text or isinstance(error, KeyError) else first_line(error)


def load_state(module: nn.Module, state: State, source: str) -> None:
    auxiliary = [name for name in state if name.startswith(AUXILIARY)]
    names = module.state_dict().keys()
    state = {name: value for name, value in state.items() if name in names or name not in auxiliary}
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        raise PreprocError(
            f"{source}: expected the weights of this network, got: {shortened(' '.join(lines), 400)}", name="weights-unfit"
        ) from error


def _published(metadata: Mapping[str, str], file: Path) -> Published | None:
    """What a .safetensors file's metadata says under "preproc": {"color": .., "steps": [..]}, if it says anything."""
    if "preproc" not in metadata:
        return None
    try:
        table = json.loads(metadata["preproc"])
        check_choice("color", table["color"], steps.COLORS)
        return Published(table["color"], tuple(steps.parse(step) for step in table["steps"]))
    except (ValueError, TypeError, KeyError) as error:
        raise PreprocError(
            f"{file}: expected a colour order and steps in its metadata, got: {error!r}", name="weights-unreadable"
        ) from error
