"""What is to be made, as frozen values."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import steps
from ..steps import COLORS, YUV, FromPixels, Sides, Size, Step

USUAL = ("onnx", "torchscript")
"""The formats of a recipe that names none."""


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """source, name, arguments, weights, checkpoint_key: see models/README.md.  color: the order the network was trained on.  override: why
    its own constants are not used.  outputs: their names, or () for those that the network gives them.  input: of an .onnx file with
    several, the one that takes the picture.  layout: NCHW or NHWC, of that input, where the file does not tell."""

    source: str
    color: str
    name: str | None = None
    weights: str | None = None
    checkpoint_key: str | None = None
    seed: int | None = None
    override: str | None = None
    outputs: tuple[str, ...] = ()
    input: str | None = None
    layout: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


FRAMES = 4
"""That are verified where their number is free."""


@dataclass(frozen=True, kw_only=True)
class PixelsSpec:
    """What the caller has. size: (height, width) of a picture, each a number, or None where it is free; None for both: (None, None).
    channels: only for color = "ANY".  batch: None where it is free; a number where an .onnx file fixes it.  axes: what is in front of a
    picture's own, as an .onnx file has it: "N", a batch; "", nothing; "NT", a batch of so many `frames`, None where their number is free.
    matrix, range: of colours of Y, U and V, as steps.FromPixels has them."""

    layout: str
    color: str
    dtype: str
    size: Sides
    channels: int
    batch: int | None = None
    axes: str = "N"
    frames: int | None = None
    matrix: str | None = None
    range: str | None = None

    @classmethod
    def of(cls, first: FromPixels, *, size: Sides, channels: int, batch: int | None = None) -> "PixelsSpec":
        """What a FromPixels takes."""
        made = cls(layout=first.layout, color=first.color, dtype=first.pixel_dtype, size=size, channels=channels, batch=batch)
        return dataclasses.replace(made, matrix=first.matrix, range=first.range)

    @property
    def whole_layout(self) -> str:
        """With what is in front: HWC, NHWC, NTHWC, or the same of NCHW and NHW."""
        return self.axes + self.layout[1:]

    @property
    def letters(self) -> tuple[str, ...]:
        """The channels of a picture (H, W, C) that pixels are made of: RGB's for Y, U and V; () for ANY."""
        return COLORS["RGB"] if self.color in YUV else COLORS[self.color]

    @property
    def picture_axes(self) -> int:
        """How many axes one picture has."""
        return len(self.layout) - 1

    @property
    def rows(self) -> int | None:
        """How many rows an output has that has one for each picture, or each batch of frames; None: as many as there are pictures."""
        return self.batch if self.axes else 1

    def front(self, batch: int = 1) -> tuple[int, ...]:
        """How many pictures are in front of a picture's own axes, with that batch and FRAMES where they are free."""
        sides = {"N": self.batch or batch, "T": self.frames or FRAMES}
        return tuple(sides[axis] for axis in self.axes)

    def __post_init__(self) -> None:
        given: Any = self.size
        object.__setattr__(self, "size", (None, None) if given is None else tuple(given))

    def shape(self, batch: int, size: Size = (64, 64)) -> tuple[int, ...]:
        """The shape of a batch of pixels, with `size` where a side is free."""
        height, width = (other if own is None else own for own, other in zip(self.size, size, strict=True))
        if self.color in YUV:
            return (batch, *YUV[self.color].shape(self.layout, (height, width)))
        return (batch, height, width, self.channels) if self.layout == "NHWC" else (batch, self.channels, height, width)


