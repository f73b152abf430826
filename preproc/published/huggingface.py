"""Hugging Face's preprocessor_config.json -> steps. transformers is not needed."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..checks import did_you_mean
from ..errors import PreprocError, first_line
from ..steps import CenterCrop, Normalize, Rescale, Resize, Step, with_pillow
from ._base import Published

_HF_OTHER = frozenset(
    {
        "processor_class",
        "image_processor_type",
        "feature_extractor_type",
        "_valid_processor_keys",
        "data_format",
        "input_data_format",
        "return_tensors",
        "device",
        "disable_grouping",
        "default_to_square",
        "do_convert_rgb",
        "do_reduce_labels",
        "num_labels",
    }
)
"""Fields of a preprocessor_config.json that say nothing more of RGB pixels."""
_HF_FIELDS = frozenset(
    {
        "do_resize",
        "size",
        "resample",
        "do_center_crop",
        "crop_size",
        "crop_pct",
        "do_rescale",
        "rescale_factor",
        "do_normalize",
        "image_mean",
        "image_std",
        "do_pad",
        "do_flip_channel_order",
    }
)
_RESAMPLE = {0: "nearest", 2: "bilinear", 3: "bicubic"}
"""Pillow's codes."""
_HF_ABSENT: Mapping[str, Mapping[str, Any]] = {
    "ViT": {"do_center_crop": False, "sides": "both"},
    "Deit": {"do_center_crop": True, "sides": "both"},
    "DeiT": {"do_center_crop": True, "sides": "both"},
    "Beit": {"do_center_crop": True, "sides": "both"},
    "CLIP": {"do_center_crop": True, "sides": "shortest"},
    "ConvNext": {"do_center_crop": False, "sides": "shortest"},
    "Siglip": {"do_center_crop": False, "sides": "both"},
    "MobileNetV2": {"do_center_crop": True, "sides": "shortest"},
    "MobileViT": {"do_center_crop": True, "do_normalize": False, "sides": "shortest"},
    "Bit": {"do_center_crop": True, "sides": "shortest"},
    "Pvt": {"do_center_crop": False, "sides": "both"},
}
"""What a class of image processors does where its file says nothing: whether it crops and normalizes, and which sides a size of one number
means."""


def from_huggingface(source: str | Path | Mapping[str, Any], *, pillow: int | None = None) -> Published:
    """source: a preprocessor_config.json, its path, its folder or its table.

    As transformers' image processors compute it with Pillow (backend="pil"; its default resizes with torchvision's tensor kernel, which
    is some levels away: tests/survey/resize.md). Raises PreprocError for fields and processors that are not known.
    """
    origin = "Hugging Face preprocessor_config"
    if isinstance(source, (str, Path)):
        path = Path(source)
        path = path / "preprocessor_config.json" if path.is_dir() else path
        origin = f"Hugging Face {path.name}"
        try:
            source = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise PreprocError(f"{path}: expected a preprocessor_config.json, got {error.strerror or error}") from error
        except (ValueError, RecursionError) as error:
            raise PreprocError(f"{path}: expected JSON, got something else: {first_line(error)}") from error
    if not isinstance(source, Mapping):
        raise PreprocError(f"{origin}: expected a table, got {type(source).__name__}")
    config = {key: value for key, value in source.items() if value is not None}
    kind = str(config.get("image_processor_type") or config.get("feature_extractor_type") or "")
    if not any(key in config for key in ("image_mean", "do_resize", "crop_size", "do_rescale")):
        raise PreprocError(f"{origin}: expected the configuration of an image processor, got one of {kind or 'something else'}")
    if not any(kind.startswith(name) for name in _HF_ABSENT):
        known = ", ".join(_HF_ABSENT)
        raise PreprocError(f"{origin}: expected an image processor whose arithmetic is known, of {known}, got {kind or 'none named'}")
    if "crop_pct" in config and not kind.startswith("ConvNext"):
        raise PreprocError(f"{origin}: expected crop_pct of ConvNext's processors only, got it of {kind}")
    if kind.startswith("MobileViT") and "do_flip_channel_order" not in config:
        raise PreprocError(f"{origin}: expected do_flip_channel_order, got nothing: there is no default")
    for key in config:
        if key not in (*_HF_FIELDS, *_HF_OTHER):
            raise PreprocError(f"{origin}: expected fields of image processors that are known, got {key!r}{did_you_mean(key, _HF_FIELDS)}")
    try:
        found = _hf_color(config, origin), with_pillow(_hf_steps(config, kind, origin), pillow)
        return Published(*found, f"{origin} {json.dumps(config, sort_keys=True)}")
    except (TypeError, AttributeError, ValueError, ArithmeticError) as error:
        if isinstance(error, PreprocError):
            raise
        raise PreprocError(f"{origin}: expected numbers and tables of numbers, got others: {first_line(error)}") from error


