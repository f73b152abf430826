"""Statistics with faults in them, where a recipe reads them and where they are merged."""

import copy
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from preproc import steps
from preproc.errors import PreprocError
from preproc.stats import Stats, compute_stats
from preproc.steps import FromPixels, Normalize, Rescale
from tests.mutants.planted import Planted


def statistics(folder: Path) -> Iterator[Planted]:
    """Of a stats.json that a recipe names: what its constants would have been."""
    rng = np.random.default_rng(3)
    pictures = [np.clip(rng.normal((120, 90, 60), (50, 30, 20), (40, 30, 3)), 0, 255).astype(np.uint8) for _ in range(40)]
    right = folder / "right.json"
    compute_stats(pictures).save(right)
    table = json.loads(right.read_text(encoding="utf-8"))
    mean, std = table["mean"], table["std"]
    changes: dict[str, dict[str, Any]] = {
        "the mean one grey level off": {"mean": [m + 1 / 255 for m in mean]},
        "the std one percent off": {"std": [s * 1.01 for s in std]},
        "channels in the other order": {"mean": mean[::-1], "std": std[::-1]},
        "said to be BGR": {"color": "BGR"},
        "said to be in 0-255": {"unit": "0-255"},
        "in 0-255, said to be in 0-1": {"mean": [m * 255 for m in mean], "std": [s * 255 for s in std]},
        "variances": {"std": [s * s for s in std]},
        "reciprocals": {"std": [1 / s for s in std]},
        "a std of zero": {"std": [0.0, *std[1:]]},
        "two channels": {"mean": mean[:2], "std": std[:2]},
        "of an interrupted run": {"partial": True},
        "no unit": {"unit": None},
        "an unknown unit": {"unit": "0-100"},
        "text for numbers": {"mean": ["a", "b", "c"]},
        "no number": {"mean": [math.nan, *mean[1:]]},
        "of a sample of two": {"sample": {"images": 2, "population": 40, "seed": 0}, "images": 2},
    }
    for what, change in changes.items():
        file = folder / "wrong.json"
        file.write_text(json.dumps(table | change), encoding="utf-8")
        noticed, moved = None, None
        try:
            step = Normalize.from_stats(file)
            steps.check((FromPixels(layout="NHWC"), Rescale(), step), channels=3)
            apart = [np.subtract(step.mean, mean) / std, np.subtract(step.std, std) / std]
            moved = float(np.abs(apart).max())
        except PreprocError as error:
            noticed = f"recipe: {error}".replace(f"{folder}/", "")[:110]
        yield Planted("statistics, in a recipe", what, noticed, moved, 1e-5)
    inside = table["accumulator"]["RGB"]
    for what, wrong in {
        "one count more": _count(inside, 1),
        "a channel's counts moved by one level": inside
        | {"counts": [inside["counts"][0][1:] + inside["counts"][0][:1], *inside["counts"][1:]]},
        "channels swapped": inside | {"counts": inside["counts"][::-1]},
    }.items():
        file = folder / "wrong.json"
        file.write_text(json.dumps(table | {"accumulator": {"RGB": wrong}}), encoding="utf-8")
        noticed = None
        try:
            Stats.load(file)
        except PreprocError as error:
            noticed = f"merge: {error}".replace(f"{folder}/", "")[:110]
        yield Planted("statistics, in a merge", what, noticed, 1.0, 1e-5)


def _count(table: dict[str, Any], more: int) -> dict[str, Any]:
    counts = copy.deepcopy(table["counts"])
    counts[0][100] += more
    return table | {"counts": counts}
