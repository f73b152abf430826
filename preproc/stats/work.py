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
from ..host.decoding import ImageFile
from .histogram import Accumulator, Counted
from .pictures import Told, converted, count_file
from .sources import Place, Strict, is_remote, is_tar, place_of, remote

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
        raise PreprocError(f"expected a picture of at most {MOST_BYTES:,} bytes in an archive, got {size:,}", name="too-large")


def run_chunk(
    chunk: Sequence[Mapping[str, Any]], color: str | None, frames: str = "all", archives: Archives | None = None
) -> dict[str, Any]:
    """{"accumulator": ..., "broken": [[name, reason], ...], "skipped": as that, "stacks": ..., "oriented": ...}, plain data, as Told has
    them. What cannot be read is listed; nothing is raised."""
    if archives is None:
        with Archives() as archives:
            return run_chunk(chunk, color, frames, archives)
    told = Told()
    accumulator = Accumulator.of(_counted([place_of(data) for data in chunk], color, frames, archives, told))
    return result(accumulator, told)


def result(accumulator: Accumulator, told: Told) -> dict[str, Any]:
    """As run_chunk()'s."""
    return {
        "accumulator": accumulator.to_json(),
        "broken": [list(entry) for entry in told.broken],
        "skipped": [list(entry) for entry in told.skipped],
        "stacks": told.stacks,
        "oriented": told.oriented,
    }


def deadly(place: Place, reason: str) -> dict[str, Any]:
    """The result of a file that cannot be counted at all."""
    return result(Accumulator(), Told([(str(place), reason)]))


def _counted(places: Sequence[Place], color: str | None, frames: str, archives: Archives, told: Told) -> Iterator[Counted]:
    """Each picture's counts; the others go to `told`."""
    for archive in dict.fromkeys(place.archive for place in places):
        left = {place: None for place in places if place.archive == archive}
        try:
            for place, read in _contents(archive, list(left), archives):
                del left[place]
                try:
                    yield from count_file(read(), name=str(place), told=told, color=color, mask=place.mask, frames=frames)
                except Exception as error:  # noqa: BLE001 - archives, file systems and decoders raise whatever they like
                    told.broken.append((str(place), first_line(error)))
        except Exception as error:  # noqa: BLE001
            told.broken += [(str(place), f"expected {archive} to be readable, got: {first_line(error)}") for place in left]
        else:
            told.broken += [(str(place), "expected it in the archive, got nothing there") for place in left]


def merge(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Several of run_chunk()'s as one."""
    total, told = Accumulator(), Told()
    for each in results:
        total += Accumulator.from_json(each["accumulator"])
        told = told + told_of(each)
    return result(total, told)


def told_of(each: Mapping[str, Any]) -> Told:
    """What one of run_chunk()'s says beside its counts."""
    broken, skipped = ([(str(name), str(reason)) for name, reason in each[key]] for key in ("broken", "skipped"))
    return Told(broken, skipped, int(each["stacks"]), int(each["oriented"]))


def read_pictures(places: Sequence[Place], color: str) -> Iterator[tuple[str, Image.Image]]:
    """The first of each file that can be read, with its name."""
    with Archives() as archives:
        for archive in dict.fromkeys(place.archive for place in places):
            for place, read in _contents(archive, [place for place in places if place.archive == archive], archives):
                with contextlib.suppress(PreprocError, OSError), ImageFile(read(), frames="first") as file:
                    yield f"{place}{file.name(file.numbers[0])}", converted(file.read(file.numbers[0]), color)


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
                answers.write(json.dumps(run_chunk(task["chunk"], task["color"], task["frames"], archives)) + "\n")
                answers.flush()
