"""Published files with faults in them, whose manifest is made to agree, so that only what they compute can give them away."""

import functools
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx

from preproc import graph, steps
from preproc.errors import PreprocError
from preproc.export import export_bundle
from preproc.export.bare import bare_network
from preproc.export.finding import rebuild
from preproc.export.proving import prove
from preproc.sources import PixelsSpec, load_recipe
from preproc.steps import CenterCrop, Letterbox, MinMaxScale, Normalize, Rescale, Resize
from preproc.verify import FAILED, judge, sizes_of
from preproc.verify.runtimes import RUNTIMES, Runtime, made
from tests.conftest import ROOT
from tests.mutants.faults import onnx_faults, torchscript_faults
from tests.mutants.planted import Planted
from tests.onnx_files import hand_made

MOST = 90
"""Faults of one file; more are a sample."""


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
