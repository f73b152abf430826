"""Pictures, and the model-ready tensors that some program made of them: a folder, an .npz file, or a function of the user's."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import PreprocError, first_line
from ...host.decoding import is_picture, read_array
from ..geometry import decode
from .functions import find

HOW = "a folder of pictures with a .npy of the same name beside each, an .npz file, or package.module:function with pictures"
"""Of what pairs are read."""
MOST = 200
"""Pairs that are read: more tell nothing more."""
Name = TypeVar("Name")
_ENDINGS = (".picture", ".tensor")


@dataclass(frozen=True, eq=False)
class Pair:
    """name: of the picture.  picture: its file, or its pixels (H, W, 3) uint8 RGB.  tensor: (3, H, W) float64."""

    name: str
    picture: Path | NDArray[np.uint8]
    tensor: NDArray[np.float64]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the tensor."""
        return int(self.tensor.shape[1]), int(self.tensor.shape[2])


@dataclass(frozen=True, eq=False)
class Pairs:
    """layout: NCHW or NHWC, as the tensors had it.  dtype: that they had.  notes: what was noticed while they were read."""

    pairs: tuple[Pair, ...]
    layout: str
    dtype: str
    notes: tuple[str, ...] = ()


def read_pairs(place: str | Path | Callable[..., Any], *, images: Path | None = None) -> Pairs:
    """The pairs of a folder (a.png beside a.npy, and so on below it), of an .npz file, or, with `images`, pictures, of a function
    that makes a tensor of a picture: itself, or package.module:function.

    An .npz file has `pictures`, (N, H, W, 3) uint8 RGB, and `tensors`, or NAME.picture and NAME.tensor for each pair. A function gets a PIL
    image, or, where it fails with that, an array (H, W, 3) uint8 RGB. Tensors are (3, H, W) or (H, W, 3), with or without a batch of one in
    front. Raises PreprocError: for pictures without a tensor and the other way round, for what cannot be read, for another rank, for values
    that are not finite, and with the function's own message where it raises.
    """
    if callable(place) or (":" in str(place) and not Path(place).exists()):
        return _of_function(place if callable(place) else find(str(place)), str(getattr(place, "__name__", place)), images)
    if images is not None:
        raise PreprocError(
            "--images: expected beside a function only, which makes tensors of them, got it beside files", name="option-without-effect"
        )
    path = Path(place)
    if path.suffix.lower() == ".npz":
        return _of_npz(path)
    if not path.is_dir():
        raise PreprocError(f"{path}: expected {HOW}, got {'another file' if path.exists() else 'nothing there'}", name="nothing-there")
    return _of_folder(path)


def _of_folder(folder: Path) -> Pairs:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    pictures, tensors = _by_name(folder, files, is_picture), _by_name(folder, files, lambda name: name.lower().endswith(".npy"))
    _check_matched(folder, pictures, tensors)
    names, notes = _some(list(pictures))
    return _paired({name: (pictures[name], _array(tensors[name])) for name in names}, str(folder), notes)


