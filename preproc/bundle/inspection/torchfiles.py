"""What a file of torch's or safetensors' is, told without loading anything: from the names in its archive and in its pickle, which
is never run."""

import json
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ...errors import BundleError, first_line
from .pickles import Named, objects, values

SUFFIXES = (".pt", ".pt2", ".pth", ".ckpt", ".bin", ".safetensors")
SCRIPT, PT2, PACKAGE = "TorchScript file", "pt2 archive", "AOTInductor package"
FORMATS = {SCRIPT: "torchscript", PT2: "pt2", PACKAGE: "aoti"}
"""Of preproc's formats, by their kinds."""
ZIP = b"PK"
"""What an archive of torch's begins with."""
LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"
"""What torch.save wrote first before it wrote zip files: its magic number, pickled."""
CHECKPOINT = 'source = "checkpoint" in a recipe puts them into a network of your own'
NEVER = "objects of Python are never loaded: where it was made, torch.save(network.state_dict(), ...) writes the tensors alone"


@dataclass(frozen=True)
class TorchFile:
    """kind: in words.  holds: what is in it, as far as its names tell.  hint: what preproc can do with it."""

    kind: str
    holds: str | None = None
    hint: str | None = None


def identify(path: Path) -> TorchFile:
    """Raises BundleError for a file that is none of them, or is damaged."""
    try:
        with path.open("rb") as file:
            start = file.read(len(LEGACY))
            file.seek(0)
            if zipfile.is_zipfile(file):
                with zipfile.ZipFile(file) as archive:
                    return _archive(archive)
            file.seek(0)
            if start == LEGACY:
                return _pickled(values(file, 4)[3], "written before torch 1.6")
            if path.suffix == ".safetensors":
                return _safetensors(file, path.stat().st_size)
            if start[:1] == b"\x80":
                return _pickled(values(file, 1)[0], "not written by torch.save")
    except Exception as error:  # of any class: a damaged file may claim anything of sizes, names and opcodes
        raise BundleError(
            f"{path}: expected a file of torch's or safetensors', got a damaged one: {first_line(error)}", name="not-a-model"
        ) from error
    known = "a TorchScript or pt2 file, an AOTInductor package, a checkpoint or .safetensors"
    if start[:2] == ZIP:
        got = "an archive that is cut off or damaged, for its list of members is not at its end: copy or export it again"
    else:
        got = "nothing in it" if not start else "none of these"
    raise BundleError(f"{path}: expected {known}, got {got}", name="not-a-model")


def _archive(archive: zipfile.ZipFile) -> TorchFile:
    """By the names that torch gives members, below the one folder that all lie in."""
    members = {name.partition("/")[2]: name for name in archive.namelist()}
    compiled = sorted({name.split("/")[2] for name in members if name.startswith("data/aotinductor/") and name.count("/") > 2})
    if compiled:
        hint = "machine code for one kind of device: preproc goes in front of the network before it is compiled"
        return TorchFile(PACKAGE, f"compiled: {', '.join(compiled)}", hint)
    if "archive_format" in members and archive.read(members["archive_format"]).strip() == b"pt2":
        models = sorted(name.removeprefix("models/") for name in members if name.startswith("models/"))
        return TorchFile(PT2, f"torch.export's graphs {', '.join(models)}")
    if "serialized_exported_program.json" in members:
        return TorchFile(PT2, "torch.export's graph, as torch before 2.8 wrote it")
    if "constants.pkl" in members or any(name.startswith("code/") for name in members):
        return TorchFile(SCRIPT)
    if ".data/extern_modules" in members:
        return TorchFile("torch.package archive", "code and pickled objects of Python", NEVER)
    if "data.pkl" in members:
        with archive.open(members["data.pkl"]) as file:
            return _pickled(values(file, 1)[0], "")
    raise ValueError("a zip file that torch has not written")


def _safetensors(file: IO[bytes], size: int) -> TorchFile:
    (length,) = struct.unpack("<Q", file.read(8))
    if length > size - 8:
        raise ValueError("its header does not end")
    header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("its header is no table")
    known = header.pop("__metadata__", {})
    ends = [entry["data_offsets"][1] for entry in header.values()]
    if max(ends, default=0) != size - 8 - length:
        raise ValueError(f"its tensors end at byte {8 + length + max(ends, default=0)}, the file at {size}")
    told = ", with what they know of their preprocessing" if "preproc" in known else ""
    return TorchFile("safetensors file", f"{len(header)} tensors{told}", CHECKPOINT)


def _pickled(value: Any, when: str) -> TorchFile:
    written = f", {when}" if when else ""
    named = sorted({item.name for item in objects(value) if not item.is_tensor})
    if isinstance(value, Named) and value.is_tensor:
        return TorchFile(f"a tensor{written}", None, None)
    if not isinstance(value, Mapping):
        what = f"of class {value.name}" if isinstance(value, Named) else f"a {type(value).__name__}"
        return TorchFile(f"pickled object of Python, {what}{written}", None, NEVER)
    tensors = sum(isinstance(item, Named) and item.is_tensor for item in value.values())
    if tensors and tensors == len(value):
        return TorchFile(f"state_dict{written}", f"{tensors} tensors", CHECKPOINT)
    told = ", ".join(_told(key, item) for key, item in list(value.items())[:12]) + (", ..." if len(value) > 12 else "")
    if named and named != ["argparse.Namespace"]:
        told += f"; objects of Python: {', '.join(named[:4])}"
        return TorchFile(f"checkpoint{written}", told, NEVER)
    return TorchFile(f"checkpoint{written}", told or "nothing", CHECKPOINT)


def _told(key: object, value: object) -> str:
    if isinstance(value, Mapping):
        tensors = sum(item.is_tensor for item in objects(value))
        return f"{key} ({tensors} tensors)" if tensors else str(key)
    return str(key)
