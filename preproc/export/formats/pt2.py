"""A model as one pt2 archive: torch.export's program in a file."""

import io
from collections.abc import Mapping
from pathlib import Path

import torch

from ...steps import Sides
from .dynamic import exporting


def write_pt2(program: torch.export.ExportedProgram, path: Path, *, size: Sides, extra: Mapping[str, str]) -> None:
    """Writes `path`, for torch.export.load. program, size: export_program()'s.  extra: the archive's extra files by name.
    Raises PreprocError with torch's reason.
    """
    archive = io.BytesIO()  # torch's writer of files ends the process where a disk is full
    with exporting("torch.export", size):
        torch.export.save(program, archive, extra_files=dict(extra))  # torch 2.11 has no word for some arithmetic on free sizes
    path.write_bytes(archive.getbuffer())
