"""The programs in export/embed/ that load a bundle without preproc: built, run on golden samples, and seen to notice wrong ones."""

import json
import platform
import runpy
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from preproc.bundle import open_bundle
from preproc.export import export_bundle
from preproc.layers import FromPixels, Normalize, Pipeline, Rescale, prepend
from preproc.sources import USUAL
from tests.conftest import ROOT
from tests.damage import recompiled
from tests.embed.programs import COMPILER, EMBED, PACKAGE, PROGRAMS, each_with
from tests.onnx_files import hand_made, put, several

DIGITS = ROOT / "export" / "digits"


def run(program, *arguments):
    return subprocess.run([*program, *arguments], capture_output=True, text=True, timeout=120)


@pytest.fixture
def digits(program, request):
    """The bundle of the digits that has the program's file."""
    return request.getfixturevalue("packaged") if "aoti" in program else DIGITS


@pytest.mark.parametrize("program", [*PROGRAMS, *PACKAGE])
def test_a_program_answers_the_golden_samples(program, digits, request):
    done = run(request.getfixturevalue(program), digits)
    assert done.returncode == 0, done.stderr
    *samples, total = done.stdout.splitlines()
    cases = {case.name: int(case.expected["logits"].argmax()) for case in open_bundle(digits).golden()}
    assert {line.split()[0]: int(line.split()[2].rstrip(",")) for line in samples} == cases
    assert total.startswith(f"{len(cases)} golden samples: error ")
    assert 0 < float(total.split("error ")[1].split(",")[0]) < float(total.split("tolerance ")[1])
    assert run(request.getfixturevalue(program)).returncode == 2


def of_the_manifest(change):
    """Something spoilt in a bundle's manifest."""

    def spoil(bundle):
        manifest = json.loads((bundle / "manifest.json").read_text())
        change(manifest)
        (bundle / "manifest.json").write_text(json.dumps(manifest))

    return spoil


def of_an_array(change, name="logits"):
    def spoil(bundle):
        file = bundle / "golden" / "noise" / f"{name}.npy"
        np.save(file, change(np.load(file)))

    return spoil


def of_the_bytes(change):
    def spoil(bundle):
        file = bundle / "golden" / "noise" / "pixels.npy"
        file.write_bytes(change(file.read_bytes()))

    return spoil


SPOILT = {
    "a value": of_an_array(lambda logits: logits + np.float32(0.001)),
    "no number": of_an_array(lambda logits: logits * np.float32("nan")),
    "the shape": of_an_array(lambda logits: logits.T),
    "nothing": of_an_array(lambda logits: logits[:0]),
    "objects": of_an_array(lambda logits: np.full(logits.shape, "x")),
    "swapped channels": of_an_array(lambda pixels: pixels[..., ::-1], "pixels"),
    "the dtype": of_an_array(lambda pixels: pixels.astype(np.float32), "pixels"),
    "cut": of_the_bytes(lambda data: data[:-1]),
    "a long header": of_the_bytes(lambda data: data[:8] + b"\xff\xff" + b"(" * 65535 + data[128:]),
    "a long shape": of_the_bytes(lambda data: data.replace(b"(1, 32, 32, 3)", b"(99999999, 32, 32, 3, 9999999999999999999999)")),
    "a negative shape": of_the_bytes(lambda data: data.replace(b"(1, 32, 32, 3)", b"(-1, 32, 32, -3)")),
    "a sample": lambda bundle: shutil.rmtree(bundle / "golden" / "noise"),
    "the model": lambda bundle: [file.write_bytes(b"x") for file in bundle.glob("model.*")],
    "all": lambda bundle: [file.unlink() for file in bundle.glob("m*")],
    "no samples": of_the_manifest(lambda manifest: manifest.update(golden=[])),
    "another sample": of_the_manifest(lambda manifest: manifest["golden"].append("other")),
    "the scale": of_the_manifest(lambda manifest: manifest["report"]["power"]["scale"].update(logits=-1.0)),
    "the tolerance": of_the_manifest(lambda manifest: manifest["report"]["power"].update(tolerance=None)),
    "the outputs": of_the_manifest(lambda manifest: manifest["contract"].update(outputs=[])),
    "a deep manifest": lambda bundle: (bundle / "manifest.json").write_text("[" * 100_000),
}


