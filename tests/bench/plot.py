"""make plots: the committed runs as pictures, as tables in README.md beside this, and as a sentence each in the README of the whole, each
part between its marker and the next end."""

import json
import re
import textwrap
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from tests.bench import plot_formats, plot_gpu, plot_video
from tests.bench.dots import finish

PAGE = Path(__file__).parent / "README.md"
FRONT = Path(__file__).parents[2] / "README.md"
SENTENCES = "the sentences"
RESULTS = Path(__file__).parent / "results"
ROWS = {
    "folded": ("inside the file, folded", "#1b7837"),
    "collapsed": ("inside the file, not folded", "#7fbf7b"),
    "outside, torchvision": ("outside, torchvision", "#af8dc3"),
    "outside, NumPy": ("outside, NumPy", "#762a83"),
}


def draw(document: dict, path: Path) -> None:
    """Points with their 95 % intervals: the time from uint8 pixels to logits over the bare network's, per network and batch size."""
    tables = [(title, table) for title, table in document["tables"].items() if ", batch " in title]
    figure, axis = plt.subplots(figsize=(8, 0.42 * len(tables) + 1.2))
    for position, (_, table) in enumerate(reversed(tables)):
        for offset, (name, (label, color)) in enumerate(ROWS.items()):
            row, y = table[name], position + 0.27 - 0.18 * offset
            axis.plot([row["low"], row["high"]], [y, y], color=color, linewidth=2, solid_capstyle="round")
            axis.plot(row["median"], y, "o", color=color, markersize=5, label=label if position == 0 else None)
    axis.axvline(1, color="#888888", linewidth=1)
    axis.set_yticks(range(len(tables)), [title for title, _ in reversed(tables)])
    axis.set_xlabel("time from uint8 pixels to logits over the bare network's, fed with ready floats (95 % interval)")
    finish(figure, axis, path, columns=2, center=0.5)


def sentence(document: dict) -> str:
    """What the end-to-end tables come to, over all networks and batch sizes."""
    found = [table for title, table in document["tables"].items() if ", batch " in title]

    def span(name: str) -> str:
        medians = [table[name]["median"] for table in found]
        return f"{min(medians):.2f} to {max(medians):.2f}"

    networks = ", ".join(dict.fromkeys(title.partition(",")[0] for title in document["tables"] if ", batch " in title))
    return (
        f"{networks} in ONNX Runtime on one core of a CPU: **uint8 pixels, folded, take {span('folded')} of the bare network's time, "
        f"torchvision outside of the file {span('outside, torchvision')} of it.**"
    )


def table(document: dict) -> str:
    """The page's tables, in Markdown."""
    tables, figures = document["tables"], document["figures"]

    def slower(title: str, name: str) -> str:
        row = tables[title][name]
        return f"{row['median']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"

    def faster(title: str, name: str, digits: int = 1) -> str:
        row = tables[title][name]
        return f"{1 / row['median']:.{digits}f} [{1 / row['high']:.{digits}f}, {1 / row['low']:.{digits}f}]"

    networks = [title for title in tables if ", batch " in title]
    alone, requests, start = tables["normalization alone, 224x224"], figures["bytes per 224x224 request"], tables["start-up"]
    attached = figures[f"{ATTACHED}: peak memory over the file's size"]
    resized = [
        (title.removeprefix(f"{RESIZED}, "), [name for name in table if name != "Pillow"])
        for title, table in tables.items()
        if title.startswith(RESIZED)
    ]
    importing = start[IMPORT]["seconds"] - start["python -c pass"]["seconds"]
    lines = [
        "| uint8 to logits, time over the bare network's |" + "".join(f" {label} |" for label, _ in ROWS.values()),
        "|---|" + "--:|" * len(ROWS),
        *(f"| {title} |" + "".join(f" {slower(title, name)} |" for name in ROWS) for title in networks),
        "",
        "| normalization alone, 224x224 | times as fast as torchvision's |",
        "|---|--:|",
        *(f"| {name} | {faster('normalization alone, 224x224', name)} |" for name in alone if name != "torchvision v2"),
        "",
        "| LocalResponseNorm, (1, 64, 56, 56) | times as fast as torch's |",
        "|---|--:|",
        *(f"| {title.rpartition(', ')[2]} | {faster(title, OURS)} |" for title in tables if title.startswith("LocalResponseNorm")),
        "",
        f"| preprocessing put into an .onnx file of {attached['file, bytes'] / 1e6:.0f} MB | seconds | peak memory, times the file |",
        "|---|--:|--:|",
        *(f"| {name} | {row['seconds']:.1f} | {attached[name]:.1f} |" for name, row in tables[ATTACHED].items()),
        "",
        f"| {RESIZED} | " + " | ".join(resized[0][1]) + " |",
        "|---|" + "--:|" * len(resized[0][1]),
        *(f"| {title} | " + " | ".join(faster(f"{RESIZED}, {title}", name, 2) for name in names) + " |" for title, names in resized),
        "",
        f"| {COUNTED} | time over decoding alone |",
        "|---|--:|",
        *(f"| {name} | {slower(COUNTED, name)} |" for name in tables[COUNTED] if name != "decoding alone"),
        "",
        "| preproc stats with two worker processes | times as fast as with one |",
        "|---|--:|",
        *(f"| {title} | {faster(title, '2 workers')} |" for title in tables if title.endswith(WHOLE)),
        *plot_formats.lines(document),
        *plot_video.lines(document),
        "",
        f"A request is {requests['uint8 pixels']:,} bytes instead of {requests['float32']:,}. `import preproc` takes "
        f"{importing * 1e3:.0f} ms, `preproc --help` {start['preproc --help']['seconds']:.2f} s.",
    ]
    return "\n".join(lines) + "\n"


OURS = "preproc's layer"
ATTACHED = "preprocessing put into a file"
COUNTED = "statistics of JPEGs of 500x375"
WHOLE = "whole runs"
RESIZED = "resize, times as fast as Pillow"
IMPORT = "python -c 'import preproc'"


def runs() -> dict[str, dict]:
    """The committed runs, by their files' names."""
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))}


def parts() -> dict[str, str]:
    """The page's part of every committed run, by the file's name."""
    return {name: table(run) if name == "cpu.json" else plot_gpu.tables(run) for name, run in runs().items()}


def sentences() -> str:
    """The front page's part: one sentence per run."""
    told = (sentence(run) if name == "cpu.json" else plot_gpu.sentence(run) for name, run in runs().items())
    return "".join(textwrap.fill(f"- {line}", 138, subsequent_indent="  ") + "\n" for line in told if line)


def put(page: str, name: str, part: str) -> str:
    """The page with that part in place of the one that it has; as it is where it has none."""
    return re.sub(rf"({re.escape(marker(name))}\n).*?(?=<!-- end -->)", lambda found: found[1] + part, page, flags=re.DOTALL)


def marker(name: str) -> str:
    return f"<!-- bench: {name} -->"


def main() -> None:
    for name, document in runs().items():
        (draw if name == "cpu.json" else plot_gpu.draw)(document, (RESULTS / name).with_suffix(".png"))
    plot_formats.draw(runs()["cpu.json"], RESULTS / "formats.png")
    page = PAGE.read_text(encoding="utf-8")
    for name, part in parts().items():
        page = put(page, name, part)
    PAGE.write_text(page, encoding="utf-8")
    FRONT.write_text(put(FRONT.read_text(encoding="utf-8"), SENTENCES, sentences()), encoding="utf-8")


if __name__ == "__main__":
    main()
