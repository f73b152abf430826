"""The formats of a bundle in the table and the picture of a run on the CPU."""

from pathlib import Path

from matplotlib import pyplot as plt

from tests.bench.dots import finish

TITLE = "uint8 to logits in every format"
COLUMNS = {
    "written in, seconds": ("written in, s", "{:.1f}", 1.0),
    "file, bytes": ("file, MB", "{:.1f}", 1e6),
    "loaded in, seconds": ("loaded in, s", "{:.2f}", 1.0),
    "peak memory, bytes": ("memory of a process in Python, MB", "{:.0f}", 1e6),
}
"""A figure's name: its column, how it is written, its unit."""
DOTS = {"folded": ("uint8 pixels, folded", "#1b7837"), "bare": ("bare network, ready floats", "#888888")}


def found(document: dict) -> list[tuple[str, str, dict, dict]]:
    """Network, runtime, times and figures of each row; none in a run from before they were measured."""
    rows = []
    for title, table in document["tables"].items():
        if title.startswith(TITLE):
            _, network, runtime = title.split(": ")
            rows.append((network, runtime, table, document["figures"].get(title, {})))
    return rows


def lines(document: dict) -> list[str]:
    """The page's lines, in Markdown."""
    rows = found(document)
    if not rows:
        return []
    told = [
        "",
        "![Time from uint8 pixels to logits in every format, and of the bare network](results/formats.png)",
        "",
        f"| {TITLE}, folded, batch 1 | ms | over the bare network's in it |" + "".join(f" {name} |" for name, _, _ in COLUMNS.values()),
        "|---|--:|--:|" + "--:|" * len(COLUMNS),
    ]
    for network, runtime, table, figures in rows:
        row = table["folded"]
        ratio = f"{row['median']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
        costs = (form.format(figures[key] / unit) if key in figures else "" for key, (_, form, unit) in COLUMNS.items())
        told.append(f"| {network}, {runtime} | {row['seconds'] * 1e3:.2f} | {ratio} |" + "".join(f" {cost} |" for cost in costs))
    return told


def draw(document: dict, path: Path) -> None:
    """A dot per runtime with the time of the file, and one with that of the bare network; nothing where there are none."""
    rows = found(document)
    if not rows:
        return
    figure, axis = plt.subplots(figsize=(8, 0.34 * len(rows) + 1.2))
    for position, (_, _, table, _) in enumerate(reversed(rows)):
        for offset, (name, (label, color)) in enumerate(DOTS.items()):
            place = position + 0.13 - 0.26 * offset
            axis.plot(table[name]["seconds"] * 1e3, place, "o", color=color, markersize=5, label=label if position == 0 else None)
    axis.set_yticks(range(len(rows)), [f"{network}, {runtime}" for network, runtime, _, _ in reversed(rows)])
    axis.set_xlim(left=0)
    axis.set_xlabel("milliseconds for one 224x224 picture, one thread")
    finish(figure, axis, path, columns=2, center=0.5)
