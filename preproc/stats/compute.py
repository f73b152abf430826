"""Statistics of what somebody names: pictures found, counted by an engine, and put together."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import PreprocError, first_line
from . import cluster, local
from .histogram import Accumulator, Counted
from .pictures import CONVERT, count_array, count_image, decoder
from .result import Sample, Stats
from .sources import CHUNK, chunks, find, masked, sampled

ENGINES = ("local", "dask")
FEW = 2 * CHUNK
"""Pictures up to which no worker processes are started."""
Progress = Callable[[int, int], None]
"""Called with how many pictures are done, and of how many."""


class StatsInterruptedError(KeyboardInterrupt):
    """Ctrl-C. stats: of what was done until then, partial."""

    def __init__(self, stats: Stats) -> None:
        super().__init__()
        self.stats = stats


def compute_stats(
    source: Any,
    *,
    workers: int | None = None,
    engine: str = "local",
    scheduler: str | None = None,
    color: str | None = None,
    mask_glob: str | None = None,
    sample: str | None = None,
    seed: int = 0,
    progress: Progress = lambda _done, _total: None,
) -> Stats:
    """The exact statistics of the pictures in `source`; the same to the last bit however the work is split.

    source: a path, glob, list (.txt), archive, URL or stats.json, or several of them (of an interrupted run's stats.json, what remains is
    counted where the other sources have it); an array (N, H, W, C) or (N, H, W); or a
    torch.utils.data.Dataset or DataLoader, or any iterable, of arrays (H, W, C), tensors (C, H, W) or batches of them, or PIL images, with
    or without labels behind, which runs in this process.
    workers: processes, default one per core.  engine: "local" or "dask", with `scheduler`'s address or a cluster on this machine.
    color: "RGB" or "GRAY" converts all pictures; None keeps their kinds apart.  mask_glob: masks of the same stem select pixels.
    sample: "1000" or "5%" of the pictures, drawn with `seed`.
    Raises PreprocError for what is not there; pictures that cannot be read are listed in Stats.broken. Ctrl-C raises
    StatsInterruptedError, which holds what was done.
    """
    if engine not in ENGINES:
        raise PreprocError(f"expected an engine, one of {', '.join(ENGINES)}, got {engine!r}")
    if color is not None and color not in CONVERT:
        raise PreprocError(f"expected a colour to convert to, one of {', '.join(CONVERT)}, got {color!r}")
    if workers is not None and workers < 1:
        raise PreprocError(f"expected at least one worker, got {workers}")
    paths = _paths(source)
    if paths is None:
        if mask_glob or sample or engine != "local":
            raise PreprocError("expected paths for masks, samples and the dask engine, got pictures in Python")
        return _of_pictures(source, color, progress)
    total = Stats(Accumulator(), color=color)
    states = [path for path in paths if path.endswith(".json")]
    for path in states:
        state = Stats.load(path)
        total = state if path == states[0] else total + state
    rest = [path for path in paths if path not in states]
    if not rest:
        return total
    if states and (sample or total.color != color):
        raise PreprocError(f"expected --color {total.color or 'left out'} and no --sample to add to {states[0]}, as it was made")
    return _of_files(total, rest, workers, engine, scheduler, color, mask_glob, sample, seed, progress)


def _paths(source: Any) -> list[str] | None:
    """The sources as paths, or None for pictures in Python."""
    if isinstance(source, (str, Path)):
        return [str(source)]
    if isinstance(source, (list, tuple)) and source and all(isinstance(item, (str, Path)) for item in source):
        return [str(item) for item in source]
    return None


def _of_files(
    total: Stats,
    paths: Sequence[str],
    workers: int | None,
    engine: str,
    scheduler: str | None,
    color: str | None,
    mask_glob: str | None,
    sample: str | None,
    seed: int,
    progress: Progress,
) -> Stats:
    found = find(paths)
    if total.partial:
        wanted = set(total.remaining)
        found.places = [place for place in found.places if str(place) in wanted]
    if mask_glob is not None:
        found = masked(found, mask_glob)
    population = len(found.places)
    if sample is not None:
        found = sampled(found, sample, seed=seed)
    if not found.places and not found.broken:
        if total.partial:
            raise PreprocError(f"{', '.join(paths)}: expected some of the {len(total.remaining)} pictures that remain, got none")
        left_out = ", ".join(f"{number} {suffix}" for suffix, number in found.left_out.items()) or "nothing"
        raise PreprocError(f"{', '.join(paths)}: expected pictures, got none ({left_out})")
    team = workers or len(os.sched_getaffinity(0))
    work = chunks(found.places, min(CHUNK, max(1, -(-len(found.places) // team))))
    if engine == "dask":
        results = cluster.run(work, color=color, workers=team, scheduler=scheduler)
    else:
        results = local.run(work, color=color, workers=0 if workers is None and population <= FEW else team)
    accumulator, broken, left = Accumulator(), list(found.broken), {*total.remaining, *map(str, found.places)}

    def made() -> Stats:
        """What is counted so far, with what was given."""
        drawn = None if sample is None else Sample(accumulator.images, population, seed)
        own = (decoder(),), color, tuple(paths), tuple(sorted(broken)), dict(sorted(found.left_out.items())), drawn
        whole = Stats(accumulator, *own) if drawn else replace(total, remaining=()) + Stats(accumulator, *own)
        return replace(whole, remaining=tuple(sorted(left)))

    try:
        with contextlib.closing(results):
            for result, places in results:
                accumulator += Accumulator.from_json(result["accumulator"])
                broken += [(name, reason) for name, reason in result["broken"]]
                left -= set(map(str, places))
                progress(len(found.places) + len(total.remaining) - len(left), len(found.places))
    except KeyboardInterrupt as error:
        raise StatsInterruptedError(made()) from error
    return made()


def _of_pictures(source: Any, color: str | None, progress: Progress) -> Stats:
    """In this process: whoever has a DataLoader has its workers."""
    broken = list[tuple[str, str]]()
    accumulator = Accumulator.of(_counted(source, color, progress, broken))
    if not accumulator.images and not broken:
        raise PreprocError("expected pictures, got none")
    if color is not None and any(name.split()[0] != color for name in accumulator.kinds):
        raise PreprocError(f"expected PIL images to convert to {color}, got arrays: {', '.join(accumulator.kinds)}")
    return Stats(accumulator, ("pixels given in Python",), color, (type(source).__name__,), tuple(broken))


def _counted(source: Any, color: str | None, progress: Progress, broken: list[tuple[str, str]]) -> Iterator[Counted]:
    """Each picture's counts; the others go to `broken`."""
    length = len(source) if hasattr(source, "__len__") else 0
    for number, item in enumerate(_items(source)):
        for picture in _pictures(item):
            try:
                found = count_array(picture) if isinstance(picture, np.ndarray) else count_image(picture, color)
            except PreprocError as error:
                broken.append((f"picture {number}", first_line(error)))
            else:
                yield found
        progress(number + 1, length)


