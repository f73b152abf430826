"""What is compared: a model and its variants, read from the files that the user names, in whatever process."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ... import diagnosis
from ...bundle import MANIFEST, front_of, open_bundle, precision_of
from ...bundle.inspection import describe
from ...errors import PreprocError, RecipeError, first_line
from ...export import rebuild
from ...host import digest, recipe_file
from ...sources import PixelsSpec, Recipe, load_recipe, parse_recipe, read_toml
from ...steps import YUV, CenterCrop, FromPixels, Resampling, Resize, Step, known, mistaken
from .. import OWN
from .written import Written, WrittenFile, camera_of, read_variants

JPEG = 75
"""The quality of the variant in which the picture is sent as JPEG."""
FILTERS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("bilinear", {"interpolation": "bilinear", "antialias": True}),
    ("bilinear without antialias, as OpenCV's", {"interpolation": "bilinear", "antialias": False}),
    ("bicubic", {"interpolation": "bicubic", "antialias": True}),
    ("lanczos", {"interpolation": "lanczos", "antialias": True}),
    ("nearest", {"interpolation": "nearest", "antialias": True}),
)
"""Resizes that people have in front of a network, as fields of a step."""
CAMERA = camera_of("bt709", "limited")
"""Of high definition: where the variants' file says of none."""
USUAL = "bicubic"
"""What brings a picture to the size that a model fixes, as `preproc verify --images` does."""


@dataclass(frozen=True)
class Variant:
    """network: which of the plan's.  pixels, steps: what comes in, and what is done to it; None: nothing, for the file takes pixels.
    jpeg: the quality with which the picture is compressed first.  filter: of FILTERS, with which it is brought to a size that `pixels`
    fixes.  camera: what a camera makes of the picture, and how the caller reads that, before all else.  mistake: whether nobody means
    it."""

    name: str
    what: str
    network: int
    pixels: PixelsSpec
    steps: tuple[Step, ...] | None
    jpeg: int | None = None
    filter: str = USUAL
    camera: tuple[FromPixels, FromPixels] | None = None
    mistake: bool = False


@dataclass(frozen=True)
class Plan:
    """name: the model's.  networks: what networks.opened() takes.  variants: the first is what the others are compared with.  labels: that
    the model itself brings.  files: what was read, whose contents the comparison is of.  notes: what was left out, and why.  trained: False
    where its contract says that the weights are random."""

    name: str
    networks: tuple[Recipe | Path, ...]
    variants: tuple[Variant, ...]
    labels: tuple[str, ...]
    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    trained: bool = True

    def fingerprint(self) -> str:
        """Of what is asked and of the files' contents."""
        told = [
            [each.name, repr(each.steps), repr(each.pixels), each.jpeg, each.filter, repr(each.camera), each.network]
            for each in self.variants
        ]
        return f"{digest(self.files)} {told}"


def read_plan(model: Path, own: Path | None, *, resized: bool) -> Plan:
    """model: as located() has it.  own: the variants' file.  resized: whether pictures have another
    size than the model fixes. Raises PreprocError."""
    written = WrittenFile() if own is None else check_variants(model, own)
    plan = _of_file(model) if _is_made(model) else _of_recipe(model)
    first = plan.variants[0]
    found = list(plan.variants)
    for number, source in enumerate(plan.networks):
        if isinstance(source, Recipe):
            found += _usual(number, source, skip=first.steps)
    found += _geometry(next((each for each in found if each.steps is not None), first), resized=resized)
    if first.pixels.dtype == "uint8" and first.pixels.letters:
        found.append(dataclasses.replace(first, name=f"JPEG of quality {JPEG}", what=f"{first.name}, of the picture as JPEG", jpeg=JPEG))
    cameras = list(_cameras(first, written.camera or CAMERA))
    if written.camera and not cameras:
        raise RecipeError(
            f"{own}: [camera]: expected a model that takes 8-bit R, G and B, which the pictures have behind a camera, got one that takes "
            f"{first.pixels.dtype} {first.pixels.color}",
            name="option-without-effect",
        )
    found += cameras
    plan = dataclasses.replace(plan, variants=tuple(found))
    if own is not None:
        plan = dataclasses.replace(_with_own(plan, written.variants, model), files=(*plan.files, own))
    return plan


