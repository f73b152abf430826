"""What was asked for -> where the pictures are. Nothing is decoded."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ...errors import PreprocError, first_line
from .archives import find_in_tar, find_in_zip
from .place import Found, Place, is_remote, is_tar
from .remote import find_remote

_GLOB = re.compile(r"[*?[]")


def find(sources: Sequence[str | Path]) -> Found:
    """The pictures in folders (with all below), globs, .txt lists of paths, zip and tar archives, single files, and URLs that fsspec knows.

    In folders and archives files count by their suffix; what is named itself always does. Raises PreprocError for a source that is not
    there.
    """
    found = Found()
    for source in map(str, sources):
        _find(source, found)
    different = dict[tuple[str, str], Place]()
    for place in found.places:
        name = place.name if place.archive or is_remote(place.name) else os.path.abspath(place.name)  # noqa: PTH100 - takes .. out
        different.setdefault((place.archive or "", name), place)
    found.places = list(different.values())  # what two sources name counts once
    return found


def _find(source: str, found: Found) -> None:
    if is_remote(source):
        find_remote(source, found)
    elif Path(source).is_dir():
        _look_through(source, found)
    elif Path(source).is_file():
        if is_tar(source):
            find_in_tar(source, found)
        elif source.lower().endswith(".zip"):
            find_in_zip(source, found)
        elif source.lower().endswith(".txt"):
            _read_list(source, found)
        else:
            found.places.append(Place(source))
    elif _GLOB.search(source):
        paths = matches(source)
        if not paths:
            raise PreprocError(f"{source}: expected files that match, got none", name="nothing-there")
        for path in paths:
            _find(path, found)
    else:
        raise PreprocError(f"{source}: expected a folder, a file, an archive, a list or a glob, got nothing there", name="nothing-there")


def matches(pattern: str) -> list[str]:
    """What a glob stands for, in order; ** goes through folders. Raises PreprocError for what is none."""
    path = Path(pattern)
    first = next((position for position, part in enumerate(path.parts) if _GLOB.search(part)), None)
    if first is None:
        raise PreprocError(
            f"{pattern}: expected a pattern with *, ? or [, got none; a folder's files are {pattern}/*", name="nothing-there"
        )
    try:
        return sorted(map(str, Path(*path.parts[:first]).glob(str(Path(*path.parts[first:])))))
    except ValueError as error:
        raise PreprocError(f"{pattern}: expected a pattern, got another: {first_line(error)}", name="nothing-there") from error


def _look_through(source: str, found: Found) -> None:
    """All below, links followed, each folder once; a link back to a folder on the way is told and not followed."""

    def unreadable(error: OSError) -> None:
        found.broken.append((str(error.filename), f"expected a folder that can be read, got: {error.strerror}"))

    for folder, inner, files in os.walk(source, followlinks=True, onerror=unreadable):
        here = os.path.realpath(folder)
        if here in found.folders:
            inner.clear()
            continue
        found.folders.add(here)
        above = {here} | {os.path.realpath(parent) for parent in Path(folder).absolute().parents}
        for name in sorted(inner):
            if (Path(folder) / name).is_symlink() and os.path.realpath(Path(folder) / name) in above:
                found.broken.append((str(Path(folder) / name), "expected a folder, got a link back to one above it; not followed"))
                inner.remove(name)
        inner.sort()
        for name in sorted(files):
            found.add(Place(str(Path(folder) / name)))


def _read_list(source: str, found: Found) -> None:
    """A path per line, relative to the list's folder; empty lines and those that begin with # do not count."""
    try:
        lines = Path(source).read_text(encoding="utf-8").splitlines()
    except ValueError as error:
        raise PreprocError(f"{source}: expected a list of paths as text, got: {first_line(error)}", name="malformed-file") from error
    for line in lines:
        if line.strip() and not line.startswith("#"):
            path = line.strip()
            found.places.append(Place(path if is_remote(path) else str(Path(source).parent / path)))
