"""The zip archives that torch writes, without what is this machine's own."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import torch


def repack(source: Path, target: Path, kept: Callable[[str], bool], added: Mapping[str, bytes] = MappingProxyType({})) -> None:
    """Copies an archive with those of its records that are kept, by their names, and with these. Raises OSError where there is no room."""
    reader = torch._C.PyTorchFileReader(str(source))
    content = io.BytesIO()  # not the file itself: the writer ends the process where the disk is full
    writer = torch._C.PyTorchFileWriter(content)
    for name in reader.get_all_records():  # among them the version, which says what the operators mean: ".data/version" or "version"
        if kept(name) and name != ".data/serialization_id":  # the writer's own
            record = reader.get_record(name)
            writer.write_record(name, record, len(record))
    for name, record in added.items():
        writer.write_record(name, record, len(record))
    writer.write_end_of_file()
    target.write_bytes(content.getbuffer())
