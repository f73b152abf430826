"""A page about a data set: histograms, what each normalization makes of its pictures, and advice with its arithmetic. One file."""

import html
from collections.abc import Sequence

from .. import Stats
from ..sums import INDICES, Histogram, channel_names
from .advice import advice
from .normalized import NOTE, normalized
from .plots import draw_histogram, pyplot

TITLE = "<title>preproc stats</title>"
"""What stands in a report of ours."""
COLUMNS = ("channel", "pictures", "mean 0-1 (levels)", "std 0-1 (levels)", "range", "at 0", "at the top")


def report_page(stats: Stats, sources: Sequence[str] = ()) -> str:
    """The report in HTML. sources: where the pictures are, for those that are shown. Raises PreprocError without matplotlib."""
    plots = pyplot()
    parts = [f"<h1>{html.escape(', '.join(stats.sources) or 'Statistics')}</h1>", f"{_summary(stats)}<p>{html.escape(_notes(stats))}</p>"]
    parts += ["<h2>Advice</h2>", "<ul>", *(f"<li>{html.escape(sentence)}</li>" for sentence in advice(stats)), "</ul>"]
    for name, kind in stats.accumulator.kinds.items():
        if isinstance(kind, Histogram) and name not in INDICES:
            parts += [f"<h2>{html.escape(name)}: how often each value occurs</h2>", draw_histogram(plots, name, kind)]
    if drawn := normalized(plots, stats, sources):
        parts += ["<h2>What each normalization makes of some pictures</h2>", NOTE, drawn]
    return _PAGE.replace("{body}", "\n".join(parts)).encode("utf-8", "replace").decode()


def _summary(stats: Stats) -> str:
    """A table with a row per channel."""
    rows = []
    for name, kind in stats.accumulator.kinds.items():
        if name in INDICES or not isinstance(kind, Histogram):
            rows.append([name, f"{kind.images:,}"] + [""] * (len(COLUMNS) - 2))
            continue
        numbers = zip(channel_names(name, kind.channels), kind.mean(), kind.std(), kind.range(), kind.saturation(), strict=True)
        for channel, mean, std, (low, high), (zero, full) in numbers:
            cells = [f"{name} {channel}", f"{kind.images:,}", f"{mean / kind.top:.4f} ({mean:.2f})", f"{std / kind.top:.4f} ({std:.2f})"]
            rows.append([*cells, f"{low}..{high}", f"{zero:.2%}", f"{full:.2%}"])
    head = "".join(f"<th>{word}</th>" for word in COLUMNS)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _notes(stats: Stats) -> str:
    notes = [f"Decoded by {'; '.join(stats.decoder)}. Accumulator sha256 {stats.accumulator.sha256()[:16]}."]
    if stats.sample is not None:
        what = "files, with all their pages and frames" if stats.stacks else "pictures"
        notes.append(f"A sample of {stats.sample.images:,} of {stats.sample.population:,} {what}, seed {stats.sample.seed}.")
    if stats.skipped:
        notes.append(f"{len(stats.skipped):,} pages or frames are not counted; stats.json says which and why.")
    if stats.partial:
        notes.append("Interrupted: not all pictures are counted.")
    return " ".join(notes)


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>preproc stats</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } th, td { text-align: left; padding: .2rem .9rem .2rem 0; }
th { border-bottom: 1px solid #999; font-weight: 600; } img { max-width: 100%; } li { margin: .4rem 0; }
</style>
</head>
<body>
{body}
</body>
</html>
"""
