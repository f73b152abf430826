"""Hugging Face's image processors, their files and their objects -> steps. transformers is not needed: see processors.py."""

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import PreprocError, check_choice, did_you_mean, first_line
from ...steps import Step
from .base import Published, finished
from .processor_fields import FIELDS, VALUES
from .processors import BACKENDS, FailsError, Processor, known

FILES = ("processor_config.json", "preprocessor_config.json")
"""transformers 5 writes the first, with the image processor's table in it; 4 wrote the second, which is that table."""
BACKEND_NAMES = {"pil": "Pillow", "torchvision": "torchvision"}
INNER = "image_processor"
"""Where a processor of pictures and texts has the one of pictures: a key of its table, an attribute of its object."""
_CODES = {"nearest": 0, "nearest-exact": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
"""torchvision's InterpolationMode as Pillow's codes."""


def from_huggingface(
    source: Any, *, backend: str | None = None, pillow: int | None = None, constants_because: str | None = None
) -> Published:
    """source: a preprocessor_config.json or processor_config.json, its path, its folder or its table; or the processor itself.

    backend: what transformers computes a file with, as in AutoImageProcessor.from_pretrained(backend=...), some levels apart
    (tests/survey/resize.md): "pil" (the slow classes of transformers 4), or "torchvision" (the default of 5, "Fast" in 4), on tensors, as
    steps.Resampling's torch. An object says its own, and so does a file of a "Fast" class. Another does not: None is "pil", where the class
    has both, and refused where the fields that it leaves out are others in the two. Fields that are left out are what they are in every
    version of transformers that huggingface.json knows. Raises PreprocError for fields, values and classes whose arithmetic steps cannot
    say or that two versions read otherwise.
    """
    if backend is not None:
        check_choice("backend", backend, BACKENDS)
    own = _backend(source)
    if own is not None and backend not in (None, own):
        raise PreprocError(
            f"expected no backend beside {type(source).__name__}, which computes with {own}, got {backend!r}", name="option-without-effect"
        )
    where, config, major = _read(source)
    try:
        name = class_name(config)
        fast = "torchvision" if str(config.get(f"{INNER}_type", "")).endswith("Fast") else None
        computes = backend or own or fast or next(each for each in BACKENDS if name in known(each))
        if name not in known(computes):
            raise PreprocError(f"expected a processor that computes with {computes}, got {name}, which does not", name="steps-cannot-say")
        forms = known(computes)[name]
        alone = bool(backend or own or fast)
        color, steps = _agreed([form for form in forms if form.is_of(major)] or forms, config, alone=alone)
        found = finished(steps, pillow, constants_because)
        return Published(color, found, f"{where} ({BACKEND_NAMES[computes]} backend) {json.dumps(config, sort_keys=True)}")
    except PreprocError as error:
        raise PreprocError(f"{where}: {error}") from error
    except (TypeError, AttributeError, ValueError, ArithmeticError, LookupError) as error:
        raise PreprocError(
            f"{where}: expected numbers and tables of numbers, got others: {first_line(error)}", name="published-value"
        ) from error


def _read(source: Any) -> tuple[str, dict[str, Any], str]:
    """What the source is called, the fields that it says, without nulls, and for which major version: "" for any."""
    if isinstance(source, (str, Path)):
        return *_from_file(Path(source)), ""
    where = "Hugging Face preprocessor_config"
    if isinstance(source, (Mapping, list, tuple)):
        return where, _fields(_inner(source, where), where), ""
    source = getattr(source, INNER, source)
    kind = type(source).__name__
    if not type(source).__module__.startswith("transformers.") or not hasattr(source, "to_dict"):
        raise PreprocError(
            "expected a preprocessor_config.json, its path, its folder or its table, or an image processor of transformers, got "
            f"{kind} of {type(source).__module__}",
            name="unknown-source",
        )
    import transformers

    table = dict(source.to_dict())
    if "ImageProcessor" in kind:  # what else there is says its own
        table[f"{INNER}_type"] = kind
    table["resample"] = _CODES.get(str(getattr(table.get("resample"), "value", "")), table.get("resample"))
    table |= {flag: False for flag in (*VALUES, "rescale_offset") if table.get(flag, getattr(source, flag, False)) is None}
    try:
        plain = json.loads(json.dumps(_fields(table, f"Hugging Face {kind}")))
    except (TypeError, ValueError) as error:
        raise PreprocError(
            f"Hugging Face {kind}: expected fields that a file can hold, got others: {first_line(error)}", name="published-value"
        ) from error
    return f"Hugging Face {kind}", plain, transformers.__version__.partition(".")[0]


def _from_file(path: Path) -> tuple[str, dict[str, Any]]:
    if path.is_dir():
        paths = [path / name for name in FILES if (path / name).exists()]
        if not paths:
            raise PreprocError(
                f"{path}: expected a folder with {' or '.join(FILES)}, got one with neither: No such file", name="nothing-there"
            )
        found = [(each, _table(each)) for each in paths]
        found = [(each, table) for each, table in found if each.name != FILES[0] or INNER in table] or found
        tables = [_fields(_inner(table, f"Hugging Face {each.name}"), f"Hugging Face {each.name}") for each, table in found]
        if any(table != tables[0] for table in tables):
            raise PreprocError(
                f"{path}: expected {' and '.join(FILES)} to say the same, got two tables that differ; name one of the files",
                name="versions-differ",
            )
        return f"Hugging Face {found[0][0].name}", tables[0]
    where = f"Hugging Face {path.name}"
    return where, _fields(_inner(_table(path), where), where)


def _table(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PreprocError(f"{path}: expected a {' or a '.join(FILES)}, got {error.strerror or error}", name="nothing-there") from error
    except (ValueError, RecursionError) as error:
        raise PreprocError(f"{path}: expected JSON, got something else: {first_line(error)}", name="malformed-file") from error


def _inner(table: Any, where: str) -> Mapping[str, Any]:
    """The image processor's own table, of a processor's too."""
    if isinstance(table, Mapping) and INNER in table:
        table = table[INNER]
    if not isinstance(table, Mapping):
        raise PreprocError(f"{where}: expected a table, got {type(table).__name__}", name="published-value")
    return table


def _fields(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Without nulls, which are fields left out to transformers 5. To 4 they are flags that are off."""
    forms = [form for backend in BACKENDS for form in known(backend).get(_name(table), ())]
    for name in (*VALUES, "resample", "rescale_factor", "rescale_offset", "crop_pct"):
        if name in table and table[name] is None and any(form.absent.get(name) not in (None, False) for form in forms):
            raise PreprocError(
                f"{where}: expected {name} to be said or left out, got null, which transformers 4 and 5 read otherwise",
                name="versions-differ",
            )
    return {name: value for name, value in table.items() if value is not None}


def _name(table: Mapping[str, Any]) -> str:
    """The class, by the name that all of its forms share."""
    name = str(table.get("image_processor_type") or table.get("feature_extractor_type") or "")
    name = name.removesuffix("Fast").removesuffix("Pil").replace("FeatureExtractor", "ImageProcessor")
    return next((each for each in _names() if each.lower() == name.lower()), name)  # DeitFeatureExtractor


@functools.cache
def _names() -> tuple[str, ...]:
    return tuple(sorted({name for backend in BACKENDS for name in known(backend)}))


def class_name(config: Mapping[str, Any]) -> str:
    """As "ViTImageProcessor", of a file's fields. Raises PreprocError for those that are not known."""
    name = _name(config)
    if name not in _names() and not any(field in config for field in FIELDS):
        what = name or f"something else, with {', '.join(sorted(map(str, config))[:5]) or 'nothing'}"
        raise PreprocError(f"expected the configuration of an image processor, got one of {what}", name="unknown-source")
    if name not in _names():
        able = ", ".join(
            each.removesuffix("ImageProcessor")
            for each in _names()
            if any(not known(backend)[each][-1].why_not for backend in BACKENDS if each in known(backend))
        )
        raise PreprocError(
            f"expected an image processor whose arithmetic is known, of {able}, got {name or 'none named'}{_near(name)}",
            name="unknown-source",
        )
    return name


def _near(name: str) -> str:
    return did_you_mean(name, _names()) if name else ""


def _agreed(forms: Sequence[Processor], config: Mapping[str, Any], *, alone: bool) -> tuple[str, list[Step]]:
    """What all versions compute of it, and their other backend with what it has for the fields that are left out; alone: without that.
    Raises PreprocError where one says something else, or nothing that steps can."""
    read, fails = list[tuple[Processor, Mapping[str, Any], tuple[str, list[Step]]]](), None
    for form in forms:
        for variant in ({}, *(() if alone else form.variants)):
            try:
                read.append((form, variant, form.read(config, variant)))
            except FailsError as error:
                fails = error
    if fails and not read:
        raise fails
    newest, _, first = read[-1]
    for form, variant, other in read:
        if other == first:
            continue
        before = {**form.absent, **variant}
        left_out = [name for name in FIELDS if name not in config and before.get(name) != newest.absent.get(name)]
        said = ", ".join(f"{name} ({before.get(name)!r} and {newest.absent.get(name)!r})" for name in left_out)
        raise PreprocError(
            f"expected {said or 'fields that both read alike'} to be said, got nothing, which transformers {form.versions[-1]}"
            f"{' on tensors' if variant else ''} and {newest.versions[-1]} read otherwise",
            name="versions-differ",
        )
    return first


def _backend(source: Any) -> str | None:
    """What an object computes with; None for a file."""
    if isinstance(source, (str, Path, Mapping, list, tuple)):
        return None
    source = getattr(source, INNER, source)
    on_tensors = getattr(source, "backend", "") == "torchvision" or type(source).__name__.endswith("Fast")
    return "torchvision" if on_tensors else "pil"
