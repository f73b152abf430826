"""How diagnose ends: with 0 only where there is an answer."""

import json

import numpy as np
import pytest
import typer
from PIL import Image

from preproc.cli.diagnosing import _end
from tests.commands import run
from tests.onnx_files import hand_made


@pytest.mark.parametrize(("verdict", "code"), [("identified", 0), ("narrowed", 0), ("not identified", 1), ("cannot be told", 1)])
def test_only_an_answer_ends_in_0(verdict, code):
    if not code:
        _end(verdict)
        return
    with pytest.raises(typer.Exit) as ended:
        _end(verdict)
    assert ended.value.exit_code == code


def test_a_network_that_cannot_be_told_ends_in_1_with_its_document(tmp_path):
    """It has no BatchNorm."""
    rng = np.random.default_rng(0)
    for number in range(5):
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
    done = run("diagnose", hand_made(tmp_path, shape=("N", 3, 32, 32)), "--images", tmp_path, "--json", check=1)
    assert json.loads(done.stdout)["verdict"] == "cannot be told"
    assert "error" not in done.stderr
