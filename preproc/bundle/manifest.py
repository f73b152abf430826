"""A bundle on disk: its manifest, and every file checked against it. No torch."""

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BundleError, PreprocError, first_line
from ..host import Progress, digest, silent, versions
from ..sources import check_name
from ..verify import Case, Report, agree
from ..verify.runtimes import RUNTIMES, package_metadata, read_program
from . import contract as contracts
from .cases import BUNDLED, check_cases
from .golden import golden_files, read_golden
from .publishing import MANIFEST, recover

LARGEST = 1 << 26
"""More bytes of a contract are not read: a thousand labels are 20 thousand."""


@dataclass(frozen=True)
class Bundle:
    """A published bundle. manifest: what manifest.json says.  verified: by export_bundle(), of one that it left as it was: this machine's
    report."""

    folder: Path
    manifest: Mapping[str, Any]
    verified: Report | None = None

    def __repr__(self) -> str:
        verdicts = ", ".join(f"{result.runtime} {result.verdict}" for result in self.report.results)
        return f"Bundle({str(self.folder)!r}: {verdicts})"

    @property
    def contract(self) -> Mapping[str, Any]:
        contract: Mapping[str, Any] = self.manifest["contract"]
        return contract

    @property
    def report(self) -> Report:
        return self.verified or Report.from_json(self.manifest["report"])

    def golden(self) -> list[Case]:
        """The golden samples, with the reference's outputs."""
        outputs, others = ([value["name"] for value in self.contract[key]] for key in ("outputs", "other_inputs"))
        listed, axes = self.manifest["files"], len(contracts.picture_layout(self.contract["input"]["layout"]))
        return [read_golden(self.folder, name, outputs, others, listed, axes=axes) for name in self.manifest["golden"]]

    @property
    def missing_format(self) -> str:
        """How a model file that is not in the bundle comes into it."""
        if self.contract["backbone"]["source"] == "onnx":
            return "an .onnx file, which it is made of, cannot become that format, which needs the network as a torch module in a recipe"
        return "add its format to the recipe and export again"

    def check_cases(self) -> None:
        """Raises BundleError where ExecuTorch's test cases are not the golden samples, or are around another program."""
        if BUNDLED in self.manifest["files"]:
            check_cases(self.folder, self.contract, self.golden())

    def against_golden(self, count: int | None = None) -> str:
        """What a report says that compares with the golden samples, or so many of them."""
        return f"{count or len(self.manifest['golden'])} golden samples ({self.report.against.split(',')[0]} of the export)"


def open_bundle(folder: str | Path) -> Bundle:
    """Reads the manifest and checks every file against it, and the contract in each model file. Raises BundleError naming what differs."""
    folder = Path(folder)
    recover(folder)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        bare = "; a bare model file holds no reference to verify it with, `preproc inspect` reads it" if folder.is_file() else ""
        raise BundleError(f"{folder}: expected a bundle, a folder with {MANIFEST}, got none there{bare}", name="not-a-bundle") from error
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{folder / MANIFEST}: expected JSON, got: {first_line(error)}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != "preproc-bundle":
        raise BundleError(f"{folder / MANIFEST}: expected a manifest of preproc, got something else", name="not-a-bundle")
    if manifest.get("version") != 1:
        raise BundleError(
            f"{folder / MANIFEST}: expected version 1, got {manifest.get('version')!r}; use a newer preproc", name="newer-format"
        )
    try:
        contracts.check(manifest["contract"], folder / MANIFEST)
        _check_files(folder, manifest)
        bundle = Bundle(folder, manifest)
        _ = bundle.report, bundle.contract["outputs"], manifest["golden"]
        check_name(bundle.contract["name"])  # it leads to the recipe
        for sample in manifest["golden"]:
            check_name(sample)
        if not manifest["golden"] or not isinstance(manifest["golden"], list):
            raise BundleError(f"{folder / MANIFEST}: expected golden samples, got {'others' if manifest['golden'] else 'none'}")
        bundle.check_cases()
    except PreprocError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise BundleError(f"{folder / MANIFEST}: expected a whole manifest, got one without or with a wrong {first_line(error)}") from error
    return bundle


