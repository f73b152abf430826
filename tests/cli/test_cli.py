"""The command line: exit codes, one JSON document, errors of one line, and nothing imported that is not needed."""

import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from tests.commands import in_a_process, run
from tests.conftest import ROOT

DIGITS = str(ROOT / "models" / "digits.toml")


def test_export_verify_inspect_as_in_the_readme(tmp_path):
    done = run("export", DIGITS, "-o", tmp_path, check=0)
    assert "passed" in done.stdout
    assert "smallest mistake that shows: a shift of the mean by" in done.stdout
    assert "uncorrected border" in done.stdout
    assert "preproc: digits: writing model.onnx" in done.stderr
    verified = run("verify", tmp_path / "digits", "--runtime", "ort-cpu", "--runtime", "torchscript-cpu", check=0)
    assert verified.stdout.count("passed") == 2
    inspected = run("inspect", tmp_path / "digits", check=0).stdout
    assert "input    pixels: uint8 NHWC RGB ['N', 32, 32, 3]" in inspected
    assert "step 3   normalize (mean [0.690442, 0.690423, 0.690263]" in inspected
    assert "folded into features.0.weight, the cast and one subtraction left" in inspected


def test_json_is_one_document_and_nothing_else(exported):
    """An export's, too, whose libraries print much: tests/host/test_installations.py."""
    told = {}
    for arguments in (["verify", exported.folder, "--runtime", "ort-cpu"], ["inspect", exported.folder]):
        told[arguments[0]] = json.loads(in_a_process(*arguments, "--json", check=0).stdout)
    report = told["verify"]
    assert report["ok"] is True
    assert report["results"][0]["verdict"] == "passed"


@pytest.mark.parametrize("name", ["model.onnx", "model.pt"])
def test_inspect_reads_single_files(exported, name):
    assert "step 2   rescale (scale 0.00392157" in run("inspect", exported.folder / name, check=0).stdout


def test_inspect_says_that_a_file_is_not_ours():
    light = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / "light_squeezenet.onnx"
    done = run("inspect", light, check=0)
    assert "no contract of preproc inside" in done.stdout
    assert "float [1, 3, 224, 224]" in done.stdout


def test_a_runtime_asked_for_by_name_and_absent_is_exit_1(exported):
    import torch

    if torch.cuda.is_available():
        pytest.skip("a CUDA device is here, so ort-cuda is not absent")
    done = run("verify", exported.folder, "--runtime", "ort-cuda", check=1)
    assert "absent" in done.stdout
    assert "expected ort-cuda to run, got absent [runtime-absent]" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "no.toml"], "no.toml: expected a recipe, got No such file or directory"),
        (["export", DIGITS, "--format", "onx"], "expected formats to be some of onnx, torchscript, pt2, aoti, executorch, got 'onx'"),
        (["export", DIGITS, "--images", "no"], "no: expected a folder of pictures"),
        (["verify", "no"], "expected a bundle"),
        (["verify", "models"], "expected a bundle"),
        (["inspect", "no.onnx"], "got nothing there"),
        (["inspect", "README.md"], "expected an ONNX file"),
        (["inspect", "models/digits.toml"], "expected an ONNX file"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_1(arguments, message, tmp_path):
    if arguments[0] == "export":
        arguments = [*arguments, "-o", str(tmp_path)]
    done = run(*arguments, check=1)
    assert message in done.stderr
    assert done.stdout == ""
    errors = [line for line in done.stderr.splitlines() if "error:" in line]
    assert len(errors) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["exprot"], ["export"], ["verify", "--runtme", "x"], ["verify", "a", "--json=3"]])
def test_wrong_usage_is_exit_2(arguments):
    assert run(*arguments, check=2).stdout == ""


def test_exit_codes_are_a_processs_own():
    assert in_a_process("verify", "--runtme", "x", check=2).stdout == ""
    assert in_a_process("verify", "no", check=1).stderr.splitlines()[-1].startswith("preproc: error: no: expected a bundle")


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("x")
    done = run("export", DIGITS, "-o", tmp_path / "file" / "deeper", "--format", "onnx", check=1)
    assert "Not a directory" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_square_brackets_in_a_reason_are_printed(capsys):
    from preproc.cli.tables import print_report
    from preproc.verify import Power, Report, Result

    print_report(Report("m", "x", "yes", Power({}, 0, 1e-4, (), None), (Result("ort-cpu", "failed", "name them in [backbone] outputs"),)))
    assert "name them in [backbone] outputs" in capsys.readouterr().out


def test_one_bad_recipe_does_not_stop_the_others(tmp_path):
    done = run("export", "no.toml", DIGITS, "-o", tmp_path, "--format", "onnx", check=1)
    assert (tmp_path / "digits" / "model.onnx").is_file()
    assert "no.toml" in done.stderr


def test_a_damaged_bundle_is_exit_1(bundle):
    (bundle / "model.onnx").write_bytes(b"")
    assert "model.onnx has 0 bytes" in run("verify", bundle, check=1).stderr


IMPORTED = """
import sys
from preproc import cli
sys.argv = ["preproc", *sys.argv[1:]]
try:
    cli.main()
except SystemExit as end:
    code = end.code or 0
heavy = {"torch", "torchvision", "timm", "dask", "tritonclient", "sklearn", "sympy.core"} & set(sys.modules)
assert not heavy, heavy
sys.exit(code)
"""


WITHOUT_TORCH = [
    ["--help"],
    ["stats", "models/digits.images"],
    ["inspect", "{bundle}"],
    ["inspect", "{bundle}/model.onnx"],
    ["inspect", "{bundle}/model.pt"],
    ["verify", "{bundle}", "--runtime", "ort-cpu"],
]


def test_verify_on_a_machine_without_torch(exported):
    """Nothing but onnxruntime: torch's runtimes are absent, the golden samples still prove the ONNX file."""
    code = "import sys; sys.modules['torch'] = None; sys.argv = ['preproc', 'verify', sys.argv[1]]; from preproc.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, str(exported.folder)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "torch is not installed" in done.stdout
    assert "golden samples" in done.stdout


@pytest.mark.parametrize("arguments", WITHOUT_TORCH, ids=lambda arguments: arguments[0])
def test_commands_that_need_no_torch_import_none(exported, arguments):
    filled = [argument.format(bundle=exported.folder) for argument in arguments]
    subprocess.run([sys.executable, "-c", IMPORTED, *filled], cwd=ROOT, check=True, capture_output=True)


def test_under_json_an_error_is_a_document_too():
    done = run("verify", "nowhere", "--json", check=1)
    assert "expected a bundle" in json.loads(done.stdout)["error"]
    assert "expected a bundle" in done.stderr
