"""Statistics and drift as tables on a terminal."""

from rich import box
from rich.console import Console
from rich.table import Table

from ...host import terminal
from .. import Comparison, Stats
from ..sums import FEW, INDICES, Histogram, Moments, channel_names

SKIPPED = 5
"""Pages and frames that do not count and are told one by one."""


def show_stats(stats: Stats) -> None:
    """A table per kind, in 0-1 and 0-255 (16 bit: 0-65535)."""
    console = _console()
    for name, kind in stats.accumulator.kinds.items():
        title = f"{name}: {kind.images:,} pictures, {kind.pixels:,} pixels"
        if name in INDICES:
            console.print(f"{title}: indices into palettes have no statistics; --color RGB looks the colours up")
        elif isinstance(kind, Histogram):
            console.print(_integers(title, name, kind))
            for number, what in ((kind.flat, "nearly flat"), (kind.saturated, "saturated"), (kind.gray, "grey in RGB")):
                if number:
                    console.print(f"  {number:,} of {kind.images:,} pictures are {what}")
        else:
            console.print(_floats(title, name, kind))
    if len(stats.accumulator.kinds) > 1:
        console.print("  several kinds: nothing is mixed, and no recipe can use them; --color RGB or GRAY converts")
    if stats.sample is not None:
        _margins(console, stats)
    if stats.left_out:
        console.print("  not counted for their suffix: " + ", ".join(f"{number} {suffix}" for suffix, number in stats.left_out.items()))
    _files(console, stats)
    console.print(f"  decoded by {'; '.join(stats.decoder)}; accumulator sha256 {stats.accumulator.sha256()[:16]}")


def _integers(title: str, name: str, kind: Histogram) -> Table:
    top = kind.top
    columns = ["mean 0-1", "std 0-1", f"mean 0-{top}", f"std 0-{top}", "min", "median", "max", "at 0", f"at {top}"]
    table = Table("channel", *columns, "mean of the pictures' stds 0-1", title=title, box=box.SIMPLE)
    for channel, mean, std, (low, high), median, (zero, full), each in zip(
        channel_names(name, kind.channels),
        kind.mean(),
        kind.std(),
        kind.range(),
        kind.percentile(50),
        kind.saturation(),
        kind.std_over_images().mean,
        strict=True,
    ):
        cells = [f"{mean / top:.6f}", f"{std / top:.6f}", f"{mean:.3f}", f"{std:.3f}", str(low), str(median), str(high)]
        table.add_row(channel, *cells, f"{zero:.2%}", f"{full:.2%}", f"{each / top:.6f}")
    return table


def _floats(title: str, name: str, kind: Moments) -> Table:
    table = Table("channel", "mean", "std", "min", "max", title=title, box=box.SIMPLE)
    for row in zip(channel_names(name, kind.channels), kind.mean, kind.std(), kind.low, kind.high, strict=True):
        table.add_row(row[0], *(f"{number:.6g}" for number in row[1:]))
    return table


def _files(console: Console, stats: Stats) -> None:
    """Which pages and frames count, and how the pictures lie."""
    if stats.stacks:
        console.print(f"  files with several pages or frames, each of which counts as a picture: {stats.stacks:,}")
    for name, reason in stats.skipped[:SKIPPED]:
        console.print(f"  not counted: {printable(name)}: {reason}")
    if len(stats.skipped) > SKIPPED:
        console.print(f"  not counted: {len(stats.skipped) - SKIPPED:,} more pages or frames; stats.json and --json list all")
    if stats.oriented:
        console.print(f"  pictures with an EXIF orientation, counted as they are stored (mean and std are the same): {stats.oriented:,}")


def printable(text: str) -> str:
    """A file's name may hold line ends, escape sequences, and bytes that are no text."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _margins(console: Console, stats: Stats) -> None:
    assert stats.sample is not None
    what = f"files, with all their pages and frames {stats.images:,} pictures" if stats.stacks else "pictures"
    console.print(f"  a sample of {stats.sample.images:,} of {stats.sample.population:,} {what}, seed {stats.sample.seed}")
    kinds = [(name, kind) for name, kind in stats.accumulator.kinds.items() if isinstance(kind, Histogram) and name not in INDICES]
    if stats.stacks:
        console.print("  how sure that is, is not told: pages and frames of one file are not drawn independently")
    elif len(stats.accumulator.kinds) > 1:
        console.print("  how sure that is, is not told for several kinds")
    elif kinds and kinds[0][1].images < min(FEW, stats.sample.population):
        console.print(f"  how sure that is, can be told from {FEW} pictures on, got {kinds[0][1].images}")
    else:
        for name, kind in kinds:
            _intervals(console, name, kind, stats.sample.population)


def _intervals(console: Console, name: str, kind: Histogram, population: int) -> None:
    for word, over in (("means", kind.mean_over_images()), ("stds", kind.std_over_images())):
        told = ", ".join(
            f"{mean / kind.top:.4f} +- {margin / kind.top:.4f}" for mean, margin in zip(over.mean, over.margin(population), strict=True)
        )
        console.print(f"  {name}: the mean of all pictures' {word} is in {told} with 95 % confidence")


def show_drift(comparison: Comparison) -> None:
    """A row per channel; "moved" is what --fail-above is compared with."""
    columns = ("kind", "channel", "mean of A", "of B", "std of A", "of B", "effect size", "histogram distance", "moved, in stds")
    table = Table(*columns, box=box.SIMPLE)
    for row in comparison.channels:
        numbers = [f"{number:.4g}" for number in (*row.means, *row.stds)]
        distance = "" if row.distance is None else f"{row.distance:.4f}"
        table.add_row(row.kind, row.channel, *numbers, f"{row.effect:+.3f}", distance, f"{row.moved:.3f}")
    console = _console()
    console.print(table)
    for sentence in comparison.alone:
        console.print(f"  {sentence}")


def _console() -> Console:
    out = terminal.stdout()
    return Console(file=out, width=None if out.isatty() else 140, highlight=False, markup=False)
