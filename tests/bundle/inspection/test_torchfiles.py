"""What a file of torch's is, without loading it: every kind, and damaged and hostile ones."""

import argparse
import os
import shutil
import signal
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file
from torch import nn

from preproc import cli
from preproc.__main__ import main as started
from preproc.bundle.inspection import describe, lines
from preproc.bundle.inspection.torchfiles import identify
from preproc.errors import BundleError
from tests.commands import run
from tests.conftest import ROOT

NET = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
STATE = NET.state_dict()
TENSORS = len(STATE)


class Evil:
    def __reduce__(self):
        return print, ("a pickle ran",)


OLD = {"_use_new_zipfile_serialization": False}
SAVED = {
    "state_dict": (STATE, {}, "state_dict", f"{TENSORS} tensors"),
    "protocol 4": (STATE, {"pickle_protocol": 4}, "state_dict", f"{TENSORS} tensors"),
    "legacy": (STATE, OLD, "state_dict, written before torch 1.6", f"{TENSORS} tensors"),
    "checkpoint": (
        {"model": STATE, "ema": {"module": STATE}, "epoch": 3, "args": argparse.Namespace(lr=0.1), 7: "x"},
        {},
        "checkpoint",
        f"model ({TENSORS} tensors), ema ({TENSORS} tensors), epoch, args, 7",
    ),
    "module": (NET, {}, "pickled object of Python, of class torch.nn.modules.container.Sequential", None),
    "legacy module": (NET, OLD, "pickled object of Python, of class torch.nn.modules.container.Sequential, written before torch 1.6", None),
    "module in a table": (
        {"net": NET, "best": np.float64(1)},
        {},
        "checkpoint",
        "net, best; objects of Python: numpy._core.multiarray.scalar, torch",
    ),
    "tensor": (torch.ones(2), {}, "a tensor", None),
    "list": ([1, "a", (2.5, None, True), {1, 2}], {}, "pickled object of Python, a list", None),
    "hostile": (Evil(), {}, "pickled object of Python, of class __builtin__.print", None),
    "hostile in a table": (
        {"a": Evil(), "b": STATE},
        {"pickle_protocol": 5},
        "checkpoint",
        f"a, b ({TENSORS} tensors); objects of Python: builtins",
    ),
}


@pytest.mark.parametrize("case", SAVED)
def test_what_torch_saves(tmp_path, case, capsys):
    value, options, kind, holds = SAVED[case]
    file = tmp_path / "w.pt"
    torch.save(value, file, **options)
    found = identify(file)
    assert found.kind == kind
    assert (found.holds or "").startswith(holds or "")
    assert (found.holds is None) == (holds is None)
    assert "a pickle ran" not in capsys.readouterr().out
    described = describe(file)
    assert described["contract"] is None
    assert lines(described)[0] == f"{file}: {kind}"


def archive(path, **members):
    with zipfile.ZipFile(path, "w") as made:
        for name, text in members.items():
            made.writestr(f"net/{name.replace('__', '/')}", text)


@pytest.mark.parametrize(
    ("members", "kind", "holds"),
    [
        ({"archive_format": "pt2", "models__model.json": "{}"}, "pt2 archive", "torch.export's graphs model.json"),
        (
            {"archive_format": "pt2", "data__aotinductor__model__x.so": "", "models__model.json": ""},
            "AOTInductor package",
            "compiled: model",
        ),
        ({"serialized_exported_program.json": "{}", "version": "8.8"}, "pt2 archive", "torch.export's graph, as torch before 2.8 wrote it"),
        ({"constants.pkl": "", "code____torch__.py": "", "data.pkl": ""}, "TorchScript file", None),
        ({".data__extern_modules": "torch", "net.py": ""}, "torch.package archive", "code and pickled objects of Python"),
    ],
    ids=["pt2", "AOTInductor", "old pt2", "TorchScript", "torch.package"],
)
def test_archives_by_the_names_in_them(tmp_path, members, kind, holds):
    archive(tmp_path / "net.pt2", **members)
    found = identify(tmp_path / "net.pt2")
    assert (found.kind, found.holds) == (kind, holds)


