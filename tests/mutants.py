"""python -m tests.mutants: plants faults, one at a time, and tells which were noticed, by what, into tests/survey/mutants.md.

Into published files (weights, constants, orders, axes, pads, attributes), whose manifest is made to agree, so that only what they compute
can give them away; into recipes; into pipelines that were read from libraries; into statistics. A fault that was not noticed and moves the
outputs of fresh pictures by more than the tolerance is a bug of verify: the command then exits with 1.

    python -m tests.mutants [WORD...]        (those whose name has one of the words, printed and not written)
"""

import copy
import dataclasses
import functools
import json
import math
import re
import sys
import tempfile
import tomllib
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
from onnx import numpy_helper

from preproc import graph, steps
from preproc.errors import PreprocError
from preproc.export import export_bundle
from preproc.export.bare import bare_network
from preproc.export.finding import rebuild
from preproc.export.original import through_original
from preproc.export.proving import prove
from preproc.oracle import reference
from preproc.sources import BackboneSpec, ExportSpec, PixelsSpec, Recipe, load_recipe, parse_recipe, published, replace
from preproc.sources.backbones import agreement, load_backbone
from preproc.stats import Stats, compute_stats
from preproc.steps import CenterCrop, FromPixels, Letterbox, MinMaxScale, Normalize, Rescale, Resize, Step
from preproc.verify import FAILED, inputs, judge, sizes_of
from preproc.verify.runtimes import RUNTIMES, Runtime, made
from tests.conftest import ROOT
from tests.onnx_files import hand_made

HERE = Path(__file__).parent / "survey"
MOST = 90
"""Faults of one file; more are a sample."""
ORDERED = ("Sub", "Div", "Concat", "Where", "Pow")
"""Operators whose inputs have an order."""
OTHER_WORDS = {
    "linear": "nearest",
    "cubic": "linear",
    "nearest": "linear",
    "half_pixel": "asymmetric",
    "asymmetric": "half_pixel",
    "constant": "reflect",
    "floor": "ceil",
    "round_prefer_ceil": "floor",
    "stretch": "not_larger",
}


@dataclasses.dataclass(frozen=True)
class Planted:
    """what: the fault.  noticed: by what, or None.  moved: how far the outputs of fresh pictures go, over the largest one; None: there are
    none. tolerance: how far they might.  alone: nothing but the recipe says what is meant, so that nobody can tell."""

    kind: str
    what: str
    noticed: str | None
    moved: float | None
    tolerance: float = 0.0
    alone: bool = False

    @property
    def moves(self) -> bool:
        return self.noticed is None and self.moved is not None and self.moved > self.tolerance

    @property
    def missed(self) -> bool:
        return self.moves and not self.alone

    def row(self) -> str:
        moved = "nothing runs" if self.moved is None else f"{self.moved:.1e}"
        unnoticed = "left: the recipe is all that says" if self.moves and self.alone else "not noticed, and nothing moves"
        verdict = self.noticed or ("**missed**" if self.missed else unnoticed)
        return f"| {self.kind} | {self.what} | {verdict} | {moved} |"


# --- files ---------------------------------------------------------------------------------------------------------------------------


def onnx_faults(model: onnx.ModelProto) -> Iterator[tuple[str, onnx.ModelProto]]:
    """Each: what was done, and a copy of the file in which it was."""

    def changed(change: Callable[[onnx.ModelProto], bool]) -> onnx.ModelProto | None:
        other = onnx.ModelProto()
        other.CopyFrom(model)
        return other if change(other) else None

    changes: list[tuple[str, Callable[[onnx.ModelProto], bool]]] = []
    for position, tensor in enumerate(model.graph.initializer):
        for what, alter in (ON_FLOATS if tensor.data_type in (1, 11) else ON_INTEGERS).items():
            changes.append((f"{tensor.name}: {what}", lambda m, p=position, a=alter: _altered(m.graph.initializer[p], a)))
    for position, node in enumerate(model.graph.node):
        name = f"{node.op_type} {node.name or node.output[0]}"
        for number, attribute in enumerate(node.attribute):
            if attribute.type == onnx.AttributeProto.TENSOR:
                alters = ON_FLOATS if attribute.t.data_type in (1, 11) else ON_INTEGERS
                changes += [
                    (f"{name}: {what}", lambda m, p=position, n=number, a=alter: _altered(m.graph.node[p].attribute[n].t, a))
                    for what, alter in alters.items()
                ]
            else:
                changes.append((f"{name}: another {attribute.name}", lambda m, p=position, n=number: _other(m.graph.node[p].attribute[n])))
        if node.op_type in ORDERED:
            changes.append((f"{name}: its inputs swapped", lambda m, p=position: _swapped(m.graph.node[p])))
        if len(node.input) and node.op_type not in ("Conv", "MatMul", "Gemm"):
            changes.append((f"{name}: left out", lambda m, p=position: _left_out(m, p)))
    for what, change in changes:
        other = changed(change)
        if other is not None:
            yield what, other


