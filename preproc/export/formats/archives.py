"""The zip archives that torch writes, without what is this machine's own."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import torch


def repack(source: io.BytesIO, target: Path, kept: Callable[[str], bool], added: Mapping[str, bytes] = MappingProxyType({})) -> None:
    """Writes an archive with those of its records that are kept, by their names, and with these. Raises OSError where there is no room.

    Both are in memory till then: torch's writer of files ends the process where a disk is full.
    """
    source.seek(0)
    reader, content = torch._C.PyTorchFileReader(source), io.BytesIO()
    writer = torch._C.PyTorchFileWriter(content)
    for name in reader.get_all_records():  # among them the version, which says what the operators mean: ".data/version" or "version"
        if kept(name) and name != ".data/serialization_id":  # the writer's own
            record = reader.get_record(name)
            writer.write_record(name, record, len(record))
    for name, record in added.items():
        writer.write_record(name, record, len(record))
    writer.write_end_of_file()
    target.write_bytes(content.getbuffer())