def _some(names: Sequence[Name]) -> tuple[Sequence[Name], tuple[str, ...]]:
    """MOST of them, evenly, and the note that says so."""
    if len(names) <= MOST:
        return names, ()
    return [names[at * len(names) // MOST] for at in range(MOST)], (f"{MOST} of {len(names)} pairs were taken, evenly",)


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


def _check_matched(place: Path, pictures: Mapping[str, object], tensors: Mapping[str, object]) -> None:
    """Raises PreprocError where one is there without the other."""
    if not pictures:
        raise PreprocError(f"{place}: expected pictures with a tensor each, got no picture", name="no-pictures")
    for here, there, what, other in ((pictures, tensors, "tensor", "picture"), (tensors, pictures, "picture", "tensor")):
        alone = sorted(here.keys() - there.keys())
        if alone:
            more = f" and {len(alone) - 1} more" if len(alone) > 1 else ""
            raise PreprocError(f"{place}: expected a {what} for each {other}, got none for {alone[0]}{more}", name="no-pictures")


def _array(file: Path) -> NDArray[Any]:
    try:
        return read_array(file)
    except PreprocError as error:
        raise PreprocError(f"{file}: {error}") from error


def _of_npz(path: Path) -> Pairs:
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
        if len(pictures) != len(tensors) or not len(pictures):
            raise PreprocError(
                f"{path}: expected a tensor for each picture, got {len(pictures)} pictures and {len(tensors)} tensors", name="no-pictures"
            )
        return _paired({f"[{number}]": both for number, both in enumerate(zip(pictures, tensors, strict=True))}, str(path))
    named = [{name.removesuffix(end): arrays[name] for name in arrays if name.endswith(end)} for end in _ENDINGS]
    if not named[0] or len(named[0]) + len(named[1]) != len(arrays):
        raise PreprocError(
            f"{path}: expected arrays called pictures and tensors, or NAME.picture and NAME.tensor, got {', '.join(arrays) or 'none'}",
            name="no-pictures",
        )
    _check_matched(path, *named)
    return _paired({name: (named[0][name], named[1][name]) for name in named[0]}, str(path))


def _of_function(function: Callable[..., Any], name: str, images: Path | None) -> Pairs:
    if images is None or not images.is_dir():
        raise PreprocError(
            f"--images: expected a folder of pictures for {name} to make tensors of, got {images or 'nothing'}", name="nothing-there"
        )
    files: Sequence[Path] = sorted(file for file in images.rglob("*") if file.is_file() and is_picture(file.name))
    if not files:
        raise PreprocError(f"{images}: expected pictures for {name} to make tensors of, got none", name="no-pictures")
    files, notes = _some(files)
    arrays = False
    found: dict[str, tuple[Any, Any]] = {}
    for file in files:
        try:
            picture = decode(file)
        except PreprocError as error:
            raise PreprocError(f"{file}: {error}") from error
        if not found:
            arrays = not _takes_images(function, file, picture)
        found[file.relative_to(images).as_posix()] = (file, _called(function, name, file, picture if arrays else None))
    got = "arrays (H, W, 3) uint8 RGB" if arrays else "PIL images"
    return _paired(found, name, (f"{name} got {got}", *notes))


def _takes_images(function: Callable[..., Any], file: Path, picture: NDArray[np.uint8]) -> bool:
    """Whether it is given PIL images: not where it fails with one, and works with an array."""
    for works, given in ((True, None), (False, picture)):
        try:
            _called(function, "", file, given)
        except PreprocError:
            continue
        return works
    return True


def _called(function: Callable[..., Any], name: str, file: Path, array: NDArray[np.uint8] | None) -> Any:
    try:
        if array is not None:
            return _as_numpy(function(array.copy()))
        with Image.open(file) as image:
            return _as_numpy(function(image))
    except (Exception, SystemExit) as error:  # the user's own code, which may raise anything
        raise PreprocError(
            f"{file}: expected {name} to make a tensor of it, got {type(error).__name__}: {first_line(error)}", name="function-failed"
        ) from error


def _as_numpy(made: Any) -> NDArray[Any]:
    for method in ("detach", "cpu", "numpy"):
        made = getattr(made, method)() if hasattr(made, method) else made
    return np.asarray(made)


def _paired(found: Mapping[str, tuple[Any, Any]], where: str, notes: tuple[str, ...] = ()) -> Pairs:
    bare: dict[str, NDArray[Any]] = {}
    for name, (_, given) in found.items():
        array = np.asarray(given)
        if array.dtype.kind not in "fiu":
            raise PreprocError(f"{where}: {name}: expected a tensor of numbers, got {array.dtype}", name="picture-unfit")
        while array.ndim > 3 and array.shape[0] == 1:
            array = array[0]
        if array.ndim != 3 or 3 not in (array.shape[0], array.shape[2]) or array.size == 0:
            raise PreprocError(
                f"{where}: {name}: expected a tensor (3, H, W) or (H, W, 3), with or without a batch of one in front, tried as NCHW and as "
                f"NHWC, got {np.asarray(given).shape}",
                name="shape-mismatch",
            )
        if not np.isfinite(array).all():
            raise PreprocError(f"{where}: {name}: expected finite numbers, got a NaN or an infinity", name="not-finite")
        bare[name] = array
    layout = _layout(bare, where)
    pairs = []
    for name, array in bare.items():
        tensor = np.ascontiguousarray(array if layout == "NCHW" else array.transpose(2, 0, 1), dtype=np.float64)
        pairs.append(Pair(name, _picture(found[name][0], f"{where}: {name}"), tensor))
    dtypes = sorted({str(array.dtype) for array in bare.values()})
    return Pairs(tuple(pairs), layout, " and ".join(dtypes), notes)


def _layout(arrays: Mapping[str, NDArray[Any]], where: str) -> str:
    """NCHW or NHWC, whichever all of them can be."""
    can = [layout for layout, axis in (("NCHW", 0), ("NHWC", 2)) if all(array.shape[axis] == 3 for array in arrays.values())]
    if len(can) != 1:
        shapes = " and ".join(sorted({str(array.shape) for array in arrays.values()})[:2])
        told = "some of each" if not can else "both fit"
        raise PreprocError(
            f"{where}: expected tensors that are all (3, H, W), or all (H, W, 3), got {shapes}: {told}", name="layout-ambiguous"
        )
    return can[0]


def _picture(given: Any, where: str) -> Path | NDArray[np.uint8]:
    if isinstance(given, Path):
        return given
    array = np.asarray(given)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or array.size == 0:
        raise PreprocError(f"{where}: expected a picture (H, W, 3) of uint8, got {array.shape} of {array.dtype}", name="picture-unfit")
    return np.ascontiguousarray(array)
