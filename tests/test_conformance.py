"""The conformance suite: as committed it is what the oracle says, and everything of ours that computes a step runs it."""

import json
import math
import shutil
import subprocess
import warnings
from fractions import Fraction

import numpy as np
import pytest
import torch

from preproc import steps
from preproc.layers import Pipeline
from preproc.oracle import pillow, reference, video
from tests import conformance
from tests.conftest import ROOT
from tests.embed.programs import PROGRAMS
from tests.onnx_files import in_one_thread

SUITE = conformance.FOLDER
NAMES = json.loads((SUITE / "index.json").read_text())["cases"]


def case(name, suite=SUITE):
    spec = json.loads((suite / name / "spec.json").read_text())
    arrays = (np.load(suite / name / f"{file}.npy", allow_pickle=False) for file in ("input", "output"))
    return [steps.parse(step) for step in spec["steps"]], *arrays, spec["tolerance"]


def passes(got, expected, tolerance):
    return got.shape == expected.shape and np.abs(got - expected).max() <= tolerance * np.abs(expected).max()


def test_the_suite_is_what_the_oracle_says(tmp_path):
    conformance.write(tmp_path)
    fresh = {file.relative_to(tmp_path): file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    kept = {file.relative_to(SUITE): file.read_bytes() for file in SUITE.rglob("*") if file.is_file() and file.name != "README.md"}
    assert fresh.keys() == kept.keys()
    for name, data in fresh.items():
        if name.name == "output.npy":  # libm's pow may differ by a last bit
            np.testing.assert_allclose(np.load(SUITE / name), np.load(tmp_path / name), rtol=1e-13, err_msg=str(name))
        else:
            assert data == kept[name], name
    assert sum(map(len, kept.values())) < 800_000


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "model.onnx").write_text("mine")
    with pytest.raises(SystemExit, match="got other files"):
        conformance.write(tmp_path)
    assert (tmp_path / "mine" / "model.onnx").read_text() == "mine"
    conformance.write(tmp_path / "suite")
    (tmp_path / "suite" / "rescale" / "notes.txt").write_text("mine")
    with pytest.raises(SystemExit, match=r"got .*notes\.txt, too"):
        conformance.write(tmp_path / "suite")
    assert (tmp_path / "suite" / "rescale" / "spec.json").is_file()


def test_every_step_is_in_it():
    found = {step["step"] for name in NAMES for step in json.loads((SUITE / name / "spec.json").read_text())["steps"]}
    assert found == set(steps.STEPS)


def ratio(size, new):
    return size[0] * new[1] > 2 * size[1] * new[0]


def rounded(step, size):
    short, long = min(size), max(size)
    sides = (step.size, round(step.size * long / short)) if isinstance(step.size, int) else step.size
    return sides if size[0] <= size[1] or not isinstance(step.size, int) else sides[::-1]


def inside(divide, to_whole):
    def fitted(size, most):
        ratio = min(divide(new, old) for new, old in zip(most, size, strict=True))
        return tuple(max(to_whole(side * ratio), 1) for side in size)

    return fitted


