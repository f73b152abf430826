"""Pairs of a function of the user's: it is given each picture, as a PIL image or as an array."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from PIL import Image

from ...errors import PreprocError
from ...host.decoding import is_picture
from ..geometry import decode
from .files import as_numpy
from .functions import raised
from .pairs import Pairs, paired, some

_WAYS = ("a PIL image", "an array (H, W, 3) uint8 RGB")


def of_function(function: Callable[..., Any], name: str, images: Path | None) -> Pairs:
    """Of the pictures below `images`."""
    if images is None or not images.is_dir():
        raise PreprocError(
            f"--images: expected a folder of pictures for {name} to make tensors of, got {images or 'nothing'}", name="nothing-there"
        )
    files: Sequence[Path] = sorted(file for file in images.rglob("*") if file.is_file() and is_picture(file.name))
    if not files:
        raise PreprocError(f"{images}: expected pictures for {name} to make tensors of, got none", name="no-pictures")
    files, notes = some(files)
    made, way = _first(function, name, files[0])
    tensors = [made, *(_of(file, function, name, way) for file in files[1:])]
    found = {file.relative_to(images).as_posix(): (file, tensor) for file, tensor in zip(files, tensors, strict=True)}
    return paired(found, name, (f"{name} got {way.replace('a PIL image', 'PIL images').replace('an array', 'arrays')}", *notes))


def _first(function: Callable[..., Any], name: str, file: Path) -> tuple[NDArray[Any], str]:
    """What it makes, and of what: an array where it raises with a PIL image."""
    image, array = _WAYS
    try:
        return _made(function, file, image), image
    except _FailedError as error:
        if error.__cause__ is None:
            raise _refusal(file, name, str(error)) from None
        first = error
    try:
        return _made(function, file, array), array
    except _FailedError as error:
        got = str(first) if str(first) == str(error) else f"{first}, with {image}, and {error}, with {array}"
        raise _refusal(file, name, got) from first.__cause__


def _of(file: Path, function: Callable[..., Any], name: str, way: str) -> NDArray[Any]:
    try:
        return _made(function, file, way)
    except _FailedError as error:
        raise _refusal(file, name, str(error)) from error.__cause__


def _refusal(file: Path, name: str, got: str) -> PreprocError:
    return PreprocError(f"{file}: expected {name} to make a tensor of it, got {got}", name="function-failed")


class _FailedError(Exception):
    """What the user's function came to in place of a tensor, in words; its cause is what it raised, if it raised."""


def _made(function: Callable[..., Any], file: Path, way: str) -> NDArray[Any]:
    array = decode(file)  # what cannot be decoded is no fault of the function's
    try:
        if way != _WAYS[0]:
            returned = function(array)
        else:
            with Image.open(file) as image:
                returned = function(image)
        made = as_numpy(returned)
    except (Exception, SystemExit) as error:  # the user's own code, which may raise anything
        raise _FailedError(raised(error)) from error
    if made.dtype.kind not in "fiu":
        told = "None: does it return what it makes?" if returned is None else f"a {type(returned).__name__}, which is no array of numbers"
        raise _FailedError(told)
    return made
