"""`preproc quantize`."""

import json

import pytest

from tests.calibrations import TABLE, pictures
from tests.commands import run
from tests.onnx_files import hand_made


@pytest.fixture
def recipe(tmp_path):
    hand_made(tmp_path)
    pictures(tmp_path / "p", 12, size=(24, 20))
    lines = [f'name = "{TABLE["name"]}"', "[backbone]", 'source = "onnx"', 'weights = "m.onnx"', 'color = "RGB"']
    lines += ["[pixels]", 'layout = "NHWC"', 'color = "RGB"', "size = [24, 20]", "[[steps]]", 'step = "rescale"', "[[steps]]"]
    lines += ['step = "normalize"', "mean = [0.5, 0.4, 0.3]", "std = [0.2, 0.2, 0.2]", 'unit = "0-1"', "[export]", 'formats = ["onnx"]']
    file = tmp_path / "m.toml"
    file.write_text("\n".join(lines))
    return file


def test_a_recipe_and_then_its_bundle(recipe, tmp_path):
    assert run("export", recipe, "-o", tmp_path / "float", check=0)
    options = ("--images", tmp_path / "p", "--per-channel", "--method", "percentile", "--recipe", recipe)
    done = run("quantize", tmp_path / "float" / "m", *options, "-o", tmp_path / "eight", "--json", check=0)
    told = json.loads(done.stdout)
    assert told["bundle"] == str(tmp_path / "eight")
    assert {result["precision"] for result in told["report"]["results"] if result["verdict"] == "passed"} == {"int8"}
    assert "calibrated with 12 pictures" in done.stderr
    again = run("quantize", tmp_path / "eight", *options, "-o", tmp_path / "again", check=1)
    assert "got int8; give the recipe or the bundle in float32 [not-quantizable]" in again.stderr


def test_what_is_no_raw_picture_writes_nothing(recipe, tmp_path):
    (tmp_path / "none").mkdir()
    done = run("quantize", recipe, "--images", tmp_path / "none", "-o", tmp_path / "out", check=1)
    assert done.stderr.strip().splitlines()[-1].endswith("got none [no-pictures]")
    assert (
        "expected border to be one of exact, nearest, got 'near'"
        in run("quantize", recipe, "--images", tmp_path / "p", "--border", "near", "-o", tmp_path / "out", check=1).stderr
    )
    assert not (tmp_path / "out").exists()
