"""The embedded network reads its digits from raw uint8 pixels, through the published files, and misreads them when anything is wrong."""

import dataclasses
import importlib.util
import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from preproc import graph
from preproc.errors import VerificationError
from preproc.export import export_bundle
from preproc.sources import load_recipe, replace
from preproc.stats import compute_stats
from preproc.steps import Normalize
from preproc.verify.runtimes import OrtCpu
from preproc.verify.runtimes.pytorch import TorchScriptCpu
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


@pytest.fixture(scope="module")
def in_half(tmp_path_factory):
    return export_bundle(DIGITS, tmp_path_factory.mktemp("half") / "digits", precision="float16")


def test_half_precision_passes_and_errs_less_than_the_bare_network(in_half):
    assert in_half.report.ok
    ran = [result for result in in_half.report.results if result.verdict == "passed"]
    assert {"torch-cpu", "torchscript-cpu", "ort-cpu"} <= {result.runtime for result in ran}
    for result in ran:
        assert result.error < result.bare
        assert 2 * result.bare <= result.tolerance <= 3 * result.bare


@pytest.mark.parametrize(("kind", "count"), [(OrtCpu, 2_000), (TorchScriptCpu, 60)], ids=["ort-cpu", "torchscript-cpu"])
def test_held_out_digits_in_half_precision(in_half, held_out, kind, count):
    pixels, labels = (values[:count] for values in held_out)
    runtime = opened(kind() if kind is OrtCpu else kind(outputs=["logits"]), in_half.folder)
    assert accuracy(runtime, pixels, labels) >= 0.97
    assert accuracy(runtime, np.ascontiguousarray(pixels[..., ::-1]), labels) < 0.30


@pytest.mark.parametrize("mistake", ["imagenet", "swapped"])
def test_half_precision_hides_no_mistake(mistake, monkeypatch, tmp_path):
    first, rescale, normalize = DIGITS.steps
    wrong = {
        "imagenet": [first, rescale, Normalize.preset("imagenet")],
        "swapped": [dataclasses.replace(first, color="BGR"), rescale, normalize],
    }[mistake]
    real = graph.attach
    monkeypatch.setattr(graph, "attach", lambda model, **options: real(model, **(options | {"steps": wrong})))
    with pytest.raises(VerificationError, match="ort-cpu: error"):
        export_bundle(DIGITS, tmp_path / mistake, formats=["onnx"], precision="float16", quick=True)


def test_imagenets_constants_cost_twenty_points(held_out, tmp_path):
    pixels, labels = held_out
    steps = (*DIGITS.steps[:2], Normalize.preset("imagenet"))
    wrong = export_bundle(replace(DIGITS, steps=steps, backbone={"override": "to measure the loss"}), tmp_path / "wrong", formats=["onnx"])
    assert accuracy(opened(OrtCpu(), wrong.folder), pixels, labels) < 0.77


def test_accuracy_is_no_substitute_for_verify(monkeypatch, tmp_path):
    """A doubled normalization that accuracy may forgive: verify does not."""
    real = graph.attach
    monkeypatch.setattr(graph, "attach", lambda model, steps, *rest, **options: real(model, [*steps, steps[-1]], *rest, **options))
    with pytest.raises(VerificationError, match="ort-cpu: error"):
        export_bundle(DIGITS, tmp_path / "doubled", formats=["onnx"])


def test_train_and_test_share_no_digit_and_no_picture(script, held_out):
    train, _ = script.draw("train", 400, seed=1)
    seen = {picture.tobytes() for picture in train}
    assert not seen & {picture.tobytes() for picture in held_out[0]}
    again, _ = script.draw("train", 400, seed=1)
    assert np.array_equal(train, again)


@pytest.fixture(scope="module")
def training_set(script):
    return script.draw("train", 16_000, seed=1)[0]


def test_the_committed_pictures_and_statistics_come_from_the_script(held_out, training_set):
    pixels, labels = held_out
    for digit in (0, 7):
        first = int(np.flatnonzero(labels == digit)[0])
        with Image.open(ROOT / "models" / "digits.images" / f"{digit}.png") as image:
            assert np.array_equal(np.asarray(image), pixels[first])
    committed = json.loads((ROOT / "models" / "digits.stats.json").read_text())
    pictures = training_set
    assert compute_stats(pictures).to_json() == committed
    planes = [np.ascontiguousarray(pictures[..., c]).astype(np.float64) / 255 for c in range(3)]
    np.testing.assert_allclose(committed["mean"], [plane.mean() for plane in planes], rtol=1e-12)
    np.testing.assert_allclose(committed["std"], [plane.std() for plane in planes], rtol=1e-12)
    assert min(committed["std"]) > 0.03
    assert max(committed["std"]) < 0.06


def test_the_command_reads_files_as_the_script_reads_arrays(training_set, tmp_path):
    """From files, which other processes decode: the same bits. That those of all pictures are the committed ones is the test above."""
    pictures = training_set[::8]
    with zipfile.ZipFile(tmp_path / "train.zip", "w") as archive:
        for number, picture in enumerate(pictures):
            held = io.BytesIO()
            Image.fromarray(picture).save(held, "PNG", compress_level=1)
            archive.writestr(f"{number:05}.png", held.getvalue())
    command = [sys.executable, "-m", "preproc", "stats", tmp_path / "train.zip", "-o", tmp_path / "s.json"]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    made, known = json.loads((tmp_path / "s.json").read_text()), compute_stats(pictures).to_json()
    same = ("mean", "std", "unit", "color", "images", "pixels", "kinds", "accumulator", "accumulator_sha256")
    assert {key: made[key] for key in same} == {key: known[key] for key in same}


def test_the_weights_are_small(script):
    assert (ROOT / "models" / "digits.safetensors").stat().st_size < 1_000_000
    assert sum(value.numel() for value in script.DigitsNet().parameters()) < 164_000
    assert torch.is_tensor(next(script.DigitsNet().parameters()))