@dataclass(frozen=True, kw_only=True)
class ExportSpec:
    """formats: which files.  fold: auto, off or require.  images: a folder of pictures to verify with and to take golden samples from.
    tolerance: how far a runtime may be from the reference, relative to the largest output; None: as far as the bare network's own error in
    that runtime makes necessary.  precision: what the network is written in and computed with, see words.PRECISIONS.
    outputs_precision: "float32", or that one.  verify_sizes: (height, width) of the pixels to verify with, where a side is free; (): those
    that the network takes are looked for.  cpu, device: what machine code is compiled for, see words.CPUS and DEVICES."""

    formats: tuple[str, ...] = USUAL
    fold: str = "auto"
    opset: int = 18
    images: Path | None = None
    tolerance: float | None = None
    precision: str = "float32"
    outputs_precision: str = "float32"
    verify_sizes: tuple[Size, ...] = ()
    cpu: str = "x86-64-v3"
    device: str = "cpu"

    @property
    def tf32(self) -> bool:
        """Whether CUDA devices may multiply float32 in TF32."""
        return self.precision == "tf32"

    @property
    def half(self) -> bool:
        """Whether the network itself has 16 bits."""
        return self.precision in ("float16", "bfloat16")

    @property
    def in_python(self) -> bool:
        """Whether the module in Python is verified beside the files: with 16 bits, which take most CPUs long, if torch writes one of it."""
        return not self.half or self.formats != ("onnx",)


@dataclass(frozen=True)
class Front:
    """What stands in front of a network: steps begin with the FromPixels that `pixels` and the network's colour order, `color`, make."""

    pixels: PixelsSpec
    steps: tuple[Step, ...]
    color: str
    steps_from: str | None


@dataclass(frozen=True, kw_only=True)
class FurtherPicture:
    """A picture that an .onnx file takes beside the first one. takes: the name of its input in the file that is made.  input, layout: in
    the file, as BackboneSpec's.  color, pixels, steps: as a recipe's own.  given: whether the file takes pixels there already."""

    takes: str
    input: str
    color: str
    pixels: PixelsSpec
    steps: tuple[Step, ...]
    layout: str | None = None
    given: bool = False


def taken_as(name: str) -> str:
    """The input of the file that is made which takes the pixels of a further picture, from its input in the original."""
    return f"pixels_{name}"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One exported model. steps begin with the FromPixels that [pixels] and the backbone's colour order make.  steps_from: where the others
    were published, if that is where they come from.  takes: the name of the input in the file that is made.  further: what an .onnx file
    takes beside that one."""

    name: str
    backbone: BackboneSpec
    pixels: PixelsSpec
    steps: tuple[Step, ...]
    export: ExportSpec = ExportSpec()
    labels: tuple[str, ...] = ()
    folder: Path = Path()
    steps_from: str | None = None
    takes: str = "pixels"
    further: tuple[FurtherPicture, ...] = ()

    def views(self) -> "tuple[Recipe, ...]":
        """The recipe as each of the pictures sees it that steps are put in front of: that one first, the others as the further ones."""
        return (self, *(self._seen_from(other) for other in self.further if not other.given))

    def _seen_from(self, chosen: FurtherPicture) -> "Recipe":
        own = FurtherPicture(
            takes=self.takes,
            input=str(self.backbone.input),
            color=self.backbone.color,
            pixels=self.pixels,
            steps=self.steps,
            layout=self.backbone.layout,
        )
        backbone = dataclasses.replace(self.backbone, input=chosen.input, color=chosen.color, layout=chosen.layout)
        others = tuple(own if other is chosen else other for other in self.further)
        same = self.steps_from if chosen.steps == self.steps else None
        seen = dataclasses.replace(self, backbone=backbone, further=others, steps_from=same)
        return dataclasses.replace(seen, takes=chosen.takes, pixels=chosen.pixels, steps=chosen.steps)

    @property
    def ready_size(self) -> Sides:
        """(height, width) of what the backbone gets; None where a side is free."""
        return steps.output_size(self.steps, self.pixels.size)

    def resolve(self, name: str) -> Path:
        """A path that the recipe gives, relative to the recipe's folder."""
        return self.folder / name


def replace(recipe: Recipe, **changes: Any) -> Recipe:
    """A copy with other fields of the backbone, pixels or export tables: replace(recipe, backbone={"weights": "random", "seed": 0})."""
    fields = {
        key: dataclasses.replace(getattr(recipe, key), **value) if isinstance(value, dict) else value for key, value in changes.items()
    }
    return dataclasses.replace(recipe, **fields)
