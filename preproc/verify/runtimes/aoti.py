"""AOTInductor packages: libraries of machine code. What they were compiled for is looked at before one is loaded."""

import contextlib
import json
import os
import platform
import re
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from ...errors import BundleError, RuntimeAbsentError, VerificationError, first_line
from ...host import instructions, needed, targets
from .base import Outputs, no_room
from .pytorch import TorchCpu, check_device

CONTRACT = "preproc.contract"
"""Its key in a package's metadata."""
REFUSED = r"unmatched (dtype|dim)"
"""What a package says where it refuses its input."""
METADATA = "_metadata.json"
"""The end of its name, behind that of the library without .so. torch writes others, of the sources that it has linked."""
LARGEST = 1 << 26
"""More bytes of metadata are not read: a thousand labels are 20 thousand."""
OF_TORCH = {
    "AVX2": ("avx2", "fma", "f16c"),
    "AVX512": ("avx512f", "avx512dq", "avx512vl", "avx512bw", "fma"),
    "AVX512_VNNI": ("avx512_vnni",),
    "AMX_TILE": ("amx_tile",),
    "ASIMD": ("asimd",),
    "NEON": ("asimd",),
    "ZVECTOR": ("vx",),
    "INVALID_VEC_ISA": (),
}
"""The instructions behind the words in torch's own metadata, AOTI_CPU_ISA, the last of which says none: a contract that promises less is
not believed."""


class AotiCpu(TorchCpu):
    """The AOTInductor package, on the CPU."""

    name, file, device = "aoti-cpu", "model.aoti.pt2", "cpu"
    alone, bare_in = True, "torch-cpu"
    shape: Sequence[int | str] = ()
    """Of the pixels, by the contract inside: names where it is free."""

    def open(self, path: Path) -> None:
        metadata = _own_metadata(path)
        check_runs_here(metadata, path, self.device)
        check_device(self.device)
        self.shape = _shape(metadata, path)
        import torch

        check_release(metadata, path, torch.__version__)
        if self.device == "cuda":
            check_capability(metadata, path, torch.cuda.get_device_capability())
        try:
            loader = torch._C._aoti.AOTIModelPackageLoader(str(path), "model", False, 1, -1)
        except RuntimeError as error:
            _check_room(path)
            raise BundleError(
                f"{path.name}: expected a package that torch can load, got: {first_line(error)}", name="runtime-refuses-file"
            ) from error
        self.module = lambda pixels: tuple(loader.run([pixels]))  # type: ignore[assignment]

    def run(self, pixels: NDArray[Any], others: Mapping[str, NDArray[Any]] = MappingProxyType({})) -> Outputs:
        self.last = pixels.copy()  # a package looks at strides, and one picture may have one that is 0, or be turned
        return super().run(self.last, others)

    def _held(self) -> Any:
        return ()

    def proof(self) -> str:
        """What a network in Python proves, and that it takes nothing but pixels: torch's packages read whatever they are given."""
        import torch

        own = torch.from_numpy(self.last).to(self.device)
        self._check_refused("floats in place of pixels", own.float())
        for axis, side in enumerate(self.shape):
            if axis and isinstance(side, int):
                more = torch.cat((own, own.narrow(axis, 0, 1)), axis).contiguous()
                self._check_refused(f"pixels of shape {list(more.shape)} in place of {list(own.shape)}", more)
        return super().proof()

    def _check_refused(self, what: str, given: Any) -> None:
        assert self.module is not None
        got = "one that takes them: it would read them as what it expects"
        said: list[str] = []
        try:
            with _heard(said):
                self.module(given)
        except RuntimeError as error:
            if re.search(REFUSED, "\n".join((str(error), *said))):
                return
            got = f"another error: {first_line(error)}"
        raise VerificationError(f"expected a package that refuses {what}, got {got}")

    def close(self) -> None:
        self.module = None  # which unloads the library, and removes what was unpacked


class AotiCuda(AotiCpu):
    """The AOTInductor package, on a CUDA device."""

    name, device, bare_in = "aoti-cuda", "cuda", "torch-cuda"


def package_metadata(path: Path) -> dict[str, str] | None:
    """What get_metadata() would answer, read as a zip member: nothing is loaded. None for a package that is not made as ours are: its
    model has another name, or it has several libraries. Raises BundleError for a damaged one."""
    try:
        with zipfile.ZipFile(path) as archive:
            each = {member.filename: member for member in archive.infolist()}
            told = [
                each[name.removesuffix(".so") + METADATA]
                for name in each
                if name.endswith(".so") and name.removesuffix(".so") + METADATA in each
            ]
            if len(told) != 1 or "/data/aotinductor/model/" not in told[0].filename:
                return None
            if told[0].file_size > LARGEST:
                raise ValueError(f"{told[0].file_size:,} bytes of metadata")
            found = json.loads(archive.read(told[0]))
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            raise ValueError("metadata that is no table of texts")
    except Exception as error:  # of any class: a damaged archive may claim anything
        raise BundleError(f"{path}: expected an AOTInductor package, got: {first_line(error)}", name="not-a-model") from error
    return found


