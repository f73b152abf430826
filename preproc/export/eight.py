"""The models of a job that is brought to 8 bits: the one that takes pixels, and the bare network that takes ready values."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import graph
from ..bundle import contract as contracts
from ..errors import NotFoldableError
from ..host import Progress
from ..oracle import reference
from ..sources import Recipe
from ..verify.runtimes import evaluate
from .bare import Bare, bare_file
from .job import Eight, Job
from .quantizing import quantized

if TYPE_CHECKING:
    import onnx_ir as ir

NEAREST = "border: nearest: "
"""What a note begins with that says what padding which is only near costs."""
FLOAT = "float.onnx"
"""The network as it was, beside the one that is quantized."""
SEEN = 16
"""Of how many pictures the largest value at the first layer is taken."""


def in_eight_bits(
    model: "ir.Model", recipe: Recipe, eight: Eight, done: graph.Attached
) -> "tuple[ir.Model, graph.Attached, tuple[str, ...]]":
    """The model that takes pixels, quantized, and notes. done: what was attached in front of it, and is now."""

    def feeds() -> Iterator[Mapping[str, NDArray[Any]]]:
        return ({contracts.INPUT: picture} for picture in eight.calibration.pictures())

    border = tuple(_border(model, feeds, done))
    made = quantized(model, feeds, eight.calibration.count, eight.asked, done.held)
    done, told = _with_pixels(made, recipe, eight, done)
    unasked = eight.asked.without_openvino(recipe.steps)
    not_asked = () if unasked is None else (f"OpenVINO is not asked: {unasked}",)
    return made, done, (*eight.calibration.notes, *eight.asked.notes, *border, *told, *not_asked)


def _border(model: "ir.Model", feeds: Callable[[], Iterator[Mapping[str, NDArray[Any]]]], done: graph.Attached) -> Iterator[str]:
    """What padding that is only near costs, as a share of the largest that the first layers make of the pictures."""
    if not done.near:
        return
    told = f"{NEAREST}padding is up to {done.near:.3g} grey levels from the mean that it stands for"
    if not done.border:
        yield f"{told}; what the first layer makes of that was not computed"
        return
    names, largest = list(done.border), np.zeros(len(done.border))
    for feed in itertools.islice(feeds(), SEEN):
        (made,) = evaluate(graph.ending(model, names), [feed])
        largest = np.maximum(largest, [np.abs(values).max() for values in made])
    share = max(error / most for error, most in zip(done.border.values(), largest, strict=True) if error)
    most = max(done.border.values())
    yield f"{told}; the first layer's largest error by that is {most:.2e}, {share:.1e} of the largest value that it makes of the pictures"


def mend_of(contract: Mapping[str, Any]) -> str:
    """What else to say of a file that is too far off: that its padding is only near, where it is."""
    note = next((note for note in contract["notes"] if note.startswith(NEAREST)), None)
    return "" if note is None else f'; {note}: with border = "exact" (--border exact) padding stays the mean'


def _with_pixels(made: "ir.Model", recipe: Recipe, eight: Eight, done: graph.Attached) -> tuple[graph.Attached, tuple[str, ...]]:
    """Makes the pixels the quantized tensor, in place; or says why not."""
    if not done.folded:
        return done, (f"the pixels are not the quantized tensor: {done.reason}",)
    if eight.asked.target == "tensorrt":
        assert done.held is not None
        numbers = graph.less_128(made, done.held)
        grid = "a QuantizeLinear of another grid than the pixels' stays, whose range is that of the pictures"
        told = "pixels less 128 are its int8" if numbers is not None else grid
        done = done if numbers is None else dataclasses.replace(done, moved=numbers)
        return done, (f"for TensorRT, which takes uint8 into a Cast alone: {told}; TensorRT itself was not run",)
    try:
        done, _ = graph.hand_over(made, contracts.INPUT, recipe.pixels, recipe.ready_size, done)
    except NotFoldableError as error:
        return done, (f"a QuantizeLinear stays between the pixels and the first layer: {error}",)
    return done, ()


def bare_in_eight_bits(job: Job, eight: Eight, exported: "ir.Model | None", folder: Path, progress: Progress) -> Bare:
    """The bare network, quantized as the other is, with the same pictures as the reference prepares them. exported: of a network in Python;
    it stays as it is."""
    progress("quantizing the bare network, to measure what it errs by")
    assert exported is not None or job.load is not None
    model = exported or job.load()  # type: ignore[misc]
    graph.save(model, folder / FLOAT)
    picture = graph.picture_input(model, job.recipe.backbone.input, job.recipe.backbone.layout)

    def feeds() -> Iterator[Mapping[str, NDArray[Any]]]:
        for pixels in eight.calibration.pictures():
            yield {str(picture.value.name): picture.arrange(reference.apply(job.recipe.steps, pixels).astype(np.float32))}

    file = folder / "bare.onnx"
    graph.save(quantized(model, feeds, eight.calibration.count, eight.asked), file)
    return bare_file(file, job.recipe.backbone.outputs, picture.alone().laid_out)
