"""What a file of torch's or safetensors' is, told without loading anything: from the names in its archive, and from the opcodes of its
pickle, which are read as a list and never run."""

import json
import pickletools
import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ...errors import BundleError, first_line

SUFFIXES = (".pt", ".pt2", ".pth", ".ckpt", ".bin", ".safetensors")
MOST_OPCODES = 3_000_000
"""More than a pickle of a network's names needs."""
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
                return _pickled(_values(file, 4)[3], "written before torch 1.6")
            if path.suffix == ".safetensors":
                return _safetensors(file, path.stat().st_size)
            if start[:1] == b"\x80":
                return _pickled(_values(file, 1)[0], "not written by torch.save")
    except Exception as error:  # of any class: a damaged file may claim anything of sizes, names and opcodes
        raise BundleError(
            f"{path}: expected a file of torch's or safetensors', got a damaged one: {first_line(error)}", name="not-a-model"
        ) from error
    raise BundleError(f"{path}: expected a TorchScript or pt2 file, a checkpoint or .safetensors, got none of these", name="not-a-model")


def _archive(archive: zipfile.ZipFile) -> TorchFile:
    """By the names that torch gives members, below the one folder that all lie in."""
    members = {name.partition("/")[2]: name for name in archive.namelist()}
    compiled = sorted({name.split("/")[2] for name in members if name.startswith("data/aotinductor/") and name.count("/") > 2})
    if compiled:
        hint = "machine code for one kind of device: preproc goes in front of the network before it is compiled"
        return TorchFile("AOTInductor package", f"compiled: {', '.join(compiled)}", hint)
    if "archive_format" in members and archive.read(members["archive_format"]).strip() == b"pt2":
        models = sorted(name.removeprefix("models/") for name in members if name.startswith("models/"))
        return TorchFile("pt2 archive", f"torch.export's graphs {', '.join(models)}")
    if "serialized_exported_program.json" in members:
        return TorchFile("pt2 archive", "torch.export's graph, as torch before 2.8 wrote it")
    if "constants.pkl" in members or any(name.startswith("code/") for name in members):
        return TorchFile("TorchScript file")
    if ".data/extern_modules" in members:
        return TorchFile("torch.package archive", "code and pickled objects of Python", NEVER)
    if "data.pkl" in members:
        with archive.open(members["data.pkl"]) as file:
            return _pickled(_values(file, 1)[0], "")
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


@dataclass(frozen=True)
class _Object:
    """What a pickle would call: module and name."""

    name: str

    @property
    def is_tensor(self) -> bool:
        return self.name.startswith(("torch._utils._rebuild_", "torch._tensor._rebuild_"))


_MARK = object()


def _pickled(value: Any, when: str) -> TorchFile:
    written = f", {when}" if when else ""
    objects = sorted({item.name for item in _objects(value) if not item.is_tensor})
    if isinstance(value, _Object) and value.is_tensor:
        return TorchFile(f"a tensor{written}", None, None)
    if not isinstance(value, Mapping):
        what = f"of class {value.name}" if isinstance(value, _Object) else f"a {type(value).__name__}"
        return TorchFile(f"pickled object of Python, {what}{written}", None, NEVER)
    tensors = sum(isinstance(item, _Object) and item.is_tensor for item in value.values())
    if tensors and tensors == len(value):
        return TorchFile(f"state_dict{written}", f"{tensors} tensors", CHECKPOINT)
    told = ", ".join(_told(key, item) for key, item in list(value.items())[:12]) + (", ..." if len(value) > 12 else "")
    if objects and objects != ["argparse.Namespace"]:
        told += f"; objects of Python: {', '.join(objects[:4])}"
        return TorchFile(f"checkpoint{written}", told, NEVER)
    return TorchFile(f"checkpoint{written}", told or "nothing", CHECKPOINT)


def _told(key: object, value: object) -> str:
    if isinstance(value, Mapping):
        tensors = sum(item.is_tensor for item in _objects(value))
        return f"{key} ({tensors} tensors)" if tensors else str(key)
    return str(key)


def _objects(value: object) -> Iterator[_Object]:
    seen, left = set[int](), [value]
    while left:
        item = left.pop()
        if isinstance(item, _Object):
            yield item
        elif isinstance(item, (Mapping, list)) and id(item) not in seen:
            seen.add(id(item))
            left += [*item.values()] if isinstance(item, Mapping) else item


def _values(file: IO[bytes], count: int) -> list[Any]:
    """What so many pickles behind one another hold: tables and lists as they are, text and numbers, and for everything else the name of
    what would be called. Raises ValueError for what is no pickle."""
    return [_value(file) for _ in range(count)]


def _value(file: IO[bytes]) -> Any:
    stack: list[Any] = []
    memo: dict[Any, Any] = {}

    def slice_() -> list[Any]:
        position = max(index for index, item in enumerate(stack) if item is _MARK)
        items = stack[position + 1 :]
        del stack[position:]
        return items

    argument: Any
    for number, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        name = opcode.name
        if number > MOST_OPCODES:
            raise ValueError("a pickle longer than a network's names need")
        if name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if name == "MEMOIZE" else int(argument)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[int(argument)])
        elif name in ("PROTO", "FRAME"):
            pass
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "STOP":
            return stack.pop()
        elif name in ("GLOBAL", "INST"):
            if name == "INST":
                slice_()
            stack.append(_Object(str(argument).replace(" ", ".")))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(_Object(f"{module}.{attribute}"))
        elif name in ("REDUCE", "NEWOBJ", "BUILD"):  # of what is called with what: the first alone, a table for one of the tables
            stack.pop()
            stack[-1] = {} if stack[-1] == _Object("collections.OrderedDict") else stack[-1]
        elif name in ("EMPTY_DICT", "DICT"):
            items = slice_() if name == "DICT" else []
            stack.append(_table(items))
        elif name in ("SETITEM", "SETITEMS"):
            items = slice_() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            if isinstance(stack[-1], dict):
                stack[-1].update(_table(items))
        elif name in ("APPEND", "APPENDS"):
            items = slice_() if name == "APPENDS" else [stack.pop()]
            if isinstance(stack[-1], list):
                stack[-1].extend(items)
        elif name in ("EMPTY_LIST", "EMPTY_TUPLE", "LIST", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"):
            size = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}.get(name, 0)
            items = slice_() if name in ("LIST", "TUPLE") else [stack.pop() for _ in range(size)][::-1]
            stack.append(items)
        else:
            _by_its_signature(opcode, argument, stack, slice_)
    raise ValueError("a pickle without an end")


def _table(items: list[Any]) -> dict[Any, Any]:
    return {key if isinstance(key, (str, int)) else repr(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


def _by_its_signature(opcode: Any, argument: Any, stack: list[Any], slice_: Any) -> None:
    """Any other opcode: takes and leaves as many as pickletools says; its argument, or the name of what it made."""
    if pickletools.stackslice in opcode.stack_before:
        slice_()
        taken = len(opcode.stack_before) - 2
    else:
        taken = len(opcode.stack_before)
    given = stack[len(stack) - taken :]
    del stack[len(stack) - taken :]
    parts = [part for item in given for part in (item if isinstance(item, list) else [item])]
    named = next((part for part in parts if isinstance(part, _Object)), opcode.name)
    stack += [named if argument is None else argument for _ in opcode.stack_after]
