"""timm's pretrained_cfg -> steps. timm is imported only to look a name up."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import PreprocError, did_you_mean, first_line
from ...steps import CenterCrop, Normalize, Rescale
from .base import UNJUDGED, Published, check_torchvision, finished, resize_step, title

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
        "labels",
        "label_offset",
        "num_features",
        "test_pool_size",
        "label_descriptions",
        "description",
    }
)
"""Fields of a pretrained_cfg that say nothing of the pixels."""
_TIMM_TEST = ("test_input_size", "test_crop_pct")
"""Another size, which timm uses only if it is asked to."""
_TOLD = ("input_size", "interpolation", "crop_pct", "crop_mode", "mean", "std")


def from_timm(source: Any, *, pillow: int | None = None, constants_because: str | None = None) -> Published:
    """source: the name of published weights, as "resnet50.a1_in1k"; a config.json as timm writes it, its path, its folder or its table,
    with the pretrained_cfg in it or flat; a pretrained_cfg, its object or a dict; or a model with one.

    A text is a path if it ends in .json or has a slash in it.
    As timm.data.create_transform(**resolve_data_config(...)) makes it for evaluation, of the size it was trained with (no test_input_size).
    Raises PreprocError for fields that are not known, and for what files have no word for: crop_mode border.
    """
    where = ""
    try:
        if isinstance(source, str) and source.startswith("hf-hub:"):
            raise PreprocError(
                f"expected the name of weights or a file, got {source}, which is on the hub: fetch its config.json", name="unknown-source"
            )
        if isinstance(source, str):
            source = source.removeprefix("local-dir:")
        if isinstance(source, Path) or (isinstance(source, str) and (source.endswith(".json") or "/" in source or "\\" in source)):
            path = Path(source)
            path = path / "config.json" if path.is_dir() else path
            where = f"{path}: "
            source = _table(path)
        known = _named(source) if isinstance(source, str) else _resolved(source)
        return replace(known, steps=finished(known.steps, pillow, constants_because))
    except PreprocError as error:
        raise PreprocError(f"{where}{error}") from error
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
        raise PreprocError(
            f"{where}expected a pretrained_cfg of timm, got one with other values: {first_line(error)}", name="published-value"
        ) from error


def _table(path: Path) -> Any:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PreprocError(f"expected a config.json of timm, got {error.strerror or error}", name="nothing-there") from error
    except (ValueError, RecursionError) as error:
        raise PreprocError(f"expected JSON, got something else: {first_line(error)}", name="malformed-file") from error
    if not isinstance(table, Mapping):
        raise PreprocError(f"expected a table, got {type(table).__name__}", name="malformed-file")
    return table


def _named(name: str) -> Published:
    try:
        check_torchvision()
        from timm.models import get_pretrained_cfg
    except ImportError as error:
        raise PreprocError(f"{name}: expected timm for it, got none installed; pip install timm", name="not-installed") from error
    try:
        named = get_pretrained_cfg(name)
    except RuntimeError:  # another tag
        named = None
    if named is None:
        raise PreprocError(f"expected the name of weights of timm, as resnet50.a1_in1k, got {name!r}{_near(name)}", name="unknown-weights")
    found = _resolved(named)
    return replace(found, origin=title(found.origin))


def _resolved(source: Any) -> Published:
    """Of a config.json's table, a pretrained_cfg or what has one. The origin has its text, for original() to run."""
    table = source if isinstance(source, Mapping) else {}
    given = table.get("pretrained_cfg", source) if table else getattr(source, "pretrained_cfg", source)
    config = {key: value for key, value in (given if isinstance(given, Mapping) else vars(given)).items() if value is not None}
    if not any(key in config for key in _TOLD):
        kind = ", ".join(sorted(map(str, config))[:5]) or "nothing"
        raise PreprocError(
            f"expected a pretrained_cfg of timm, with input_size, mean and std, got a table with {kind}", name="unknown-source"
        )
    for key in config:
        if key not in (*_TOLD, *_TIMM_OTHER, *_TIMM_TEST):
            raise PreprocError(f"expected fields of timm's pretrained_cfg, got {key!r}{did_you_mean(key, _TOLD)}", name="unknown-key")
    config.setdefault("crop_mode", "center")  # older files leave it out
    for key in _TOLD:
        if key not in config:
            raise PreprocError(f"expected {key} in timm's pretrained_cfg, got nothing: there is no default", name="missing-key")
    _check_arguments(table.get("model_args") or {}, config)
    architecture, tag = config.get("architecture", table.get("architecture")), config.get("tag")
    name = "timm " + (f"{architecture}{f'.{tag}' if tag else ''}" if architecture else "pretrained_cfg")
    return _published(config, name, f"{name} {json.dumps({key: config[key] for key in _TOLD}, sort_keys=True)}")


def _check_arguments(arguments: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """What a config.json builds its model with beside the pretrained_cfg: another size there is what timm then takes."""
    channels, *sides = config["input_size"]
    side = arguments.get("img_size") if config.get("fixed_input_size") else None
    built = [arguments.get("in_chans") or channels, *([side, side] if isinstance(side, int) else side or sides)]
    if built != [channels, *sides]:
        raise PreprocError(
            f"expected model_args of the input_size {[channels, *sides]}, got {built}: write one of the two", name="conflicting-options"
        )


def _published(config: Mapping[str, Any], name: str, origin: str) -> Published:
    channels, height, width = config["input_size"]
    scale = tuple(math.floor(side / config["crop_pct"]) for side in (height, width))
    mode = config["crop_mode"]
    if mode == "squash":
        size: Any = scale
    elif mode == "center" and scale[0] == scale[1]:
        size = scale[0]
    else:
        what = "crop_mode border" if mode == "border" else f"crop_mode {mode} with input_size {list(config['input_size'])}"
        raise PreprocError(f"expected crop_mode center with a square input_size, or squash, got {what}", name="steps-cannot-say")
    if channels != 3:
        raise PreprocError(f"expected a network of 3 channels, got input_size {list(config['input_size'])}", name="steps-cannot-say")
    normalize = Normalize(mean=tuple(config["mean"]), std=tuple(config["std"]), unit="0-1", origin=name, constants_because=UNJUDGED)
    resize = resize_step(size, config["interpolation"], None, "timm")
    return Published("RGB", (resize, CenterCrop(size=(height, width)), Rescale(), normalize), origin)


def _near(name: str) -> str:
    from timm import list_pretrained

    return did_you_mean(name, list_pretrained())
