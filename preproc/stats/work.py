"""One chunk of places -> its statistics. What every engine runs, in whatever process; as a program, the local engine's worker."""

import contextlib
import functools
import json
import os
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from PIL import Image

from ..errors import PreprocError, first_line
from .histogram import Accumulator, Counted
from .pictures import count_file, open_picture
from .sources import Broken, Place, Strict, is_remote, is_tar, place_of, remote

Reader = Callable[[], bytes | Path]
"""Reads one picture's bytes, or says which file has them."""


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


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        raise PreprocError(f"expected a picture of at most {MOST_BYTES:,} bytes in an archive, got {size:,}")


def run_chunk(chunk: Sequence[Mapping[str, Any]], color: str | None, archives: Archives | None = None) -> dict[str, Any]:
    """{"accumulator": ..., "broken": [[name, reason], ...]}, plain data. What cannot be read is listed; nothing is raised."""
    if archives is None:
        with Archives() as archives:
            return run_chunk(chunk, color, archives)
    broken = list[Broken]()
    accumulator = Accumulator.of(_counted([place_of(data) for data in chunk], color, archives, broken))
    return {"accumulator": accumulator.to_json(), "broken": [list(entry) for entry in broken]}


def _counted(places: Sequence[Place], color: str | None, archives: Archives, broken: list[Broken]) -> Iterator[Counted]:
    """Each picture's counts; the others go to `broken`."""
    for archive in dict.fromkeys(place.archive for place in places):
        left = {place: None for place in places if place.archive == archive}
        try:
            for place, read in _contents(archive, list(left), archives):
                del left[place]
                try:
                    found = count_file(read(), color=color, mask=place.mask)
                except Exception as error:  # noqa: BLE001 - archives, file systems and decoders raise whatever they like
                    broken.append((str(place), first_line(error)))
                else:
                    yield found
        except Exception as error:  # noqa: BLE001
            broken += [(str(place), f"expected {archive} to be readable, got: {first_line(error)}") for place in left]
        else:
            broken += [(str(place), "expected it in the archive, got nothing there") for place in left]


def merge(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Several of run_chunk()'s as one."""
    total = Accumulator()
    for result in results:
        total += Accumulator.from_json(result["accumulator"])
    return {"accumulator": total.to_json(), "broken": [entry for result in results for entry in result["broken"]]}


def read_pictures(places: Sequence[Place], color: str) -> Iterator[tuple[str, Image.Image]]:
    """Those that can be read, each with its name."""
    with Archives() as archives:
        for archive in dict.fromkeys(place.archive for place in places):
            for place, read in _contents(archive, [place for place in places if place.archive == archive], archives):
                with contextlib.suppress(PreprocError, OSError):
                    yield str(place), open_picture(read(), color)


def _contents(archive: str | None, places: Sequence[Place], archives: Archives) -> Iterator[tuple[Place, Reader]]:
    """Each place with its reader, which must be called before the next is asked for. Archives are opened once, and never unpacked."""
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
    system, path = remote(name)
    return system.open(path, "rb")


def main() -> None:
    """Reads chunks from stdin, a line of JSON each, and answers each with a line on stdout, until stdin ends."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers, Archives() as archives:
        os.dup2(2, 1)  # whatever a decoder prints must not come between
        with contextlib.suppress(BrokenPipeError):
            for line in sys.stdin:
                task = json.loads(line)
                answers.write(json.dumps(run_chunk(task["chunk"], task["color"], archives)) + "\n")
                answers.flush()
