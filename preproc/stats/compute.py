"""Statistics of what somebody names: pictures found, counted by an engine, and put together."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import PreprocError, check_choice
from ..host.decoding import FRAMES
from ..host.engines import Answers, Lost, Work, check_engine, check_installed, perform
from .counting import CONVERT, Remarks, Tally, begun, decoder, merge
from .earlier import add_up, check_more, search
from .in_python import count_pictures
from .places import Place, chunks, sampled
from .stats import Progress, Sample, Stats, StatsInterruptedError
from .sums import Accumulator


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
    frames: str = "all",
    layout: str | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Stats:
    """The exact statistics of the pictures in `source`; the same to the last bit however the work is split.

    source: a path, glob, list (.txt), archive, URL or stats.json, or several of them (of an interrupted run's stats.json, what remains is
    counted where the other sources have it); an array (N, H, W, C) or (N, H, W); or a torch.utils.data.Dataset or DataLoader, or any
    iterable, of arrays (H, W, C), tensors (C, H, W) or batches of them, or PIL images (the frame at which each stands), with or without
    labels, counted in this process.
    workers: processes, default one per core.  engine: "local" or "dask", with `scheduler`'s address or a cluster on this machine.
    color: "RGB" or "GRAY" converts all pictures; None keeps their kinds apart.  mask_glob: masks of the same stem select pixels.
    sample: "1000" or "5%" of the files, each with all its pictures, drawn with `seed`.  frames: "all" counts every page and frame of a file
    as a picture, "first" only the first; those that do not count are listed in Stats.skipped.  layout: "NHWC" or "NCHW", where arrays or
    tensors have another than the above; None: that one, and what looks like the other is refused.
    Pictures are counted as they are stored: EXIF orientations are not applied, which changes no number here (Stats.oriented counts them).
    Raises PreprocError for what is not there; pictures that cannot be read are listed in Stats.broken. Ctrl-C raises
    StatsInterruptedError, which holds what was done.
    """
    options = _Options(workers, engine, scheduler, color, mask_glob, sample, seed, frames, layout)
    paths = _paths(source)
    if paths is not None:
        return _of_paths(paths, options, progress)
    if mask_glob or sample or engine != "local" or frames != "all":
        raise PreprocError(
            "expected paths for masks, samples, frames and the dask engine, got pictures in Python", name="option-without-effect"
        )
    return count_pictures(source, color, layout, progress)


@dataclass(frozen=True)
class _Options:
    """As compute_stats() has them. Raises PreprocError for what none of its sources can be counted with."""

    workers: int | None
    engine: str
    scheduler: str | None
    color: str | None
    mask_glob: str | None
    sample: str | None
    seed: int
    frames: str
    layout: str | None

    def __post_init__(self) -> None:
        check_engine(self.engine, self.workers)
        if self.color is not None and self.color not in CONVERT:
            raise PreprocError(f"expected a colour to convert to, one of {', '.join(CONVERT)}, got {self.color!r}", name="unknown-choice")
        check_choice("frames", self.frames, FRAMES)
        if self.layout is not None:
            from ..steps import LAYOUTS  # which takes as long to import as all of the counting, in each worker process

            check_choice("layout", self.layout, LAYOUTS)


def _of_paths(paths: Sequence[str], options: _Options, progress: Progress) -> Stats:
    if options.layout is not None:
        raise PreprocError("expected arrays or tensors for a layout, got paths", name="option-without-effect")
    if options.engine == "dask":
        check_installed()
    before = add_up([path for path in paths if path.endswith(".json")], options.color)
    rest = [path for path in paths if not path.endswith(".json")]
    if not rest:
        return before
    if len(rest) < len(paths):
        check_more(before, sample=options.sample, masks=options.mask_glob, frames=options.frames)
    found, new = search(rest, before, options.mask_glob)
    drawn = None
    if options.sample is not None:
        population, found = len(found.places), sampled(found, options.sample, seed=options.seed)
        drawn = Sample(len(found.places), population, options.seed)
    uncounted = Stats(
        Accumulator(),
        (decoder(),),
        options.color,
        tuple(new),
        tuple(entry for entry in found.broken if entry not in before.broken),
        dict(sorted(found.left_out.items())),
        drawn,
        masks=options.mask_glob,
        frames=options.frames,
    )
    counting = perform(
        Work(begun, merge, {"color": options.color, "frames": options.frames}),
        lambda size: ([place.to_json() for place in chunk] for chunk in chunks(found.places, size)),
        len(found.places),
        engine=options.engine,
        workers=options.workers,
        scheduler=options.scheduler,
    )
    return _collected(before, uncounted, found.places, counting, progress)


def _paths(source: Any) -> list[str] | None:
    """The sources as paths, or None for pictures in Python."""
    if isinstance(source, (str, Path)):
        return [str(source)]
    if isinstance(source, (list, tuple)) and source and all(isinstance(item, (str, Path)) for item in source):
        return [str(item) for item in source]
    return None


def _collected(before: Stats, uncounted: Stats, places: Sequence[Place], counting: Answers, progress: Progress) -> Stats:
    """`before` and what is counted now. uncounted: what is known of that but the tally."""
    tally, left = Tally(remarks=Remarks(list(uncounted.broken))), {str(place) for place in places}

    def so_far() -> Stats:
        counted = _with(uncounted, tally)
        remaining = left | (set(before.remaining) - {str(place) for place in places})
        whole = counted if counted.sample else replace(before, remaining=()) + counted
        return replace(whole, remaining=tuple(sorted(remaining)))

    try:
        with contextlib.closing(counting):
            for answer, items in counting:
                done = [str(Place.from_json(item)) for item in items]
                tally += _lost(answer, done) if isinstance(answer, Lost) else Tally.from_json(answer)
                left -= set(done)
                progress(len(places) - len(left), len(places))
    except KeyboardInterrupt as error:
        raise StatsInterruptedError(so_far()) from error
    return so_far()


def _lost(answer: Lost, names: Sequence[str]) -> Tally:
    return Tally(remarks=Remarks([(name, f"expected a picture that can be decoded, {answer.reason}") for name in names]))


def _with(uncounted: Stats, tally: Tally) -> Stats:
    remarks = tally.remarks
    return replace(
        uncounted,
        accumulator=tally.accumulator,
        broken=tuple(sorted(remarks.broken)),
        skipped=tuple(sorted(remarks.skipped)),
        stacks=remarks.stacks,
        oriented=remarks.oriented,
    )
