"""Where each file with pictures is: plain data that another process or machine can take; and all that a search has found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...host.decoding import is_picture

TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
Broken = tuple[str, str]
"""A picture's name and why it cannot be read, or does not count."""


@dataclass(frozen=True)
class Place:
    """Where one file with pictures is. name: its path, or inside `archive` its member's name.  offset, size: its bytes in an uncompressed
    tar.  mask: the path of its mask."""

    name: str
    archive: str | None = None
    offset: int | None = None
    size: int | None = None
    mask: str | None = None

    def __str__(self) -> str:
        return self.name if self.archive is None else f"{self.archive}/{self.name}"

    def to_json(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if value is not None}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Place":
        return Place(**data)


@dataclass
class Found:
    """What a search has found: places, what could not be looked at, and how many files were left out for their names, by suffix.
    folders: those that were looked through, by their real paths."""

    places: list[Place] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)

    def add(self, place: Place) -> None:
        """A file that was not named itself: it counts by its suffix."""
        if is_picture(place.name):
            self.places.append(place)
        else:
            suffix = Path(place.name).suffix.lower() or "no suffix"
            self.left_out[suffix] = self.left_out.get(suffix, 0) + 1


def is_tar(path: str) -> bool:
    return path.lower().endswith(TARS)


def is_remote(path: str) -> bool:
    return "://" in path