def _hf_color(config: Mapping[str, Any], origin: str) -> str:
    if config.get("do_pad"):
        raise PreprocError(f"{origin}: expected do_pad to be false, got {config['do_pad']!r}")
    if config.get("do_flip_channel_order") and config.get("do_normalize"):
        raise PreprocError(f"{origin}: expected do_flip_channel_order without do_normalize, whose order is not told, got both")
    return "BGR" if config.get("do_flip_channel_order") else "RGB"


def _hf_steps(config: Mapping[str, Any], kind: str, origin: str) -> list[Step]:
    absent: Mapping[str, Any] = next((known for name, known in _HF_ABSENT.items() if kind.startswith(name)), {})

    def flag(name: str, otherwise: bool | None = None) -> bool:
        value = config.get(name, absent.get(name, otherwise))
        if not isinstance(value, bool):
            raise PreprocError(f"{origin}: expected {name} to be true or false, got {config.get(name, 'nothing')!r}")
        return value

    found: list[Step] = []
    if flag("do_resize"):
        found += _hf_resize(config, kind, absent, origin)
    if flag("do_center_crop", None if "crop_size" in config else False):
        found.append(CenterCrop(size=_hf_sides(_needed(config, "crop_size", origin), "crop_size", origin), rounding="floor"))
    factor = float(config.get("rescale_factor", 1 / 255))
    rescaled = flag("do_rescale", True)
    if rescaled:
        found.append(Rescale(scale=factor))
    if flag("do_normalize"):
        mean, std = (tuple(map(float, _needed(config, key, origin))) for key in ("image_mean", "image_std"))
        if rescaled and not math.isclose(factor, 1 / 255, rel_tol=1e-3):
            raise PreprocError(f"{origin}: expected rescale_factor 1/255 in front of a normalization, got {factor}")
        found.append(Normalize(mean=mean, std=std, unit="0-1" if rescaled else "0-255", origin=origin))
    return found


def _hf_resize(config: Mapping[str, Any], kind: str, absent: Mapping[str, Any], origin: str) -> list[Step]:
    code = _needed(config, "resample", origin)
    if code not in _RESAMPLE:
        raise PreprocError(f"{origin}: expected resample 0 (nearest), 2 (bilinear) or 3 (bicubic), got {code!r}")
    method, size = _RESAMPLE[code], _needed(config, "size", origin)
    if isinstance(size, int):
        if not absent:
            raise PreprocError(
                f"{origin}: expected size as a table, shortest_edge or height and width, got {size}, whose meaning {kind} decides"
            )
        if config.get("default_to_square", absent["sides"] == "both") != (absent["sides"] == "both"):
            raise PreprocError(f"{origin}: expected size as a table, got {size} with default_to_square {config['default_to_square']}")
        size = {"shortest_edge": size} if absent["sides"] == "shortest" else {"height": size, "width": size}
    if set(size) == {"height", "width"}:
        return [Resize(size=(size["height"], size["width"]), interpolation=method)]
    if set(size) != {"shortest_edge"}:
        raise PreprocError(f"{origin}: expected size with shortest_edge, or height and width, got {', '.join(size)}")
    edge = size["shortest_edge"]
    if not kind.startswith("ConvNext"):
        return [Resize(size=edge, interpolation=method)]
    if edge >= 384:
        return [Resize(size=(edge, edge), interpolation=method)]
    larger = int(edge / _needed(config, "crop_pct", origin))
    return [Resize(size=larger, interpolation=method), CenterCrop(size=(edge, edge), rounding="floor")]


def _hf_sides(size: Any, key: str, origin: str) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    if set(size) != {"height", "width"}:
        raise PreprocError(f"{origin}: expected {key} with height and width, got {', '.join(size)}")
    return size["height"], size["width"]


def _needed(config: Mapping[str, Any], key: str, origin: str) -> Any:
    if key not in config:
        raise PreprocError(f"{origin}: expected {key}, got nothing: there is no default")
    return config[key]
