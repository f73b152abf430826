"""cpu.json as a picture for the README: python -m tests.bench.plot draws the committed figures again."""

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

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
    axis.legend(frameon=False, fontsize=8, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", color="#e0e0e0", linewidth=0.6)
    axis.set_axisbelow(True)
    figure.savefig(path, dpi=120, bbox_inches="tight", metadata={"Software": None})


if __name__ == "__main__":
    draw(json.loads((RESULTS / "cpu.json").read_text(encoding="utf-8")), RESULTS / "cpu.png")