@pytest.mark.parametrize("program", [*PROGRAMS, "python"])
def test_a_file_beside_the_samples_is_none(program, digits, request, tmp_path):
    right = shutil.copytree(digits, tmp_path / "right")
    (right / "golden" / ".DS_Store").write_text("")
    done = run(request.getfixturevalue(program), right)
    assert done.returncode == 0, done.stderr


OF_THE_MODEL = ["a value", "no number", "swapped channels", "the dtype", "the model", "all"]


IN_PYTHON = [*(("python", spoilt) for spoilt in SPOILT), ("python_aoti", "a value"), ("python_aoti", "the model")]


@pytest.mark.parametrize(("program", "spoilt"), [*each_with(SPOILT, OF_THE_MODEL), *IN_PYTHON])
def test_a_program_notices_a_wrong_bundle(program, spoilt, digits, request, tmp_path):
    wrong = shutil.copytree(digits, tmp_path / "wrong")
    SPOILT[spoilt](wrong)
    done = run(request.getfixturevalue(program), wrong)
    assert done.returncode == 1, done.stdout
    assert " golden samples: error " in done.stdout or done.stderr.splitlines()[-1].startswith("error: ")


@pytest.fixture
def python():
    """The service in Python: as the others, behind a picture's label, which it prints of a bundle that is right only."""
    picture = ROOT / "models" / "digits.images" / "7.png"
    code = (
        "import runpy, sys; sys.modules['preproc'] = None; sys.argv[:] = [sys.argv[1], *sys.argv[3:], sys.argv[2]]; "
        "runpy.run_path(sys.argv[0], {}, '__main__')"
    )
    return [sys.executable, "-c", code, EMBED / "python" / "service.py", picture]


@pytest.fixture
def python_aoti(python):
    """The same service, around the AOTInductor package."""
    return [*python, "--aoti"]


@pytest.mark.parametrize("program", ["python", "python_aoti"])
def test_the_python_service_needs_no_preproc(program, digits, request):
    done = run(request.getfixturevalue(program), digits)
    assert (done.returncode, done.stdout) == (0, "7\n")
    assert float(done.stderr.rpartition(" ")[2]) < 1e-5


def test_the_python_service_takes_a_cameras_rows_and_no_picture_in_their_place(python, camera):
    done = run(python, camera)
    checked, refused = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert float(checked.removeprefix("golden samples: error ")) < 1e-5
    wanted = "expected a bundle that takes a picture's uint8 RGB pixels, NHWC"
    assert refused == f"error: {wanted}, got one that takes uint8 NV12 N x 36 x 20: give logits() these"


UNFIT = {
    "another processor": ({"instructions": ["quantum"]}, "for this processor, got one that needs its instructions quantum"),
    "a device": ({"device": "cuda"}, "expected a package for the cpu, got one for cuda"),
    "another machine": ({"machine": "riscv64"}, "got one for linux, riscv64"),
    "a newer torch": ({"torch": "99.1.0"}, "or an older one, got one of torch 99.1.0"),
    "nothing": ({}, "error: "),
}


@pytest.mark.parametrize("unfit", UNFIT)
@pytest.mark.parametrize("program", [*PACKAGE, "python_aoti"])
def test_a_package_that_does_not_fit_is_refused_before_it_is_loaded(program, unfit, digits, request, tmp_path):
    changed, message = UNFIT[unfit]
    wrong = recompiled(Path(shutil.copytree(digits, tmp_path / "wrong")), **changed)
    done = run(request.getfixturevalue(program), wrong)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr.splitlines()[-1]
    assert unfit == "nothing" or len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:300_000]), "a damaged one or another file: copy or export it again"),
        (lambda file: file.unlink(), "nothing there: export the bundle with the format aoti"),
    ],
    ids=["cut", "nothing"],
)
@pytest.mark.parametrize("program", [*PACKAGE, "python_aoti"])
def test_a_package_that_is_cut_or_not_there_is_told_with_its_name(program, spoil, said, digits, request, tmp_path):
    wrong = shutil.copytree(digits, tmp_path / "wrong")
    spoil(wrong / "model.aoti.pt2")
    done = run(request.getfixturevalue(program), wrong)
    assert (done.returncode, done.stdout) == (1, "")
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"error: {wrong / 'model.aoti.pt2'}: expected an AOTInductor package")
    assert last.endswith(f", got {said}")


