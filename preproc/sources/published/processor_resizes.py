"""How transformers' image processors resize, where steps can say it."""

from collections.abc import Callable, Mapping
from typing import Any

from ...steps import CenterCrop, Resize, Step
from .processor_fields import wrong

RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
"""Pillow's codes."""
Rule = Callable[[str, Mapping[str, Any]], list[Step]]


def _plain(keys: str, config: Mapping[str, Any]) -> list[Step]:
    size, method = config["size"], _method(config)
    if keys == "height width":
        return [Resize(size=(size["height"], size["width"]), interpolation=method)]
    return [Resize(size=size["shortest_edge"], interpolation=method)]


def _convnext(keys: str, config: Mapping[str, Any]) -> list[Step]:  # noqa: ARG001 - it has a shortest_edge only
    edge, method = config["size"]["shortest_edge"], _method(config)
    if edge >= 384:
        return [Resize(size=(edge, edge), interpolation=method)]
    larger = int(edge / config["crop_pct"])
    return [Resize(size=larger, interpolation=method), CenterCrop(size=(edge, edge), rounding="floor")]


def _poolformer(keys: str, config: Mapping[str, Any]) -> list[Step]:
    larger = {name: int(side / config["crop_pct"]) for name, side in config["size"].items()}
    if keys == "height width" and larger["height"] == larger["width"] and config["size"]["height"] == config["size"]["width"]:
        keys, larger = "shortest_edge", {"shortest_edge": larger["height"]}
    return _plain(keys, {**config, "size": larger})


def _levit(keys: str, config: Mapping[str, Any]) -> list[Step]:
    size = config["size"]
    return _plain(keys, {**config, "size": size if keys == "height width" else {"shortest_edge": int(256 / 224 * size["shortest_edge"])}})


def _divisor(keys: str, config: Mapping[str, Any]) -> list[Step]:
    """Up to the next multiple. Of a shortest_edge that would depend on the picture, in a way that steps cannot say."""
    divisor = config.get("size_divisor") or 1
    return _plain(keys, {**config, "size": {name: -(-side // divisor) * divisor for name, side in config["size"].items()}})


RESIZES: Mapping[str, Rule] = {"plain": _plain, "convnext": _convnext, "poolformer": _poolformer, "levit": _levit, "divisor": _divisor}
"""How classes resize, where steps can say it."""
NEEDS: Mapping[str, str] = {"convnext": "crop_pct", "poolformer": "crop_pct", "divisor": "size_divisor"}
"""The fields that such a class reads."""
SIZES = ("height width", "shortest_edge")
"""The keys of a size that steps can say."""


def _method(config: Mapping[str, Any]) -> str:
    code = config.get("resample")
    if code not in RESAMPLE or isinstance(code, bool):
        names = " or ".join(f"{number} ({name})" for number, name in RESAMPLE.items())
        raise wrong(f"expected resample {names}, got {code!r}")
    return RESAMPLE[code]
