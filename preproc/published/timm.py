"""timm's pretrained_cfg -> steps. timm is imported only to look a name up."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..checks import did_you_mean
from ..errors import PreprocError, first_line
from ..steps import CenterCrop, Normalize, Rescale, with_pillow
from ._base import Published, check_torchvision, resize_step

_TIMM_OTHER = frozenset(
    {
        "architecture",
        "custom_load",
        "fixed_input_size",
        "num_classes",
        "first_conv",
        "classifier",
        "url",
        "license",
        "hf_hub_id",
        "pool_size",
        "origin_url",
        "paper_ids",
        "paper_name",
        "notes",
        "min_input_size",
        "tag",
        "file",
        "state_dict",
        "hf_hub_filename",
        "source",
        "label_names",
        "label_descriptions",
        "description",
    }
)
"""Fields of a pretrained_cfg that say nothing of the pixels."""
_TIMM_TEST = ("test_input_size", "test_crop_pct")
"""Another size, which timm uses only if it is asked to."""


def from_timm(source: Any, *, pillow: int | None = None) -> Published:
    """source: a pretrained_cfg (its object or a dict, or a config.json's table around it), a model with one, or the name of published
    weights, as "resnet50.a1_in1k".

    As timm.data.create_transform(**resolve_data_config(...)) makes it for evaluation, of the size it was trained with (no test_input_size).
    Raises PreprocError for fields that are not known, and for what files have no word for: crop_mode border.
    """
    try:
        known = _from_timm(source)
        return replace(known, steps=with_pillow(known.steps, pillow))
    except PreprocError:
        raise
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
        raise PreprocError(f"expected a pretrained_cfg of timm, got one with other values: {first_line(error)}") from error


def _from_timm(source: Any) -> Published:
    if isinstance(source, str):
        try:
            check_torchvision()
            from timm.models import get_pretrained_cfg
        except ImportError as error:
            raise PreprocError(f"{source}: expected timm for it, got none installed; pip install timm") from error
        try:
            named = get_pretrained_cfg(source)
        except RuntimeError:  # another tag
            named = None
        if named is None:
            raise PreprocError(f"expected the name of weights of timm, as resnet50.a1_in1k, got {source!r}{_near(source)}")
        return _from_timm(named)
    given = source.get("pretrained_cfg", source) if isinstance(source, Mapping) else getattr(source, "pretrained_cfg", source)
    config = {key: value for key, value in (given if isinstance(given, Mapping) else vars(given)).items() if value is not None}
    told = ("input_size", "interpolation", "crop_pct", "crop_mode", "mean", "std")
    for key in config:
        if key not in (*told, *_TIMM_OTHER, *_TIMM_TEST):
            raise PreprocError(f"expected fields of timm's pretrained_cfg, got {key!r}{did_you_mean(key, told)}")
    for key in told:
        if key not in config:
            raise PreprocError(f"expected {key} in timm's pretrained_cfg, got nothing: there is no default")
    channels, height, width = config["input_size"]
    scale = tuple(math.floor(side / config["crop_pct"]) for side in (height, width))
    mode = config["crop_mode"]
    if mode == "squash":
        size: Any = scale
    elif mode == "center" and scale[0] == scale[1]:
        size = scale[0]
    else:
        what = "crop_mode border" if mode == "border" else f"crop_mode {mode} with input_size {list(config['input_size'])}"
        raise PreprocError(f"expected crop_mode center with a square input_size, or squash, got {what}")
    tag = config.get("tag")
    origin = "timm " + (f"{config['architecture']}{f'.{tag}' if tag else ''}" if "architecture" in config else "pretrained_cfg")
    if channels != 3:
        raise PreprocError(f"expected a network of 3 channels, got input_size {list(config['input_size'])}")
    normalize = Normalize(mean=tuple(config["mean"]), std=tuple(config["std"]), unit="0-1", origin=origin)
    resize = resize_step(size, config["interpolation"], None, "timm")
    return Published("RGB", (resize, CenterCrop(size=(height, width)), Rescale(), normalize), origin)


def _near(name: str) -> str:
    from timm import list_pretrained

    return did_you_mean(name, list_pretrained())
