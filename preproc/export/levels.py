"""The first layers of a file in 8 bits, alone, against float64: pictures like those of the calibration do not reach all levels, and what is
rounded behind these layers would hide much of what they get wrong."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import graph
from ..bundle import contract as contracts
from ..folding import Eight
from ..oracle import reference
from ..sources import PixelsSpec, Recipe
from ..steps import Resampling, divided
from ..verify import NOT_FINITE, Levels, sizes_of
from ..verify.runtimes import evaluate

Array = NDArray[np.float64]
FLOAT32 = 1e-5
"""Of the largest value of a layer: what its sums in float32 may be off by, some hundred roundings."""
LEVELS, SIDE = 256, 16


def on_all_levels(file: Path, bare: Path, recipe: Recipe, form: Eight) -> Levels:
    """Compares what the file's first layers make of pictures with what those of the float network make in float64.

    Each weight is within half a step of its grid, and the bias corrects that for one level of each channel, the anchor: no value is
    farther off than half a step for each level that a pixel is from there, and half a step of the bias. Where padding lacks these products,
    half a step for each level between the anchor and the zero point, and for the appended channel.

    bare: the float network, of one input, in which the steps are folded again as `form` says.
    """
    if any(isinstance(step, Resampling) and step.form == "fast" for step in recipe.steps):
        return Levels(reason="a fast resize rounds otherwise than float64 does")
    attached, own = graph.load(bare), recipe.backbone
    done = graph.attach(attached, recipe.steps, recipe.pixels, fold=recipe.export.fold, old=own.input, layout=own.layout, eight=form)
    model, held = graph.load(file), done.held
    if held is None:
        return Levels(reason=f"the pixels are not the quantized tensor: {done.reason}")
    now = graph.layers_of(attached, model, held)
    if not now:
        return Levels(reason="they do not read the pixels themselves, or what adds their biases stands behind them")
    names = tuple(now)
    truth, allowed = _truth(bare, recipe, names), _allowed(attached, names, done)
    pictures = dict(_pictures(recipe.pixels, sizes_of(recipe)[0], held.anchor))
    made = evaluate(graph.ending(model, list(now.values())), [{contracts.INPUT: picture} for picture in pictures.values()])
    front, worst, seen = divided(recipe.steps)[1], Levels(layers=len(now)), LEVELS
    for number, (name, picture) in enumerate(pictures.items()):
        levels, right = reference.apply(front, picture), truth(picture)
        most = allowed(levels)
        for key, values in zip(names, made[number], strict=True):
            error, size = np.abs(values - right[key]), float(np.abs(right[key]).max())
            share = _largest(np.divide(error, most[key] + FLOAT32 * size, out=np.zeros_like(error), where=error != 0))
            if share > worst.share:
                worst = Levels(_largest(error / size), share, name, len(now))
    for channel in range(recipe.pixels.channels):
        of = [reference.apply(front, picture)[:, channel] for name, picture in pictures.items() if _channel(name) == channel]
        seen = min(seen, len(np.unique(of)))
    return Levels(worst.error, worst.share, worst.worst, worst.layers, seen)


def _largest(values: Array) -> float:
    """A value that is not finite is as large as can be: JSON has no infinity."""
    largest = float(values.max())
    return largest if np.isfinite(largest) else NOT_FINITE


def _pictures(pixels: PixelsSpec, size: tuple[int, int], anchor: Array) -> Iterator[tuple[str, NDArray[Any]]]:
    """In each a channel takes all levels, neighbours near to each other, while the others are at the anchor. In 16 rows of 16 squares,
    which a crop or a resize leaves most of; of less than that one behind the other, in several pictures."""
    height, width = size
    count, flat = height * width, np.clip(np.rint(anchor), 0, LEVELS - 1)
    rows, columns = np.indices((height, width))
    if min(size) >= SIDE:
        planes = [rows * SIDE // height * SIDE + columns * SIDE // width]
    else:
        planes = [(rows * width + columns + part * count) % LEVELS for part in range(-(-LEVELS // count))]
    for channel in range(pixels.channels):
        for part, plane in enumerate(planes):
            picture = np.broadcast_to(flat, (height, width, pixels.channels)).copy()
            picture[..., channel] = plane
            arranged = picture if pixels.layout == "NHWC" else picture.transpose(2, 0, 1)
            yield f"all levels of channel {channel}, {part}", np.ascontiguousarray(arranged[None].astype(np.uint8))


def _channel(name: str) -> int:
    return int(name.partition(",")[0].rpartition(" ")[2])


def _truth(bare: Path, recipe: Recipe, names: tuple[str, ...]) -> Callable[[NDArray[Any]], Mapping[str, Array]]:
    """What the float network's first layers make of pixels, in float64, the steps in front."""
    from ..oracle.files import DoubleFile

    model = graph.load(bare)
    picture = graph.picture_input(model, recipe.backbone.input, recipe.backbone.layout)
    arrange, name = picture.alone().laid_out, str(picture.value.name)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "first.onnx"
        graph.save(graph.ending_at(model, names), file)
        exact = DoubleFile(file)
    return lambda pixels: exact({name: arrange(reference.apply(recipe.steps, pixels))}, names)


def _allowed(attached: Any, names: tuple[str, ...], done: graph.Attached) -> Callable[[Array], Mapping[str, Array]]:
    """Of grey levels (N, C, H, W), how far each value of the first layers may be off."""
    held = done.held
    assert held is not None
    halves, taps = graph.half_steps(attached, held), graph.all_taps(attached, held)
    rest = np.abs(held.anchor - held.zero).sum() + abs(held.constant or 0.0)
    model: bytes | None = None

    def made_of(values: list[Array]) -> list[list[NDArray[Any]]]:
        nonlocal model
        feeds = [np.ascontiguousarray(each.transpose(["NCHW".index(axis) for axis in held.entry.layout]), np.float32) for each in values]
        if model is None:
            model = graph.to_bytes(graph.ending_at(graph.beginning(attached, held.entry.to, feeds[:1]), names))
        return evaluate(model, [{f"{held.entry.to}/input": feed} for feed in feeds])

    def allowed(levels: Array) -> dict[str, Array]:
        away = np.abs(levels - held.anchor.reshape(1, -1, 1, 1))
        appended = np.zeros((len(levels), int(held.constant is not None), *levels.shape[2:]))
        off, there, nothing = made_of(
            [np.concatenate(pair, axis=1) for pair in ((away, appended), (0 * away, appended + 1), (0 * away, appended))]
        )
        found = {}
        for at, name in enumerate(names):
            along = (1, -1, *[1] * (off[at].ndim - 2))
            missing = 0.0 if held.constant is None else (taps[name].reshape(along) - (there[at] - nothing[at])) * rest
            found[name] = off[at] - nothing[at] + missing + halves[name].reshape(along) + done.border.get(name, 0.0)
        return found

    return allowed
