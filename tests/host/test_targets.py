"""Nothing is computed that cannot be kept: targets and inputs are looked at first, and a write that fails all the same is named."""

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

import preproc
from preproc import cli
from preproc.errors import PreprocError
from preproc.export import exporter, writable
from preproc.host import targets
from preproc.sources import PixelsSpec, load_recipe, replace
from tests.conftest import ROOT
from tests.onnx_files import STEPS, hand_made

DIGITS = ROOT / "models" / "digits.toml"
PIXELS = PixelsSpec(layout="NHWC", color="RGB", dtype="uint8", size=None, channels=3)


class Full:
    """A file on a disk without a block left."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def write(self, _):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def pictures(tmp_path, rng):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def nowhere(tmp_path):
    """A folder that cannot be made, by nobody: a file is in its way."""
    (tmp_path / "file").write_text("x")
    return tmp_path / "file" / "deeper"


@pytest.fixture
def full(monkeypatch):
    """A function after which no disk has room."""

    def full():
        usage = shutil.disk_usage(tempfile.gettempdir())
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=5000))

    return full


def run(*arguments, limit=None, check=1):
    """The command line; limit: how large a file may get, in bytes, wherever it is."""
    code = "import sys; from preproc.cli.app import main; sys.argv[0] = 'preproc'; main()"
    if limit is not None:
        code = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); {code}"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "120", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False, cwd=ROOT, env=environment
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == check, (done.stdout, done.stderr)
    return done


def test_a_place_is_tried_and_left_as_it_was(tmp_path, nowhere, full):
    targets.check_place(tmp_path / "new" / "deep" / "x", size=1000)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    with pytest.raises(PreprocError, match=r"deeper/x: expected a place that can be written to, got: Not a directory"):
        targets.check_place(nowhere / "x")
    full()
    targets.check_place(tmp_path / "x", size=4000)
    with pytest.raises(PreprocError, match="x: expected room for about 6,000 bytes, got 5,000 free in "):
        targets.check_place(tmp_path / "x", size=6000)


def test_a_disk_without_a_block_left(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Full())
    with pytest.raises(PreprocError, match="x: expected a place that can be written to, got: No space left on device"):
        targets.check_place(tmp_path / "x")


def test_the_target_is_named_whatever_a_library_raises(tmp_path, monkeypatch):
    target = tmp_path / "target"
    with pytest.raises(PreprocError, match=r"target: expected a place.*No space"), targets.writing(target):
        raise OSError(errno.ENOSPC, "No space left on device", "source")
    with pytest.raises(FileNotFoundError, match="source"), targets.writing(target):  # of something else: it stays what it is
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "source")
    with pytest.raises(RuntimeError, match="of its own"), targets.writing(target):
        raise RuntimeError("of its own")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: exec("raise OSError(28, 'No space left on device')"))
    with pytest.raises(PreprocError, match=r"target: expected a place.*No space"), targets.writing(target):
        raise RuntimeError("[enforce fail at inline_container.cc:838]")
    told = PreprocError("a verdict")
    told.report = object()
    with pytest.raises(PreprocError, match="a verdict"), targets.writing(target):
        raise told


def test_folders_that_were_made_for_nothing_go_again(tmp_path):
    with pytest.raises(KeyError), targets.made_folder(tmp_path / "a" / "b"):
        raise KeyError(next(tmp_path.rglob("b")))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").mkdir()
    with pytest.raises(TypeError), targets.made_folder(tmp_path / "a" / "b"):
        raise KeyError((tmp_path / "a" / "other").write_text("somebody's") + None)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["other"]
    with targets.made_folder(tmp_path / "c" / "d"):
        pass
    assert (tmp_path / "c" / "d").is_dir()


def never(*_, **__):
    raise AssertionError("it was worked on")


def test_an_export_looks_first(tmp_path, nowhere, monkeypatch, full, pictures):
    recipe = load_recipe(DIGITS)
    with monkeypatch.context() as patch:
        patch.setattr("preproc.sources.backbones.load_backbone", never)
        with pytest.raises(PreprocError, match="expected a place that can be written to"):
            exporter.export_bundle(recipe, nowhere / "digits")
        with pytest.raises(PreprocError, match="nosuch: expected a folder of pictures"):
            exporter.export_bundle(recipe, tmp_path / "b", images=tmp_path / "nosuch")
        with pytest.raises(PreprocError, match="expected a folder of pictures"):
            exporter.export_bundle(replace(recipe, export={"images": tmp_path / "nosuch"}), tmp_path / "b")
        (pictures / "bad.png").write_bytes(b"no picture")
        with pytest.raises(PreprocError, match=r"bad\.png: expected"):
            exporter.export_bundle(recipe, tmp_path / "b", images=pictures)
        patch.setattr(writable, "find_spec", lambda _: None)
        with pytest.raises(PreprocError, match="digits: expected onnxscript for the format onnx, got none installed; pip install"):
            exporter.export_bundle(recipe, tmp_path / "b")
    monkeypatch.setattr(exporter, "prove", never)
    full()
    with pytest.raises(PreprocError, match=r"b: expected room for about \d+,\d+,\d+ bytes, got 5,000 free"):  # in two formats
        exporter.export_bundle(recipe, tmp_path / "new" / "b")
    assert not (tmp_path / "new").exists()


def test_an_attach_looks_first(tmp_path, nowhere, monkeypatch):
    model = hand_made(tmp_path)
    monkeypatch.setattr("preproc.export.attaching.file_job", never)
    monkeypatch.setattr(exporter, "prove", never)
    for out in ("b", "b.onnx"):
        with pytest.raises(PreprocError, match="expected a place that can be written to"):
            preproc.attach(model, nowhere / out, steps=STEPS, pixels=PIXELS)
        with pytest.raises(PreprocError, match="nosuch: expected a folder of pictures"):
            preproc.attach(model, tmp_path / out, steps=STEPS, pixels=PIXELS, images=tmp_path / "nosuch")
    with pytest.raises(PreprocError, match=r"raw\.pt: expected a name that ends in \.onnx for a bare file, or a bundle's folder, got \.pt"):
        preproc.attach(model, tmp_path / "raw.pt", steps=STEPS, pixels=PIXELS)
    monkeypatch.undo()
    monkeypatch.setattr(exporter, "prove", never)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1))
    for out in ("b", "b.onnx"):
        with pytest.raises(PreprocError, match=f"{out}: expected room for about"):
            preproc.attach(model, tmp_path / out, steps=STEPS, pixels=PIXELS)


@pytest.mark.parametrize("broken", ["golden", "rename"])
def test_a_bundle_that_cannot_be_written_to_its_end(tmp_path, monkeypatch, broken):
    def no_space(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "some/other/name")

    if broken == "golden":
        monkeypatch.setattr(exporter, "write_golden", no_space)
    else:
        monkeypatch.setattr(Path, "rename", no_space)
    with pytest.raises(PreprocError, match=r"deep/digits: expected (a place|nobody else).*No space left on device") as caught:
        exporter.export_bundle(load_recipe(DIGITS), tmp_path / "deep" / "digits", formats=["onnx"])
    assert list(tmp_path.iterdir()) == []
    assert caught.value.name == ("system-refused" if broken == "golden" else "written-meanwhile")
    if broken == "golden":  # what was computed comes with the error
        assert caught.value.report.ok


def test_a_failing_command_shows_the_report_that_it_has(exported, monkeypatch, capsys):
    error = PreprocError("out: expected a place that can be written to, got: No space left on device")
    error.report = exported.report

    def app():
        raise error

    monkeypatch.setattr("preproc.cli.app.app", app)
    monkeypatch.setattr(sys, "argv", ["preproc", "attach"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "ort-cpu" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["preproc", "attach", "--json"])
    with pytest.raises(SystemExit):
        cli.main()
    told = json.loads(capsys.readouterr().out)
    assert told["report"]["ok"]
    assert told["error"] == str(error)


def test_two_recipes_of_one_name_do_not_replace_each_other(tmp_path):
    (tmp_path / "a.toml").write_text('name = "digits"\n')
    done = run("export", "no.toml", DIGITS, DIGITS, "-o", tmp_path / "a.toml" / "x")
    assert "expected another name than that of" in done.stderr
    assert done.stderr.count("error:") == 3


def test_a_package_leaves_nothing_and_names_the_target(exported, tmp_path, monkeypatch, nowhere, full):
    def no_space(source, _):
        raise OSError(errno.ENOSPC, "No space left on device", str(source))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", no_space)
        with pytest.raises(PreprocError, match="repo/digits/1: expected a place that can be written to, got: No space left on device"):
            preproc.package(exported.folder, tmp_path / "deep" / "repo")
    with pytest.raises(PreprocError, match="expected"):
        preproc.package(exported.folder, nowhere)
    full()
    with pytest.raises(PreprocError, match="repo/digits/1: expected room for about"):
        preproc.package(exported.folder, tmp_path / "deep" / "repo")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_drawing_looks_first(exported, tmp_path, pictures, nowhere, monkeypatch):
    from preproc.cli import drawing

    monkeypatch.setattr(drawing, "stages", never)
    picture = pictures / "0.png"
    before = picture.read_bytes()
    for out, told in (
        (nowhere / "x.png", "expected a file's name in a folder that exists"),
        (tmp_path / "x.pdf", r"expected a name that ends in \.png for a picture, got \.pdf"),
        (tmp_path / "x", "got no ending"),
        (picture, "expected another name than that of the picture that is shown"),
    ):
        with pytest.raises(PreprocError, match=told):
            drawing.write_picture(picture, exported.folder, out)
    assert picture.read_bytes() == before
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(PreprocError, match="expected matplotlib for preproc show"):
        drawing.write_picture(picture, exported.folder, tmp_path / "x.png")


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are POSIX's")
def test_with_a_limit_of_the_system_itself(tmp_path, pictures):
    done = run("stats", pictures, "-o", tmp_path / "s.json", "--json", limit=4096)
    assert "s.json: expected a place that can be written to, got: File too large; it is printed instead" in done.stderr
    assert json.loads(done.stdout)["accumulator"]
    assert not (tmp_path / "s.json").exists()
    done = run("attach", hand_made(tmp_path), "-o", tmp_path / "b", "--preset", "imagenet", limit=4096)
    assert f"preproc: error: {tmp_path / 'b'}: expected a place that can be written to, got: File too large" in done.stderr
    assert not (tmp_path / "b").exists()
    assert onnx.load(tmp_path / "m.onnx").graph.node


def test_what_is_rescued_is_whole_or_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kept = targets.rescued(Path("x/s.json"), "text")
    assert kept.read_text() == "text"
    assert kept.suffix == ".json"

    def fdopen(handle, *_, **__):
        os.close(handle)
        return Full()

    monkeypatch.setattr(targets.os, "fdopen", fdopen)
    assert targets.rescued(Path("x/s.json"), "text") is None
    assert list(tmp_path.iterdir()) == [kept]
