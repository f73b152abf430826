"""Networks of torchvision and timm, with what their published weights know of their preprocessing."""

import contextlib
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import torch
from torch import nn

from ...errors import PreprocError, RecipeError, did_you_mean, first_line, shortened
from ...steps import Normalize, Rescale
from .. import BackboneSpec, Recipe
from ..published import Published, check_torchvision, from_timm, from_torchvision
from .base import Backbone, State
from .weights import fill, is_file, load_state


def torchvision(spec: BackboneSpec, recipe: Recipe) -> Backbone:
    """A classification model of torchvision. weights: a member of its weights enum, a file, or "random"."""
    check_torchvision()
    from torchvision import models

    assert spec.name is not None
    known = models.list_models(module=models)
    if spec.name in set(models.list_models()) - set(known):
        raise RecipeError(
            f"[backbone] name: expected a classification model of torchvision, got {spec.name!r}, which is of another kind; any network "
            'that takes one picture can be had with source = "import", name = "torchvision.models:get_model", '
            f'arguments = {{name = "{spec.name}", weights = "DEFAULT"}}',
            name="unknown-network",
        )
    if spec.name not in known:
        raise RecipeError(
            f"[backbone] name: expected a classification model of torchvision, got {spec.name!r}{did_you_mean(spec.name, known)}",
            name="unknown-network",
        )
    builder = models.get_model_builder(spec.name)
    options: dict[str, Any] = {"weights": None}
    if spec.name in ("googlenet", "inception_v3"):
        # Their published weights expect this re-mapping inside the model; torchvision only sets it when it downloads them itself.
        options |= {"transform_input": True, "init_weights": False, "aux_logits": False}
    options |= spec.arguments
    build = _checked(lambda: builder(**options), spec)
    if spec.weights == "random" or is_file(spec.weights):
        return fill(build, spec, recipe)
    enum = models.get_model_weights(spec.name)
    if spec.weights not in enum.__members__:
        raise _unknown_weights(spec, list(enum.__members__))
    weights = enum[str(spec.weights)]
    if spec.name.startswith("vit_"):
        options["image_size"] = weights.meta["min_size"][0]  # SWAG's have other position embeddings
    module = build()
    load_state(module, _download(weights, spec), f"{spec.name} {weights.name}")
    return Backbone(module, str(weights), True, from_torchvision(weights, constants_because=_COMPARED), tuple(weights.meta["categories"]))


def timm(spec: BackboneSpec, recipe: Recipe) -> Backbone:
    """A model of timm. weights: one of the tags of its published weights, as "a1_in1k", a file, or "random"."""
    try:
        check_torchvision()
        import timm as library
    except ImportError as error:
        raise PreprocError('expected timm for source = "timm", got none installed; pip install timm', name="not-installed") from error

    assert spec.name is not None
    name, _, tag = spec.name.partition(".")
    known = library.list_models()
    if name not in known:
        raise RecipeError(f"[backbone] name: expected a model of timm, got {name!r}{did_you_mean(name, known)}", name="unknown-network")
    if tag:
        raise RecipeError(
            f'[backbone] name: expected the model alone, got {spec.name!r}; write name = "{name}" and weights = "{tag}"',
            name="unknown-weights",
        )
    if spec.weights == "random" or is_file(spec.weights):
        return fill(_checked(lambda: library.create_model(name, pretrained=False, **spec.arguments), spec), spec, recipe)
    tags = [full.partition(".")[2] for full in library.list_pretrained(f"{name}.*")]
    if spec.weights not in tags:
        raise _unknown_weights(spec, tags)
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    full = f"{name}.{spec.weights}"
    with _hub() as silence:
        try:
            module = _checked(lambda: library.create_model(full, pretrained=True, **spec.arguments), spec, TypeError)()
        except RecipeError:
            raise
        except Exception as error:  # huggingface_hub, httpx and the system raise classes of their own; all mean that it did not come
            offline = isinstance(error, (LocalEntryNotFoundError, OfflineModeIsEnabled, ConnectionError, TimeoutError))
            got = f"none in the cache, and {silence}" if silence and offline else _short(error)
            raise PreprocError(f"{full}: expected the weights to be fetched, got {got}; {_WAYS_OUT}", name="remote-failed") from error
    config: Any = module.pretrained_cfg
    return Backbone(module, f"timm {full}", True, _published(config, full), tuple(config.get("label_names") or ()))