@contextlib.contextmanager
def _heard(said: list[str]) -> Iterator[None]:
    """Into `said` what the body writes to this process's stderr, as libraries do: a package compiled by an older torch says there alone why
    it refuses its input, and torch raises that a call has failed."""
    before = os.dup(2)
    try:
        with os.fdopen(os.memfd_create("stderr"), "r+b") as held:
            os.dup2(held.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(before, 2)
                held.seek(0)
                said.append(held.read().decode(errors="replace"))
    finally:
        os.close(before)


def _check_room(path: Path) -> None:
    """Raises RuntimeAbsentError where the temporary folder, into which torch unpacks a package, has no room for this one: of that torch
    says what it says of a damaged one."""
    place = os.environ.get("TMPDIR") or tempfile.gettempdir()  # as torch, which takes it full, too, where Python takes another
    try:
        with tempfile.TemporaryDirectory(prefix="preproc-", dir=place) as folder, zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
    except Exception as error:  # a damaged one raises anything
        if isinstance(error, OSError) and error.errno in targets.NO_PLACE:
            raise no_room(Path(place), f"what is in {path.name}", error) from error


def _own_metadata(path: Path) -> dict[str, str]:
    """Of a package that is made as ours are, with one file of metadata alone: of others torch may choose another one."""
    found = package_metadata(path)
    if found is not None:
        with zipfile.ZipFile(path) as archive:
            found = found if [name.endswith(METADATA) for name in archive.namelist()].count(True) == 1 else None
    if found is None:
        raise BundleError(f"{path}: expected an AOTInductor package with one library's metadata, got another one", name="not-a-model")
    return found


def _shape(metadata: Mapping[str, str], path: Path) -> list[int | str]:
    try:
        shape: list[int | str] = list(json.loads(metadata[CONTRACT])["input"]["shape"])
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{path.name}: expected a package of preproc, got one without or with a wrong {first_line(error)}") from error
    return shape


def check_runs_here(metadata: Mapping[str, str], path: Path, device: str) -> None:
    """Raises RuntimeAbsentError where this machine cannot run what was compiled: told by preproc's contract, and by torch's own words."""
    made = _promised(metadata, path)
    kinds = {made["device"], metadata.get("AOTI_DEVICE_KEY", made["device"])}
    if kinds != {device}:
        raise RuntimeAbsentError(f"it is compiled for {' and '.join(sorted(kinds))}")
    here = {"system": (sys.platform, "AOTI_PLATFORM"), "machine": (platform.machine(), "AOTI_MACHINE")}
    for key, (own, word) in here.items():
        other = {made[key], metadata.get(word, made[key])} - {own}
        if other:
            raise RuntimeAbsentError(f"it is compiled for {' and '.join(sorted(other))}, and this {key} is {own}")
    words = metadata.get("AOTI_CPU_ISA", "").split()
    if unknown := sorted(set(words) - set(OF_TORCH)):
        raise RuntimeAbsentError(f"it is compiled for {', '.join(unknown[:6])}, which is none of the instructions {', '.join(OF_TORCH)}")
    wanted = {*made["instructions"], *(name for word in words for name in OF_TORCH[word])}
    had = instructions()
    missing = sorted(wanted - had)
    if missing:
        told = f"has no {', '.join(missing[:6])}{', ...' if len(missing) > 6 else ''}" if had else "does not tell which it has"
        raise RuntimeAbsentError(f"it is compiled for the instructions {made['cpu']}, and this processor {told}")


def check_capability(metadata: Mapping[str, str], path: Path, own: tuple[int, int]) -> None:
    """Raises RuntimeAbsentError where the CUDA device has another compute capability: what was compiled for one runs on no other."""
    made = _promised(metadata, path)
    here = "".join(map(str, own))
    wanted = {"".join(map(str, made.get("compute_capability", ()))), metadata.get("AOTI_COMPUTE_CAPABILITY", here)} - {here}
    if wanted:
        told = " and ".join(f"{one[:-1]}.{one[-1:]}" for one in sorted(wanted))
        raise RuntimeAbsentError(f"it is compiled for compute capability {told} ({made.get('gpu')}), and this device has {own[0]}.{own[1]}")


def check_release(metadata: Mapping[str, str], path: Path, own: str) -> None:
    """Raises RuntimeAbsentError where this torch, of the version `own`, is of an older release than the one that compiled it. Of its C
    interface, torch/csrc/inductor/aoti_torch/c/shim.h, torch says that libraries are to stay usable when it is updated; older ones may lack
    what was added since."""
    made = _promised(metadata, path)["torch"]
    if _release(made) > _release(own):
        raise RuntimeAbsentError(f"it is compiled by torch {made}, and this one is {own}: older ones may lack what it calls")


def _release(version: str) -> tuple[int, ...]:
    """Major and minor. Raises ValueError for no version."""
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def _promised(metadata: Mapping[str, str], path: Path) -> dict[str, Any]:
    """What the contract inside says of the compilation."""
    try:
        made: dict[str, Any] = json.loads(metadata[CONTRACT])["compiled"]["aoti"]
        told = [isinstance(made[key], str) for key in ("device", "system", "machine", "cpu", "torch")]
        told += [_release(made["torch"]) > (0, 0)]
        told += [bool(made["instructions"]), *(isinstance(name, str) for name in made["instructions"])]
        told += [made["cpu"] == "native" or set(needed(made["cpu"])) <= set(made["instructions"])]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{path.name}: expected a package of preproc, got one without or with a wrong {first_line(error)}") from error
    if not all(told):
        raise BundleError(f"{path.name}: expected a package of preproc, got one that says of its compilation what none says")
    return made
