"""python -m tests.processors [BACKEND...]: what transformers' image processor classes do with their fields, measured by driving each of
them, those for Pillow and those for torchvision's tensors, into preproc/sources/published/huggingface.json. It replaces what the installed
version of transformers said there before, and keeps the others'."""

import contextlib
import enum
import itertools
import json
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from numpy.typing import NDArray
from PIL import Image

from preproc.errors import PreprocError
from preproc.oracle import reference
from preproc.sources.published.processor_fields import FIELDS, HARMLESS, VALUES
from preproc.sources.published.processor_resizes import NEEDS, RESAMPLE, RESIZES, SIZES
from preproc.sources.published.processors import BACKENDS, Processor, from_record, known
from preproc.steps import FromPixels
from preproc.steps.resize import TORCHES

TABLE = Path(__file__).parents[1] / "preproc" / "published" / "huggingface.json"
VERSION = transformers.__version__
MAJOR = int(VERSION.partition(".")[0])
PICTURES = [(40, 57), (61, 38), (33, 33), (10, 47), (90, 23)]
"""(height, width)"""
Drive = Callable[[Mapping[str, Any], Image.Image], NDArray[Any]]
Config = dict[str, Any]
SILENT: Config = {"apply_ocr": False}
"""What needs another program, and does not touch the picture."""


END = {"pil": "Pil", "torchvision": ""} if MAJOR >= 5 else {"pil": "", "torchvision": "Fast"}
"""Of a class's name, behind "ImageProcessor"."""


def classes(backend: str = "pil") -> dict[str, type]:
    """The processors that compute with it, by the name that files have."""
    end, found = END[backend], {}
    for name in (name for name in dir(transformers) if name.endswith(f"ImageProcessor{end}")):
        try:
            found[name.removesuffix(end) if end else name] = getattr(transformers, name)
        except (ImportError, AttributeError):
            continue
    return {
        name: kind for name, kind in found.items() if name not in ("BaseImageProcessor", "AutoImageProcessor") and _is_of(kind, backend)
    }


def named(backend: str = "pil") -> list[str]:
    """The names of classes() that the table knows: where it knows this version, without importing them, which takes seconds."""
    forms = known(backend)
    return [name for name in forms if any(VERSION in form.versions for form in forms[name])] or [
        name for name in classes(backend) if name in forms
    ]


def class_of(name: str, backend: str = "pil") -> type:
    """As classes() has it."""
    found: type = getattr(transformers, name + END[backend])
    return found


def _is_of(kind: Any, backend: str) -> bool:
    """Of transformers 5 some classes without an end are old names for what is no image processor, or have no form for tensors."""
    return MAJOR < 5 or any(base.__name__ == {"pil": "PilBackend", "torchvision": "TorchvisionBackend"}[backend] for base in kind.__mro__)


