"""The zip archives that torch writes, without what is this machine's own."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import torch


def repack(source: Path, target: Path, kept: Callable[[str], bool], added: Mapping[str, bytes] = MappingProxyType({})) -> None:
    """Copies an archive with those of its records that are kept, by their names, and with these."""
    reader = torch._C.PyTorchFileReader(str(source))
    writer = torch._C.PyTorchFileWriter(str(target))
    for name in reader.get_all_records():  # among them the version, which says what the operators mean: ".data/version" or "version"
        if kept(name) and name != ".data/serialization_id":  # the writer's own
            record = reader.get_record(name)
            writer.write_record(name, record, len(record))
    for name, content in added.items():
        writer.write_record(name, content, len(content))
    writer.write_end_of_file()
