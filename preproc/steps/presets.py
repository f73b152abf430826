"""Named channel statistics, each with its unit, its colour order and its source; and the reader of stats.json."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import PreprocError, did_you_mean

UNITS: Mapping[str, float] = MappingProxyType({"0-1": 1.0, "0-255": 255.0, "0-65535": 65535.0})
"""The units that statistics can be in, and the value that full brightness has in each."""


@dataclass(frozen=True)
class Statistics:
    """mean, std: one number per channel, in `unit`, in the order of `color`.  source: where they are published."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    unit: str
    color: str
    source: str


PRESETS: Mapping[str, Statistics] = MappingProxyType(
    {
        "imagenet": Statistics(
            (0.485, 0.456, 0.406),
            (0.229, 0.224, 0.225),
            "0-1",
            "RGB",
            "torchvision.transforms._presets.ImageClassification; torchvision #1439",
        ),
        "inception": Statistics((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "0-1", "RGB", "timm.data.constants.IMAGENET_INCEPTION_MEAN"),
        "clip": Statistics(
            (0.48145466, 0.4578275, 0.40821073),
            (0.26862954, 0.26130258, 0.27577711),
            "0-1",
            "RGB",
            "openai/CLIP clip.py, _transform",
        ),
        "siglip": Statistics((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "0-1", "RGB", "transformers SiglipImageProcessor, IMAGENET_STANDARD_MEAN"),
        "caffe": Statistics(
            (103.939, 116.779, 123.68),
            (1.0, 1.0, 1.0),
            "0-255",
            "BGR",
            "keras.applications.imagenet_utils, mode='caffe' (VGG_ILSVRC)",
        ),
        "cifar10": Statistics(
            (0.4914, 0.4822, 0.4465),
            (0.2470, 0.2435, 0.2616),
            "0-1",
            "RGB",
            "pooled over the training set (kuangliu/pytorch-cifar #19)",
        ),
        "mnist": Statistics((0.1307,), (0.3081,), "0-1", "GRAY", "pytorch/examples mnist/main.py"),
    }
)


def preset(name: str) -> Statistics:
    """Raises PreprocError for an unknown name."""
    if name not in PRESETS:
        raise PreprocError(
            f"expected a preset, one of {', '.join(PRESETS)}, got {name!r}{did_you_mean(name, PRESETS)}", name="unknown-choice"
        )
    return PRESETS[name]


def recognize(mean: Sequence[float], std: Sequence[float], unit: str) -> tuple[str, str] | None:
    """The preset with these numbers (or presets: "inception or siglip"), in whichever unit, and the colour order that they are in: "ANY" if
    all channels have the same."""
    given = [number / UNITS[unit] for number in (*mean, *std)]
    found: dict[str, str] = {}
    for name, known in PRESETS.items():
        for step, color in ((1, known.color), (-1, known.color[::-1])):
            if _near(given, [number / UNITS[known.unit] for number in (*known.mean[::step], *known.std[::step])]):
                found.setdefault(name, "ANY" if len(set(mean)) == 1 and len(mean) > 1 else color)
    return (" or ".join(found), next(iter(found.values()))) if found else None


def _near(some: Sequence[float], others: Sequence[float], tolerance: float = 1e-3) -> bool:
    return len(some) == len(others) and all(math.isclose(a, b, rel_tol=tolerance) for a, b in zip(some, others, strict=True))


FEW = 30
"""Pictures of a sample from which on its mean and std say something of all."""


def read_stats(path: str | Path) -> Statistics:
    """Reads mean, std, unit and color from a stats.json, raising PreprocError with the file's name if they are not there."""
    if not isinstance(path, (str, Path)):
        raise PreprocError(f"expected the path of a stats.json, got a {type(path).__name__}; its save() writes one", name="wrong-object")
    try:
        data: Any = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise PreprocError(f"{path}: expected a stats.json, got {error.strerror or error}", name="nothing-there") from error
    except ValueError as error:
        raise PreprocError(f"{path}: expected a stats.json, got text that is not JSON ({error})", name="stats-damaged") from error
    if not isinstance(data, dict):
        raise PreprocError(
            f"{path}: expected a JSON object with mean, std, unit and color, got {type(data).__name__}", name="stats-damaged"
        )
    if data.get("partial"):
        raise PreprocError(
            f"{path}: expected statistics of everything, got those of an interrupted run; finish it, or merge the rest",
            name="stats-incomplete",
        )
    if data.get("sample") and data.get("images", 0) < FEW:
        raise PreprocError(
            f"{path}: expected statistics of everything, or of a sample of at least {FEW} pictures, got {data.get('images')}",
            name="stats-incomplete",
        )
    if "kinds" in data and not data["kinds"]:
        raise PreprocError(f"{path}: expected statistics of pictures, got those of none", name="stats-incomplete")
    missing = [key for key in ("mean", "std", "unit", "color") if key not in data]
    if missing:
        raise PreprocError(
            f"{path}: expected the keys mean, std, unit and color, {' and '.join(missing)} missing"
            + (": it is of several kinds of pictures; preproc stats --color RGB converts them" if len(data.get("kinds", ())) > 1 else ""),
            name="stats-damaged",
        )
    try:
        mean, std = tuple(map(float, data["mean"])), tuple(map(float, data["std"]))
    except (TypeError, ValueError) as error:
        raise PreprocError(f"{path}: expected mean and std to be lists of numbers ({error})", name="stats-damaged") from error
    _check_counted(data, mean, std, path)
    return Statistics(mean, std, str(data["unit"]), str(data["color"]), Path(path).name)


def _check_counted(data: Mapping[str, Any], mean: Sequence[float], std: Sequence[float], path: str | Path) -> None:
    """Raises PreprocError where the numbers of a stats.json that `preproc stats` wrote are not those that its counts give."""
    try:
        ((kind, table),) = data.get("accumulator", {}).items()
        channels = table["counts"]
        top = len(channels[0]) - 1
        counted = [[sum(level**power * count for level, count in enumerate(counts)) for power in range(3)] for counts in channels]
        given = [total / (number * top) for number, total, _ in counted]
        spread = [math.sqrt(number * squares - total**2) / (number * top) for number, total, squares in counted]
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError):
        return  # written by hand, of floats, or of several kinds
    if data["unit"] == "0-1" and str(data["color"]) in (kind.split()[0], "ANY") and _near((*mean, *std), (*given, *spread), 1e-9):
        return
    numbers = [[round(number, 6) for number in numbers] for numbers in (given, spread)]
    raise PreprocError(
        f"{path}: expected the mean and std that its counts give, {numbers[0]} and {numbers[1]} in 0-1 of {kind}, got "
        f"{list(mean)} and {list(std)} in {data['unit']} of {data['color']}; write other numbers into the recipe, as mean and std",
        name="stats-damaged",
    )