MISTAKES = {
    "the rows always first": (pillow, "vertical_first", lambda *_: True),
    "the order of 13 alone": (pillow, "vertical_first", lambda size, new, _: pillow_order(size, new, 13)),
    "the order of 12 alone": (pillow, "vertical_first", lambda size, new, _: pillow_order(size, new, 12)),
    "the order by ratio": (pillow, "vertical_first", lambda size, new, order: order == 13 and ratio(size, new)),
    "the order where both shrink": (
        pillow,
        "vertical_first",
        lambda size, new, order: size[1] > new[1] and pillow_order(size, new, order),
    ),
    "the letterbox by the exact ratio": (pillow, "fitted", inside(lambda new, old: Fraction(new, old), round)),
    "the letterbox with its ratio in float32": (pillow, "fitted", inside(lambda new, old: float(np.float32(new / old)), round)),
    "the letterbox rounded half up": (pillow, "fitted", inside(lambda new, old: new / old, lambda side: math.floor(side + 0.5))),
    "the letterbox truncated": (pillow, "fitted", inside(lambda new, old: new / old, math.floor)),
    "rounded half up": (pillow, "round", lambda value: math.floor(value + 0.5)),
    "cubic with a = -0.75": (pillow, "_cubic", lambda x: pillow_cubic(x, -0.75)),
    "the longer side rounded": (steps.Resize, "output_size", rounded),
    "weights of 11 bits": (pillow, "BITS", 11),
    "torch's weights of 15 bits": (pillow, "TORCH_WEIGHT", 1 << 14),
    "a triangle for the box": (pillow, "_box", lambda x: max(0.0, 1 - abs(x))),
    "hann for hamming": (pillow, "_hamming", lambda x: pillow._sinc(x) * (0.5 + 0.5 * math.cos(x * math.pi)) * (abs(x) < 1)),
    "lanczos with two lobes": (pillow, "_lanczos", lambda x: pillow._sinc(x) * pillow._sinc(x / 2) * (abs(x) < 2)),
    "the crop rounded down": (steps.CenterCrop, "rounding", property(lambda _: "floor", lambda *_: None)),
    "the crop rounded half even": (steps.CenterCrop, "rounding", property(lambda _: "half_even", lambda *_: None)),
    "U and V exchanged": (video, "planes", lambda step, x: [exactly(step, x)[place] for place in (0, 2, 1)]),
    "BT.601 for all matrices": (video, "WEIGHTS", dict.fromkeys(steps.WEIGHTS, steps.WEIGHTS["bt601"])),
    "limited range for full": (video, "RANGES", dict.fromkeys(steps.RANGES, steps.RANGES["limited"])),
    "chroma in the middle": (video, "phases", lambda block, chroma, _: steps.phases(block, chroma, "center")),
    "chroma replicated": (video, "phases", lambda block, *_: steps.phases(block, "replicate", None)),
    "integers of 14 bits": (
        video,
        "to_rgb_in_integers",
        lambda *said: (tuple(tuple((value >> 6) << 6 for value in row) for row in steps.to_rgb_in_integers(*said)[0]), (16, 128, 128)),
    ),
}
exactly = video.planes
pillow_cubic, pillow_order = pillow._cubic, pillow.vertical_first


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_implementation_fails(mistake, monkeypatch):
    """The cases notice what implementations get wrong. That the right one passes: test_the_oracle_conforms_to_what_it_wrote."""
    monkeypatch.setattr(*MISTAKES[mistake], raising=False)  # round is a builtin
    again = [case(name) for name in NAMES]
    assert not all(passes(reference.apply(sequence, x), expected, tolerance) for sequence, x, expected, tolerance in again)


@pytest.fixture(scope="module")
def with_models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conformance")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        conformance.write(folder, models=True)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_layers_and_nodes_conform(name, with_models):
    sequence, x, expected, tolerance = case(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.load(with_models / name / "model.pt")
    session = in_one_thread(with_models / name / "model.onnx")
    pipeline = Pipeline.from_steps(sequence)
    for got in (pipeline(torch.from_numpy(x)).numpy(), scripted(torch.from_numpy(x)).numpy(), session.run(None, {"pixels": x})[0]):
        assert passes(got, expected, tolerance)
        assert not passes(got + (np.arange(got.size).reshape(got.shape) == 1) * np.abs(expected).max() * 1e-5, expected, tolerance)


def test_the_oracle_conforms_to_what_it_wrote():
    for name in NAMES:
        sequence, x, expected, tolerance = case(name)
        got = reference.apply(sequence, x)
        np.testing.assert_allclose(got, expected, rtol=1e-13)
        assert passes(got, expected, tolerance)


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_conform(program, request, with_models, tmp_path):
    command = [*request.getfixturevalue(program), "--conformance"]
    done = subprocess.run([*command, with_models], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, f"{len(NAMES)} cases, 0 wrong\n"), done.stderr
    shutil.copytree(with_models / "pad", tmp_path / "pad")
    (tmp_path / "index.json").write_text(json.dumps(json.loads((with_models / "index.json").read_text()) | {"cases": ["pad"]}))
    values = np.load(tmp_path / "pad" / "output.npy")
    values[0, 0, 0, 0] += 1
    np.save(tmp_path / "pad" / "output.npy", values)
    done = subprocess.run([*command, tmp_path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stdout.startswith("pad: error ")
    for nothing in (ROOT / "models", with_models / "nothing"):
        assert subprocess.run([*command, nothing], capture_output=True, timeout=60).returncode == 1
