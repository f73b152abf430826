"""What the pictures of the benches have in common."""

from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt


def finish(figure: Any, axis: Any, path: Path, *, columns: int, center: float) -> None:
    """The legend above, in so many columns around `center`; a frame that leaves the dots alone; and the file."""
    axis.legend(frameon=False, fontsize=8, ncols=columns, loc="lower center", bbox_to_anchor=(center, 1))
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", color="#e0e0e0", linewidth=0.6)
    axis.set_axisbelow(True)
    figure.savefig(path, dpi=120, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)
