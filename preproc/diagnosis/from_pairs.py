"""From pairs to an answer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..host import Progress, silent
from .answer import Diagnosis
from .pairs import read_pairs


def diagnose_pairs(place: str | Path | Callable[..., Any], *, images: Path | None = None, progress: Progress = silent) -> Diagnosis:
    """Which preprocessing made the tensors of the pictures. place, images: as read_pairs()'s. Raises PreprocError."""
    raise NotImplementedError(read_pairs(place, images=images), progress)
