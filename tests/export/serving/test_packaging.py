"""Packages for servers, without one; tests/serving/ has the real ones."""

import errno
import json
import os
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest

from preproc.bundle import hashes
from preproc.errors import BundleError, PreprocError
from preproc.export.serving import package
from preproc.verify.runtimes import OrtCpu
from tests.commands import run
from tests.export.serving.repositories import DIGITS
from tests.onnx_files import hand_made, put


def test_a_new_version_leaves_what_is_served_as_it_is(tmp_path):
    first = package(DIGITS, tmp_path)
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in hashes(tmp_path)}
    assert package(DIGITS, tmp_path) == first.parent / "2"
    for folder in ("7", "²", "x9", "-3"):
        (first.parent / folder).mkdir()
    assert package(DIGITS, tmp_path) == first.parent / "8"
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in before} == before
    assert not list(tmp_path.parent.glob(f".{tmp_path.name}.new-*"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: (model / "labels.txt").write_text("a\n"), "labels.txt of those that are served"),
        (
            lambda model: (model / "config.pbtxt").write_text((model / "config.pbtxt").read_text().replace("count: 1", "count: 2")),
            "config.pbtxt of those that are served, got another instance_group;",
        ),
        (lambda model: (model / "config.pbtxt").write_text("nonsense"), "text of Triton's model configuration"),
        (lambda model: (model / "config.pbtxt").unlink(), "expected a text file, got: No such file"),
        (lambda model: (model / "warmup" / "pixels").unlink(), "bytes that config.pbtxt tells, got nothing there"),
        (lambda model: (model / "warmup" / "pixels").write_bytes(b"x"), "bytes that config.pbtxt tells, got 1"),
    ],
)
def test_a_version_that_would_change_what_is_served_is_refused(tmp_path, change, message):
    model = package(DIGITS, tmp_path).parent
    change(model)
    before = hashes(tmp_path)
    with pytest.raises(PreprocError, match=message):
        package(DIGITS, tmp_path)
    assert hashes(tmp_path) == before


def test_what_killed_runs_left_goes_and_what_others_write_stays(tmp_path):
    repository = tmp_path / "repo"
    model = package(DIGITS, repository).parent
    here = f".repo.digits.new-{socket.gethostname()}"
    gone = [place / f"{here}-99999999-0" for place in (tmp_path, repository, model)]
    others = [tmp_path / f"{here}-{os.getppid()}-0", tmp_path / ".repo.digits.new-another-host-1-0", tmp_path / ".repo.other.new-x-1-0"]
    old = tmp_path / ".repo.digits.new-another-host-2-0"
    for folder in (*gone, *others, old):
        (folder / "digits").mkdir(parents=True)
    os.utime(old, (0, 0))
    package(DIGITS, repository)
    assert not any(folder.exists() for folder in (*gone, old))
    assert all(folder.exists() for folder in others)


def test_many_at_once_in_one_process(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: package(DIGITS, tmp_path / "repo", name=f"digits-{number}"), range(12)))
    assert all((version / "model.onnx").read_bytes() == (DIGITS / "model.onnx").read_bytes() for version in found)
    assert [file.name for file in tmp_path.iterdir()] == ["repo"]


@pytest.mark.parametrize("there", [False, True], ids=["a new model", "a new version"])
@pytest.mark.parametrize("error", [errno.EXDEV, errno.EACCES])
def test_a_repository_that_is_mounted_or_below_a_folder_of_others(tmp_path, monkeypatch, there, error):
    """Nothing can be renamed in from beside it: then it is written in it, aside."""
    repository = tmp_path / "repo"
    repository.mkdir()
    if there:
        package(DIGITS, repository)
    rename, mkdir = Path.rename, Path.mkdir

    def within(path, target):
        if Path(path).is_relative_to(repository) != Path(target).is_relative_to(repository):
            raise OSError(error, os.strerror(error))
        return rename(path, target)

    def only_inside(path, *arguments, **options):
        if error == errno.EACCES and not path.is_relative_to(repository):
            raise OSError(error, os.strerror(error))
        return mkdir(path, *arguments, **options)

    monkeypatch.setattr(Path, "rename", within)
    monkeypatch.setattr(Path, "mkdir", only_inside)
    version = package(DIGITS, repository)
    assert (version / "model.onnx").read_bytes() == (DIGITS / "model.onnx").read_bytes()
    assert sorted(file.name for file in repository.iterdir()) == ["digits"]
    assert sorted(file.name for file in version.parent.iterdir()) == [*["1", "2"][: 1 + there], "config.pbtxt", "labels.txt", "warmup"]
    assert [file.name for file in tmp_path.iterdir()] == ["repo"]


