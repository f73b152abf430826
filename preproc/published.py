"""Pipelines as their publishers write them down -> steps: torchvision's transforms, timm's pretrained_cfg, Hugging Face's
preprocessor_config.json. Every field is used or refused by name; nothing is guessed. No torch but what is handed in.

None of them says which Pillow it was written for: pillow=12 or 13 chooses whose order of passes the resizes have, see steps.Resampling;
None is that of the Pillow which is installed.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checks import did_you_mean
from .errors import NotAtHandError, PreprocError, first_line
from .steps import CenterCrop, Normalize, Pad, Rescale, Resize, Step, installed_pillow, with_pillow


@dataclass(frozen=True)
class Published:
    """What is said of a network's preprocessing: the steps behind grey levels, in the channel order `color`.  origin: where it is said;
    of a preprocessor_config.json with its text, so that original() can run it."""

    color: str
    steps: tuple[Step, ...]
    origin: str = ""

    def __str__(self) -> str:
        return f"{self.color} through " + ", ".join(map(str, self.steps))


def from_torchvision(source: Any, *, pillow: int | None = None) -> Published:
    """source: a member of a weights enum, its transforms(), or a Compose of torchvision.transforms (v1 or v2) as they run on a PIL image.

    Taken are Resize, CenterCrop, Pad, ToTensor, PILToTensor, ToImage, ToDtype, ConvertImageDtype, Normalize, and Compose.
    Raises PreprocError for any other, and for arguments that files have no word for.
    """
    origin = "torchvision transforms"
    if hasattr(source, "transforms") and hasattr(source, "meta"):  # a member of a weights enum
        origin, source = str(source), source.transforms()
    name = type(source).__name__
    if name == "ImageClassification":
        resize = _resize(source.resize_size, source.interpolation, None, "ImageClassification")
        crop = CenterCrop(size=_sides(source.crop_size))
        values = (Rescale(), Normalize(mean=tuple(source.mean), std=tuple(source.std), unit="0-1", origin=origin))
        return Published("RGB", with_pillow((resize, crop, *values), pillow), origin)
    if not type(source).__module__.startswith("torchvision.transforms"):
        raise PreprocError(f"expected weights or transforms of torchvision, got {name} of {type(source).__module__}")
    found = list[Step]()
    scaled = tensor = False
    for transform in _flat(source):
        kind = type(transform).__name__
        if kind not in _TRANSFORMS or not type(transform).__module__.startswith(("torchvision.transforms", "timm.data")):
            known = ", ".join(sorted(_TRANSFORMS))
            raise PreprocError(f"expected transforms of an evaluation pipeline, {known}, got {kind}{did_you_mean(kind, _TRANSFORMS)}")
        if tensor and kind == "Resize":
            raise PreprocError(
                "expected Resize on the PIL image, got it behind a conversion to a tensor, which torchvision resizes otherwise"
            )
        tensor = tensor or kind in ("ToTensor", "MaybeToTensor", "PILToTensor", "ToImage", "ToDtype", "ConvertImageDtype")
        try:
            made = _TRANSFORMS[kind](transform)
        except PreprocError:
            raise
        except (TypeError, AttributeError, ValueError, ArithmeticError) as error:
            raise PreprocError(f"{kind}: expected settings of torchvision's, got others: {first_line(error)}") from error
        if isinstance(made, Rescale) and scaled:
            continue  # from floats to floats
        if isinstance(made, Normalize):
            made = Normalize(mean=made.mean, std=made.std, unit="0-1" if scaled else "0-255", origin=origin)
        scaled = scaled or isinstance(made, Rescale)
        found += [made] if made is not None else []
    return Published("RGB", with_pillow(found, pillow), origin)


def _flat(transform: Any) -> list[Any]:
    if type(transform).__name__ == "Compose":
        return [inner for part in transform.transforms for inner in _flat(part)]
    return [transform]


def _resize(size: Any, interpolation: Any, max_size: int | None, where: str) -> Resize:
    method = str(getattr(interpolation, "value", interpolation)).removesuffix("-exact")  # on a PIL image they are the same
    if method not in ("bilinear", "bicubic", "nearest"):
        raise PreprocError(f"{where}: expected interpolation bilinear, bicubic or nearest, got {method}")
    sides = [size] if isinstance(size, int) else list(size or ())
    if len(sides) not in (1, 2):
        raise PreprocError(f"{where}: expected a size of one or two numbers, got {size}")
    return Resize(size=sides[0] if len(sides) == 1 else (sides[0], sides[1]), interpolation=method, max_size=max_size)


def _sides(size: Any) -> tuple[int, int]:
    sides = [size] if isinstance(size, int) else list(size)
    return sides[0], sides[-1]


def _fill(transform: Any) -> int:
    fill = transform.fill
    fill = list(fill) if isinstance(fill, (list, tuple)) else [fill]
    if len(set(fill)) != 1 or getattr(transform, "padding_mode", "constant") != "constant" or not isinstance(fill[0], (int, float)):
        mode = getattr(transform, "padding_mode", "constant")
        raise PreprocError(f"Pad: expected one fill for all channels and padding_mode constant, got {transform.fill} and {mode}")
    return int(fill[0])


def _padding(transform: Any) -> tuple[int, ...]:
    return (transform.padding,) if isinstance(transform.padding, int) else tuple(transform.padding)


def _to_dtype(transform: Any) -> Step | None:
    dtype = str(transform.dtype)
    if dtype != "torch.float32":
        raise PreprocError(f"{type(transform).__name__}: expected float32, which networks take, got {dtype}")
    return Rescale() if getattr(transform, "scale", True) else None


_TRANSFORMS: Mapping[str, Callable[[Any], Step | None]] = {
    "Resize": lambda t: _resize(t.size, t.interpolation, t.max_size, "Resize"),
    "CenterCrop": lambda t: CenterCrop(size=_sides(t.size)),
    "Pad": lambda t: Pad(padding=_padding(t), fill=_fill(t)),  # type: ignore[arg-type]
    "ToTensor": lambda _: Rescale(),
    "MaybeToTensor": lambda _: Rescale(),  # timm's
    "PILToTensor": lambda _: None,
    "ToImage": lambda _: None,
    "ToPureTensor": lambda _: None,
    "ToDtype": _to_dtype,
    "ConvertImageDtype": _to_dtype,
    "Normalize": lambda t: Normalize(mean=tuple(map(float, t.mean)), std=tuple(map(float, t.std))),
}


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
    resize = _resize(size, config["interpolation"], None, "timm")
    return Published("RGB", (resize, CenterCrop(size=(height, width)), Rescale(), normalize), origin)


def _near(name: str) -> str:
    from timm import list_pretrained

    return did_you_mean(name, list_pretrained())


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


def of_weights(source: str, name: str, weights: str, *, pillow: int | None = None) -> Published:
    """What torchvision or timm publishes with the weights of a network: ("torchvision", "resnet50", "IMAGENET1K_V2")."""
    if source == "timm":
        return from_timm(f"{name}.{weights}", pillow=pillow)
    if source != "torchvision":
        raise PreprocError(f'expected source = "torchvision" or "timm", whose weights say how they were trained, got {source!r}')
    check_torchvision()
    from torchvision import models

    try:
        enum = models.get_model_weights(name)
    except ValueError as error:
        raise PreprocError(f"expected a model of torchvision, got {name!r}{did_you_mean(name, models.list_models())}") from error
    if weights not in enum.__members__:
        raise PreprocError(f"expected one of {', '.join(enum.__members__)}, got {weights!r}{did_you_mean(weights, enum.__members__)}")
    return from_torchvision(enum[weights], pillow=pillow)


def named_weights(text: str, *, pillow: int | None = None) -> Published:
    """Of a torchvision weights enum's member by its whole name: "ResNet50_Weights.IMAGENET1K_V2"."""
    check_torchvision()
    from torchvision import models

    enums = {models.get_model_weights(name).__name__: name for name in models.list_models()}
    enum, _, member = text.partition(".")
    if enum not in enums:
        raise PreprocError(f"expected weights of torchvision, as ResNet50_Weights.IMAGENET1K_V2, got {text!r}{did_you_mean(enum, enums)}")
    return of_weights("torchvision", enums[enum], member, pillow=pillow)


