"""A bundle as a model in a server's repository: written beside the repository, then renamed in, so that a polling server sees all of it or
nothing. (In a repository that is a mounted volume it has to be written inside: then a server that polls may log what it sees, and load the
other versions again.)"""

import errno
import functools
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...bundle import MANIFEST, Bundle, open_bundle, sha256
from ...errors import PreprocError, check_choice, first_line
from ...host import Progress, scratch, silent, targets
from ...sources import check_name
from ...verify import QUICK, Case
from . import triton
from .backends import BACKENDS

CONFIG = "config.pbtxt"
LAST = 2**63 - 1
"""The largest version that Triton can read."""


def package(
    bundle_dir: str | Path,
    out: str | Path,
    *,
    target: str = "triton",
    backend: str = "onnxruntime",
    name: str | None = None,
    kind: str = "auto",
    max_batch: int | None = None,
    settings: str | Path | None = None,
    progress: Progress = silent,
) -> Path:
    """Adds the bundle to the model repository `out`, which is made if it is not there; returns the folder of the new version.

    target: "triton".  backend: "onnxruntime", "pytorch" or "aoti".  name: of the model, by default the bundle's.  kind: where instances
    run, "auto", "cpu" or "gpu".  max_batch: pictures in a batch at most, 0: no batching; by default triton.MAX_BATCH, or 0 where the model
    takes no batches.  settings: a file with more of config.pbtxt, whose fields take the place of ours.  progress: is told why there are no
    batches, what machine code needs, and that a verification was inconclusive.
    A model that is there gets the next version; what is served from the others stays as it is, to the byte. Raises PreprocError if the
    new version would need another config.pbtxt or other labels than those that are there, or its warm-up is gone; and for a bundle that was
    exported quickly.
    """
    _check_options(target, backend, kind, max_batch)
    bundle = _servable(bundle_dir, backend)
    name = _url_name(str(bundle.contract["name"]) if name is None else name)
    repository = _repository(out)
    more = None if settings is None else _text(Path(settings))
    golden = bundle.golden()
    config = triton.make_config(bundle, golden, name, backend=backend, kind=kind, max_batch=max_batch, settings=more, progress=progress)
    model = repository / name
    version = _next_version(model, config)
    made = Path(out) / name / str(version)
    targets.check_place(made, size=_size(bundle, backend))
    with targets.made_folder(repository), targets.writing(made):
        for place in {repository.parent, repository, model}:
            scratch.sweep(place, _prefix(model))
        _put(functools.partial(_stage, bundle, config, backend, model, version, golden[0]), model, made)
    if not bundle.report.ok:
        progress("note: the bundle's verification is inconclusive: it could not have noticed every mistake")
    return made


def _check_options(target: str, backend: str, kind: str, max_batch: object) -> None:
    check_choice("target", target, ("triton",))
    check_choice("backend", backend, BACKENDS)
    check_choice("kind", kind, triton.KINDS)
    whole = isinstance(max_batch, int) and not isinstance(max_batch, bool) and 0 <= max_batch < 1 << 31
    if max_batch is not None and not whole:
        raise PreprocError(f"expected max_batch to be a number of pictures, 0 for no batching, got {max_batch!r}", name="option-value")


def _servable(bundle_dir: str | Path, backend: str) -> Bundle:
    """The bundle, if it has a file for the backend and was verified. Raises PreprocError."""
    bundle = open_bundle(bundle_dir)
    model_file = BACKENDS[backend].model
    if model_file not in bundle.manifest["files"]:
        raise PreprocError(
            f"{bundle.folder}: expected {model_file} for {backend}, got a bundle without it; {bundle.missing_format}",
            name="format-not-in-bundle",
        )
    if bundle.report.failed:
        raise PreprocError(
            f"{bundle.folder}: expected a bundle that did not fail its verification, got one that did", name="bundle-not-verified"
        )
    if bundle.report.power.quick:
        raise PreprocError(f"{bundle.folder}: expected a verified bundle, got a quick one: {QUICK}", name="bundle-not-verified")
    return bundle


def _url_name(name: str) -> str:
    """Raises PreprocError for what can be no part of a URL."""
    check_name(name)
    if not name.isascii():
        raise PreprocError(
            f"expected a name in ASCII, for it is part of a server's URLs, got {name!r}; give another one with --name", name="unusable-name"
        )
    return name


def _repository(out: str | Path) -> Path:
    """Raises PreprocError for what can be none."""
    if not str(out) or (Path(out).exists() and not Path(out).is_dir()):
        raise PreprocError(f"{out}: expected a folder, the model repository, got a file or no name", name="target-name")
    try:
        place = Path(out).resolve()
    except (OSError, RuntimeError) as error:
        raise PreprocError(f"{out}: expected a folder, the model repository, got: {first_line(error)}", name="system-refused") from error
    for folder in (place, *place.parents):
        if (folder / MANIFEST).is_file() and '"preproc-bundle"' in _text(folder / MANIFEST):
            raise PreprocError(
                f"{out}: expected a model repository, got {folder}, which is a bundle, or a folder in it", name="target-name"
            )
    for folder in (place, place.parent):
        if (folder / CONFIG).is_file():
            raise PreprocError(
                f"{out}: expected a model repository, got the folder of a model in one; did you mean {folder.parent}?", name="target-name"
            )
    return place