def picture(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """Noise on a gradient, RGB; of every other seed with white margins, which some classes cut off."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 180, size[0])[:, None, None] + np.linspace(0, 60, size[1])[None, :, None]
    levels = np.clip(ramp + rng.integers(-60, 60, (*size, 3)) + [0, 9, 30], 0, 255).astype(np.uint8)
    if seed % 2:
        levels[: size[0] // 4] = levels[:, size[1] * 3 // 4 :] = 255
    return Image.fromarray(levels)


class _OtherShape(Exception):  # noqa: N818
    """Of what a class makes of one picture."""


def driven(kind: type) -> Drive:
    """A fresh processor of a file's table, on one picture -> (1, C, H, W)."""

    def drive(config: Mapping[str, Any], image: Image.Image) -> NDArray[Any]:
        processor = kind.from_dict(json.loads(json.dumps(config)))  # type: ignore[attr-defined]
        made = np.asarray(processor(images=image, return_tensors="pt" if on_tensors(kind) else "np")["pixel_values"])
        if made.ndim != 4 or made.shape[:2] != (1, 3):
            raise _OtherShape(f"it makes {made.ndim} axes" if made.ndim != 4 else "it makes another number of channels or pictures")
        return made

    return drive


def on_tensors(kind: type) -> bool:
    return kind.__name__.endswith(f"ImageProcessor{END['torchvision']}")


def ours(processor: Processor, config: Mapping[str, Any], image: Image.Image) -> NDArray[Any]:
    """Raises PreprocError where the reader refuses."""
    color, steps = processor.read({name: value for name, value in config.items() if value is not None})
    return reference.apply([FromPixels(layout="NHWC", to=color), *steps], np.asarray(image)[None])


def same(mine: NDArray[Any], theirs: NDArray[Any], tensors: str | None = None) -> bool:
    """But for float32's rounding, which torch's weights have as well where it resizes floats."""
    if mine.shape != theirs.shape:
        return False
    most = 1e-4 if tensors == "float32" else 2e-6
    return bool(np.abs(mine - theirs).max(initial=0) <= most * max(np.abs(theirs).max(initial=0), 1e-9))


def absent(kind: type) -> Config:
    """What the fields are that a file leaves out."""
    table = kind().to_dict()
    plain = {name: _plain(value) for name, value in table.items() if name not in HARMLESS and not name.startswith("_")}
    return {name: value for name, value in plain.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    return value


def random_size(rng: random.Random, keys: str) -> dict[str, int]:
    sides = [8, 17, 30, 32, 45, 64] + ([384] if keys == "shortest_edge" else [])
    return {key: rng.choice(sides) for key in keys.split()}


def random_value(rng: random.Random, name: str) -> Any:
    """Of a field that is no flag and no size."""
    triples = [[rng.uniform(0.2, 0.6) for _ in range(3)], [0.5] * 3, 0.45]
    return {
        "resample": lambda: rng.choice(sorted(RESAMPLE)),
        "crop_pct": lambda: rng.choice([0.875, 0.9, 0.95, 0.7]),
        "size_divisor": lambda: rng.choice([8, 16, 32, 5]),
        "crop_size": lambda: rng.choice([{"height": rng.randint(5, 70), "width": rng.randint(5, 70)}, rng.randint(5, 70)]),
        "rescale_factor": lambda: rng.choice([1 / 255, 1 / 127.5, 0.0078]),
        "rescale_offset": lambda: rng.random() < 0.5,
        "image_mean": lambda: rng.choice(triples),
        "image_std": lambda: rng.choice(triples),
        "pad_size": lambda: {"height": 97, "width": 131},
    }[name]()


def random_config(rng: random.Random, processor: Processor) -> Config:
    """Fields of a file for one class: half of the time those that it reads, else any; some are left out."""
    config: Config = {"image_processor_type": processor.name, **SILENT}
    known_only = rng.random() < 0.6
    for flag, names in VALUES.items():
        for name in (flag, *names):
            if rng.random() < 0.1 or (name not in processor.reads and (known_only or rng.random() < 0.6)):
                continue
            if name == "size":
                keys = rng.choice([*SIZES, *processor.sizes, "number"])
                config[name] = rng.choice([16, 33]) if keys == "number" else random_size(rng, keys)
            elif name in VALUES:
                config[name] = rng.random() < (0.2 if name in ("do_pad", "do_flip_channel_order") else 0.8)
            elif name == "resample" and processor.backend == "torchvision" and rng.random() < 0.7:
                config[name] = rng.choice([2, 3])
            else:
                config[name] = random_value(rng, name)
    if "size" not in config and config.get("do_resize", True):  # what a class defaults to is large
        config["size"] = random_size(rng, rng.choice(SIZES))
    if config.get("do_rescale") is False:  # constants of grey levels
        config |= {field: _scaled(config[field]) for field in ("image_mean", "image_std") if field in config}
    elif rng.random() < 0.6 and "rescale_factor" in config:
        config["rescale_factor"] = 1 / 255
    return config


OFF: Config = {**SILENT, **dict.fromkeys(VALUES, False)}


ON: Mapping[str, Config] = {
    "do_resize": {"resample": 2},
    "do_center_crop": {"crop_size": {"height": 21, "width": 18}},
    "do_rescale": {"rescale_factor": 1 / 255},
    "do_normalize": {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]},
    "do_pad": {},
    "do_flip_channel_order": {},
    "include_top": {"image_std": [0.2, 0.3, 0.4]},
}
OTHERWISE: Mapping[str, tuple[Any, Any]] = {
    "resample": (0, 2),
    "crop_pct": (0.5, 0.9),
    "size_divisor": (32, 24),
    "crop_size": ({"height": 21, "width": 18}, {"height": 22, "width": 28}),
    "rescale_factor": (1 / 255, 1 / 127),
    "rescale_offset": (False, True),
    "image_mean": ([0.5] * 3, [0.4, 0.3, 0.2]),
    "image_std": ([0.5] * 3, [0.4, 0.3, 0.2]),
    "pad_size": ({"height": 140, "width": 130}, {"height": 150, "width": 133}),
}


def reads(drive: Drive, off: Config, sizes: list[Any]) -> set[str]:
    """The fields that change the picture, or with which the class fails."""
    images = [picture(size) for size in PICTURES[:3]]

    def made(config: Config) -> list[NDArray[Any] | None]:
        return [_tried(drive, config, image) for image in images]

    def differ(one: Config, other: Config) -> bool:
        pairs = zip(made(one), made(other), strict=True)
        return any(a is not None and b is not None and (a.shape != b.shape or not np.array_equal(a, b)) for a, b in pairs)

    def fails(config: Config) -> bool:
        return all(one is None for one in made(config))

    found = set()
    for flag, names in VALUES.items():
        tried = [{**off, **ON[flag], flag: True} | ({"size": size} if flag == "do_resize" else {}) for size in sizes]
        if all(map(fails, tried)):
            found.add(flag)  # it asks for something else
        for on in tried:
            if differ(on, {**on, flag: False}):
                found.add(flag)
            for name in names:
                pair = OTHERWISE.get(name)
                if pair is None:  # size
                    if flag in found:
                        found.add(name)
                elif differ({**on, name: pair[0]}, {**on, name: pair[1]}):
                    found.add(name)
    if "include_top" in found:
        found.add("image_std")
    return found


def always(drive: Drive) -> list[str]:
    """The fields that change the picture although their flag is off."""
    images = [picture(size) for size in PICTURES]
    plain, found = [_tried(drive, OFF, image) for image in images], []
    for name in (name for names in VALUES.values() for name in names):
        for value in OTHERWISE.get(name, ({"height": 20, "width": 24}, {"height": 90, "width": 200}, {"shortest_edge": 30})):
            made = [_tried(drive, {**OFF, name: value}, image) for image in images]
            pairs = [(a, b) for a, b in zip(plain, made, strict=True) if a is not None and b is not None]
            if any(a.shape != b.shape or not np.array_equal(a, b) for a, b in pairs) and name not in found:
                found.append(name)
    return found


def _scaled(value: Any) -> Any:
    return [255 * number for number in value] if isinstance(value, list) else 255 * value


def _tried(drive: Drive, config: Config, image: Image.Image) -> NDArray[Any] | None:
    try:
        return drive(config, image)
    except Exception:  # noqa: BLE001 - classes of another library, each with reasons of its own
        return None


def agrees(drive: Drive, processor: Processor, configs: Iterator[Config] | list[Config]) -> bool:
    """On each configuration and picture; never by refusing."""
    compared = False
    for config in configs:
        for seed, size in enumerate(PICTURES):
            image = picture(size, seed)
            theirs = _tried(drive, config, image)
            if theirs is None and processor.backend == "torchvision":  # they do not normalize integers
                continue
            try:
                if theirs is None or not same(ours(processor, config, image), theirs, processor.tensors):
                    return False
            except PreprocError:
                return False
            compared = True
    return compared


def measured(name: str, kind: type) -> Config:
    """One class's record."""
    try:
        defaults = absent(kind)
    except Exception as error:  # noqa: BLE001
        return {"why_not": f"it cannot be made without arguments ({type(error).__name__})"}
    drive, off = driven(kind), {**OFF, **ON["do_rescale"], "do_rescale": True} if on_tensors(kind) else OFF  # floats can be normalized
    try:
        drive(off, picture(PICTURES[0]))
    except Exception as error:  # noqa: BLE001
        reason = str(error) if isinstance(error, _OtherShape) else f"it fails ({type(error).__name__})"
        return {"why_not": f"driven with one picture alone, {reason}"}
    rng = random.Random(name)
    record: Config = {"reads": sorted(reads(drive, off, [{"shortest_edge": 20}, {"height": 20, "width": 24}])), "absent": defaults}
    read = set(record["reads"])
    record |= {"always": unasked} if (unasked := always(drive)) else {}
    methods = (2, 3) if on_tensors(kind) else sorted(RESAMPLE)

    def trial(**more: Any) -> Processor:
        return from_record(name, {**record, **more}, "torchvision" if on_tensors(kind) else "pil")

    def values(**more: Any) -> Iterator[Config]:
        """Random rescales and normalizations, and what else is asked for."""
        for _ in range(6):
            config = {**off}
            for flag in ("do_rescale", "do_normalize", "include_top"):
                config |= {flag: flag in read and rng.random() < 0.6}
                config |= {field: random_value(rng, field) for field in VALUES[flag] if field in read}
            if not config["do_rescale"]:  # constants of grey levels
                config |= {field: _scaled(config[field]) for field in ("image_mean", "image_std") if field in config}
            yield config | {key: value() if callable(value) else value for key, value in more.items()}

    for color in ("RGB", "BGR"):
        if agrees(drive, trial(color=color), values()):
            record |= {"color": color} if color == "BGR" else {}
            break
    else:
        return {"why_not": "what it does to values is none of ours"}
    if "do_flip_channel_order" in read and not agrees(
        drive, trial(), ({**off, "do_flip_channel_order": True, **ON["do_rescale"], "do_rescale": "do_rescale" in read} for _ in range(1))
    ):
        return {"why_not": "how it turns channels is none of ours"}
    if "do_center_crop" in read:
        more: Config = {"do_center_crop": True, "crop_size": lambda: random_value(rng, "crop_size")}
        record["crop"] = agrees(drive, trial(crop=True), values(**more))
    if "do_resize" in read:
        rules = [rule for rule in RESIZES if NEEDS.get(rule, "size") in read]
        for rule, tensors in itertools.product(rules, TORCHES if on_tensors(kind) else (None,)):
            sizes = []
            for keys in SIZES:
                more = {"do_resize": True, "size": lambda keys=keys: random_size(rng, keys)}
                more |= {field: (lambda field=field: random_value(rng, field)) for field in NEEDS.values() if field in read}
                more |= {"resample": lambda: rng.choice(methods)} if "resample" in read else {}
                more |= {"do_rescale": True, "rescale_factor": 1 / 255} if tensors == "float32" else {}
                configs = list(values(**more))
                if keys == "shortest_edge":
                    configs[0]["size"] = {keys: 390}  # beside it some have a longest edge, which shows in large pictures only
                if (rule, keys) in (("convnext", "height width"), ("divisor", "shortest_edge")):
                    continue
                if agrees(drive, trial(resize=rule, sizes=[keys], tensors=tensors), configs):
                    sizes.append(keys)
            if len(sizes) > len(record.get("sizes", ())):
                record |= {"resize": rule, "sizes": sizes} | ({"tensors": tensors} if tensors else {})
        record |= asked(drive, trial, record, {**off, "do_resize": True, "resample": 2} | {"crop_pct": 0.9, "size_divisor": 16})
    return record


def asked(drive: Drive, trial: Callable[..., Processor], record: Config, config: Config) -> Config:
    """What a size of one number means, and with which sizes it fails; of a class that resizes as steps can say."""
    config = {name: value for name, value in config.items() if name not in NEEDS.values() or name in record["reads"]}
    found: Config = {}
    for keys in reversed(record.get("sizes", ())):
        if agrees(drive, trial(number=keys), [{**config, "size": side} for side in (27, 390)]):
            found["number"] = keys
            break
    kinds = {keys: dict.fromkeys(keys.split(), 32) for keys in SIZES} | {"number": 27}
    if "sizes" in record:
        fails = [kind for kind, size in kinds.items() if all(_tried(drive, {**config, "size": size}, picture(p)) is None for p in PICTURES)]
        found |= {"fails": fails} if fails else {}
    return found


def records(backend: str) -> dict[str, Config]:
    """Of every class of the installed transformers."""
    found, others = {}, classes("torchvision") if backend == "pil" else {}
    for name, kind in sorted(classes(backend).items()):
        record = measured(name, kind)
        if "why_not" not in record and name in others:  # the same class for tensors, whose defaults may be others
            with contextlib.suppress(Exception):
                table = absent(others[name])
                fields = [key for key in FIELDS if key in record["reads"] and table.get(key) != record["absent"].get(key)]
                record |= {"variants": [{key: table.get(key) for key in fields}]} if fields else {}
        found[name] = record
        print(name, {key: value for key, value in record.items() if key not in ("absent",)}, file=sys.stderr)
    return found


def merged(table: Mapping[str, Any], version: str, new: Mapping[str, Config], backend: str = "pil") -> Config:
    """The table with the records of one version and backend replaced. Equal records of several versions are one."""
    whole: dict[str, list[Config]] = {}
    for name, old in table.get(BACKENDS[backend], {}).items():
        kept = [{**record, "versions": [v for v in record["versions"] if v != version]} for record in old]
        whole[name] = [record for record in kept if record["versions"]]
    for name, record in new.items():
        same_one = next((old for old in whole.get(name, []) if {**old, "versions": []} == {**record, "versions": []}), None)
        if same_one is not None:
            same_one["versions"] = sorted([*same_one["versions"], version], key=_order)
        else:
            whole.setdefault(name, []).append({"versions": [version], **record})
    for records_of in whole.values():
        records_of.sort(key=lambda record: _order(record["versions"][-1]))
    versions = sorted({*table.get("versions", []), version}, key=_order)
    return {**table, "versions": versions, BACKENDS[backend]: {name: whole[name] for name in sorted(whole) if whole[name]}}


def _order(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def text(table: Mapping[str, Any]) -> str:
    """One line for each record."""
    told = [f' "versions": {json.dumps(table["versions"])}']
    for part in (part for part in BACKENDS.values() if part in table):
        lines = [
            f"  {json.dumps(name)}: [\n" + ",\n".join("   " + json.dumps(record, sort_keys=True) for record in records_of) + "\n  ]"
            for name, records_of in table[part].items()
        ]
        told.append(f" {json.dumps(part)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(told) + "\n}\n"


def main() -> None:
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    for backend in sys.argv[1:] or BACKENDS:
        found = records(backend)
        table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
        TABLE.write_text(text(merged(table, VERSION, found, backend)))


if __name__ == "__main__":
    main()
