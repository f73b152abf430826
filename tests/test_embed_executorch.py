"""The program in C++ around ExecuTorch's runtime: built, run on golden samples, and seen to notice wrong ones."""

import shutil
import subprocess

import numpy as np
import pytest

from tests.embed import programs
from tests.embed.programs import COMPILERS, EXECUTORCH, missing, skip_without
from tests.in_executorch import once

pytestmark = skip_without(*COMPILERS, *missing(executorch=EXECUTORCH))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return once(tmp_path_factory)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return programs.once(tmp_path_factory, programs.executorch)


def run(program, *arguments):
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120)


def test_it_answers_the_golden_samples(program, bundle):
    done = run(program, bundle.folder)
    assert (done.returncode, done.stderr) == (0, "")
    *samples, total = done.stdout.splitlines()
    cases = {case.name: int(case.expected["logits"].argmax()) for case in bundle.golden()}
    assert {line.split()[0]: int(line.split()[2].rstrip(",")) for line in samples} == cases
    assert total.startswith(f"{len(cases)} golden samples: error ")
    assert 0 < float(total.split("error ")[1].split(",")[0]) < float(total.split("tolerance ")[1])
    assert run(program).returncode == 2


def test_it_needs_no_torch(program):
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    assert "libexecutorch_backend_xnnpack" in linked
    assert "libtorch" not in linked


def changed(name, change):
    def spoil(bundle):
        file = bundle / "golden" / "noise" / f"{name}.npy"
        np.save(file, change(np.load(file)))

    return spoil


def cut(bundle):
    data = (bundle / "model.pte").read_bytes()
    (bundle / "model.pte").write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (changed("logits", lambda logits: logits + np.float32(0.001)), None),
        (changed("logits", lambda logits: logits * np.float32("nan")), None),
        (changed("pixels", lambda pixels: pixels[..., ::-1]), None),
        (changed("pixels", lambda pixels: pixels.astype(np.float32)), "expected an answer, got ExecuTorch's error "),
        (changed("pixels", lambda pixels: np.concatenate([pixels] * 9)), "expected an answer, got ExecuTorch's error "),
        (lambda bundle: (bundle / "model.pte").write_bytes(b"x" * 100), "expected a program of ExecuTorch in "),
        (cut, "expected a program of ExecuTorch in "),
        (lambda bundle: (bundle / "model.pte").unlink(), "expected a program of ExecuTorch in "),
    ],
    ids=["a value", "no number", "swapped channels", "the dtype", "a larger batch", "no program", "half a program", "nothing"],
)
def test_it_notices_a_wrong_bundle(program, bundle, spoil, said, tmp_path):
    wrong = shutil.copytree(bundle.folder, tmp_path / "wrong")
    spoil(wrong)
    done = run(program, wrong)
    assert done.returncode == 1, done.stdout
    if said is None:
        assert " golden samples: error " in done.stdout, done.stderr
        assert not done.stderr, done.stdout
    else:
        assert done.stderr.splitlines()[-1].startswith(f"error: {said}"), (done.stdout, done.stderr)
