"""What is written to: looked at before the work, named where writing fails all the same, and left without anything half-made."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import PreprocError

BLOCK = 4096
"""Bytes that are written to see whether a place takes any."""
NO_PLACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
"""What only writing meets."""


def check_place(path: Path, *, size: int = 0) -> None:
    """Raises PreprocError if `size` bytes cannot be written as `path`: into the folder in which it lies or, where that is still to be made,
    the nearest one above. A file without a name is written there, and is gone."""
    place = path.absolute().parent
    try:
        while not place.exists():
            place = place.parent
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(BLOCK))
        usage = shutil.disk_usage(place)
    except OSError as error:
        raise _refused(path, error) from error
    if usage.total and usage.free < size:  # file systems that cannot tell say 0 of 0
        raise PreprocError(
            f"{path}: expected room for about {size:,} bytes, got {usage.free:,} free in {place}; give another place", name="system-refused"
        )


def check_file(path: Path, *, endings: tuple[str, ...], what: str, ours: bytes | None = None) -> None:
    """Raises PreprocError if a file cannot be written as `path`, or should not be.

    endings: those that say what is in it.  what: that in words, as "a report".  ours: what stands in the first thousand bytes of a file
    that preproc has written, for no other one is replaced; None: any one is.
    """
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise PreprocError(
            f"{path}: expected a file's name in a folder that exists, got {'a folder' if path.is_dir() else 'none'}", name="target-name"
        )
    if ours is not None and path.exists():
        with path.open("rb") as file:
            if ours not in file.read(1000):
                raise PreprocError(
                    f"{path}: expected a free name, or {what} that preproc has written, got another file; remove it first",
                    name="target-taken",
                )
    if path.suffix.lower() not in endings:
        raise PreprocError(
            f"{path}: expected a name that ends in {' or '.join(endings)} for {what}, got {path.suffix or 'no ending'}", name="target-name"
        )
    check_place(path)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around what is written as `path`, under whatever name: a PreprocError names `path` where that is what fails. Libraries raise errors
    of any class for a full disk, so the place is looked at again."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_PLACE:
            raise _refused(path, error) from error
        if not isinstance(error, PreprocError) or error.report is None:  # else it has told what it is, with the report
            check_place(path)
        raise


def _refused(path: Path, error: OSError) -> PreprocError:
    return PreprocError(f"{path}: expected a place that can be written to, got: {error.strerror or error}", name="system-refused")


@contextlib.contextmanager
def made_folder(path: Path) -> Iterator[None]:
    """Makes a folder, with those above it, for the body to write into. Those that it made go again where the body fails."""
    missing = [place for place in (path.absolute(), *path.absolute().parents) if not place.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for place in missing:
            with contextlib.suppress(OSError):  # somebody else has put something there
                place.rmdir()
        raise


def write_text(path: Path, text: str) -> None:
    """Whole, or not at all. Raises PreprocError."""
    file = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        file.write_text(text, encoding="utf-8")
        file.replace(path)
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)


def rescued(path: Path, text: str) -> Path | None:
    """Where it is now, in the temporary folder, what could not be written as `path`; None if it could not be written there, either."""
    try:
        handle, name = tempfile.mkstemp(prefix=f"{path.stem}-", suffix=path.suffix)
    except OSError:
        return None
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        Path(name).unlink()
        return None
    return Path(name)