def _items(source: Any) -> Iterator[Any]:
    """A data set's items without labels: the first of a tuple or a list, "image" or "pixel_values" of a dict."""
    items = source if hasattr(source, "__iter__") else (source[index] for index in range(len(source)))
    for item in items:
        if isinstance(item, dict):
            known = [key for key in ("image", "pixel_values", "img") if key in item]
            if not known:
                raise PreprocError(f"expected an item with image, pixel_values or img, got {', '.join(map(str, item))}")
            yield item[known[0]]
        else:
            yield item[0] if isinstance(item, (tuple, list)) else item


def _pictures(item: Any) -> Iterator[Any]:
    """The pictures in an item: (H, W, C) arrays, or a PIL image."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(item, torch.Tensor):
        array: NDArray[Any] = item.detach().cpu().numpy()
        if array.ndim not in (3, 4):
            raise PreprocError(f"expected tensors of shape (C, H, W) or (N, C, H, W), got {tuple(item.shape)}")
        yield from np.moveaxis(array if array.ndim == 4 else array[None], 1, -1)
    elif isinstance(item, np.ndarray):
        yield from item if item.ndim == 4 else [item]
    elif isinstance(item, Image.Image):
        yield item
    else:
        raise PreprocError(f"expected arrays, tensors or PIL images, got {type(item).__name__}")
