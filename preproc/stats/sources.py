"""What was asked for -> where the pictures are: chunks of work, plain data that another process or machine can take. Nothing is decoded."""

import lzma
import os
import random
import re
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import PreprocError, first_line
from ..host.decoding import is_picture

CHUNK = 32
"""Files per chunk."""
TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_GLOB = re.compile(r"[*?[]")
COMPRESSIONS = {".tar": "r:", ".gz": "r:gz", ".tgz": "r:gz", ".bz2": "r:bz2", ".xz": "r:xz"}
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


@dataclass
class Found:
    """What a search has found: places, what could not be looked at, and how many files were left out for their names, by suffix.
    folders: those that were looked through, by their real paths."""

    places: list[Place] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)

    def leave_out(self, name: str) -> None:
        suffix = Path(name).suffix.lower() or "no suffix"
        self.left_out[suffix] = self.left_out.get(suffix, 0) + 1


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


def masked(found: Found, pattern: str) -> Found:
    """Each place with the mask of the same stem; those without become broken. Where several pictures or masks have one stem, the folders
    above have to agree as well, as in mirrored trees: a/1.png with masks/a/1.png."""
    masks: dict[str, list[str]] = {}
    for path in _matches(pattern):
        masks.setdefault(Path(path).stem, []).append(path)
    if not masks:
        raise PreprocError(f"--mask-glob {pattern}: expected masks, got none", name="mask-unfit")
    own = {os.path.realpath(path) for same in masks.values() for path in same}
    places = [place for place in found.places if place.archive is not None or os.path.realpath(place.name) not in own]
    stems = Counter(Path(place.name).stem for place in places)
    told, missing = [], []
    for place in places:
        stem = Path(place.name).stem
        fitting = masks.get(stem, [])
        if len(fitting) > 1 or stems[stem] > 1:
            fitting = [path for path in fitting if Path(path).parent.name == Path(place.name).parent.name]
        if len(fitting) == 1:
            told.append(replace(place, mask=fitting[0]))
        else:
            where = ", in a folder of the same name, for there are several" if masks.get(stem) else ""
            missing.append((str(place), f"expected a mask called {stem}{where}, got {' and '.join(fitting) or 'none'}"))
    return Found(told, found.broken + missing, found.left_out)


def sampled(found: Found, sample: str, *, seed: int) -> Found:
    """N files, or P% of them: a simple random sample without replacement, the same for the same places whatever their order.

    Of files, for how many pages or frames each has is known only when it is read."""
    total = len(found.places)
    try:
        number = round(float(sample[:-1]) / 100 * total) if sample.endswith("%") else int(sample)
    except (ValueError, OverflowError) as error:
        raise PreprocError(
            f"--sample: expected a number of files or a percentage such as 5%, got {sample!r}", name="option-value"
        ) from error
    if sample.endswith("%") and float(sample[:-1]) > 100:
        raise PreprocError(f"--sample: expected at most 100%, got {sample}", name="option-value")
    if number < 1:
        raise PreprocError(f"--sample: expected at least one file, got {sample} of {total}", name="option-value")
    places = sorted(found.places, key=str)
    chosen = places if number >= total else random.Random(seed).sample(places, number)
    return Found(chosen, found.broken, found.left_out)


def chunks(places: Sequence[Place], size: int = CHUNK) -> Iterator[list[Place]]:
    """In order of archives and positions; the members of a compressed tar, which can only be read from its beginning, stay together."""
    whole: dict[str, list[Place]] = {}
    rest = []
    for place in sorted(places, key=lambda place: (place.archive or "", place.offset or 0, place.name)):
        if place.archive is not None and place.offset is None and is_tar(place.archive):
            whole.setdefault(place.archive, []).append(place)
        else:
            rest.append(place)
    yield from whole.values()
    for start in range(0, len(rest), size):
        yield rest[start : start + size]


def is_tar(path: str) -> bool:
    return path.lower().endswith(TARS)


def is_remote(path: str) -> bool:
    return "://" in path


def _find(source: str, found: Found) -> None:
    if is_remote(source):
        _remote(source, found)
    elif Path(source).is_dir():
        _folder(source, found)
    elif Path(source).is_file():
        if is_tar(source):
            _tar(source, found)
        elif source.lower().endswith(".zip"):
            _zip(source, found)
        elif source.lower().endswith(".txt"):
            _list(source, found)
        else:
            found.places.append(Place(source))
    elif _GLOB.search(source):
        matches = _matches(source)
        if not matches:
            raise PreprocError(f"{source}: expected files that match, got none", name="nothing-there")
        for match in matches:
            _find(match, found)
    else:
        raise PreprocError(f"{source}: expected a folder, a file, an archive, a list or a glob, got nothing there", name="nothing-there")


