"""The bytes of places, read where they are: in files, in archives that are opened once and never unpacked, at URLs."""

import contextlib
import functools
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from ...errors import PreprocError
from .archives import Strict
from .place import Place, is_remote, is_tar
from .remote import file_system

Reader = Callable[[], bytes | Path]
"""Reads one file's bytes, or says which file has them."""
MOST_OPEN = 8
"""Zip archives at a time."""
MOST_BYTES = 1 << 27
"""Of one member of an archive: it is read whole before Pillow sees it."""


class Archives(contextlib.AbstractContextManager["Archives"]):
    """Zip archives that stay open from chunk to chunk: the directory of a large one takes longer to read than a chunk's pictures."""

    def __init__(self) -> None:
        self.opened: dict[str, zipfile.ZipFile] = {}

    def __exit__(self, *_: object) -> None:
        for archive in self.opened.values():
            archive.close()
        self.opened.clear()

    def read(self, path: str, name: str) -> bytes:
        if path not in self.opened:
            if len(self.opened) == MOST_OPEN:
                self.opened.pop(next(iter(self.opened))).close()
            self.opened[path] = zipfile.ZipFile(path)
        _check_size(self.opened[path].getinfo(name).file_size)
        return self.opened[path].read(name)


def readers(archive: str | None, places: Sequence[Place], archives: Archives) -> Iterator[tuple[Place, Reader]]:
    """Each of the places in that archive, or in none, with its reader, which must be called before the next is asked for."""
    if archive is None:
        yield from ((place, functools.partial(_fetch, place.name)) for place in places)
    elif not is_tar(archive):
        yield from ((place, functools.partial(archives.read, archive, place.name)) for place in places)
    elif all(place.offset is not None for place in places):
        with Path(archive).open("rb") as file:
            yield from ((place, functools.partial(_slice, file, place)) for place in places)
    else:
        wanted = {place.name: place for place in places}
        with _opened(archive) as file, tarfile.open(fileobj=file, mode="r|*", tarinfo=Strict) as stream:
            for member in stream:
                if member.isfile() and member.name in wanted:
                    yield wanted.pop(member.name), functools.partial(_extract, stream, member)


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        raise PreprocError(f"expected a picture of at most {MOST_BYTES:,} bytes in an archive, got {size:,}", name="too-large")


def _fetch(name: str) -> bytes | Path:
    if not is_remote(name):
        return Path(name)
    with _opened(name) as file:
        return bytes(file.read())


def _slice(file: IO[bytes], place: Place) -> bytes:
    _check_size(place.size or 0)
    file.seek(place.offset or 0)
    return file.read(place.size or 0)


def _extract(stream: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    _check_size(member.size)
    held = stream.extractfile(member)
    assert held is not None
    return held.read()


def _opened(name: str) -> Any:
    if not is_remote(name):
        return Path(name).open("rb")
    system, path = file_system(name)
    return system.open(path, "rb")