ON_FLOATS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "times 1.01": lambda x: x * 1.01,
    "one number moved": lambda x: _one(x, lambda v: v + 0.1 * (np.abs(x).max() or 1)),
    "turned around": lambda x: x[:, ::-1] if x.ndim > 1 and x.shape[1] > 1 else x[::-1] if x.ndim else -x,
    "in half precision": lambda x: x.astype(np.float16).astype(x.dtype),
}
ON_INTEGERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "one number more": lambda x: _one(x, lambda v: v + 1),
    "turned around": lambda x: x[::-1] if x.ndim else -x,
}


def _one(x: np.ndarray, change: Callable[[float], float]) -> np.ndarray:
    other = x.copy()
    other.reshape(-1)[x.size // 2] = change(other.reshape(-1)[x.size // 2])
    return other


def _altered(tensor: onnx.TensorProto, alter: Callable[[np.ndarray], np.ndarray]) -> bool:
    array = numpy_helper.to_array(tensor)
    if not array.size or array.dtype.kind not in "fiu":
        return False
    other = np.ascontiguousarray(alter(array)).astype(array.dtype).reshape(array.shape)
    tensor.CopyFrom(numpy_helper.from_array(other, tensor.name))
    return not np.array_equal(array, other)


def _other(attribute: onnx.AttributeProto) -> bool:
    kinds = onnx.AttributeProto
    if attribute.type == kinds.INT:
        attribute.i = 1 - attribute.i if attribute.i in (0, 1) else attribute.i + 1
    elif attribute.type == kinds.FLOAT:
        attribute.f = attribute.f * 1.1 + 0.1
    elif attribute.type == kinds.INTS and len(attribute.ints):
        last = attribute.ints[-1]
        if attribute.name == "perm":
            attribute.ints[-1], attribute.ints[-2] = attribute.ints[-2], last
        else:
            attribute.ints[-1] = last + 1
    elif attribute.type == kinds.STRING and attribute.s.decode() in OTHER_WORDS:
        attribute.s = OTHER_WORDS[attribute.s.decode()].encode()
    else:
        return False
    return True


def _swapped(node: onnx.NodeProto) -> bool:
    inputs = list(node.input)
    node.input[:] = [inputs[1], inputs[0], *inputs[2:]]
    return inputs[0] != inputs[1]


def _left_out(model: onnx.ModelProto, position: int) -> bool:
    node = model.graph.node[position]
    source, made = node.input[0], node.output[0]
    if made in {value.name for value in model.graph.output}:
        return False
    for other in model.graph.node:
        other.input[:] = [source if name == made else name for name in other.input]
    del model.graph.node[position]
    return True


def torchscript_faults(file: Path) -> Iterator[tuple[str, bytes]]:
    """In the archive's code: numbers and words; in its tensors: one of the first convolution's and of the last layer's."""
    with zipfile.ZipFile(file) as archive:
        members = [(item, archive.read(item)) for item in archive.infolist()]
    numbers = [
        (place, match)
        for place, (item, data) in enumerate(members)
        if item.filename.endswith(".py")
        for match in re.finditer(rb"(?<=[(\[, ])-?\d+(\.\d+(e-?\d+)?)?(?=[,)\]])", data)
    ]
    for place, match in numbers:
        text = match.group()
        other = str(float(text) * 1.01 + 0.01).encode() if b"." in text else str(int(text) + 1).encode()
        data = members[place][1]
        yield (
            f"code: {_line(data, match.start())}: {text.decode()} is {other.decode()}",
            _zipped(members, place, data[: match.start()] + other + data[match.end() :]),
        )
    for place, (item, data) in enumerate(members):
        if "/data/" in item.filename and len(data) >= 16 and len(data) % 4 == 0:
            values = np.frombuffer(data, np.float32).copy()
            values[len(values) // 2] += 0.1 * np.abs(values).max()
            yield f"{item.filename.partition('/')[2]}: one number moved", _zipped(members, place, values.tobytes())


def _line(data: bytes, position: int) -> str:
    start, end = data.rfind(b"\n", 0, position) + 1, data.find(b"\n", position)
    return data[start:end].decode().strip()[:60].replace("|", "/")


def _zipped(members: list[tuple[zipfile.ZipInfo, bytes]], place: int, data: bytes) -> bytes:
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for position, (item, old) in enumerate(members):
                archive.writestr(item.filename, data if position == place else old)
        file.seek(0)
        return file.read()


def fresh(pixels: PixelsSpec, size: tuple[int, int]) -> list[np.ndarray]:
    """Pictures that verify has not: noise in blocks of many sizes, at other sizes where the model takes any."""
    rng, found = np.random.default_rng(99), []
    for block in (1, 2, 5, 11):
        height, width = size if None not in pixels.size else (size[0] + 7 * block, size[1] + 3 * block)
        small = rng.integers(0, 256, (-(-height // block), -(-width // block), pixels.channels))
        picture = np.kron(small, np.ones((block, block, 1), int))[:height, :width].astype(np.uint8)
        found.append(picture[None] if pixels.layout == "NHWC" else picture.transpose(2, 0, 1)[None])
    return found


def files(folder: Path) -> Iterator[Planted]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield from _of_bundle("digits", ROOT / "models" / "digits.toml", folder)
        for name, front in {
            "photographs, fast": (Resize(size=24, form="fast"), CenterCrop(size=(24, 20)), Rescale(), Normalize.preset("imagenet")),
            "photographs, exact": (Resize(size=(24, 20), interpolation="bicubic"), Rescale(), Normalize.preset("clip")),
            "letterbox": (Letterbox(size=(24, 20)), MinMaxScale(low=(0.0,), high=(255.0,), out=(-1.0, 1.0))),
        }.items():
            yield from _of_attached(name, front, folder / name.replace(", ", "-"))


def _of_bundle(name: str, file: Path, folder: Path) -> Iterator[Planted]:
    bundle = export_bundle(load_recipe(file), folder / "bundle")
    recipe, backbone = rebuild(bundle, file)
    yield from _judged(name, recipe, backbone, bundle, folder)


def _of_attached(name: str, front: tuple[steps.Step, ...], folder: Path) -> Iterator[Planted]:
    from preproc.export import attach

    folder.mkdir()
    spec = PixelsSpec(layout="NHWC", color="RGB", dtype="uint8", size=None, channels=3)
    bundle = attach(hand_made(folder), folder / "bundle", steps=front, pixels=spec)
    recipe, file = rebuild(bundle, folder / "m.onnx")
    yield from _judged(name, recipe, file, bundle, folder)


def _judged(name: str, recipe: object, backbone: object, bundle: object, folder: Path) -> Iterator[Planted]:
    known = prove(recipe, backbone)
    network = bare_network(recipe, backbone, known.cases, set(bundle.manifest["files"]), folder)
    pictures = fresh(recipe.pixels, sizes_of(recipe)[0])

    def told(kind: str, what: str, file: Path, runtime: str, original: Path, wrong: list[str]) -> Planted:
        fresh_one = functools.partial(made, RUNTIMES[runtime], None, recipe.backbone.outputs)
        bare = network.errors(fresh_one(), known.cases, known.power.parts)
        result = judge(fresh_one(), file, known.cases, known.power, bare=bare)
        tolerance = known.power.tolerance if result.tolerance is None else result.tolerance
        noticed = f"verify: {result.reason}"[:90] if result.verdict == FAILED else None
        if noticed is None and wrong:
            noticed = f"inspect: {wrong[0]}"[:90]
        return Planted(kind, what, noticed, _moved(fresh_one(), fresh_one(), original, file, pictures), tolerance)

    original = bundle.folder / "model.onnx"
    faults = list(onnx_faults(onnx.load(original)))
    chosen = np.random.default_rng(5).permutation(len(faults))[:MOST]
    for number in sorted(chosen):
        what, model = faults[number]
        file = folder / "mutant.onnx"
        onnx.save(model, file)
        try:
            wrong = graph.disagreements(bundle.contract, graph.load(file))[0]
        except PreprocError as error:
            wrong = [str(error)]
        yield told(f"{name}, ONNX", what, file, "ort-cpu", original, wrong)
    if "model.pt" in bundle.manifest["files"]:
        for what, data in torchscript_faults(bundle.folder / "model.pt"):
            file = folder / "mutant.pt"
            file.write_bytes(data)
            yield told(f"{name}, TorchScript", what, file, "torchscript-cpu", bundle.folder / "model.pt", [])


def _moved(one: Runtime, other: Runtime, original: Path, mutant: Path, pictures: list[np.ndarray]) -> float | None:
    """Over the largest output. None if the mutant does not run, or makes outputs of another shape."""
    try:
        one.open(original)
        other.open(mutant)
        worst = size = 0.0
        for picture in pictures:
            for before, after in zip(one.run(picture).values(), other.run(picture).values(), strict=True):
                if before.shape != after.shape or not np.isfinite(after).all():
                    return None
                worst, size = max(worst, float(np.abs(before - after).max())), max(size, float(np.abs(before).max()))
        return worst / size
    except Exception:  # noqa: BLE001 - whatever a runtime raises
        return None


# --- recipes -------------------------------------------------------------------------------------------------------------------------

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
RESCALE = {"step": "rescale"}
NORMALIZE = {"step": "normalize", "mean": MEAN, "std": STD, "unit": "0-1"}


def _steps(*found: dict[str, object]) -> dict[str, object]:
    return {"steps": list(found)}


RECIPES: dict[str, dict[str, object]] = {
    "BGR for RGB, in the network": {"backbone": {"color": "BGR"}},
    "no rescale": _steps(NORMALIZE),
    "rescaled twice": _steps(RESCALE, RESCALE, NORMALIZE),
    "normalized twice": _steps(RESCALE, NORMALIZE, NORMALIZE),
    "normalized before the rescale": _steps(NORMALIZE, RESCALE),
    "no normalization": _steps(RESCALE),
    "inception's constants": _steps(RESCALE, {"step": "normalize", "preset": "inception"}),
    "clip's constants": _steps(RESCALE, {"step": "normalize", "preset": "clip"}),
    "cifar10's constants": _steps(RESCALE, {"step": "normalize", "preset": "cifar10"}),
    "mean and std in 0-255, said to be 0-1": _steps(RESCALE, NORMALIZE | {"mean": [m * 255 for m in MEAN], "std": [s * 255 for s in STD]}),
    "mean and std in 0-1, said to be 0-255": _steps(NORMALIZE | {"unit": "0-255"}),
    "the mean in 0-255": _steps(RESCALE, NORMALIZE | {"mean": [m * 255 for m in MEAN]}),
    "the std in 0-255": _steps(RESCALE, NORMALIZE | {"std": [s * 255 for s in STD]}),
    "1/std for std": _steps(RESCALE, NORMALIZE | {"std": [1 / s for s in STD]}),
    "1/(255 std) for std": _steps(RESCALE, NORMALIZE | {"std": [1 / s / 255 for s in STD]}),
    "variances": _steps(RESCALE, NORMALIZE | {"std": [s * s for s in STD]}),
    "one std for three": _steps(RESCALE, NORMALIZE | {"std": [0.226] * 3}),
    "mean and std swapped": _steps(RESCALE, NORMALIZE | {"mean": STD, "std": MEAN}),
    "constants in BGR order": _steps(RESCALE, NORMALIZE | {"mean": MEAN[::-1], "std": STD[::-1]}),
    "the mean one grey level off": _steps(RESCALE, NORMALIZE | {"mean": [m + 1 / 255 for m in MEAN]}),
    "the std one percent off": _steps(RESCALE, NORMALIZE | {"std": [s * 1.01 for s in STD]}),
    "1/256 for 1/255": _steps({"step": "rescale", "scale": 1 / 256}, NORMALIZE),
    "1/127.5": _steps({"step": "rescale", "scale": 1 / 127.5}, NORMALIZE),
    "to -1..1, then ImageNet's": _steps({"step": "rescale", "scale": 2 / 255, "offset": -1.0}, NORMALIZE),
    "min-max for ImageNet's": _steps({"step": "min_max_scale", "low": 0.0, "high": 255.0}),
    "per-image standardization for ImageNet's": _steps({"step": "standardize"}),
    "caffe's constants": {"backbone": {"color": "BGR"}} | _steps({"step": "normalize", "preset": "caffe"}),
    "an LRN in front": _steps(RESCALE, NORMALIZE, {"step": "local_response_norm", "size": 5}),
    "a negative std": _steps(RESCALE, NORMALIZE | {"std": [-s for s in STD]}),
    "a std of zero": _steps(RESCALE, NORMALIZE | {"std": [0.0, *STD[1:]]}),
    "two means for three channels": _steps(RESCALE, NORMALIZE | {"mean": MEAN[:2]}),
    "four means for three channels": _steps(RESCALE, NORMALIZE | {"mean": [*MEAN, 0.5], "std": [*STD, 0.2]}),
    "an unknown step": _steps(RESCALE, {"step": "normalise", "mean": MEAN, "std": STD}),
    "an unknown key": _steps(RESCALE, NORMALIZE | {"var": STD}),
    "uint16 pixels with 8-bit constants": {"pixels": {"dtype": "uint16"}},
    "a size of other sides": {"pixels": {"size": [224]}},
}


def recipes(_: Path) -> Iterator[Planted]:
    """Of a network whose published weights say how they were trained, with which the recipe is compared; and of one with weights of one's
    own, of which the recipe alone says it."""
    good = tomllib.loads((ROOT / "models" / "mobilenet_v3_small.toml").read_text(encoding="utf-8"))
    good["steps"] = [RESCALE, NORMALIZE]
    right = _checked(good, alone=False)
    pictures = [picture for _, picture in inputs.standard(right.pixels, sizes_of(right)[0])]
    ready = [reference.apply(right.steps, picture) for picture in pictures]
    size = max(float(np.abs(values).max()) for values in ready)
    for alone in (False, True):
        for what, change in RECIPES.items():
            table = copy.deepcopy(good)
            for key, value in change.items():
                table[key] = table[key] | value if isinstance(value, dict) else value
            noticed, moved = None, None
            try:
                recipe = _checked(table, alone=alone)
                made = [reference.apply(recipe.steps, picture) for picture in pictures]
                moved = max(float(np.abs(one - other).max()) for one, other in zip(made, ready, strict=True)) / size
            except PreprocError as error:
                noticed = f"recipe: {error}"[:110]
            yield Planted("recipe, own weights" if alone else "recipe, published weights", what, noticed, moved, 1e-5, alone=alone)


def _checked(table: dict[str, Any], *, alone: bool) -> Recipe:
    """As export does before it writes anything. The network's weights are random; what is published of the others is what counts."""
    recipe = parse_recipe(table, folder=ROOT / "models")
    steps.check(recipe.steps, channels=recipe.pixels.channels)
    spec = recipe.backbone
    backbone = load_backbone(replace(recipe, backbone={"weights": "random", "seed": 0}))
    known = published.of_weights(spec.source, str(spec.name), str(spec.weights))
    agreement(recipe, dataclasses.replace(backbone, published=None if alone else known))
    return recipe


# --- pipelines of libraries ----------------------------------------------------------------------------------------------------------

PIPELINES = (
    "ResNet50_Weights.IMAGENET1K_V2",
    "ViT_B_16_Weights.IMAGENET1K_SWAG_E2E_V1",
    "Inception_V3_Weights.IMAGENET1K_V1",
    "resnet50.a1_in1k",
    "vit_base_patch16_clip_224.openai",
)


def misread(known: tuple[Step, ...]) -> Iterator[tuple[str, list[Step]]]:
    """Each: what was read wrongly, and the steps."""
    for place, step in enumerate(known):
        changes: list[tuple[str, Step | None]] = [("left out", None)]
        match step:
            case Resize():
                size = step.size if isinstance(step.size, int) else step.size[0]
                changes += [("one pixel larger", _with(step, size=size + 1)), ("both sides", _with(step, size=(size, size)))]
                other = "bicubic" if step.interpolation == "bilinear" else "bilinear"
                changes += [(other, _with(step, interpolation=other))]
                changes += [("not antialiased", _with(step, interpolation="bilinear", antialias=False, pillow=None))]
                changes += [("nearest", _with(step, interpolation="nearest", antialias=False, pillow=None))]
            case CenterCrop():
                changes += [("one pixel smaller", _with(step, size=(step.size[0] - 1, step.size[1])))]
            case Rescale():
                changes += [("by 1/256", Rescale(scale=1 / 256)), ("twice", step)]
            case Normalize():
                swapped = {"mean": step.mean[::-1], "std": step.std[::-1]}
                level = tuple(m + 1 / 255 for m in step.mean)
                changes += [("in BGR order", _with(step, **swapped)), ("one grey level off", _with(step, mean=level))]
                changes += [
                    ("std one percent off", _with(step, std=tuple(1.01 * s for s in step.std))),
                    ("another preset's", _other_preset(step)),
                ]
        for what, changed in changes:
            kept = [step, step] if changed is step else [] if changed is None else [changed]
            yield f"{step.name}: {what}", [*known[:place], *kept, *known[place + 1 :]]
    yield "crop before resize", [known[1], known[0], *known[2:]]


def _with(step: Step, **changes: Any) -> Step:
    return dataclasses.replace(step, **changes)


def _other_preset(step: Normalize) -> Step:
    return Normalize.preset("imagenet" if 0.5 in step.mean else "inception")


def pipelines(_: Path) -> Iterator[Planted]:
    """Steps that were read wrongly, as export proves them: against the pipeline itself, on photographs."""
    spec = PixelsSpec(layout="NHWC", color="RGB", dtype="uint8", size=None, channels=3)
    sizes = [(300, 400), (97, 130)]
    pictures = [picture for size in sizes for _, _, picture in inputs.photographs(spec, size)]
    for name in PIPELINES:
        known = published.named_weights(name) if "_Weights" in name else published.from_timm(name)
        right = [reference.apply([FromPixels(layout="NHWC"), *known.steps], picture) for picture in pictures]
        for what, misunderstood in misread(known.steps):
            noticed, moved = None, None
            try:
                sequence = (FromPixels(layout="NHWC"), *misunderstood)
                steps.check(sequence, channels=3)
                made = [reference.apply(sequence, picture) for picture in pictures]
                if all(one.shape == other.shape for one, other in zip(made, right, strict=True)):
                    moved = max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(made, right, strict=True))
                recipe = Recipe(name="misread", backbone=RANDOM, pixels=spec, steps=sequence, export=ExportSpec(), steps_from=known.origin)
                through_original(recipe, _Nothing(), sizes)
            except PreprocError as error:
                noticed = f"export: {error}"[:110]
            yield Planted("pipeline", f"{name}: {what}", noticed, moved, 1e-5)


RANDOM = BackboneSpec(source="torchvision", color="RGB", name="resnet18", weights="random", seed=0)


class _Nothing:
    """A network whose outputs do not matter."""

    mixed: ClassVar[set[str]] = set()

    def __call__(self, x: Any) -> dict[str, Any]:
        return {"ready": x}

    def others(self, _: int) -> dict[str, Any]:
        return {}


# --- statistics ----------------------------------------------------------------------------------------------------------------------


def statistics(folder: Path) -> Iterator[Planted]:
    """Of a stats.json that a recipe names: what its constants would have been."""
    rng = np.random.default_rng(3)
    pictures = [np.clip(rng.normal((120, 90, 60), (50, 30, 20), (40, 30, 3)), 0, 255).astype(np.uint8) for _ in range(40)]
    right = folder / "right.json"
    compute_stats(pictures).save(right)
    table = json.loads(right.read_text(encoding="utf-8"))
    mean, std = table["mean"], table["std"]
    changes: dict[str, dict[str, Any]] = {
        "the mean one grey level off": {"mean": [m + 1 / 255 for m in mean]},
        "the std one percent off": {"std": [s * 1.01 for s in std]},
        "channels in the other order": {"mean": mean[::-1], "std": std[::-1]},
        "said to be BGR": {"color": "BGR"},
        "said to be in 0-255": {"unit": "0-255"},
        "in 0-255, said to be in 0-1": {"mean": [m * 255 for m in mean], "std": [s * 255 for s in std]},
        "variances": {"std": [s * s for s in std]},
        "reciprocals": {"std": [1 / s for s in std]},
        "a std of zero": {"std": [0.0, *std[1:]]},
        "two channels": {"mean": mean[:2], "std": std[:2]},
        "of an interrupted run": {"partial": True},
        "no unit": {"unit": None},
        "an unknown unit": {"unit": "0-100"},
        "text for numbers": {"mean": ["a", "b", "c"]},
        "no number": {"mean": [math.nan, *mean[1:]]},
        "of a sample of two": {"sample": {"images": 2, "population": 40, "seed": 0}, "images": 2},
    }
    for what, change in changes.items():
        file = folder / "wrong.json"
        file.write_text(json.dumps(table | change), encoding="utf-8")
        noticed, moved = None, None
        try:
            step = Normalize.from_stats(file)
            steps.check((FromPixels(layout="NHWC"), Rescale(), step), channels=3)
            apart = [np.subtract(step.mean, mean) / std, np.subtract(step.std, std) / std]
            moved = float(np.abs(apart).max())
        except PreprocError as error:
            noticed = f"recipe: {error}".replace(f"{folder}/", "")[:110]
        yield Planted("statistics, in a recipe", what, noticed, moved, 1e-5)
    inside = table["accumulator"]["RGB"]
    for what, wrong in {
        "one count more": _count(inside, 1),
        "a channel's counts moved by one level": inside
        | {"counts": [inside["counts"][0][1:] + inside["counts"][0][:1], *inside["counts"][1:]]},
        "channels swapped": inside | {"counts": inside["counts"][::-1]},
    }.items():
        file = folder / "wrong.json"
        file.write_text(json.dumps(table | {"accumulator": {"RGB": wrong}}), encoding="utf-8")
        noticed = None
        try:
            Stats.load(file)
        except PreprocError as error:
            noticed = f"merge: {error}".replace(f"{folder}/", "")[:110]
        yield Planted("statistics, in a merge", what, noticed, 1.0, 1e-5)


def _count(table: dict[str, Any], more: int) -> dict[str, Any]:
    counts = copy.deepcopy(table["counts"])
    counts[0][100] += more
    return table | {"counts": counts}


def main() -> int:
    asked, found = sys.argv[1:], list[Planted]()
    with tempfile.TemporaryDirectory() as folder:
        for part in (recipes, statistics, pipelines, files):
            place = Path(folder) / part.__name__
            place.mkdir()
            for planted in part(place):
                if not asked or any(word in f"{planted.kind} {planted.what}" for word in asked):
                    found.append(planted)
                    print(planted.row(), flush=True)
    missed = [planted for planted in found if planted.missed]
    kinds = dict.fromkeys(planted.kind for planted in found)
    counted = [
        f"| {kind} | {len(of)} | {sum(p.noticed is not None for p in of)} | {sum(p.noticed is None and not p.moves for p in of)} "
        f"| {sum(p.moves and p.alone for p in of)} | {sum(p.missed for p in of)} |"
        for kind in kinds
        for of in [[planted for planted in found if planted.kind == kind]]
    ]
    told = [
        "# Planted faults",
        "",
        "Written by `python -m tests.mutants`. A fault that was not noticed moves nothing on fresh pictures, or is **missed**.",
        "",
        "| into | planted | noticed | moves nothing | left: only the recipe says | missed |",
        "|---|--:|--:|--:|--:|--:|",
        *counted,
        "",
        "| into | fault | noticed by | the outputs move by |",
        "|---|---|---|--:|",
        *(planted.row() for planted in found),
    ]
    print(f"{len(found)} planted, {len(missed)} missed")
    if not asked:
        (HERE / "mutants.md").write_text("\n".join(told) + "\n", encoding="utf-8")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
