"""The embedded network reads its digits from raw uint8 pixels, through the published files, and misreads them when anything is wrong."""

import importlib.util
import json

import numpy as np
import pytest
import torch

from preproc.errors import VerificationError
from preproc.export import exporter
from preproc.export.exporter import export_bundle
from preproc.recipe import load_recipe, replace
from preproc.runtimes import OrtCpu, TorchScriptCpu
from preproc.steps import Normalize
from tests.conftest import ROOT

DIGITS = load_recipe(ROOT / "models" / "digits.toml")


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("train_digits", ROOT / "models" / "train_digits.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def held_out(script):
    """2,000 pictures of digits that no training picture shows."""
    return script.draw("test", 2_000, seed=1)


def accuracy(runtime, pixels, labels):
    answers = [runtime.run(part)["logits"].argmax(axis=1) for part in np.split(pixels, 10)]
    return float((np.concatenate(answers) == labels).mean())


def opened(runtime, folder):
    runtime.open(folder / runtime.file)
    return runtime


@pytest.mark.parametrize("kind", [OrtCpu, TorchScriptCpu], ids=lambda kind: kind.name)
def test_held_out_digits_from_raw_pixels(exported, held_out, kind):
    pixels, labels = held_out
    runtime = opened(kind() if kind is OrtCpu else kind(outputs=["logits"]), exported.folder)
    assert accuracy(runtime, pixels, labels) >= 0.97
    assert accuracy(runtime, np.ascontiguousarray(pixels[..., ::-1]), labels) < 0.30


def test_imagenets_constants_cost_twenty_points(held_out, tmp_path):
    pixels, labels = held_out
    steps = (*DIGITS.steps[:2], Normalize.preset("imagenet"))
    wrong = export_bundle(replace(DIGITS, steps=steps, backbone={"override": "to measure the loss"}), tmp_path / "wrong", formats=["onnx"])
    assert accuracy(opened(OrtCpu(), wrong.folder), pixels, labels) < 0.77


def test_accuracy_is_no_substitute_for_verify(monkeypatch, tmp_path):
    """A doubled normalization that accuracy may forgive: verify does not."""
    real = exporter.graph.attach
    monkeypatch.setattr(exporter.graph, "attach", lambda model, steps, *rest, **options: real(model, [*steps, steps[-1]], *rest, **options))
    with pytest.raises(VerificationError, match="ort-cpu: error"):
        export_bundle(DIGITS, tmp_path / "doubled", formats=["onnx"])


def test_train_and_test_share_no_digit_and_no_picture(script, held_out):
    train, _ = script.draw("train", 400, seed=1)
    seen = {picture.tobytes() for picture in train}
    assert not seen & {picture.tobytes() for picture in held_out[0]}
    again, _ = script.draw("train", 400, seed=1)
    assert np.array_equal(train, again)


def test_the_committed_pictures_and_statistics_come_from_the_script(script, held_out):
    from PIL import Image

    pixels, labels = held_out
    for digit in (0, 7):
        first = int(np.flatnonzero(labels == digit)[0])
        with Image.open(ROOT / "models" / "digits.images" / f"{digit}.png") as image:
            assert np.array_equal(np.asarray(image), pixels[first])
    committed = json.loads((ROOT / "models" / "digits.stats.json").read_text())
    pictures, _ = script.draw("train", 16_000, seed=1)
    assert script.statistics(pictures) == committed
    planes = [np.ascontiguousarray(pictures[..., c]).astype(np.float64) / 255 for c in range(3)]
    np.testing.assert_allclose(committed["mean"], [plane.mean() for plane in planes], rtol=1e-12)
    np.testing.assert_allclose(committed["std"], [plane.std() for plane in planes], rtol=1e-12)
    assert min(committed["std"]) > 0.03
    assert max(committed["std"]) < 0.06


def test_the_weights_are_small(script):
    assert (ROOT / "models" / "digits.safetensors").stat().st_size < 1_000_000
    assert sum(value.numel() for value in script.DigitsNet().parameters()) < 164_000
    assert torch.is_tensor(next(script.DigitsNet().parameters()))
