"""Where a backbone comes from, and what its weights know of the preprocessing they were trained with."""

import contextlib
import copy
import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from . import checks, steps
from .affine import Affine
from .checks import did_you_mean
from .errors import PreprocError, RecipeError
from .pipeline import Model, Pipeline, prepend
from .recipe import BackboneSpec, Recipe
from .steps import PIXEL_DTYPES, Normalize, Rescale, Step

State = dict[str, Tensor]
Outputs = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Published:
    """What weights say of their preprocessing: the affine steps behind grey levels, in the channel order `color`."""

    color: str
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return f"{self.color} through " + ", ".join(map(str, self.steps))


@dataclass(frozen=True)
class Backbone:
    """module: in eval mode, float32, on the CPU.  weights: what they are, for people.  trained: False for random weights.
    published: what the weights know of their preprocessing, or None."""

    module: nn.Module
    weights: str
    trained: bool
    published: Published | None = None
    labels: tuple[str, ...] = ()

    def sha256(self) -> str:
        """Of every name, shape, dtype and value in the state_dict."""
        digest = hashlib.sha256()
        for name, value in sorted(self.module.state_dict().items()):
            digest.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data if value.numel() else b"")
        return digest.hexdigest()


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


def load_backbone(recipe: Recipe) -> Backbone:
    """The network that a recipe names, with its weights. Raises PreprocError with the ways out."""
    spec = recipe.backbone
    if spec.source not in _SOURCES:
        raise RecipeError(f"[backbone] source: expected one of {', '.join(_SOURCES)} for a network in Python, got {spec.source!r}")
    backbone = _SOURCES[spec.source](spec, recipe)
    backbone.module.eval().requires_grad_(False)
    return backbone


def agreement(recipe: Recipe, backbone: Backbone) -> str:
    """ "yes", "no" or "unknown": whether the recipe's constants are those that the weights know.

    Raises RecipeError if they differ and the recipe gives no reason in `override`.
    """
    known = backbone.published
    if known is None:
        return "unknown"
    channels = len(steps.COLORS[known.color])
    ours, theirs = steps.compose(recipe.steps[1:], channels), steps.compose(known.steps, channels)
    assert theirs is not None
    if recipe.backbone.color == known.color and ours is not None:
        depth = PIXEL_DTYPES[recipe.pixels.dtype] / PIXEL_DTYPES["uint8"]  # theirs is told in 8-bit grey levels
        if Affine(ours.matrix * depth, ours.offset).close_to(theirs):
            return "yes"
    if recipe.backbone.override is None:
        raise RecipeError(
            f"[[steps]]: expected what the weights {backbone.weights} were trained with, {known}, got something else; "
            'if that is meant, write override = "the reason" under [backbone]'
        )
    return "no"


def _embedded(spec: BackboneSpec, recipe: Recipe) -> Backbone:
    if spec.name is None or spec.name not in EMBEDDED:
        raise RecipeError(f"[backbone] name: expected one of {', '.join(EMBEDDED)}, got {spec.name!r}")
    return _fill(EMBEDDED[spec.name], spec, recipe)


def _torchvision(spec: BackboneSpec, recipe: Recipe) -> Backbone:
    from torchvision import models

    assert spec.name is not None
    known = models.list_models(module=models)
    if spec.name not in known:
        raise RecipeError(
            f"[backbone] name: expected a classification model of torchvision, got {spec.name!r}{did_you_mean(spec.name, known)}"
        )
    builder = models.get_model_builder(spec.name)
    options: dict[str, Any] = {"weights": None}
    if spec.name in ("googlenet", "inception_v3"):
        # Their published weights expect this re-mapping inside the model; torchvision only sets it when it downloads them itself.
        options |= {"transform_input": True, "init_weights": False, "aux_logits": False}
    if spec.weights == "random" or _is_file(spec.weights):
        return _fill(lambda: builder(**options), spec, recipe)
    enum = models.get_model_weights(spec.name)
    if spec.weights not in enum.__members__:
        names = ", ".join(enum.__members__)
        raise RecipeError(
            f'[backbone] weights: expected one of {names}, a .safetensors or .pt file, or "random", '
            f"got {spec.weights!r}{did_you_mean(str(spec.weights), enum.__members__)}"
        )
    weights = enum[str(spec.weights)]
    if spec.name.startswith("vit_"):
        options["image_size"] = weights.meta["min_size"][0]  # SWAG's have other position embeddings
    module = builder(**options)
    _load(module, _download(weights, spec), f"{spec.name} {weights.name}")
    preset = weights.transforms()
    constants = Normalize(mean=tuple(preset.mean), std=tuple(preset.std), unit="0-1", origin=str(weights))
    published = Published("RGB", (Rescale(), constants))
    return Backbone(module, str(weights), True, published, tuple(weights.meta["categories"]))