def _published(config: Any, full: str) -> Published:
    """All that the configuration says; only its constants where files have no word for its resize."""
    try:
        return from_timm(config, constants_because=_COMPARED)
    except PreprocError:
        constants = Normalize(
            mean=tuple(config["mean"]), std=tuple(config["std"]), unit="0-1", origin=f"timm {full}", constants_because=_COMPARED
        )
        return Published("RGB", (Rescale(), constants), f"timm {full}")


_COMPARED = "a recipe's are compared with them, and judged"
SECONDS = 5.0
"""How long a server may take to answer."""


@contextlib.contextmanager
def _hub() -> Iterator[str]:
    """Where Hugging Face's hub does not answer its library is offline, and takes what is cached at once, or nothing: by itself it retries
    for a minute. Gives what was met there, "" where it answers. Its HF_HUB_OFFLINE, for timm has no argument for it, is one of the whole
    process: what other threads ask the hub for meanwhile is offline as well."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    silence = "" if before else _silence(constants.ENDPOINT)
    constants.HF_HUB_OFFLINE = before or bool(silence)
    try:
        yield silence
    finally:
        constants.HF_HUB_OFFLINE = before


def _silence(url: str) -> str:
    """What is met where nobody listens there, "" where somebody does. Behind a proxy only the proxy knows."""
    parts, proxies = urlsplit(url), getproxies()
    if (parts.scheme in proxies or "all" in proxies) and not proxy_bypass(parts.netloc.rpartition("@")[2]):
        return ""
    try:
        socket.create_connection((parts.hostname, parts.port or (80 if parts.scheme == "http" else 443)), timeout=SECONDS).close()
    except TimeoutError:
        return f"no answer from {parts.hostname} within {SECONDS:g} s"
    except OSError as error:  # refused, no such name, no network
        return f"no connection to {parts.hostname} ({error.strerror or first_line(error)})"
    return ""


_WAYS_OUT = 'or write weights = "FILE.safetensors", or weights = "random" with seed = 0 to try the rest'


def _checked(build: Callable[[], nn.Module], spec: BackboneSpec, kind: type[Exception] = Exception) -> Callable[[], nn.Module]:
    """The same constructor with one line for arguments that it does not take. What weights there are, `weights` says."""
    for name in ("weights", "pretrained", "checkpoint_path"):
        if name in spec.arguments:
            raise RecipeError(
                f"[backbone] arguments: expected the weights in [backbone] weights, got {name} among the arguments",
                name="conflicting-options",
            )

    def checked() -> nn.Module:
        try:
            return build()
        except kind as error:  # each model has its own ways to refuse
            raise RecipeError(
                f"[backbone] arguments: expected what {spec.name} takes, got {dict(spec.arguments)}: {_short(error)}",
                name="network-not-made",
            ) from error

    return checked


def _unknown_weights(spec: BackboneSpec, names: list[str]) -> RecipeError:
    return RecipeError(
        f'[backbone] weights: expected one of {", ".join(names)}, a .safetensors or .pt file, or "random", '
        f"got {spec.weights!r}{did_you_mean(str(spec.weights), names)}",
        name="unknown-weights",
    )


def _download(weights: Any, spec: BackboneSpec) -> State:
    """By torch.hub, which has no time limit, and so waits for minutes for a firewall that says nothing. While it loads, socket's default
    limit is set, which is the whole process's: other threads' new sockets have it as well."""
    before = socket.getdefaulttimeout()
    try:
        socket.setdefaulttimeout(before or 2 * SECONDS)
        with contextlib.redirect_stdout(sys.stderr):  # torch.hub prints where --json promises one document
            state: State = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (URLError, OSError, RuntimeError) as error:
        cache = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
        raise PreprocError(
            f"{spec.name}: expected the weights {weights} to be fetched, got {_short(error)}; put the file at {cache}, {_WAYS_OUT}",
            name="remote-failed",
        ) from error
    finally:
        socket.setdefaulttimeout(before)
    return state


def _short(error: Exception) -> str:
    """The error's class and its first line."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {shortened(lines[0], 200)}" if lines else type(error).__name__