def check_variants(model: Path, own: Path) -> WrittenFile:
    """What the variants' file says, by which nothing of the model is opened. Raises PreprocError."""
    return read_variants(own, of_recipe=not _is_made(model))


def located(model: Path) -> Path:
    """The file or the bundle's folder that is meant, wherever it is read next; a folder of pictures may be called like a
    recipe that comes along. Raises PreprocError where there is none."""
    return (model if _is_made(model) else recipe_file(model)).absolute()


def _is_made(model: Path) -> bool:
    """Whether it is a bundle, or a model file."""
    return model.suffix == ".onnx" or (model / MANIFEST).is_file() or (model.is_dir() and model.name != str(model))


def _of_recipe(file: Path) -> Plan:
    recipe = load_recipe(file)
    if recipe.further:
        raise PreprocError(f"{file}: expected a model of one picture, got one of {1 + len(recipe.further)}", name="several-inputs")
    own = Variant(OWN, "what the recipe says", 0, recipe.pixels, recipe.steps)
    return Plan(recipe.name, (recipe,), (own,), recipe.labels, (file, *_weights(recipe)))


def _weights(recipe: Recipe) -> list[Path]:
    """The file with the network's numbers, where it is one."""
    file = recipe.resolve(str(recipe.backbone.weights))
    return [file] if file.is_file() else []


def _of_file(place: Path) -> Plan:
    """A file that takes pixels, and the network that it was made of, where that is at hand."""
    described = describe(place)
    contract = described["contract"]
    file = place if place.is_file() else place / "model.onnx"
    if contract is None:
        raise PreprocError(
            f"{place}: expected a recipe, a bundle, or an .onnx file that preproc has made, got a file without its preprocessing; write a "
            f"recipe for it: preproc init --onnx {place}",
            name="not-a-bundle",
        )
    if "pictures" in contract or not file.is_file():
        raise PreprocError(
            f"{place}: expected a model.onnx of one picture, got {'several pictures' if file.is_file() else 'none'}", name="not-a-bundle"
        )
    served = Variant("the file", f"{file.name}, in {precision_of(contract)}", 0, front_of(contract).pixels, None)
    trained = contract["backbone"]["trained"]
    plan = Plan(contract["name"], (file,), (served,), tuple(contract["labels"]), (file,), trained=trained)
    if not place.is_dir():
        return plan
    try:
        recipe, _ = rebuild(open_bundle(place), None)
    except (PreprocError, ImportError) as error:
        return dataclasses.replace(plan, notes=(f"other steps are not tried: the original network is not at hand ({first_line(error)})",))
    return dataclasses.replace(plan, networks=(file, recipe), files=(file, *_weights(recipe)))


def _usual(network: int, recipe: Recipe, *, skip: tuple[Step, ...] | None) -> Iterator[Variant]:
    """Other steps in front of the same network: those that people mean, and mistakes with the recipe's own."""
    for each in diagnosis.variants(recipe.steps, recipe.pixels.channels):
        if each.steps != skip and (not each.mistake or each.name.startswith(OWN)):
            yield Variant(each.name, each.what, network, recipe.pixels, each.steps, mistake=each.mistake)


def _cameras(first: Variant, camera: FromPixels) -> Iterator[Variant]:
    """The picture through a camera's NV12, where the model takes its colours in 8 bits: read rightly, and by the mistakes that services
    make, the matrix of the other definition and the other range."""
    if first.pixels.dtype != "uint8" or first.pixels.color in YUV or not set("RGB") <= set(first.pixels.letters):
        return
    what = f"{first.name}, of the picture as {camera.color} of {camera.matrix} and {camera.range} range"
    yield dataclasses.replace(first, name=camera.color, what=f"{what}, read so", camera=(camera, camera))
    matrix, range_ = ("bt601" if camera.matrix == "bt709" else "bt709"), ("full" if camera.range == "limited" else "limited")
    for name in (f"matrix {matrix} for {camera.matrix}", f"range {range_} for {camera.range}"):
        misread = (camera, mistaken(camera)[name])
        yield dataclasses.replace(first, name=f"{camera.color}, {name}", what=f"{what}, read with {name}", camera=misread, mistake=True)