def check_torchvision() -> None:
    """Raises NotAtHandError for a torchvision that was built for another torch, which says no more than that an operator does not exist.

    It is called where torchvision is imported, and timm, which imports it.
    """
    try:
        import torchvision  # noqa: F401
    except ModuleNotFoundError:
        raise
    except (ImportError, RuntimeError) as error:
        raise NotAtHandError(
            f"expected a torchvision that was built for this torch, got: {first_line(error)}; install both anew, together"
        ) from error


def title(origin: str) -> str:
    """An origin without the text of the file that it names."""
    return origin.partition(" {")[0]


def original(origin: str) -> Callable[[Any], NDArray[np.float32]]:
    """The Python pipeline itself that these steps are said to be: a PIL image (RGB) -> (1, C, H, W) float32.

    Raises NotAtHandError where there is none to run here, with the reason, and PreprocError for weights that are not published any more.
    """
    try:
        if origin.startswith("Hugging Face"):
            return _hf_processor(origin)
        check_torchvision()
        if origin.startswith("timm "):
            from timm import data
            from timm.models import get_pretrained_cfg

            library: Any = data
            config: Any = get_pretrained_cfg(origin.removeprefix("timm "))
            transform = library.create_transform(**library.resolve_data_config({}, pretrained_cfg=config.to_dict()))
        else:
            from torchvision import models

            transform = models.get_weight(origin).transforms()
    except ImportError as error:
        raise NotAtHandError(f"{error.name} is not installed") from error
    except PreprocError:
        raise
    except (ValueError, KeyError, AttributeError, RuntimeError) as error:
        raise PreprocError(f"expected weights that are published, got {origin!r}: {first_line(error)}") from error
    return lambda image: np.asarray(transform(image).numpy()[None])


