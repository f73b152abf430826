"""What is in zip and tar archives: members' names, and in uncompressed tars where their bytes are. Nothing is unpacked."""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from ...errors import first_line
from ...host.decoding import is_picture
from .place import Found, Place

COMPRESSIONS = {".tar": "r:", ".gz": "r:gz", ".tgz": "r:gz", ".bz2": "r:bz2", ".xz": "r:xz"}


def find_in_zip(source: str, found: Found) -> None:
    try:
        with zipfile.ZipFile(source) as archive:
            names = [item.filename for item in archive.infolist() if not item.is_dir()]
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        found.broken.append((source, f"expected a zip archive, got: {first_line(error)}"))
        return
    for name in dict.fromkeys(names):
        found.add(Place(name, archive=source))


def find_in_tar(source: str, found: Found) -> None:
    """Only its headers are read, but for a compressed one's, which has to be read through. What is in front of a break counts."""
    try:
        mode = COMPRESSIONS[Path(source).suffix.lower()]
        with tarfile.open(source, mode=mode, tarinfo=Strict) as archive:  # type: ignore[call-overload]
            add_members(source, archive, found, plain=source.lower().endswith(".tar"))
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


def add_members(source: str, archive: Iterable[tarfile.TarInfo], found: Found, *, plain: bool) -> None:
    """The files in a tar. plain: it is not compressed, and where each file's bytes are is kept. Each name counts once: a later one of the
    same name, which another program would unpack over the first, is told."""
    seen = set[str]()
    for member in archive:
        if member.islnk() or member.issym():
            found.left_out["links"] = found.left_out.get("links", 0) + 1
        if not member.isfile():
            continue
        place = Place(member.name, source, member.offset_data, member.size) if plain else Place(member.name, source)
        if member.name in seen and is_picture(member.name):
            found.broken.append((str(place), "expected each name once in an archive, got it again; the first counts"))
        else:
            found.add(place)
        seen.add(member.name)