def test_what_is_not_the_verified_file_is_not_packaged(tmp_path, bundle, monkeypatch):
    def copied(source, target):
        target.write_bytes(source.read_bytes()[:-1] + b"x")

    monkeypatch.setattr(shutil, "copyfile", copied)
    with pytest.raises(PreprocError, match="expected the verified file, got changed bytes"):
        package(bundle, tmp_path / "repo")
    assert not (tmp_path / "repo").exists()


def test_a_bundle_that_failed_or_lacks_the_file_is_refused(tmp_path, bundle):
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["report"]["results"][0]["verdict"] = "failed"
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(PreprocError, match="a bundle that did not fail its verification"):
        package(bundle, tmp_path / "repo")
    only_onnx = put(hand_made(tmp_path), tmp_path / "only")
    with pytest.raises(PreprocError, match=r"expected model\.pt for pytorch, got a bundle without it"):
        package(only_onnx.folder, tmp_path / "repo", backend="pytorch")
    manifest["golden"] = []
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="expected golden samples, got none"):
        package(bundle, tmp_path / "repo")
    assert not (tmp_path / "repo").exists()


def test_weights_in_a_file_of_their_own_come_along(tmp_path):
    onnx.save(onnx.load(hand_made(tmp_path)), tmp_path / "m.onnx", save_as_external_data=True, location="w.data", size_threshold=0)
    bundle = put(tmp_path / "m.onnx", tmp_path / "out")
    version = package(bundle.folder, tmp_path / "repo")
    assert sorted(file.name for file in version.iterdir()) == ["model.onnx", "model.onnx.data"]
    case = bundle.golden()[0]
    runtime = OrtCpu()
    runtime.open(version / "model.onnx")
    found = runtime.run(case.pixels)["scores/out:0"]
    np.testing.assert_allclose(found, case.expected["scores/out:0"], rtol=1e-4)


def test_bad_packages_are_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "manifest.json").write_text('{"name": "of a web page"}')
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.pbtxt").write_text("")
    for arguments, message in (
        (["export/nothing", "-o", tmp_path / "r"], "expected a bundle"),
        ([DIGITS, "-o", tmp_path / "file"], "the model repository, got a file"),
        ([DIGITS, "-o", tmp_path / "r", "--target", "tritn"], "did you mean 'triton'"),
        ([DIGITS, "-o", tmp_path / "r", "--backend", "onnx"], "expected backend"),
        ([DIGITS, "-o", tmp_path / "r", "--name", "../x"], "name"),
        ([DIGITS, "-o", tmp_path / "r", "--name", ""], "for it names a folder, got ''"),
        ([DIGITS, "-o", tmp_path / "r", "--name", "ümlaut"], "expected a name in ASCII"),
        ([DIGITS, "-o", DIGITS / "r"], f"got {DIGITS}, which is a bundle, or a folder in it"),
        ([DIGITS, "-o", ""], "got a file or no name"),
        ([DIGITS, "-o", tmp_path / "loop" / "r"], "expected a folder, the model repository, got: "),
        ([DIGITS, "-o", tmp_path / "model"], f"did you mean {tmp_path}?"),
        ([DIGITS, "-o", tmp_path / "model" / "1"], f"did you mean {tmp_path}?"),
        ([DIGITS, "-o", tmp_path / "r", "--max-batch", "-1"], "a number of pictures"),
        ([DIGITS, "-o", tmp_path / "r", "--settings", tmp_path / "none"], "expected a text file"),
    ):
        done = run("package", *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "r").exists()
    done = run("package", DIGITS, "-o", tmp_path / "r")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'r' / 'digits' / '1'}: written\n")


def test_a_damaged_bundle_is_not_packaged(tmp_path, exported):
    shutil.copytree(exported.folder, tmp_path / "b")
    (tmp_path / "b" / "model.onnx").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"model\.onnx has 1 bytes"):
        package(tmp_path / "b", tmp_path / "repo")
