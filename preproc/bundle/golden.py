"""Golden samples: pixels, and what the reference answers to them, as files of NumPy's."""

import re
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BundleError, first_line
from ..verify import Case, is_exact

UNRESOLVED = "unresolved"
"""The folder in a sample's that says which values of an output are not compared."""


def golden_files(values: Sequence[str]) -> dict[str, str]:
    """The file in golden/<sample>/ of each output and, behind these, of each further input. In an .onnx file they may have names that no
    file can have, or that come to the same."""
    found: dict[str, str] = {}
    for position, value in enumerate(values):
        name = re.sub("[^A-Za-z0-9_-]", "_", value)
        found[value] = f"{name}_{position}.npy" if f"{name}.npy" in ("pixels.npy", *found.values()) else f"{name}.npy"
    return found


def write_golden(folder: Path, cases: list[Case]) -> list[str]:
    """golden/<sample>/pixels.npy, and golden/<sample>/<output>.npy, floats in float32, and what else the model takes, under its name; and
    golden/<sample>/unresolved/<output>.npy, booleans, of each output that has values which are not compared."""
    for case in cases:
        place = folder / "golden" / case.name
        place.mkdir(parents=True)
        np.save(place / "pixels.npy", np.array(case.pixels, order="C"))
        files = golden_files([*case.expected, *case.others])
        for name, values in case.expected.items():
            np.save(place / files[name], np.array(values, order="C") if is_exact(values) else values.astype(np.float32, order="C"))
        for name, mask in case.unresolved.items():
            (place / UNRESOLVED).mkdir(exist_ok=True)
            np.save(place / UNRESOLVED / files[name], mask)
        for name, values in case.others.items():
            np.save(place / files[name], np.array(values, order="C"))
    return [case.name for case in cases]


def read_golden(folder: Path, name: str, outputs: Sequence[str], others: Sequence[str], listed: Container[str], *, axes: int) -> Case:
    """One sample of the bundle in `folder`. listed: the files in its manifest: what else lies there excuses no value from being compared.
    axes: how many the pixels of one picture have.
    Raises BundleError for a file that is none of NumPy's."""
    place, files = folder / "golden" / name, golden_files([*outputs, *others])
    arrays = {key: _array(place / file) for key, file in files.items()}
    masks = {key: _array(place / UNRESOLVED / files[key]) for key in outputs if f"golden/{name}/{UNRESOLVED}/{files[key]}" in listed}
    expected, beside = ({key: arrays[key] for key in keys} for keys in (outputs, others))
    return Case(name, _array(place / "pixels.npy"), expected, beside, unresolved=masks, axes=axes)


def _array(file: Path) -> Any:
    try:
        return np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BundleError(f"{file}: expected an array of NumPy, got: {first_line(error)}") from error
