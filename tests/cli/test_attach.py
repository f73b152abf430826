"""preproc attach as it is typed: what a mistake gets, and no torch on this path."""

import json
import shutil
import subprocess
import sys

import numpy as np
import onnx_ir as ir
import pytest

from tests.commands import run
from tests.conftest import ROOT
from tests.onnx_files import hand_made


def test_upper_and_lower_case_are_the_same(tmp_path):
    hand_made(tmp_path)
    cli("m.onnx", "-o", "a.onnx", "--preset", "imagenet", "--color", "bgr", "--layout", "nhwc", "--no-verify", cwd=tmp_path)
    cli("m.onnx", "-o", "b/a.onnx", "--preset", "imagenet", "--color", "BGR", "--layout", "NHWC", "--no-verify", cwd=tmp_path)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b" / "a.onnx").read_bytes()


def cli(*arguments, cwd, check=0):
    return run("attach", *arguments, cwd=cwd, check=check)


ENVIRONMENT = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "ORT_DISABLE_TELEMETRY": "1"}
IMAGENET = ["--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225", "--units", "0-1"]


def test_the_command_line(tmp_path):
    hand_made(tmp_path)
    preset = cli("m.onnx", "-o", "a", "--preset", "imagenet", "--color", "BGR", cwd=tmp_path)
    assert "ort-cpu" in preset.stdout
    assert "a: published" in preset.stdout
    document = json.loads(cli("m.onnx", "-o", "b.onnx", *IMAGENET, "--color", "BGR", "--json", cwd=tmp_path).stdout)
    assert document["written"] == "b.onnx"
    recipe = f'name = "x"\n[backbone]\nsource = "onnx"\nweights = "{tmp_path}/m.onnx"\ncolor = "RGB"\n[pixels]\nlayout = "NHWC"\n'
    recipe += 'color = "BGR"\nsize = [24, 20]\n[[steps]]\nstep = "rescale"\n[[steps]]\nstep = "normalize"\npreset = "imagenet"\n'
    (tmp_path / "r.toml").write_text(recipe)
    cli("m.onnx", "-o", "c.onnx", "--recipe", "r.toml", cwd=tmp_path)
    weights = [ir.load(tmp_path / file).graph.initializers["w"].const_value.numpy() for file in ("a/model.onnx", "b.onnx", "c.onnx")]
    assert np.array_equal(weights[0], weights[1])
    assert np.array_equal(weights[0], weights[2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["m.onnx", "-o", "a"],
            "expected one of --preset, --mean with --std and --units, --huggingface, --timm, --torchvision or --recipe, got none",
        ),
        (
            ["m.onnx", "-o", "a", "--preset", "imagenet", *IMAGENET],
            "expected --preset without --mean and --std and --units, which it says itself, got both",
        ),
        (["m.onnx", "-o", "a", "--preset", "imagnet"], "did you mean 'imagenet'"),
        (["m.onnx", "-o", "a", *IMAGENET[:4]], "expected --mean, --std and --units together"),
        (["m.onnx", "-o", "a", *IMAGENET[:5], "0-2"], "expected --units to be one of 0-1, 0-255"),
        (["m.onnx", "-o", "a", "--mean", "a,b", *IMAGENET[2:]], "expected --mean to be numbers"),
        (["m.onnx", "-o", "a", *IMAGENET[:3], "1,1", *IMAGENET[4:]], "expected a std for each mean, got 3 means and 2 stds"),
        (["m.onnx", "-o", "a", "--preset", "caffe", "--dtype", "uint16"], "expected uint16 pixels for constants in 0-1"),
        (["m.onnx", "-o", "a", "--preset", "imagenet", "--color", "RBG"], "expected --color to be one of"),
        (["m.onnx", "-o", "a b", "--preset", "imagenet"], "expected letters, digits"),
        (["m.onnx", "-o", "a", "--preset", "imagenet", "--units", "0-1"], "expected --preset without --units"),
        (["m.onnx", "-o", "a", "--recipe", "r.toml", "--color", "RGBA"], "expected --recipe without --color, which it says itself"),
        (["m.onnx", "-o", "a", "--preset", "imagenet", "--fold", "never"], "expected fold to be one of auto, off, require"),
        (["m.onnx", "-o", "a", "--preset", "imagenet", "--model-color", "XYZ"], "expected --model-color to be one of"),
        (["m.onnx", "-o", "a", *IMAGENET[:5], "0-255"], "they are numbers of the unit 0-1"),
        (["m.onnx", "-o", "a", "--preset", "mnist"], "expected one number per channel, 3 for RGB pixels, got 1 from preset mnist"),
        (
            ["m.onnx", "-o", "a", "--mean", "0.5,0.5", "--std", "0.5,0.5", "--units", "0-1"],
            "expected one number per channel of the model, 3 for RGB pixels, got 2 from --mean and --std; for a model of other channels",
        ),
        (["m.onnx", "-o", "other.onnx", "--preset", "imagenet"], "other.onnx: expected a free name, or a file that preproc has made"),
        (["m.onnx", "-o", "full", "--preset", "imagenet"], "full: expected a bundle to replace or nothing"),
        (["no.onnx", "-o", "a", "--preset", "imagenet"], "got nothing there"),
        (["text.onnx", "-o", "a", "--preset", "imagenet"], "expected an ONNX file"),
        (["empty.onnx", "-o", "a", "--preset", "imagenet"], "expected an ONNX file"),
        (["cut.onnx", "-o", "a", "--preset", "imagenet"], "expected an ONNX file"),
    ],
)
def test_a_users_mistake_is_one_line_and_nothing_is_written(tmp_path, arguments, message):
    file = hand_made(tmp_path)
    shutil.copy(file, tmp_path / "other.onnx")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    (tmp_path / "text.onnx").write_text("not a model")
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "cut.onnx").write_bytes(file.read_bytes()[:-100])
    before = sorted(tmp_path.iterdir())
    done = cli(*arguments, cwd=tmp_path, check=1)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if "error" in line]) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_no_torch_on_this_path(tmp_path):
    hand_made(tmp_path)
    code = "import sys; from preproc.cli.app import app; "
    code += "app(['attach', 'm.onnx', '-o', 'o.onnx', '--preset', 'imagenet'], standalone_mode=False); "
    code += "bad = {'torch', 'torchvision', 'timm'} & set(sys.modules); assert not bad, bad"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=ENVIRONMENT, check=True, capture_output=True)
