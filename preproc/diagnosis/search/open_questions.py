"""What pairs do not tell, exactly: of the candidates that fit, what makes no difference to these pictures."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..geometry import Geometry
from ..pairs import Pairs
from .bench import Bench
from .judging import Judged, essence

MOST = 6
"""Geometries that one sentence names."""
FEW = 3
"""Fewer pairs may agree by chance with more than one answer."""


@dataclass(frozen=True)
class Open:
    """told: sentences.  narrows: whether more than one preprocessing is left by them."""

    told: tuple[str, ...]
    narrows: bool


def open_questions(
    benches: Sequence[Bench], kept: Sequence[Judged], pairs: Pairs, *, own: bool, steps: Sequence[str], decoders: Collection[str]
) -> Open:
    """own: whether every picture has constants of its own.  steps: that make the same tensors with such constants.  decoders: whose
    pixels were tried."""
    best = kept[0]
    geometry, resized = best.geometry, any(best.geometry.frame(bench.size(best.geometry)).resizes for bench in benches)
    alike = [each for each in best.alike if resized or each.fit == geometry.fit]  # the others resize to what is there already
    narrowing = [
        *(_same_plan(best) if resized else _unresized()), *_one_size(benches, geometry), *_orders(best), *_steps(steps), *_one_pair(pairs),
    ]  # fmt: skip
    told = [
        *narrowing, *_fills(alike), *_details(alike), *_passes(benches, geometry), *(() if own else _products(best)),
        *_greys(benches, best), *_tags(benches), *_decoder(decoders), *_few(pairs),
    ]  # fmt: skip
    return Open(tuple(told), bool(narrowing))


def _same_plan(best: Judged) -> Iterator[str]:
    """Geometries that come to the same with pictures of these sizes."""
    others = {essence(each): each for each in reversed(best.alike)}
    others.pop(essence(best.geometry), None)
    if others:
        named = [each.words for each in others.values()]
        more = f"; and {len(named) - MOST} more" if len(named) > MOST else ""
        yield "pictures of these sizes do not tell it from: " + "; ".join(named[:MOST]) + more


def _unresized() -> Iterator[str]:
    yield "no picture was resized, so these pairs tell no kernel, nor whether others would be resized: give pictures of other sizes"


def _one_size(benches: Sequence[Bench], geometry: Geometry) -> Iterator[str]:
    sizes = {bench.size(geometry) for bench in benches}
    first = next(iter(sizes))
    frame = geometry.frame(first)
    if len(sizes) == 1 and frame.resizes:
        (top, left, height, width), (down, right, *_) = frame.cut, frame.window
        cut, of_it = f"{height}x{width} from ({top}, {left}) on", f"of that from ({down}, {right}) on"
        yield (
            f"all pictures are {first[0]}x{first[1]}, so the rule behind the sizes is not told, only what it comes to: {cut}, resized to "
            f"{frame.size[0]}x{frame.size[1]}, {of_it}; give pictures of other sizes"
        )


def _greys(benches: Sequence[Bench], best: Judged) -> Iterator[str]:
    """Told, and not held against the verdict: they differ by a level here and there, or not at all."""
    ways = {each.grey.name: None for each in best.alike if each.grey is not None}
    if best.geometry.grey is not None and all(bench.source.is_grey for bench in benches):
        yield "the pictures are grey, so how colours would become grey is not told"
    elif len(ways) > 1:
        yield f"how colours became grey is told up to a level here and there only, these do the same: {'; '.join(ways)}"


def _orders(best: Judged) -> Iterator[str]:
    if best.geometry.grey is None and len(best.solved.orders) > 1:
        names = ", ".join("".join("RGB"[channel] for channel in order) for order in best.solved.orders)
        yield f"the pictures tell no colour order (they are grey, or nearly): {names} fit alike"


def _steps(steps: Sequence[str]) -> Iterator[str]:
    if steps:
        yield f"these pictures do not tell the constants from those that each picture would have of its own: {', '.join(steps)}"


def _one_pair(pairs: Pairs) -> Iterator[str]:
    if len(pairs.pairs) == 1:
        yield "one pair does not tell whether its constants are those of every picture, or made of this one"


def _fills(alike: Sequence[Geometry]) -> Iterator[str]:
    if any(each.fit.how == "inside" and each.after and each.after.fill is None for each in alike):
        yield "what a border would be filled with is not told: no picture has one"


def _details(alike: Sequence[Geometry]) -> Iterator[str]:
    """Half pixels."""
    windows = [{window.at for each in alike if (window := getattr(each, name)) is not None} - {"corner"} for name in ("before", "after")]
    for at in {tuple(sorted(at)): None for at in windows if len(at) > 1}:
        yield f"where half a pixel of a crop or a border goes is not told by these sizes: {', '.join(at)} do the same"
    roundings = {each.fit.rounding for each in alike}
    if len(roundings) > 1:
        yield f"how the side that follows is rounded is not told by these sizes: {', '.join(sorted(roundings))} do the same"


def _passes(benches: Sequence[Bench], geometry: Geometry) -> Iterator[str]:
    how = geometry.resampler
    if how is None or how.library != "Pillow" or not how.antialias:
        return
    frames = [geometry.frame(bench.size(geometry)) for bench in benches]
    if all(how.told_by(frame.cut[2:], frame.size).passes == 12 for frame in frames if frame.resizes):
        yield "the order of passes of Pillow 12 and of 13, and reducing_gap, do the same from these sizes to these"


def _products(best: Judged) -> Iterator[str]:
    affine = best.solved.affine
    if np.isfinite(affine.scale).all():
        yield "only scale and offset per channel are told: any rescale and std with the same product, in any unit, make the same tensors"


def _tags(benches: Sequence[Bench]) -> Iterator[str]:
    if all(bench.source.turned == 1 for bench in benches):
        yield "whether EXIF orientations are followed is not told: no picture has one"


def _decoder(decoders: Collection[str]) -> Iterator[str]:
    if len(decoders) == 1:
        yield "which library decoded the pictures is not told: they are no JPEG files, or those tried make the same pixels"


def _few(pairs: Pairs) -> Iterator[str]:
    if len(pairs.pairs) < FEW:
        yield f"{len(pairs.pairs)} of {FEW} pairs at least: what depends on a picture's size is told by several sizes"