def test_our_own_files_and_an_exported_program(exported, tmp_path):
    assert identify(exported.folder / "model.pt").kind == "TorchScript file"
    torch.export.save(torch.export.export(NET.eval(), (torch.zeros(1, 3, 8, 8),)), tmp_path / "e.pt2")
    assert identify(tmp_path / "e.pt2").kind == "pt2 archive"
    save_file(STATE, tmp_path / "w.safetensors", metadata={"preproc": "{}"})
    assert identify(tmp_path / "w.safetensors").holds == f"{TENSORS} tensors, with what they know of their preprocessing"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("w.pt", b""),
        ("w.pt", b"hello world"),
        ("w.pt", b"\x80\x02}q\x00(X"),
        ("w.pt", b"\x80\x02]q\x00h\x07."),
        ("w.pt", b"\x80\x02R."),
        ("w.safetensors", b"\xff" * 20),
        ("w.safetensors", struct.pack("<Q", 4) + b"[1]]"),
        ("w.safetensors", struct.pack("<Q", 2) + b"[]"),
        ("w.safetensors", b"x"),
        ("w.safetensors", save({"a": torch.zeros(9)})[:-1]),
        ("w.pt", b"\x80\x04\x8d" + struct.pack("<Q", 2**45)),
    ],
    ids=range(11),
)
def test_damaged_files_are_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BundleError, match=r"expected a (file of torch's|TorchScript)") as caught:
        identify(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["legacy", "deflated"])
def test_flipped_bits_are_one_line_or_another_file(tmp_path, kind):
    file, rng = tmp_path / "w.pt", np.random.default_rng(0)
    torch.save(STATE, file, _use_new_zipfile_serialization=kind != "legacy")
    if kind == "deflated":
        with zipfile.ZipFile(file) as stored:
            members = {name: stored.read(name) for name in stored.namelist()}
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in members.items():
                packed.writestr(name, content)
    whole, refused = file.read_bytes(), 0
    for _ in range(200):
        spoilt = bytearray(whole)
        for place in rng.integers(min(len(whole), 2000), size=3):
            spoilt[place] ^= 1 << int(rng.integers(8))
        file.write_bytes(spoilt)
        try:
            identify(file)
        except BundleError:
            refused += 1
    assert refused > 20


