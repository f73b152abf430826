"""How a bundle's folder is published: whole, or not at all; and what a killed export left is mended."""

import contextlib
import glob
from collections.abc import Iterator
from pathlib import Path

from ..errors import BundleError
from ..host import scratch, targets

MANIFEST = "manifest.json"
CONTENTS = (MANIFEST, "model.onnx", "model.onnx.data", "model.pt", "model.pt2", "model.aoti.pt2", "model.pte", "model.bpte", "golden")
"""Everything that a bundle's folder has."""


@contextlib.contextmanager
def publishing(target: Path) -> Iterator[Path]:
    """A fresh folder beside `target` that becomes `target` when the body ends well, and leaves nothing when it does not.

    The old bundle is renamed away, the new one renamed in, the old one removed: a reader sees one or the other. A crash between
    the two renames is mended by the next start, see recover(). A body that removes the fresh folder leaves the old one as it is.
    """
    given, target = target, target.absolute()
    recover(target)
    check_target(given)
    with targets.made_folder(target.parent):
        try:
            with targets.writing(given), scratch.token() as token:
                new, old = (target.with_name(f".{target.name}.{word}-{token}") for word in ("new", "old"))
                new.mkdir()
                yield new
                if not new.exists():
                    return
                if target.exists():
                    target.rename(old)
                try:
                    new.rename(target)
                except OSError as error:
                    raise BundleError(
                        f"{target}: expected nobody else to write there, got {error.strerror}; is another export running?",
                        name="written-meanwhile",
                    ) from error
        finally:
            recover(target)


def check_target(target: Path) -> None:
    """Raises BundleError if what is there is neither a bundle nor an empty folder, or a bundle with files of somebody's own; PreprocError
    if nothing can be written there."""
    if (target / MANIFEST).is_file():
        others = [file.name for file in target.iterdir() if file.name not in CONTENTS]
        if others:
            raise BundleError(
                f"{target}: expected a bundle's files only, got {', '.join(sorted(others))} too; move them elsewhere", name="target-taken"
            )
    elif target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BundleError(
            f"{target}: expected a bundle to replace or nothing, got something else; give another folder", name="target-taken"
        )
    targets.check_place(target)


def recover(target: Path) -> None:
    """Mends what a killed export left: an old bundle that was renamed away comes back, half-made folders go."""
    target = target.absolute()
    for old in sorted(target.parent.glob(f".{glob.escape(target.name)}.old-*")):
        if not target.exists():  # even if its maker lives: it then stops with an error, and nothing is lost
            old.rename(target)
    for word in ("old", "new"):
        scratch.sweep(target.parent, f".{target.name}.{word}-")