def _put(stage: Callable[[Path], None], model: Path, made: Path) -> None:
    """Stages beside the repository where that is one disk and may be written to, else inside."""
    repository = model.parent
    try:
        stage(repository.parent)
    except OSError as error:  # another disk, or a folder of somebody else's
        if error.errno not in (errno.EXDEV, errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        try:
            stage(model if model.is_dir() else repository)
        except OSError as second:
            raise PreprocError(
                f"{made}: expected a folder that can be written to, got: {second.strerror}", name="system-refused"
            ) from second


def _stage(bundle: Bundle, config: Any, backend: str, model: Path, version: int, sample: Case, place: Path) -> None:
    """Writes the version in a folder in `place`, and renames it into place. Nothing in the model's folder is touched before: a server that
    polls loads the versions of a folder that has changed again. Raises OSError where it cannot be written there, or renamed from there."""
    with scratch.token() as token:
        staged = place / f"{_prefix(model)}{token}"
        try:
            staged.mkdir()
            new = staged / model.name
            _write(new, bundle, config, backend, version, sample)
            if model.exists():
                _check_same(new, model)
                (new / str(version)).rename(model / str(version))
            else:
                new.rename(model)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                raise PreprocError(
                    f"{model}: expected nobody else to write there, got: {error.strerror}", name="written-meanwhile"
                ) from error
            raise
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def _prefix(model: Path) -> str:
    """Of folders that become part of the model; a server takes them for no version."""
    return f".{model.parent.name}.{model.name}.new-"


def _size(bundle: Bundle, backend: str) -> int:
    """Bytes of the files that go into a version folder."""
    return sum(bundle.manifest["files"].get(file, {"size": 0})["size"] for file in BACKENDS[backend].files)


def _write(folder: Path, bundle: Bundle, config: Any, backend: str, version: int, sample: Case) -> None:
    place = folder / str(version)
    place.mkdir(parents=True)
    for file, there in BACKENDS[backend].files.items():
        promised = bundle.manifest["files"].get(file)
        if promised is None:
            continue
        shutil.copyfile(bundle.folder / file, place / there)
        if sha256(place / there) != promised["sha256"]:
            raise PreprocError(
                f"{bundle.folder / file}: expected the verified file, got changed bytes; is another program writing there?",
                name="written-meanwhile",
            )
    (folder / CONFIG).write_text(triton.to_text(config), encoding="utf-8")
    if bundle.contract["labels"]:
        (folder / triton.LABELS).write_text("".join(f"{label}\n" for label in bundle.contract["labels"]), encoding="utf-8")
    triton.write_warmup(folder / triton.WARMUP, sample)


def _next_version(model: Path, config: Any) -> int:
    """Raises PreprocError where there is none, or it would not be served."""
    folders = [folder.name for folder in model.iterdir()] if model.is_dir() else []
    version = max((int(name) for name in folders if re.fullmatch("[0-9]+", name)), default=0) + 1
    if version > LAST:
        raise PreprocError(f"{model}: expected versions up to {LAST}, which Triton can read, got {version - 1}", name="served-otherwise")
    triton.check_policy(config, version)
    return version


def _check_same(new: Path, model: Path) -> None:
    """A server reads these again when it sees a new version: they must be what they were. Raises PreprocError."""
    another = "give it another --name, or remove the old model"
    ours, theirs = (triton.parse(_text(folder / CONFIG), folder / CONFIG) for folder in (new, model))
    if ours != theirs:
        fields = ", ".join(triton.differing(ours, theirs))
        raise PreprocError(
            f"{model}: expected a new version with the {CONFIG} of those that are served, got another {fields}; give the same options and "
            f"--settings as before, {another}",
            name="served-otherwise",
        )
    labels = [(folder / triton.LABELS).read_bytes() if (folder / triton.LABELS).exists() else None for folder in (new, model)]
    if labels[0] != labels[1]:
        raise PreprocError(
            f"{model}: expected a new version with the {triton.LABELS} of those that are served, got another; {another}",
            name="served-otherwise",
        )
    for feed in (new / triton.WARMUP).iterdir():
        old = model / triton.WARMUP / feed.name
        size = old.stat().st_size if old.is_file() else None
        if size != feed.stat().st_size:
            raise PreprocError(
                f"{old}: expected the {feed.stat().st_size} bytes that {CONFIG} tells, got {size or 'nothing there'}; {another}",
                name="served-otherwise",
            )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PreprocError(
            f"{file}: expected a text file, got: {getattr(error, 'strerror', None) or error}", name="malformed-file"
        ) from error
