"""A picture of what each step does to a picture: with its values' range and histogram, next to what another recipe does."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import MANIFEST, front_of
from ..bundle import contract as contracts
from ..bundle.inspection import SUFFIXES, describe
from ..errors import PreprocError, RecipeError
from ..host import recipe_file, targets
from ..oracle import planes, reference
from ..sources import Front, load_front, load_recipe
from ..steps import COLORS, YUV, FromPixels, Geometry, Step
from ..verify import inputs

COLORS_OF = {"R": "#c0392b", "G": "#27803b", "B": "#2c5fb3", "A": "#777777", "Y": "#333333", "U": "#2c5fb3", "V": "#c0392b"}
SIDE = 2.4
"""Of one picture, in inches."""


@dataclass(frozen=True)
class Stage:
    """What is there after a step: (channels, height, width) float64, or planes of Y, U and V, each of its own size. title: the step, with
    its most telling numbers.  letters: of the planes.  drawn: what is drawn of them, (h, w, 3) in 0..1; None: they themselves."""

    title: str
    values: Sequence[NDArray[np.float64]] | NDArray[np.float64]
    letters: tuple[str, ...]
    drawn: NDArray[np.float64] | None = None

    @property
    def span(self) -> tuple[float, float]:
        """The smallest value and the largest."""
        return float(min(plane.min() for plane in self.values)), float(max(plane.max() for plane in self.values))


def stages(image: Path, front: Front) -> list[Stage]:
    """The pixels and what each step makes of them, from the float64 reference; of Y, U and V first the planes that the file gets."""
    pixels: NDArray[Any] = inputs.one_picture(image, front.pixels)
    values, found, first = pixels, [], front.steps[0]
    for at, step in enumerate(front.steps, start=1):
        if isinstance(step, FromPixels) and step.color in YUV:
            found.append(_planes(step, values))
        moved = isinstance(step, Geometry) and isinstance(first, FromPixels) and first.moves_planes
        values = reference.apply(front.steps[:at], pixels) if moved else reference.apply([step], values)
        found.append(Stage(_title(step, front), values[0], _letters(front)))
    return found


def _planes(step: FromPixels, pixels: NDArray[Any]) -> Stage:
    """Y above, what shares its bytes below, in their order: at a Y of 128, which makes U yellow to blue, and V green to red."""
    found = dict(zip("YUV", (plane[0] for plane in planes(step, pixels)), strict=True))
    order = [letter for letter in "".join(YUV[step.color].planes[step.layout]) if letter != "Y"]
    grey = np.full_like(found["U"], 128.0)
    told = {"Y": [found["Y"], 0 * found["Y"] + 128, 0 * found["Y"] + 128], "U": [grey, found["U"], grey], "V": [grey, grey, found["V"]]}
    seen = FromPixels(layout="NHWC", color="YUV444", matrix=step.matrix or "bt601", range=step.range or "full")
    shown = {name: reference.apply([seen], np.stack(own, axis=-1)[None])[0].clip(0, 255) / 255 for name, own in told.items()}
    below = np.concatenate([shown[letter] for letter in order], axis=1 if YUV[step.color].block == (1, 1) else 2)
    drawn = np.moveaxis(np.concatenate([shown["Y"], below], axis=1), 0, -1)
    return Stage(f"{step.color}: Y, {' and '.join(order)}", list(found.values()), tuple(found), drawn)


def write_picture(image: Path, source: Path, out: Path, *, against: Path | None = None, name: str | None = None) -> str | None:
    """Writes the PNG `out`; returns what `against` differs by, in a sentence. name: of the input that takes the picture in `source`; None:
    the first.

    source, against: a recipe, a bundle, or a model file with a contract of preproc. Raises PreprocError if matplotlib is not installed, and
    for other files.
    """
    targets.check_file(out, endings=(".png",), what="a picture")
    if any(out.exists() and other.exists() and out.samefile(other) for other in (image, source)):
        raise PreprocError(f"{out}: expected another name than that of the picture that is shown, got the same", name="target-collision")
    pyplot = _pyplot()
    fronts = [(source, front_at(source, name)), *([] if against is None else [(against, front_at(against, None))])]
    rows = [(path, stages(image, front)) for path, front in fronts]
    columns = max(len(row) for _, row in rows)
    compared = len(rows) == 2
    heights = (
        [0.75, SIDE, 0.5] * len(rows) + [0.4, SIDE] * compared + [0.2] * (not compared)
    )  # the last histograms' numbers stand below them
    figure, axes = pyplot.subplots(
        len(heights),
        columns,
        figsize=(SIDE * columns, sum(heights)),
        height_ratios=heights,
        squeeze=False,
        gridspec_kw={"left": 0.02, "right": 0.98, "top": 1, "bottom": 0.03, "hspace": 0.02, "wspace": 0.06},
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for index, (path, row) in enumerate(rows):
        for column, stage in enumerate(row):
            _draw(axes[3 * index + 1][column], stage)
            _histogram(axes[3 * index + 2][column], stage)
        axes[3 * index][0].text(0, 0.6, path.name, fontsize=9, weight="bold", parse_math=False)
    told = _compare(axes[-1], *(np.asarray(row[-1].values) for _, row in rows)) if compared else None
    new = out.with_name(f".{out.name}.new.png")
    try:
        with targets.writing(out):
            figure.savefig(new, dpi=80, metadata={"Software": None})
            new.replace(out)
    finally:
        new.unlink(missing_ok=True)
        pyplot.close(figure)
    return told


def front_at(path: Path, name: str | None) -> Front:
    """By its suffix; a file that does not exist is a recipe that does not, unless one of that name comes along. name: of the picture's
    input; None: the first."""
    if path.is_dir() or path.name == MANIFEST or path.suffix in (".onnx", *SUFFIXES):
        contract = describe(path)["contract"]
        if contract is None:
            raise PreprocError(
                f"{path}: expected a recipe, a bundle, or a model file that preproc has made, got one without a contract inside",
                name="not-a-bundle",
            )
        fronts = {view["input"]["name"]: front_of(view) for view in contracts.views_of(contract)}
    else:
        fronts = _fronts_of(recipe_file(path))
    if name not in (None, *fronts):
        raise PreprocError(f"{path}: expected --input to be one of {', '.join(fronts)}, got {name!r}", name="unknown-choice")
    return fronts[name or next(iter(fronts))]


def _fronts_of(file: Path) -> dict[str, Front]:
    """Of a recipe; of one that names no network, such as `preproc diagnose` writes, what it says of the pixels all the same."""
    try:
        views = load_recipe(file).views()
    except RecipeError as error:
        if error.name != "missing-key":
            raise
        return {"pixels": load_front(file)}
    return {view.takes: Front(view.pixels, view.steps, view.backbone.color, view.steps_from) for view in views}


def _title(step: Step, front: Front) -> str:
    if isinstance(step, FromPixels):
        said = "" if step.matrix is None else f", {step.matrix} {step.range}"
        return f"pixels, {front.pixels.color} as {step.to}{said}"
    if isinstance(step, Geometry):
        size = getattr(step, "size", None) or getattr(step, "padding", "")
        return f"{step.name} {size} {getattr(step, 'interpolation', '')}".rstrip()
    return step.name


def _letters(front: Front) -> tuple[str, ...]:
    return COLORS[front.color] or tuple(str(number) for number in range(front.pixels.channels))


def _draw(axis: Any, stage: Stage) -> None:
    """From the smallest value, black, to the largest, white."""
    (low, high), (height, width) = stage.span, stage.values[0].shape
    order = [stage.letters.index(letter) for letter in "RGB"] if set("RGB") <= set(stage.letters) else [0]
    shown = np.stack([(stage.values[place] - low) / ((high - low) or 1.0) for place in order], axis=-1)
    drawn = stage.drawn if stage.drawn is not None else shown[..., 0] if len(order) == 1 else shown
    axis.imshow(drawn, cmap="gray", vmin=0, vmax=1)
    axis.set_title(f"{stage.title}\n{width}x{height}, {low:.3g}..{high:.3g}", fontsize=7, parse_math=False)


def _histogram(axis: Any, stage: Stage) -> None:
    axis.set_axis_on()
    for letter, plane in zip(stage.letters, stage.values, strict=True):
        counts, edges = np.histogram(plane, bins=64, range=stage.span)
        axis.plot((edges[:-1] + edges[1:]) / 2, counts, color=COLORS_OF.get(letter, "#555555"), linewidth=0.8)
    axis.set_yticks([])
    axis.tick_params(labelsize=6, length=2)
    for side in ("top", "left", "right"):
        axis.spines[side].set_visible(False)


def _compare(axes: Any, one: NDArray[np.float64], other: NDArray[np.float64]) -> str:
    """The last row: the difference of what the two networks get, amplified."""
    if one.shape != other.shape:
        told = f"they end in different shapes: {one.shape} and {other.shape}"
    else:
        difference = np.abs(one - other)
        most = float(difference.max())
        told = f"model-ready values differ by up to {most:.3g}, {difference.mean():.3g} on average, where they span {np.ptp(one):.3g}"
        axes[0].imshow(difference.max(axis=0) / (most or 1.0), cmap="magma", vmin=0, vmax=1)
    axes[min(1, len(axes) - 1)].text(0, 0.5, told.replace(", where", ",\nwhere"), fontsize=8, parse_math=False)
    return told


def _pyplot() -> Any:
    try:
        importlib.import_module("matplotlib").use("Agg")
    except ImportError as error:
        raise PreprocError(
            "expected matplotlib for preproc show, got none installed; pip install matplotlib", name="not-installed"
        ) from error
    return importlib.import_module("matplotlib.pyplot")