def _matches(pattern: str) -> list[str]:
    """In order; ** goes through folders."""
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


def _folder(source: str, found: Found) -> None:
    """All below, links followed, each folder once; a link back to a folder on the way is told and not followed."""

    def told(error: OSError) -> None:
        found.broken.append((str(error.filename), f"expected a folder that can be read, got: {error.strerror}"))

    for folder, inner, files in os.walk(source, followlinks=True, onerror=told):
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
            if is_picture(name):
                found.places.append(Place(str(Path(folder) / name)))
            else:
                found.leave_out(name)


def _list(source: str, found: Found) -> None:
    """A path per line, relative to the list's folder; empty lines and those that begin with # do not count."""
    try:
        lines = Path(source).read_text(encoding="utf-8").splitlines()
    except ValueError as error:
        raise PreprocError(f"{source}: expected a list of paths as text, got: {first_line(error)}", name="malformed-file") from error
    for line in lines:
        if line.strip() and not line.startswith("#"):
            path = line.strip()
            found.places.append(Place(path if is_remote(path) else str(Path(source).parent / path)))


def _zip(source: str, found: Found) -> None:
    try:
        with zipfile.ZipFile(source) as archive:
            names = [item.filename for item in archive.infolist() if not item.is_dir()]
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        found.broken.append((source, f"expected a zip archive, got: {first_line(error)}"))
        return
    for name in dict.fromkeys(names):
        if is_picture(name):
            found.places.append(Place(name, archive=source))
        else:
            found.leave_out(name)


def _tar(source: str, found: Found) -> None:
    """Only its headers are read, but for a compressed one's, which has to be read through. What is in front of a break counts."""
    try:
        mode = COMPRESSIONS[Path(source).suffix.lower()]
        with tarfile.open(source, mode=mode, tarinfo=Strict) as archive:  # type: ignore[call-overload]
            _members(source, archive, found, plain=source.lower().endswith(".tar"))
    except (OSError, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        found.broken.append((source, f"expected a whole tar archive, got: {first_line(error)}"))


class Strict(tarfile.TarInfo):
    """Raises for a damaged header; tarfile itself takes one for the archive's end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "Strict":
        try:
            return super().fromtarfile(archive)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(f"a damaged header at byte {archive.offset:,}: {error}") from error


def _members(source: str, archive: Iterable[tarfile.TarInfo], found: Found, *, plain: bool) -> None:
    """Each name once: a later one of the same name, which another program would unpack over the first, is told."""
    seen = set[str]()
    for member in archive:
        if member.islnk() or member.issym():
            found.left_out["links"] = found.left_out.get("links", 0) + 1
        if not member.isfile():
            continue
        if not is_picture(member.name):
            found.leave_out(member.name)
        elif member.name in seen:
            found.broken.append((f"{source}/{member.name}", "expected each name once in an archive, got it again; the first counts"))
        elif plain:
            found.places.append(Place(member.name, archive=source, offset=member.offset_data, size=member.size))
        else:
            found.places.append(Place(member.name, archive=source))
        seen.add(member.name)


def remote(url: str) -> tuple[Any, str]:
    """fsspec's file system for a URL, and the path in it. Raises PreprocError where fsspec, or what it needs for that, is not installed."""
    try:
        import fsspec
    except ImportError as error:
        raise PreprocError(
            f"{url}: expected fsspec for remote files, got none installed; pip install fsspec and what {url} needs", name="not-installed"
        ) from error
    try:
        system, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise PreprocError(f"{url}: expected a file system that fsspec knows, got: {first_line(error)}", name="remote-failed") from error
    return system, path


def _remote(source: str, found: Found) -> None:
    system, path = remote(source)
    try:
        names = [name for name in system.find(path) if not name.endswith("/")] if system.isdir(path) else [path]
        for name in sorted(names):
            url = system.unstrip_protocol(name)
            if is_tar(name):
                with system.open(name, "rb") as file, tarfile.open(fileobj=file, mode="r|*", tarinfo=Strict) as archive:
                    _members(url, archive, found, plain=False)
            elif name == path or is_picture(name):
                found.places.append(Place(url))
            else:
                found.leave_out(name)
    except (OSError, tarfile.TarError) as error:
        raise PreprocError(f"{source}: expected files there, got: {first_line(error)}", name="remote-failed") from error


def place_of(data: Mapping[str, Any]) -> Place:
    """The counterpart of Place.to_json()."""
    return Place(**data)
