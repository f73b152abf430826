"""Drawings with matplotlib, as <img> of HTML."""

import base64
import html
import importlib
import io
from typing import Any

import numpy as np

from ...errors import PreprocError
from ..sums import Histogram, channel_names

COLORS = {"R": "#c0392b", "G": "#27803b", "B": "#2c5fb3", "A": "#777777", "GRAY": "#333333"}


def pyplot() -> Any:
    """matplotlib's, for files only. Raises PreprocError where it is not installed."""
    try:
        importlib.import_module("matplotlib").use("Agg")
    except ImportError as error:
        raise PreprocError("expected matplotlib for --report, got none installed; pip install matplotlib", name="not-installed") from error
    return importlib.import_module("matplotlib.pyplot")


def draw_histogram(pyplot: Any, name: str, kind: Histogram) -> str:
    """What share of each channel's pixels has which value; 16 bit in 256 steps."""
    figure, axis = pyplot.subplots(figsize=(8, 2.6))
    for channel, counts in zip(channel_names(name, kind.channels), kind.counts, strict=True):
        shares = counts.reshape(256, -1).sum(axis=1) / kind.pixels
        axis.plot(np.linspace(0, kind.top, 256), shares, label=channel, color=COLORS.get(channel), linewidth=1.2)
    axis.set_xlabel("value")
    axis.set_ylabel("share of the pixels")
    axis.set_xlim(0, kind.top)
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    return as_img(pyplot, figure, f"Histogram of {name}")


def as_img(pyplot: Any, figure: Any, text: str) -> str:
    """A figure, which is closed then. text: what it shows."""
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    pyplot.close(figure)
    return f'<img alt="{html.escape(text)}" src="data:image/png;base64,{base64.b64encode(held.getvalue()).decode()}">'
