"""The README is true: its tables are the committed ones, its code runs, its commands exist and succeed."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from preproc.verify import Report
from tests.commands import run
from tests.conftest import ROOT
from tests.test_serve_check import serving

README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines() if line]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """What a user has in front of them, in a folder that the examples may write into."""
    folder = tmp_path_factory.mktemp("readme")
    for name in ("models", "export"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("node_modules"))
    return folder


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_python_blocks_run(code, checkout):
    with serving() as url:
        code = code.replace("127.0.0.1:8000", url.removeprefix("http://"))
        subprocess.run([sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"], cwd=checkout, check=True)


def test_the_embedding_page_runs_from_top_to_bottom(tmp_path):
    page = (ROOT / "preproc" / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 7
    program = tmp_path / "page.py"  # a file, as a reader has it: torch.jit.script reads its classes' source
    program.write_text("\n".join(blocks), encoding="utf-8")
    subprocess.run([sys.executable, program.name], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_succeed(command, checkout, tmp_path):
    words = command.replace("/tmp/bundles", str(tmp_path)).split()
    assert words[0] == "preproc"
    run(*words[1:], cwd=checkout, check=0)


def test_the_manifests_for_servers_are_of_the_embedded_bundle():
    page = (ROOT / "export" / "README.md").read_text(encoding="utf-8")
    (told,) = json.loads(re.findall(r"```json\n(.*?)```", page, re.DOTALL)[-1])["model_config_list"]
    assert (told["config"]["name"], told["config"]["plugin_config"]) == ("digits", {"INFERENCE_PRECISION_HINT": "f32"})
    assert "name: digits\n" in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[-1]


def test_the_training_table_is_the_committed_one():
    table = (ROOT / "models" / "digits.training.md").read_text(encoding="utf-8")
    assert f"<!-- table: models/digits.training.md -->\n{table}" in README


def test_the_survey_is_quoted_right():
    figures = []
    for zoo in ("torchvision", "timm"):
        survey = (ROOT / "tests" / "survey" / f"{zoo}.md").read_text(encoding="utf-8")
        folded, all_of_them, wrong = re.search(r"(\d+) of (\d+) folded, (\d+) wrong", survey).groups()
        assert wrong == "0"
        figures += [all_of_them, folded]
    assert "Of torchvision's {} classification models {} fold, and of timm's {} families {}".format(*figures) in README


def test_the_tables_of_pixels_are_quoted_right():
    survey = (ROOT / "tests" / "survey" / "resize.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- table: tests/survey/resize.md -->\n(.*?)\n\n", README, re.DOTALL)[1].splitlines()
    rows = [row for row in survey.splitlines() if row.startswith("|")]
    assert shown == [row for row in rows if "| nearest" not in row and "| TorchScript |" not in row]
    assert all(row.endswith("| 0 | 0 | 0 |") for row in rows if "exact" in row or "torch |" in row or "TorchScript" in row)
    aliased = [row for row in rows if "smaller" in row and "antialias=False" in row and "nearest" not in row]
    most = max(float(cell) for row in aliased for cell in re.findall(r"\| (\d+), ", row))
    assert f"are up to\n{most:g} grey levels away from Pillow" in README
    pipelines = (ROOT / "tests" / "survey" / "pipelines.md").read_text(encoding="utf-8")
    counts = dict(re.findall(r"^\| (torchvision|timm) \| (\d+) \| TorchScript", pipelines, re.MULTILINE))
    assert f"Of the published pipelines of {counts['torchvision']} torchvision weights and {counts['timm']} timm families" in README


def test_the_report_is_the_committed_bundles():
    """Verdicts and the rounded figures in the README are those of the manifest that git holds, of one machine: where another one has other
    versions, `make export` writes other figures into the working tree."""
    held = subprocess.run(["git", "show", ":export/digits/manifest.json"], cwd=ROOT, capture_output=True, check=False)
    if held.returncode:
        pytest.skip("this is no git checkout")
    report = Report.from_json(json.loads(held.stdout)["report"])
    for result in report.results:
        row = next(line for line in README.splitlines() if line.startswith(f"  {result.runtime} "))
        assert row.split()[1] == result.verdict
        assert all(value is None or f"{value:.1e}" in row for value in (result.error, result.bare, result.tolerance))
    for control in report.power.controls:
        assert re.search(rf"{control.name}\s+{re.escape(f'{control.movement:.1e}')}", README)
    assert f"a shift of the mean by {report.power.smallest_shift:.2g} grey levels" in README


def test_the_bench_tables_are_the_committed_runs():
    from tests.bench import plot

    parts = plot.parts()
    assert parts.keys() >= {"cpu.json", "gpu-h200.json"}
    for name, part in parts.items():
        assert f"{plot.marker(name)}\n{part}<!-- end -->" in README, f"{name}: make plots writes it"
        assert plot.put(README, name, "another") != README
        assert (plot.RESULTS / name).with_suffix(".png").stat().st_size


def test_make_targets_in_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"make ([\w-]+)", README)) - {"export"}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_relative_links_lead_somewhere():
    for document in (ROOT / "README.md", ROOT / "models" / "README.md", ROOT / "export" / "README.md", ROOT / "preproc" / "README.md"):
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / link).exists(), (document.name, link)