def _hf_processor(origin: str) -> Callable[[Any], NDArray[np.float32]]:
    """transformers' own image processor, the one that uses Pillow."""
    import transformers

    config = json.loads(origin.removeprefix(title(origin)) or "{}")
    kind = str(config.get("image_processor_type") or config.get("feature_extractor_type")).replace("FeatureExtractor", "ImageProcessor")
    made = getattr(transformers, f"{kind.removesuffix('Fast')}Pil", None)
    if made is None:
        raise NotAtHandError(f"transformers {transformers.__version__} has no {kind} for Pillow; 5.4 and newer have")
    processor = made.from_dict(config)
    return lambda image: np.asarray(processor(images=image, return_tensors="np")["pixel_values"], np.float32)


def to_torchvision(steps: Sequence[Step]) -> Any:
    """The v2 transform that computes on a PIL image what these steps compute behind from_pixels. Raises PreprocError for those that
    torchvision has no transform for, and for resizes with the order of passes of another Pillow than the one here."""
    import torch
    from torchvision.transforms import v2

    found: list[Any] = []
    turned = False
    for step in steps:
        match step:
            case Resize(pillow=int(pillow)) if pillow != installed_pillow():
                here = installed_pillow()
                raise PreprocError(f"expected resizes with the order of passes of Pillow {here}, which is installed, got {pillow}'s")
            case Resize(antialias=True) if not turned:
                size = [step.size] if isinstance(step.size, int) else list(step.size)
                method = v2.InterpolationMode(step.interpolation)
                found.append(v2.Resize(size, interpolation=method, max_size=step.max_size, antialias=True))
            case CenterCrop(fill=0, rounding="half_even") if not turned:
                found.append(v2.CenterCrop(list(step.size)))
            case Pad() if not turned:
                found.append(v2.Pad(list(step.padding), fill=step.fill))
            case Rescale(offset=0) if not turned and math.isclose(step.scale, 1 / 255, rel_tol=1e-9):
                found += [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)]
                turned = True
            case Normalize():
                found += [] if turned else [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=False)]
                found.append(v2.Normalize(mean=list(step.mean), std=list(step.std)))
                turned = True
            case _:
                raise PreprocError(f"expected steps that torchvision has transforms for, got {step}")
    return v2.Compose(found if turned else [*found, v2.PILToTensor(), v2.ToDtype(torch.float32, scale=False)])
