"""Networks that react to pictures, and the pictures: digits, trained, and three of torchvision's with random weights."""

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torchvision import models

from preproc.layers import Normalize
from preproc.sources import load_recipe
from preproc.sources.backbones import load_backbone
from preproc.verify.inputs import PHOTOGRAPHS
from tests.conftest import ROOT

Pixels = NDArray[np.uint8]
NAMES = ("digits", "resnet18", "mobilenet_v3_small", "squeezenet1_1")
SIZE = 128
"""Sides of what torchvision's networks are shown: torch's convolutions in float16 take seconds of a CPU for larger pictures."""
CALIBRATED, SHOWN = 60, 24


@dataclass(frozen=True)
class Network:
    """module: float32, in eval mode, (N, 3, H, W) normalized -> logits.  mean, std: of 0..1.  shown: (N, H, W, 3) pictures to compare with.
    calibration: other pictures of that kind, for ranges."""

    name: str
    module: nn.Module
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    shown: Pixels
    calibration: Pixels

    @property
    def size(self) -> tuple[int, int]:
        return self.shown.shape[1], self.shown.shape[2]

    @property
    def example(self) -> torch.Tensor:
        return torch.from_numpy(self.shown[:2])

    def ready(self, pixels: Pixels) -> NDArray[np.float64]:
        """(N, H, W, 3) pixels -> (N, 3, H, W), normalized by NumPy in float64."""
        return normalized(pixels, self.mean, self.std)


def normalized(pixels: Pixels, mean: NDArray[np.float64], std: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.ascontiguousarray(((pixels / 255 - mean) / std).transpose(0, 3, 1, 2))


def network(name: str) -> Network:
    return digits() if name == "digits" else untrained(name)


def digits() -> Network:
    """On pictures of digits that it was not trained on, calibrated with those that it was."""
    spec = importlib.util.spec_from_file_location("train_digits", ROOT / "models" / "train_digits.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    recipe = load_recipe(ROOT / "models" / "digits.toml")
    step = recipe.steps[-1]
    shown, calibration = (script.draw(split, count, seed=1)[0] for split, count in (("test", 200), ("train", CALIBRATED)))
    return Network("digits", load_backbone(recipe).module, np.array(step.mean), np.array(step.std), shown, calibration)


def untrained(name: str) -> Network:
    """One of torchvision's classifiers, on cuts of photographs, behind ImageNet's normalization."""
    torch.manual_seed(0)
    module = models.get_model_builder(name)(weights=None).eval().requires_grad_(False)
    step = Normalize.preset("imagenet").step
    mean, std = np.array(step.mean), np.array(step.std)
    pictures = np.stack(list(cuts(CALIBRATED + SHOWN)))
    shown, calibration = pictures[:SHOWN], pictures[SHOWN:]
    react(module, torch.from_numpy(normalized(calibration, mean, std).astype(np.float32)))
    return Network(name, module, mean, std, shown, calibration)


def cuts(count: int) -> Iterator[Pixels]:
    """Squares out of the photographs that preproc verifies with, scaled to SIZE; every other one mirrored."""
    rng, photographs = np.random.default_rng(0), []
    for file in sorted(PHOTOGRAPHS.glob("*.jpg")):
        with Image.open(file) as image:
            photographs.append(image.convert("RGB"))
    for number in range(count):
        image = photographs[number % len(photographs)]
        side = int(rng.integers(SIZE, min(image.size), endpoint=True))
        left, top = (int(rng.integers(0, whole - side, endpoint=True)) for whole in image.size)
        cut = np.asarray(image.crop((left, top, left + side, top + side)).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
        yield cut[:, ::-1] if number % 2 else cut


def react(module: nn.Module, ready: torch.Tensor) -> None:
    """Gives every BatchNorm the statistics of what these pictures make in front of it, in place, first layers first; and the weights of
    linear layers, and of convolutions where there is no BatchNorm, those with which they answer mean 0 and std 1 (Mishkin and Matas, "All
    you need is a good init", 2016). With random weights alone, most networks answer nearly the same to every picture."""
    kinds = {type(layer) for layer in module.modules()}
    weighted = (nn.Linear,) if nn.BatchNorm2d in kinds else (nn.Linear, nn.Conv2d)

    def normalize(layer: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor | None:
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.copy_(inputs[0].mean((0, 2, 3)))
            layer.running_var.copy_(inputs[0].var((0, 2, 3)))
            return F.batch_norm(inputs[0], layer.running_mean, layer.running_var, layer.weight, layer.bias, eps=layer.eps)
        if not isinstance(layer, weighted):
            return None
        axes = (0, *range(2, output.ndim))
        mean, std = output.mean(axes, keepdim=True), output.std(axes, keepdim=True)
        layer.weight.div_(std.view(-1, *[1] * (layer.weight.ndim - 1)))
        layer.bias.sub_(mean.flatten()).div_(std.flatten())
        return (output - mean) / std

    hooks = [layer.register_forward_hook(normalize) for layer in module.modules()]
    with torch.no_grad():
        module(ready)
    for hook in hooks:
        hook.remove()