def _check_files(folder: Path, manifest: Mapping[str, Any]) -> None:
    wrong = []
    for name, promised in manifest["files"].items():
        file = folder / name
        if not file.is_file():
            wrong.append(f"{name} is missing")
        elif file.stat().st_size != promised["size"]:
            wrong.append(f"{name} has {file.stat().st_size} bytes instead of {promised['size']}")
        elif sha256(file) != promised["sha256"]:
            wrong.append(f"{name} has other contents")
    if wrong:
        again = "make it again, with attach or export" if manifest["contract"]["backbone"]["source"] == "onnx" else "export it again"
        raise BundleError(f"{folder}: expected the files that its manifest lists, got: {'; '.join(wrong)}; {again}", name="bundle-changed")
    for name, read in READERS.items():
        if name in manifest["files"] and read(folder / name) != manifest["contract"]:
            raise BundleError(f"{folder / name}: expected the manifest's contract inside, got another one", name="bundle-changed")


def strays(bundle: Bundle) -> list[str]:
    """What lies in a bundle's folder beside what its manifest lists."""
    listed = {MANIFEST, *(name.partition("/")[0] for name in bundle.manifest["files"])}
    return sorted(file.name for file in bundle.folder.iterdir() if file.name not in listed)


def equal_bundle(target: Path, contract: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]], golden: Sequence[Case]) -> bool:
    """Whether the intact bundle in `target` is what would replace it: the same contract, model files, bytes in model.onnx and in what is
    loaded as code (machine code, ExecuTorch's programs), and golden samples, whose outputs another machine may have rounded otherwise.
    Never without one of these: TorchScript never has the same bytes.

    files: the new model files, as hashes() has them.
    """
    try:
        old = open_bundle(target)
        known = old.golden()
    except BundleError:
        return False
    theirs = {name: entry for name, entry in old.manifest["files"].items() if not name.startswith("golden/")}
    code = {BUNDLED, *(kind.file for kind in RUNTIMES.values() if kind.alone)}
    same = [name for name in files if name.startswith("model.onnx") or name in code]
    if old.contract != contract or not same or set(files) != set(theirs) or any(files[name] != theirs[name] for name in same):
        return False
    if [case.name for case in known] != [case.name for case in golden]:
        return False
    return all(agree(one, other) for one, other in zip(known, golden, strict=True))


def _onnx_contract(path: Path) -> dict[str, Any] | None:
    from ..graph import read_metadata

    text = read_metadata(path).get(contracts.KEY)
    return None if text is None else contracts.read(text, path)


def torch_contract(path: Path) -> dict[str, Any] | None:
    """The contract in a TorchScript file or a pt2 archive, read as a zip member: nothing is executed. None if there is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = next((member for member in archive.infolist() if member.filename.endswith(f"/extra/{contracts.FILE}")), None)
            if found is not None and found.file_size > LARGEST:
                raise ValueError(f"a contract of {found.file_size:,} bytes")
            text = None if found is None else archive.read(found)
    except Exception as error:  # of any class: a damaged archive may claim anything
        raise BundleError(f"{path}: expected a TorchScript or pt2 file, got: {first_line(error)}", name="not-a-model") from error
    return None if text is None else contracts.read(text, path)


def package_contract(path: Path) -> dict[str, Any] | None:
    """The contract in an AOTInductor package, read as a zip member: nothing is loaded. None if there is none."""
    text = (package_metadata(path) or {}).get(contracts.KEY)
    return None if text is None else contracts.read(text, path)


def executorch_contract(path: Path) -> dict[str, Any] | None:
    """The contract in a program of ExecuTorch, bundled with test cases or not, read from its bytes: nothing is executed. None if there is
    none."""
    text = read_program(path).text(contracts.METHOD)
    return None if text is None else contracts.read(text, path)


READERS: Mapping[str, Callable[[Path], dict[str, Any] | None]] = {
    "model.onnx": _onnx_contract,
    "model.pt": torch_contract,
    "model.pt2": torch_contract,
    "model.aoti.pt2": package_contract,
    "model.pte": executorch_contract,
    "model.bpte": executorch_contract,
}
"""How the contract in each model file is read."""


def sha256(path: Path) -> str:
    return digest([path])


def hashes(folder: Path, progress: Progress = silent) -> dict[str, dict[str, Any]]:
    """Size and sha256 of every file below a folder, by relative name."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != MANIFEST)
    return {file.relative_to(folder).as_posix(): {"size": file.stat().st_size, "sha256": digest([file], progress)} for file in files}


def write_manifest(folder: Path, *, contract: Mapping[str, Any], golden: list[str], report: Report) -> dict[str, Any]:
    values = [value["name"] for value in (*contract["outputs"], *contract["other_inputs"])]
    manifest = {
        "format": "preproc-bundle",
        "version": 1,
        "contract": contract,
        "golden": golden,
        "golden_files": golden_files(values),
        "files": hashes(folder),
        "versions": versions(),
        "report": report.to_json(),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return manifest
