"""A bundle as a model in a server's repository: written beside it, then renamed in, so that a polling server sees all of it or nothing."""

import errno
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..bundle import Bundle, open_bundle, sha256
from ..checks import check_choice
from ..errors import PreprocError
from ..recipe import check_name
from . import triton

CONFIG = "config.pbtxt"


def package(
    bundle_dir: str | Path,
    out: str | Path,
    *,
    target: str = "triton",
    backend: str = "onnxruntime",
    name: str | None = None,
    kind: str = "auto",
    max_batch: int = triton.MAX_BATCH,
    settings: str | Path | None = None,
) -> Path:
    """Adds the bundle to the model repository `out`, which is made if it is not there; returns the folder of the new version.

    target: "triton".  backend: "onnxruntime" or "pytorch".  name: of the model, by default the bundle's.  kind: where instances run,
    "auto", "cpu" or "gpu".  max_batch: pictures in a batch at most; 0: no batching.  settings: a file with more of config.pbtxt.
    A model that is there gets the next version; what is served from the others stays as it is, to the byte. Raises PreprocError if the
    new version would need another config.pbtxt, labels or warm-up than the one that is there.
    """
    out = Path(out)
    check_choice("target", target, ("triton",))
    check_choice("backend", backend, triton.FILES)
    check_choice("kind", kind, triton.KINDS)
    if isinstance(max_batch, bool) or not isinstance(max_batch, int) or not 0 <= max_batch < 1 << 31:
        raise PreprocError(f"expected max_batch to be a number of pictures, 0 for no batching, got {max_batch!r}")
    bundle = open_bundle(bundle_dir)
    model_file = triton.FILES[backend][0]
    if model_file not in bundle.manifest["files"]:
        raise PreprocError(f"{bundle.folder}: expected {model_file} for {backend}, got a bundle without it; add its format to the recipe")
    if bundle.report.failed:
        raise PreprocError(f"{bundle.folder}: expected a bundle that did not fail its verification, got one that did")
    name = name or str(bundle.contract["name"])
    check_name(name)
    if out.exists() and not out.is_dir():
        raise PreprocError(f"{out}: expected a folder, the model repository, got a file")
    sample = bundle.golden()[0]
    more = None if settings is None else _text(Path(settings))
    config = triton.make_config(bundle, name, backend=backend, kind=kind, max_batch=max_batch, settings=more, sample=sample)
    out.mkdir(parents=True, exist_ok=True)
    out = out.resolve()  # beside it, unless a volume is mounted there: then inside, where a server sees a model that is not whole yet
    beside = out.parent if out.parent.stat().st_dev == out.stat().st_dev else out
    with tempfile.TemporaryDirectory(dir=beside, prefix=f".{out.name}.new-") as staged:
        new, model = Path(staged) / name, out / name
        version = _next_version(model)
        _write(new, bundle, config, backend, version)
        if model.exists():
            _check_same(new, model)
            _rename(new / str(version), model / str(version))
        else:
            _rename(new, model)
    return model / str(version)


def _write(folder: Path, bundle: Bundle, config: Any, backend: str, version: int) -> None:
    place = folder / str(version)
    place.mkdir(parents=True)
    for file in triton.FILES[backend]:
        promised = bundle.manifest["files"].get(file)
        if promised is None:
            continue
        shutil.copyfile(bundle.folder / file, place / file)
        if sha256(place / file) != promised["sha256"]:
            raise PreprocError(f"{bundle.folder / file}: expected the verified file, got changed bytes; is another program writing there?")
    (folder / CONFIG).write_text(triton.to_text(config), encoding="utf-8")
    if bundle.contract["labels"]:
        (folder / triton.LABELS).write_text("".join(f"{label}\n" for label in bundle.contract["labels"]), encoding="utf-8")
    triton.write_warmup(folder / triton.WARMUP, bundle.golden()[0])


def _next_version(model: Path) -> int:
    versions = [int(folder.name) for folder in model.iterdir() if folder.name.isdigit()] if model.is_dir() else []
    return max(versions, default=0) + 1


def _check_same(new: Path, model: Path) -> None:
    """A server reads these again when it sees a new version: they must be what they were. Raises PreprocError."""
    same: dict[str, Callable[[Path], object]] = {
        CONFIG: lambda folder: triton.parse(_text(folder / CONFIG)),
        triton.LABELS: lambda folder: (folder / triton.LABELS).read_bytes() if (folder / triton.LABELS).exists() else None,
    }
    for file, read in same.items():
        if read(new) != read(model):
            raise PreprocError(
                f"{model}: expected a new version with the {file} of those that are served, got another; give it another --name, or "
                "remove the old model"
            )
    for feed in (new / triton.WARMUP).iterdir():
        old = model / triton.WARMUP / feed.name
        if not old.is_file():
            raise PreprocError(f"{old}: expected what {CONFIG} names, got nothing there")


def _rename(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise PreprocError(f"{target}: expected the repository on the disk of the folder around it, got another") from error
        raise PreprocError(f"{target}: expected nobody else to write there, got: {error.strerror}") from error


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PreprocError(f"{file}: expected a text file, got: {getattr(error, 'strerror', None) or error}") from error
