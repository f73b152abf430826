"""Variants that the user has written down, and the camera of those that are tried anyway, checked as far as that needs no model."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import PreprocError, RecipeError
from ...sources import Table, read_toml
from ...steps import FromPixels

_OWN_KEYS = ("name", "jpeg", "bundle", "what")


@dataclass(frozen=True)
class Written:
    """A table. where: it stands, in words.  jpeg: a quality.  bundle: another model's place.  changes: the keys of a recipe that differ."""

    name: str
    where: str
    what: str
    jpeg: int | None
    bundle: Path | None
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class WrittenFile:
    """variants: each table.  camera: what the file says of the camera; None: nothing."""

    variants: tuple[Written, ...] = ()
    camera: FromPixels | None = None


def camera_of(matrix: str | None, range_: str | None) -> FromPixels:
    """What a camera gives, and OpenCV's arithmetic makes of it. Raises PreprocError."""
    return FromPixels(layout="NHW", color="NV12", matrix=matrix, range=range_, conversion="rgb8")


def read_variants(file: Path, *, of_recipe: bool) -> WrittenFile:
    """of_recipe: whether the model is a recipe, whose keys may differ. Raises RecipeError for what no model makes a variant of."""
    data = read_toml(file, "a file of variants")
    found = tuple(_tables(data, file, of_recipe=of_recipe))
    names = [each.name for each in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise RecipeError(f"{file}: expected a name that no other variant has, got {twice!r}")
    return WrittenFile(found, _camera(data, file) if "camera" in data else None)


def _camera(data: Mapping[str, Any], file: Path) -> FromPixels:
    try:
        table = Table(data, "").table("camera")
        said = [table.text(key, None) for key in ("matrix", "range")]
        table.finish()
    except RecipeError as error:
        raise RecipeError(f"{file}: {error}") from error
    try:
        return camera_of(*said)
    except PreprocError as error:
        raise RecipeError(f"{file}: [camera] {error}") from error


def _tables(data: Mapping[str, Any], file: Path, *, of_recipe: bool) -> Iterator[Written]:
    entries = data.get("variants", [])
    unknown = not data or bool(set(data) - {"variants", "camera"})
    if unknown or not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise RecipeError(
            f"{file}: expected [[variants]] tables, [camera] and nothing else, got {', '.join(data) or 'nothing'}", name="unknown-key"
        )
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry.get("name"), str) or not entry["name"].strip():
            got = f"got {entry['name']!r}" if "name" in entry else f"got {', '.join(sorted(entry)) or 'an empty table'}"
            raise RecipeError(f"{file}: [[variants]] number {number}: expected name, a string, {got}")
        yield _checked(entry, file, of_recipe=of_recipe)


def _checked(entry: Mapping[str, Any], file: Path, *, of_recipe: bool) -> Written:
    where, jpeg = f"{file}: variant {entry['name']!r}", entry.get("jpeg")
    changes = {key: value for key, value in entry.items() if key not in _OWN_KEYS}
    if jpeg is not None and (type(jpeg) is not int or not 1 <= jpeg <= 100):
        raise RecipeError(f"{where}: expected jpeg to be a quality from 1 to 100, got {jpeg!r}")
    if "bundle" in entry and changes:
        raise RecipeError(f"{where}: expected bundle, or a recipe's keys, got both", name="conflicting-options")
    if changes and not of_recipe:
        raise RecipeError(
            f"{where}: expected a recipe as the model, whose keys it changes, got a file that takes pixels; give its recipe",
            name="option-without-effect",
        )
    bundle = file.parent / str(entry["bundle"]) if "bundle" in entry else None
    return Written(entry["name"].strip(), where, str(entry.get("what", "as its file says")), jpeg, bundle, changes)