def _geometry(first: Variant, *, resized: bool) -> Iterator[Variant]:
    """Other resizes: of the steps, or in front of a model that fixes its size."""
    steps = first.steps or ()
    place = next((number for number, step in enumerate(steps) if isinstance(step, Resampling)), None)
    if place is None:
        for name, _ in FILTERS if resized else ():
            if name != first.filter:
                yield dataclasses.replace(
                    first, name=f"resized: {name}", what=f"{first.name}, the picture resized by the caller: {name}", filter=name
                )
        return
    own = steps[place]
    assert isinstance(own, Resampling)
    for name, fields in FILTERS:
        made = dataclasses.replace(own, **fields, torch=None, pillow=None)
        if made != dataclasses.replace(own, pillow=None, torch=None):
            what, kept = f"{first.name}, resized otherwise: {name}", (*steps[:place], made, *steps[place + 1 :])
            yield dataclasses.replace(first, name=f"resize: {name}", what=what, steps=kept)
    behind = steps[place + 1] if place + 1 < len(steps) else None
    if isinstance(own, Resize) and isinstance(own.size, int) and isinstance(behind, CenterCrop):
        squashed = dataclasses.replace(own, size=behind.size, max_size=None)
        kept = (*steps[:place], squashed, *steps[place + 2 :])
        yield dataclasses.replace(first, name="resize: squashed", what=f"{first.name}, squashed to the size that is cut out", steps=kept)


def _with_own(plan: Plan, written: Sequence[Written], recipe: Path) -> Plan:
    """And the variants that the user has written down."""
    for entry in written:
        plan = _with_one(plan, entry, recipe)
    usual = [each.name for each in plan.variants[: -len(written)]]
    twice = next((entry for entry in written if entry.name in usual), None)
    if twice is not None:
        raise RecipeError(f"{twice.where}: expected a name that no other variant has, got {twice.name!r}")
    return plan


def _with_one(plan: Plan, entry: Written, recipe: Path) -> Plan:
    made = plan.variants[0]
    if entry.bundle is not None:
        other = _of_file(entry.bundle)
        made = dataclasses.replace(other.variants[0], network=len(plan.networks))
        plan = dataclasses.replace(plan, networks=(*plan.networks, other.networks[0]), files=(*plan.files, *other.files))
    elif entry.changes:
        changed = _changed(recipe, entry)
        made = dataclasses.replace(made, pixels=changed.pixels, steps=changed.steps, network=len(plan.networks))
        if _network(plan.networks[0]) == _network(changed):
            made = dataclasses.replace(made, network=0)
        else:
            plan = dataclasses.replace(plan, networks=(*plan.networks, changed), files=(*plan.files, *_weights(changed)))
    made = dataclasses.replace(made, name=entry.name, what=entry.what, jpeg=entry.jpeg)
    return dataclasses.replace(plan, variants=(*plan.variants, made))


def _network(source: Recipe | Path) -> object:
    """What makes it another one."""
    return source if isinstance(source, Path) else dataclasses.replace(source.backbone, color="ANY", override=None)


def _changed(recipe: Path, entry: Written) -> Recipe:
    """The recipe with other keys: tables are merged, lists replaced."""
    table = read_toml(recipe, "a recipe")
    for one, other in (("steps", "steps_from"), ("steps_from", "steps")):
        if one in entry.changes:
            table.pop(other, None)
    for key, value in entry.changes.items():
        table[key] = table[key] | value if isinstance(value, dict) and isinstance(table.get(key), dict) else value
    try:
        return parse_recipe(table, folder=recipe.parent)
    except PreprocError as error:
        raise RecipeError(f"{entry.where}: {error}") from error


def fixed_size(variant: Variant) -> tuple[int, int] | None:
    """(height, width) that pictures are brought to before it; None where it takes any."""
    return known(variant.pixels.size)