_SOURCES: Mapping[str, Callable[[BackboneSpec, Recipe], Backbone]] = {"embedded": _embedded, "torchvision": _torchvision}


def _download(weights: Any, spec: BackboneSpec) -> State:
    try:
        with contextlib.redirect_stdout(sys.stderr):  # torch.hub prints where --json promises one document
            state: State = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (URLError, OSError, RuntimeError) as error:
        cache = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
        raise PreprocError(
            f"{spec.name}: expected the weights {weights} to be fetched, got {type(error).__name__}: {str(error).splitlines()[0]}; "
            f'put the file at {cache}, or write weights = "FILE.safetensors", or weights = "random" with seed = 0 to try the rest'
        ) from error
    return state


def _is_file(weights: str | None) -> bool:
    return Path(str(weights)).suffix in (".safetensors", ".pt", ".pth")


def _fill(build: Callable[[], nn.Module], spec: BackboneSpec, recipe: Recipe) -> Backbone:
    """A network with weights from a file, or random ones."""
    if spec.weights == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(spec.seed or 0)
            return Backbone(_without_zero_weights(build()), f"random (seed {spec.seed})", False)
    module, file = build(), recipe.resolve(str(spec.weights))
    state, metadata = _read_state(file)
    _load(module, state, str(file))
    return Backbone(module, file.name, True, _published(metadata, file))


def _without_zero_weights(module: nn.Module) -> nn.Module:
    """Some heads (ViT's) start at zero, and a network that answers zero to everything proves nothing: those get normal weights."""
    for parameter in module.parameters():
        if parameter.dim() > 1 and not parameter.any():
            nn.init.normal_(parameter, std=0.02)
    return module


def _read_state(file: Path) -> tuple[State, Mapping[str, str]]:
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
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PreprocError(f"{file}: expected a {file.suffix} file of tensors only, got: {reason[:300]}") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise PreprocError(f"{file}: expected a state_dict, a table of names and tensors, got {type(state).__name__}")
    return dict(state), {}


def _load(module: nn.Module, state: State, source: str) -> None:
    auxiliary = [name for name in state if name.startswith(("aux1.", "aux2.", "AuxLogits."))]
    names = module.state_dict().keys()
    state = {name: value for name, value in state.items() if name in names or name not in auxiliary}
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        raise PreprocError(f"{source}: expected the weights of this network, got: {' '.join(lines)[:400]}") from error


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


def build(recipe: Recipe) -> Model:
    """The recipe's pipeline in front of its backbone: eager, float32, nothing folded."""
    backbone = load_backbone(recipe)
    agreement(recipe, backbone)
    return prepend(Pipeline.from_steps(recipe.steps), backbone.module)


class Reference:
    """A backbone in float64 on the CPU: model-ready (N, C, H, W) float64 in, named float64 outputs out.

    `mixed` collects the operations that computed in less than float64 all the same.
    """

    def __init__(self, module: nn.Module, names: tuple[str, ...], *, dtype: torch.dtype = torch.float64) -> None:
        self.module = copy.deepcopy(module).to("cpu", dtype).eval()
        self.names, self.dtype, self.mixed = names, dtype, set[str]()

    def __call__(self, x: NDArray[Any]) -> Outputs:
        results = []
        with torch.inference_mode(), _Watch(self.mixed, self.dtype):
            for picture in torch.from_numpy(np.ascontiguousarray(x)).to(self.dtype).split(1):
                results.append(named_outputs(self._run(picture), self.names))
        return {name: torch.cat([result[name] for result in results]).numpy() for name in self.names}

    def _run(self, picture: Tensor) -> object:
        try:
            return self.module(picture)
        except (RuntimeError, ValueError, AssertionError) as error:
            height, width = picture.shape[2:]
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise PreprocError(
                f"expected a backbone that takes pictures of height, width {height}, {width}, got: {reason}; "
                "write the size that it takes as [pixels] size"
            ) from error


def named_outputs(outputs: object, names: tuple[str, ...]) -> State:
    """The backbone's output as a table of tensors. Raises PreprocError if it does not match the names."""
    if isinstance(outputs, Tensor) and len(names) == 1:
        return {names[0]: outputs}
    if isinstance(outputs, Tensor):
        raise PreprocError(f"expected {len(names)} outputs ({', '.join(names)}), got one tensor; name just one")
    kind = type(outputs).__name__
    raise PreprocError(f"expected a backbone that returns one tensor, got a {kind}; wrap it in a module that returns the one you need")


class _Watch(TorchDispatchMode):
    """Notes every operation whose floating output has fewer bits than `dtype`."""

    def __init__(self, found: set[str], dtype: torch.dtype) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found, self.bits = found, torch.finfo(dtype).bits

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor) and out.is_floating_point() and torch.finfo(out.dtype).bits < self.bits:
            self.found.add(str(func))
        return out
