"""Pairs in files: a folder with a tensor beside each picture, or an .npz file."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import PreprocError, first_line
from ...host.decoding import is_picture, read_array
from .pairs import Pairs, paired, some

TENSORS = (".npy", ".pt")
"""Of files that hold one tensor: NumPy's, and torch.save()'s."""
RULE = "a picture and its tensor have one name, a.png and a.npy or a.pt"
_ENDINGS = (".picture", ".tensor")


def of_folder(folder: Path) -> Pairs:
    """Whatever lies below it."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    pictures = _by_name(folder, files, is_picture)
    tensors = _by_name(folder, files, lambda name: name.lower().endswith(TENSORS))
    if not pictures and not tensors:
        raise PreprocError(f"{folder}: expected pictures with a tensor each, got neither: {RULE}", name="no-pictures")
    shown = [{name: str(file.relative_to(folder)) for name, file in each.items()} for each in (pictures, tensors)]
    _check_matched(folder, shown, RULE)
    names, notes = some(list(pictures))
    return paired({name: (pictures[name], _tensor(tensors[name])) for name in names}, str(folder), notes)


def of_npz(path: Path) -> Pairs:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except OSError as error:
        raise PreprocError(f"{path}: expected an .npz file, got {error.strerror or first_line(error)}", name="nothing-there") from error
    except Exception as error:  # zipfile and NumPy raise whatever they like
        raise PreprocError(
            f"{path}: expected an .npz file of arrays of numbers, got: {first_line(error)}", name="unreadable-picture"
        ) from error
    if arrays.keys() == {"pictures", "tensors"}:
        pictures, tensors = arrays["pictures"], arrays["tensors"]
        if np.ndim(pictures) == 0 or np.ndim(tensors) == 0 or len(pictures) != len(tensors) or not len(pictures):
            raise PreprocError(
                f"{path}: expected a tensor for each picture, got pictures {pictures.shape} and tensors {tensors.shape}",
                name="pairs-unmatched",
            )
        return paired({f"[{number}]": both for number, both in enumerate(zip(pictures, tensors, strict=True))}, str(path))
    of_pictures, of_tensors = ({name.removesuffix(end): arrays[name] for name in arrays if name.endswith(end)} for end in _ENDINGS)
    if not arrays or len(of_pictures) + len(of_tensors) != len(arrays):
        raise PreprocError(
            f"{path}: expected arrays called pictures and tensors, or NAME.picture and NAME.tensor, got {', '.join(arrays) or 'none'}",
            name="pairs-unmatched",
        )
    shown = [{name: f"{name}{end}" for name in each} for each, end in ((of_pictures, _ENDINGS[0]), (of_tensors, _ENDINGS[1]))]
    _check_matched(path, shown, "a picture and its tensor are called NAME.picture and NAME.tensor")
    return paired({name: (of_pictures[name], of_tensors[name]) for name in of_pictures}, str(path))


def _by_name(folder: Path, files: Iterable[Path], wanted: Callable[[str], bool]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in files:
        if not wanted(file.name):
            continue
        name = file.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise PreprocError(
                f"{folder}: expected one file for each name, got {found[name].name} and {file.name}", name="target-collision"
            )
        found[name] = file
    return found


def _check_matched(place: Path, shown: Sequence[Mapping[str, str]], rule: str) -> None:
    """shown: what pictures and tensors are called, by the name that they share. Raises PreprocError where one is there without another."""
    pictures, tensors = shown
    lone = ([pictures[name] for name in pictures if name not in tensors], [tensors[name] for name in tensors if name not in pictures])
    told = [f"no {other} for {_named(names)}" for names, other in zip(lone, ("tensor", "picture"), strict=True) if names]
    if told:
        raise PreprocError(f"{place}: expected pictures and tensors in pairs, got {' and '.join(told)}: {rule}", name="pairs-unmatched")


def _named(names: list[str]) -> str:
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _tensor(file: Path) -> NDArray[Any]:
    try:
        return _of_torch(file) if file.suffix.lower() == ".pt" else read_array(file)
    except PreprocError as error:
        raise PreprocError(f"{file}: {error}") from error


def _of_torch(file: Path) -> NDArray[Any]:
    """What torch.save() wrote of one tensor. No pickle is run."""
    import torch

    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever it likes
        raise PreprocError(
            "expected one tensor, as torch.save(tensor, file) writes it, got what torch.load(..., weights_only=True) does not take: write "
            "the tensor alone, or numpy.save() it as a .npy",
            name="unreadable-picture",
        ) from error
    if not isinstance(found, torch.Tensor):
        raise PreprocError(
            f"expected one tensor, as torch.save(tensor, file) writes it, got a {type(found).__name__}: write the tensor alone",
            name="unreadable-picture",
        )
    return as_numpy(found)


def as_numpy(made: Any) -> NDArray[Any]:
    """A tensor of torch, or whatever NumPy takes. bfloat16, which NumPy has not, as float32, which holds it."""
    for method in ("detach", "cpu"):
        made = getattr(made, method)() if hasattr(made, method) else made
    if str(getattr(made, "dtype", "")) == "torch.bfloat16":
        made = made.float()
    return np.asarray(made)
