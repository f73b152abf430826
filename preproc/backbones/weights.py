"""Weights from files, and random ones. Nothing that runs code is ever loaded."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from .. import checks, steps
from ..errors import PreprocError, first_line, shortened
from ..published import Published
from ..recipe import BackboneSpec, Recipe
from ._base import Backbone, State


def is_file(weights: str | None) -> bool:
    return Path(str(weights)).suffix in (".safetensors", ".pt", ".pth")


def fill(build: Callable[[], nn.Module], spec: BackboneSpec, recipe: Recipe) -> Backbone:
    """A network with weights from a file, or random ones."""
    if spec.weights == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(spec.seed or 0)
            return Backbone(_without_zero_weights(build()), f"random (seed {spec.seed})", False)
    module, file = build(), recipe.resolve(str(spec.weights))
    state, metadata = read_state(file)
    load_state(module, state, str(file))
    return Backbone(module, file.name, True, _published(metadata, file))


def _without_zero_weights(module: nn.Module) -> nn.Module:
    """Some heads (ViT's) start at zero, and a network that answers zero to everything proves nothing: those get normal weights."""
    for parameter in module.parameters():
        if parameter.dim() > 1 and not parameter.any():
            nn.init.normal_(parameter, std=0.02)
    return module


def read_state(file: Path) -> tuple[State, Mapping[str, str]]:
    """Reads .safetensors, or .pt with weights_only=True: never anything that runs code."""
    try:
        if file.suffix == ".safetensors":
            from safetensors import safe_open

            with safe_open(file, framework="pt") as handle:
                return {name: handle.get_tensor(name) for name in handle.keys()}, handle.metadata() or {}  # noqa: SIM118
        state = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise PreprocError(f"{file}: expected a weights file, got nothing there") from error
    except Exception as error:  # what torch and safetensors raise for a broken file is of any class: unpickling, struct, key, ...
        reason = first_line(error)
        reason = "objects of Python in it, which are never loaded" if "weights_only" in reason else reason  # not torch's advice to do so
        raise PreprocError(f"{file}: expected a {file.suffix} file of tensors only, got: {reason}") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise PreprocError(f"{file}: expected a state_dict, a table of names and tensors, got {type(state).__name__}")
    return dict(state), {}


def load_state(module: nn.Module, state: State, source: str) -> None:
    auxiliary = [name for name in state if name.startswith(("aux1.", "aux2.", "AuxLogits."))]
    names = module.state_dict().keys()
    state = {name: value for name, value in state.items() if name in names or name not in auxiliary}
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        raise PreprocError(f"{source}: expected the weights of this network, got: {shortened(' '.join(lines), 400)}") from error


def _published(metadata: Mapping[str, str], file: Path) -> Published | None:
    """What a .safetensors file's metadata says under "preproc": {"color": .., "steps": [..]}, if it says anything."""
    if "preproc" not in metadata:
        return None
    try:
        table = json.loads(metadata["preproc"])
        checks.check_choice("color", table["color"], steps.COLORS)
        return Published(table["color"], tuple(steps.parse(step) for step in table["steps"]))
    except (ValueError, TypeError, KeyError) as error:
        raise PreprocError(f"{file}: expected a colour order and steps in its metadata, got: {error!r}") from error