@pytest.mark.parametrize(
    ("second", "needed", "lacked"),
    [("flags\t\t: avx2 sse2", ["avx2"], None), ("flags\t\t: sse2", ["avx2"], "avx2"), ("flags\t\t: avx2", ["flags"], "flags")],
)
def test_the_python_service_asks_the_package_and_every_processor(second, needed, lacked, tmp_path, monkeypatch):
    """manifest.json says nothing of the machine code that is loaded. The package holds no library: torch would say so."""
    service = runpy.run_path(str(EMBED / "python" / "service.py"))
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: avx2 sse2\n\nprocessor\t: 1\n{second}\n")
    monkeypatch.setitem(service["Package"].__init__.__globals__, "CPUINFO", tmp_path / "cpuinfo")
    made = {"device": "cpu", "system": sys.platform, "machine": platform.machine(), "instructions": needed, "torch": "2.9.1"}
    told = json.dumps({"preproc.contract": json.dumps({"compiled": {"aoti": made}})})
    with zipfile.ZipFile(tmp_path / "model.aoti.pt2", "w") as package:
        package.writestr("m/data/aotinductor/model/model_metadata.json", told)
    said = f"one that needs its instructions {lacked}" if lacked else "model"
    with pytest.raises(RuntimeError, match=said) as caught:
        service["Package"](tmp_path, {"compiled": {"aoti": made | {"instructions": ["sse2"]}}})
    assert ("for this processor" in str(caught.value)) == bool(lacked)


class Two(torch.nn.Module):
    """Two outputs of other shapes."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.stem = torch.nn.Conv2d(3, 4, 3, stride=2, padding=1)

    def forward(self, x):
        x = self.stem(x).relu() ** 2
        return x, x.mean((1, 2, 3))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Pixels in uint16, a map and a number per picture."""
    pipeline = Pipeline(FromPixels(layout="NCHW", pixel_dtype="uint16"), Rescale(scale=1 / 65535), Normalize.preset("imagenet"))
    example = torch.zeros(2, 3, 24, 20, dtype=torch.uint16)
    folder = tmp_path_factory.mktemp("two") / "two"
    formats = [*USUAL, *([] if COMPILER else ["aoti"])]
    return export_bundle(prepend(pipeline, Two()), folder, example=example, outputs=["map", "mean"], formats=formats).folder


@pytest.fixture(scope="module")
def camera(tmp_path_factory):
    """The same of a camera's NV12, which has no channels: 36 rows of 20 bytes."""
    pipeline = Pipeline(FromPixels(layout="NHW", color="NV12", matrix="bt709", range="limited"), Rescale(), Normalize.preset("imagenet"))
    example = torch.zeros(2, 36, 20, dtype=torch.uint8)
    folder = tmp_path_factory.mktemp("camera") / "camera"
    return export_bundle(prepend(pipeline, Two()), folder, example=example, outputs=["map", "mean"]).folder


GIVEN = [pytest.param(*program.values, given, marks=program.marks) for given in ("two", "camera") for program in PROGRAMS]


@pytest.mark.parametrize(("program", "given"), [*GIVEN, *(pytest.param("aoti", "two", marks=package.marks) for package in PACKAGE)])
def test_every_output_of_any_bundle_is_compared(program, given, request, tmp_path):
    command, bundle = request.getfixturevalue(program), request.getfixturevalue(given)
    done = run(command, bundle)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = shutil.copytree(bundle, tmp_path / "wrong")
    file = next((wrong / "golden").glob("*/mean.npy"))
    np.save(file, np.load(file) + np.float32(0.01))
    assert run(command, wrong).returncode == 1


@pytest.mark.parametrize("program", [program for program in PROGRAMS if program.values != ("libtorch",)])
def test_names_that_no_file_has_and_further_inputs(program, request, tmp_path):
    command = request.getfixturevalue(program)
    model = onnx.load(hand_made(tmp_path))
    model.graph.node[-1].output[0] = model.graph.output[0].name = 'a"b\\klässe/😀:0'
    onnx.save(model, tmp_path / "named.onnx")
    done = run(command, put(tmp_path / "named.onnx", tmp_path / "ü and spaces" / "named").folder)
    assert done.returncode == 0, done.stderr
    bundle = put(several(tmp_path), tmp_path / "several", input_name="image")
    done = run(command, bundle.folder)
    assert (done.returncode, done.stderr) == (1, "error: expected a model that takes pixels alone, got one that takes mask, too\n")
