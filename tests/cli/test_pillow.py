"""preproc attach --pillow."""

import json

import pytest

from preproc.cli.attach_options import Options, steps_and_pixels
from preproc.errors import PreprocError
from tests.commands import run
from tests.conftest import ROOT
from tests.onnx_files import hand_made
from tests.pillows import CLIP, OTHER


def test_attach_takes_it(tmp_path):
    file = hand_made(tmp_path, shape=("N", 3, 64, 64))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(CLIP))
    source = ["--huggingface", tmp_path / "preprocessor_config.json"]
    done = run("attach", file, "-o", tmp_path / "out", *source, "--pillow", OTHER, check=0)
    assert f"resizes otherwise than Pillow {OTHER}" in " ".join(done.stdout.split())
    assert f"pillow {OTHER}" in run("inspect", tmp_path / "out", check=0).stdout
    wrong = run("attach", file, "-o", tmp_path / "no", *source, "--pillow", "11", check=1)
    assert (
        wrong.stderr
        == "preproc: error: --pillow: expected 12 or 13, got 11; 12 stands for every older Pillow, 13 for every newer one [step-value]\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"preset": "imagenet"},
            "--pillow: expected beside one of --huggingface, --timm, --torchvision or --resize, .* got it with --preset",
        ),
        ({"mean": "1", "std": "1", "units": "0-1"}, "--pillow: expected beside .* got it with --mean"),
        ({"recipe": ROOT / "models" / "digits.toml"}, "expected --recipe without --pillow"),
    ],
    ids=lambda value: None if isinstance(value, str) else next(iter(value)),
)
def test_attach_takes_it_beside_what_is_published_only(options, message):
    with pytest.raises(PreprocError, match=message):
        steps_and_pixels(Options(**{"pillow": 12} | options))
