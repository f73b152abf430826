"""What is elsewhere, at URLs: through fsspec, which is imported when it is needed."""

import tarfile
from typing import Any

from ...errors import PreprocError, first_line
from .archives import Strict, add_members
from .place import Found, Place, is_tar


def find_remote(source: str, found: Found) -> None:
    """The file at a URL, whatever it is called, or what is in the folder or the tar there. Raises PreprocError where nothing is."""
    system, path = file_system(source)
    try:
        names = [name for name in system.find(path) if not name.endswith("/")] if system.isdir(path) else [path]
        for name in sorted(names):
            url = system.unstrip_protocol(name)
            if is_tar(name):
                with system.open(name, "rb") as file, tarfile.open(fileobj=file, mode="r|*", tarinfo=Strict) as archive:
                    add_members(url, archive, found, plain=False)
            elif name == path:
                found.places.append(Place(url))
            else:
                found.add(Place(url))
    except (OSError, tarfile.TarError) as error:
        raise PreprocError(f"{source}: expected files there, got: {first_line(error)}", name="remote-failed") from error


def file_system(url: str) -> tuple[Any, str]:
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
