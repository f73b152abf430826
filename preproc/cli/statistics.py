"""The commands on data sets: stats, stats-diff."""

import json
import math
from pathlib import Path
from typing import Annotated

import typer

from ..errors import PreprocError
from .options import Json
from .speaking import INTERRUPTED, refuse, say, tell


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
    from ..stats import StatsInterruptedError, compute_stats
    from ..stats.output import check_targets, counting_bar, keep, printable, report_page, show_stats

    if allow_errors < 0:
        raise PreprocError(f"--allow-errors: expected a number of at least 0, got {allow_errors}", name="option-value")
    if scheduler is not None and engine != "dask":
        raise PreprocError(f"--scheduler: expected with --engine dask only, got --engine {engine}", name="option-without-effect")
    check_targets(out, report)
    interrupted = False
    with counting_bar() as progress:
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
    printed, losses = False, list[PreprocError]()
    if out is not None and (found.images or (found.partial and not interrupted)):  # else there is nothing to keep
        printed, losses = keep(out, found.text(), otherwise_print=True)
    if as_json and not printed:
        tell(json.dumps(found.to_json() | {"accumulator": None}, indent=2))
    elif not printed:
        show_stats(found)
    if report is not None and not interrupted and found.images:
        losses += keep(report, report_page(found, sources), otherwise_print=False).losses
    for name, reason in found.broken:
        say(printable(f"{name}: {reason}"))
    if interrupted:
        say(
            f"error: interrupted; {found.images} pictures are counted"
            + (f", in {out}, which says so" if out and found.images and not losses else "")
        )
    if len(found.broken) > allow_errors:
        told = f"expected pictures that can be read, got {len(found.broken)} that cannot (--allow-errors {len(found.broken)})"
        refuse(told, "unreadable-picture")
    for loss in losses:
        refuse(str(loss), loss.name)
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    if losses or len(found.broken) > allow_errors:
        raise typer.Exit(1)


def stats_diff(
    old: Annotated[Path, typer.Argument(metavar="A.json")],
    new: Annotated[Path, typer.Argument(metavar="B.json")],
    fail_above: Annotated[
        float | None, typer.Option("--fail-above", metavar="X", help="Exit 1 if a channel moved by more than X stds.")
    ] = None,
    as_json: Json = False,
) -> None:
    """How far one data set is from another: an effect size and a histogram distance per channel."""
    from ..stats import Stats, drift
    from ..stats.output import show_drift

    if fail_above is not None and not 0 <= fail_above < math.inf:
        raise PreprocError(f"--fail-above: expected a number of at least 0, got {fail_above:g}", name="option-value")
    comparison = drift(Stats.load(old), Stats.load(new))
    if as_json:
        tell(json.dumps(comparison.to_json(), indent=2))
    else:
        show_drift(comparison)
    if fail_above is not None and (reasons := comparison.beyond(fail_above)):
        refuse("; ".join(reasons), "drift-exceeded")
        raise typer.Exit(1)