def test_a_zip_of_others_and_a_cut_one_are_refused(tmp_path, exported):
    archive(tmp_path / "z.pt", **{"a.txt": "x"})
    with pytest.raises(BundleError, match="a zip file that torch has not written"):
        identify(tmp_path / "z.pt")
    whole = (exported.folder / "model.pt").read_bytes()
    for size in (len(whole) // 2, len(whole) - 30):
        (tmp_path / "cut.pt").write_bytes(whole[:size])
        with pytest.raises(BundleError):
            identify(tmp_path / "cut.pt")


def test_show_takes_every_file_with_a_contract(exported, tmp_path):
    from preproc.cli.drawing import front_at
    from preproc.sources import load_recipe

    steps = load_recipe(ROOT / "models" / "digits.toml").steps
    for name in ("", "model.onnx", "model.pt", "manifest.json"):
        shown = front_at(exported.folder / name, None)
        assert [step.name for step in shown.steps] == [step.name for step in steps]
    assert front_at(ROOT / "models" / "digits.toml", None).steps == steps
    torch.save(STATE, tmp_path / "w.pt")
    shutil.copy(ROOT / "models" / "digits.safetensors", tmp_path)
    for name in ("w.pt", "digits.safetensors"):
        done = run("show", ROOT / "preproc" / "verify" / "pictures" / "coffee.jpg", tmp_path / name, "-o", tmp_path / "x.png", check=1)
        assert "expected a recipe, a bundle, or a model file that preproc has made, got one without a contract inside" in done.stderr


def test_the_numbers_of_the_last_histograms_are_not_cut_off(tmp_path):
    from PIL import Image

    from preproc.cli.drawing import write_picture

    write_picture(ROOT / "preproc" / "verify" / "pictures" / "coffee.jpg", ROOT / "models" / "resnet18.toml", tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        dark = (np.asarray(image.convert("L")) < 128).any(axis=1)
    assert not dark[-4:].any()
    assert dark[-24:-4].any()


COMMANDS = {
    "export": (["export", str(ROOT / "models" / "digits.toml"), "-o", "out"], "preproc.export.export_bundle"),
    "attach": (["attach", "m.onnx", "-o", "out", "--preset", "imagenet"], "preproc.export.attach"),
    "verify": (["verify", "bundle"], "preproc.export.verify_bundle"),
    "inspect": (["inspect", "bundle"], "preproc.bundle.inspection.describe"),
    "show": (["show", "a.png", "r.toml", "-o", "b.png"], "preproc.cli.drawing.write_picture"),
    "package": (["package", "bundle", "-o", "out"], "preproc.export.serving.package"),
    "serve-check": (["serve-check", "nowhere", "--bundle", "bundle"], "preproc.export.serving.serve_check"),
    "stats-diff": (["stats-diff", "a.json", "b.json"], "preproc.stats.Stats.load"),
    "init": (["init"], "preproc.cli.first_recipe.write_recipe"),
}


def interrupt(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_is_one_line_and_130_in_every_command(name, monkeypatch, capfd, tmp_path):
    arguments, function = COMMANDS[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(function, interrupt)
    for json in ([], ["--json"]) if name != "show" else ([],):
        monkeypatch.setattr(sys, "argv", ["preproc", *arguments, *json])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, told = capfd.readouterr()
        assert (ended.value.code, told) == (130, "preproc: error: interrupted\n")
        assert out == ('{"error": "interrupted"}\n' if json else "")


@pytest.mark.parametrize("place", ["preproc.host.terminal.speak", "typer.Typer.__call__"], ids=["in an option", "before them"])
def test_ctrl_c_outside_a_commands_body(place, monkeypatch, capfd):
    """Typer ends without a word where it comes while options are read."""
    monkeypatch.setattr(place, interrupt)
    for json in ([], ["--json"]):
        monkeypatch.setattr(sys, "argv", ["preproc", "doctor", *json])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, told = capfd.readouterr()
        assert (ended.value.code, told) == (130, "preproc: error: interrupted\n")
        assert out == ('{"error": "interrupted"}\n' if json else "")


def test_ctrl_c_while_modules_are_imported_and_after_the_end(monkeypatch, capfd):
    before = signal.getsignal(signal.SIGINT)
    try:
        monkeypatch.setattr(cli, "main", interrupt)
        for found, left in ((signal.default_int_handler, signal.SIG_DFL), (signal.SIG_IGN, signal.SIG_IGN)):
            signal.signal(signal.SIGINT, found)
            with pytest.raises(SystemExit) as ended:
                started()
            assert ended.value.code == 130
            assert capfd.readouterr().err == "preproc: error: interrupted\n"
            assert signal.getsignal(signal.SIGINT) is left
    finally:
        signal.signal(signal.SIGINT, before)


HANGING = """
import atexit, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs, as these tests may be, are born ignoring it
atexit.register(lambda: (print("hanging", flush=True), time.sleep(60)))
from preproc.__main__ import main
main()
"""


def test_an_interpreter_that_hangs_at_its_end_is_ended_by_ctrl_c():
    command = [sys.executable, "-c", HANGING, "--version"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline().startswith("preproc ")
    assert process.stdout.readline() == "hanging\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == -signal.SIGINT  # a shell's 130


def test_ctrl_c_for_real(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "preproc", "export", str(ROOT / "models" / "digits.toml"), "-o", "out"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs are born ignoring it
    )
    assert "digits: loading the backbone" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=120)[1]
    assert process.returncode == 130, told
    assert told.splitlines()[-1] == "preproc: error: interrupted"
    assert "Traceback" not in told
    assert not (tmp_path / "out" / "digits").exists()
