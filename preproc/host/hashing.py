"""What files are known by."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from .progress import Progress, Stage, silent

PIECE = 1 << 20


def digest(files: Sequence[Path], progress: Progress = silent) -> str:
    """sha256 of their bytes, one behind the other."""
    made, done = hashlib.sha256(), 0
    stage = Stage(f"hashing {files[0].name}", sum(file.stat().st_size for file in files), progress, in_bytes=True)
    for file in files:
        with file.open("rb") as source:
            while piece := source.read(PIECE):
                made.update(piece)
                done += len(piece)
                stage.at(done)
    return made.hexdigest()
