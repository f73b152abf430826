"""What an image processor class of transformers does with its fields, as `python -m tests.processors` measured it -> steps.

huggingface.json has for each class, and for each of the versions of transformers that were driven, which fields change the picture, what
they are where a file leaves them out, and which rules compute bit by bit what the class does (processor_resizes.py, and below): under
"classes" with Pillow, under "torchvision" on that library's tensors, with torch's arithmetic.
"""

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...errors import PreprocError, did_you_mean
from ...steps import FAST, CenterCrop, ChannelAffine, Normalize, Rescale, Resize, Step
from .base import UNJUDGED
from .processor_fields import FIELDS, FLAG_OF, HARMLESS, VALUES, is_number, wrong
from .processor_resizes import NEEDS, RESIZES

BACKENDS: Mapping[str, str] = {"pil": "classes", "torchvision": "torchvision"}
"""What a class computes with, as AutoImageProcessor.from_pretrained(backend=...) has it, and where huggingface.json has its classes."""


class FailsError(PreprocError):
    """The class itself refuses it."""


@dataclass(frozen=True, kw_only=True)
class Processor:
    """One class as some versions of transformers compute it.

    backend: what it computes with.  why_not: it computes nothing that steps can say, and why.  reads: the fields that change the picture;
    always: those that do so although their flag is off.  resize: the rule of its resize, None where steps cannot say it; sizes: with which
    keys of its size that is so; number: which keys a size of one number stands for; fails: the keys ("number": one number) with which the
    class raises an error.
    tensors: the dtype of those that it resizes; None: with Pillow.
    crop: whether its center crop is one.  color: of what it makes of RGB, where no flag turns it.  absent: what fields are that
    a file leaves out; variants: what else they are in the class's torchvision form.
    """

    name: str
    backend: str = "pil"
    versions: Sequence[str] = ()
    why_not: str = ""
    reads: frozenset[str] = frozenset()
    always: Sequence[str] = ()
    resize: str | None = None
    sizes: Sequence[str] = ()
    number: str | None = None
    fails: Sequence[str] = ()
    tensors: str | None = None
    crop: bool = False
    color: str = "RGB"
    absent: Mapping[str, Any] = field(default_factory=dict)
    variants: Sequence[Mapping[str, Any]] = ()

    def __str__(self) -> str:
        told = "" if self.backend == "pil" else " with torchvision"
        return f"{self.name}{told} of transformers {' and '.join(self.versions)}"

    def is_of(self, major: str) -> bool:
        """Whether it is how that major version computes the class; "" is any."""
        return not major or any(version.startswith(f"{major}.") for version in self.versions)

    def read(self, told: Mapping[str, Any], variant: Mapping[str, Any] = {}) -> tuple[str, list[Step]]:
        """The channel order that it makes, and the steps. told: the fields of a file, without nulls. Raises PreprocError."""
        if self.why_not:
            raise _cannot_say(f"expected a processor whose arithmetic steps can say, got {self}: {self.why_not}")
        config = {**self.absent, **variant, **told}
        on = {name for name in VALUES if self._flag(name, config)}
        for name in VALUES:
            if name in on and name in told and name not in self.reads and name != "do_pad":
                raise wrong(f"expected {name} to be false or left out, got true, but {self} computes no such step")
        self._check_fields(told, on)
        for name in self.always:
            if FLAG_OF[name] not in on and config.get(name) is not None:
                raise wrong(f"expected no {name} beside {FLAG_OF[name]} false, for {self} uses it all the same, got {config[name]!r}")
        on &= self.reads
        if "do_pad" in on or (self._flag("do_pad", config) and "pad_size" in self.reads and config.get("pad_size") is not None):
            raise _cannot_say(f"expected do_pad to be false, for steps cannot say the border of {self}, got true")
        found = (self._resize(config) if "do_resize" in on else []) + (self._crop(config) if "do_center_crop" in on else [])
        if "do_flip_channel_order" in on and on & {"do_normalize", "include_top"}:
            raise _cannot_say("expected do_flip_channel_order without do_normalize, whose order is not told, got both")
        color = "BGR" if (self.color == "BGR") != ("do_flip_channel_order" in on) else "RGB"
        return color, [*found, *self._values(config, on)]

    def _flag(self, name: str, config: Mapping[str, Any]) -> bool:
        value = config.get(name)
        if not isinstance(value, bool) and value is not None:
            raise wrong(f"expected {name} to be true or false, got {value!r}")
        return bool(value)

    def _check_fields(self, told: Mapping[str, Any], on: set[str]) -> None:
        """Every field is used, or says nothing, or is refused."""
        for name, value in told.items():
            if name in HARMLESS or name in VALUES or name in self.reads:
                continue
            if name in FLAG_OF and (FLAG_OF[name] not in on or FLAG_OF[name] == "do_pad" or value == self.absent.get(name)):
                continue
            if name in self.absent and value == self.absent[name]:
                continue
            if name in self.absent:
                raise _cannot_say(f"expected {name} {self.absent[name]!r}, for steps can say no other of {self}, got {value!r}")
            if name in FIELDS:
                raise PreprocError(f"expected no {name}, which {self} does not read, got {value!r}: leave it out", name="unknown-key")
            raise PreprocError(
                f"expected fields of image processors that are known, got {name!r}{did_you_mean(name, FIELDS)}", name="unknown-key"
            )

    def _resize(self, config: Mapping[str, Any]) -> list[Step]:
        if self.resize is None:
            raise _cannot_say(f"expected do_resize to be false, for steps cannot say the resize of {self}, got true")
        size = config.get("size")
        if isinstance(size, int) and not isinstance(size, bool) and self.number is not None:
            named = "height width" if config.get("default_to_square", self.number == "height width") else "shortest_edge"
            if named != self.number:
                raise wrong(f"expected size as a table, got {size} with default_to_square {config['default_to_square']}")
            size = dict.fromkeys(self.number.split(), size)
        if (" ".join(sorted(map(str, size))) if isinstance(size, Mapping) else "number") in self.fails:
            raise FailsError(f"expected a size that {self} takes, got {size!r}, with which it fails", name="published-value")
        if not isinstance(size, Mapping) or not all(map(is_number, size.values())) or " ".join(sorted(size)) not in self.sizes:
            asked = " or ".join(keys.replace(" ", " and ") for keys in self.sizes)
            got = " and ".join(map(str, size)) if isinstance(size, Mapping) else repr(size)
            longest = "; where a longest edge bounds it, the sides are rounded in a way that steps have no word for"
            bound = longest if isinstance(size, Mapping) and "longest_edge" in size else ""
            raise _cannot_say(f"expected size with {asked}, which steps can say for {self}, got {got}{bound}")
        needed = NEEDS.get(self.resize)
        if needed and not is_number(config.get(needed)):
            raise wrong(f"expected {needed} to be a number, got {config.get(needed)!r}")
        steps = RESIZES[self.resize](" ".join(sorted(size)), {**config, "size": size})
        return steps if self.tensors is None else [self._on_tensors(step, rescaled=self._flag("do_rescale", config)) for step in steps]

    def _on_tensors(self, step: Step, *, rescaled: bool) -> Step:
        """A resize with torch's arithmetic. Its Lanczos is bicubic below torchvision 0.27 and on GPUs."""
        if not isinstance(step, Resize):
            return step
        if self.tensors == "float32" and not rescaled:
            raise _cannot_say(f"expected do_rescale, behind which {self} resizes floats, got none")
        if step.interpolation not in FAST:
            raise _cannot_say(f"expected resample 2 (bilinear) or 3 (bicubic), which steps can say on tensors, got {step.interpolation}")
        return replace(step, pillow=None, torch=self.tensors)

    def _crop(self, config: Mapping[str, Any]) -> list[Step]:
        size = config.get("crop_size")
        if not self.crop:
            raise _cannot_say(f"expected do_center_crop to be false, for steps cannot say the crop of {self}, got true")
        if isinstance(size, int):
            size = {"height": size, "width": size}
        if not isinstance(size, Mapping) or set(size) != {"height", "width"}:
            raise wrong(f"expected crop_size with height and width, got {' and '.join(size) if isinstance(size, Mapping) else size}")
        return [CenterCrop(size=(size["height"], size["width"]), rounding="floor" if self.backend == "pil" else "trunc")]

    def _values(self, config: Mapping[str, Any], on: set[str]) -> list[Step]:
        """One rescale and one normalization as such; else the affine map that they make together."""
        factor, offset = 1.0, 0.0
        if "do_rescale" in on:
            if not is_number(config.get("rescale_factor")):
                raise wrong(f"expected rescale_factor to be a number, got {config.get('rescale_factor')!r}")
            factor = float(config["rescale_factor"])
            offset = -1.0 if config.get("rescale_offset") and "rescale_offset" in self.reads else 0.0
        rescale: list[Step] = [Rescale(scale=factor, offset=offset)] if "do_rescale" in on else []
        if not on & {"do_normalize", "include_top"}:
            return rescale
        mean, std = (_per_channel(config, name) for name in ("image_mean", "image_std"))
        if "include_top" not in on and offset == 0 and (not rescale or math.isclose(factor, 1 / 255, rel_tol=1e-3)):
            return [*rescale, Normalize(mean=mean, std=std, unit="0-1" if rescale else "0-255", constants_because=UNJUDGED)]
        scales, offsets = [factor] * 3, [offset] * 3
        if "do_normalize" in on:
            scales = [scale / s for scale, s in zip(scales, std, strict=True)]
            offsets = [(more - m) / s for more, m, s in zip(offsets, mean, std, strict=True)]
        if "include_top" in on:
            scales, offsets = ([value / s for value, s in zip(values, std, strict=True)] for values in (scales, offsets))
        diagonal = tuple(tuple(scales[row] if row == column else 0.0 for column in range(3)) for row in range(3))
        return [ChannelAffine(matrix=diagonal, offset=tuple(offsets))]


@functools.cache
def known(backend: str = "pil") -> Mapping[str, tuple[Processor, ...]]:
    """Each class by its name, as "ViTImageProcessor", newest version last."""
    table = json.loads(Path(__file__).with_name("huggingface.json").read_text(encoding="utf-8"))
    found = table.get(BACKENDS[backend], {})
    return {name: tuple(from_record(name, record, backend) for record in records) for name, records in found.items()}


def from_record(name: str, record: Mapping[str, Any], backend: str) -> Processor:
    return Processor(name=name, backend=backend, **{**record, "reads": frozenset(record.get("reads", ()))})


def _per_channel(config: Mapping[str, Any], name: str) -> tuple[float, ...]:
    value = config.get(name)
    values = (value,) * 3 if is_number(value) else value
    if not isinstance(values, (list, tuple)) or len(values) != 3 or not all(map(is_number, values)):
        raise wrong(f"expected {name} to be one number, or one for each of three channels, got {value!r}")
    if name == "image_std" and not all(float(number) > 0 for number in values):
        raise wrong(f"expected every std > 0, got {value!r}")
    return tuple(map(float, values))


def _cannot_say(told: str) -> PreprocError:
    return PreprocError(told, name="steps-cannot-say")
