"""The commands on data sets: stats, stats-diff."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import PreprocError
from ..host import targets
from .options import Json
from .speaking import INTERRUPTED, refuse, say, tell

if TYPE_CHECKING:
    pass


def stats(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Folders, globs, .txt lists, archives, URLs, stats.json files.")
    ],
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="FILE", help="Writes stats.json there.")] = None,
    color: Annotated[str | None, typer.Option("--color", help="RGB or GRAY: convert all pictures to it.")] = None,
    mask_glob: Annotated[str | None, typer.Option("--mask-glob", metavar="GLOB", help="Masks of the same stem select pixels.")] = None,
    sample: Annotated[str | None, typer.Option("--sample", metavar="N|P%", help="Only so many files, drawn at random.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of --sample.")] = 0,
    frames: Annotated[str, typer.Option("--frames", help="all (default) or first: which pages and frames of a file count.")] = "all",
    workers: Annotated[
        int | None, typer.Option("--workers", "--threads", metavar="N", help="Processes, each of one thread; default: one per core.")
    ] = None,
    engine: Annotated[str, typer.Option("--engine", help="local or dask.")] = "local",
    scheduler: Annotated[str | None, typer.Option("--scheduler", metavar="ADDRESS", help="Of a dask cluster; default: one here.")] = None,
    allow_errors: Annotated[int, typer.Option("--allow-errors", metavar="K", help="So many pictures may be unreadable.")] = 0,
    report: Annotated[Path | None, typer.Option("--report", metavar="FILE.html", help="Writes a page with plots and advice.")] = None,
    as_json: Json = False,
) -> None:
    """Exact statistics of a data set: for z-scores, and to see what is in it."""
    from ..stats import StatsInterruptedError, compute_stats, counting, printable, show_stats

    if allow_errors < 0:
        raise PreprocError(f"--allow-errors: expected a number of at least 0, got {allow_errors}", name="option-value")
    if scheduler is not None and engine != "dask":
        raise PreprocError(f"--scheduler: expected with --engine dask only, got --engine {engine}", name="option-without-effect")
    _check_targets(out, report)
    interrupted = False
    with counting() as progress:
        try:
            found = compute_stats(
                sources,
                workers=workers,
                engine=engine,
                scheduler=scheduler,
                color=color,
                mask_glob=mask_glob,
                sample=sample,
                seed=seed,
                frames=frames,
                progress=progress,
            )
        except StatsInterruptedError as error:
            found, interrupted = error.stats, True
    printed, lost = False, list[tuple[str, str]]()
    if out is not None and (found.images or (found.partial and not interrupted)):  # else there is nothing to keep
        printed = _keep(out, found.text(), lost)
    if as_json and not printed:
        tell(json.dumps(found.to_json() | {"accumulator": None}, indent=2))
    elif not printed:
        show_stats(found)
    if report is not None and not interrupted and found.images:
        from ..stats import page

        _keep(report, page(found, sources), lost, otherwise=False)
    for name, reason in found.broken:
        say(printable(f"{name}: {reason}"))
    if interrupted:
        say(
            f"error: interrupted; {found.images} pictures are counted"
            + (f", in {out}, which says so" if out and found.images and not lost else "")
        )
    if len(found.broken) > allow_errors:
        told = f"expected pictures that can be read, got {len(found.broken)} that cannot (--allow-errors {len(found.broken)})"
        refuse(told, "unreadable-picture")
    for told, name in lost:
        refuse(told, name)
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    if lost or len(found.broken) > allow_errors:
        raise typer.Exit(1)


def _check_targets(stats: Path | None, report: Path | None) -> None:
    """Raises PreprocError where statistics or a report could not be written."""
    from ..stats import report as page
    from ..stats import result

    if stats is not None and stats == report:
        raise PreprocError(f"{stats}: expected two names for the statistics and the report, got one", name="target-collision")
    if stats is not None:
        result.check_target(stats)
    if report is not None:
        page.check_target(report)


def _keep(path: Path, text: str, lost: list[tuple[str, str]], *, otherwise: bool = True) -> bool:
    """Writes what took long to compute; where it cannot be written, into the temporary folder; where not even there, on stdout, if
    `otherwise`. `lost` then gets a sentence about it, and the refusal's name. Whether it was printed is returned."""
    try:
        targets.write_text(path, text)
    except PreprocError as error:
        other = targets.rescued(path, text)
        printed = other is None and otherwise
        if printed:
            tell(text)
        kept = f"it is in {other}" if other else "it is printed instead" if printed else "it is lost"
        lost.append((f"{error}; {kept}", error.name))
        return printed
    return False


def stats_diff(
    old: Annotated[Path, typer.Argument(metavar="A.json")],
    new: Annotated[Path, typer.Argument(metavar="B.json")],
    fail_above: Annotated[
        float | None, typer.Option("--fail-above", metavar="X", help="Exit 1 if a channel moved by more than X stds.")
    ] = None,
    as_json: Json = False,
) -> None:
    """How far one data set is from another: an effect size and a histogram distance per channel."""
    from ..stats import Stats, drift, show_drift

    if fail_above is not None and not 0 <= fail_above < math.inf:
        raise PreprocError(f"--fail-above: expected a number of at least 0, got {fail_above:g}", name="option-value")
    channels, alone = drift(Stats.load(old), Stats.load(new))
    farthest = max(channels, key=lambda channel: channel.moved)
    largest, where = farthest.moved, f"{farthest.kind} {farthest.channel}"
    if as_json:
        told = {"channels": [channel.to_json() for channel in channels], "alone": alone}
        told |= {"largest": largest if largest < math.inf else None, "largest_in": where}
        tell(json.dumps(told, indent=2))
    else:
        show_drift(channels, alone)
    if fail_above is not None and (largest > fail_above or alone):
        reasons = [f"expected moves of at most {fail_above:g} stds, got {largest:.3g} in {where}"] if largest > fail_above else []
        reasons += [f"expected the same kinds of pictures in both, but {text}" for text in alone]
        refuse("; ".join(reasons), "drift-exceeded")
        raise typer.Exit(1)
