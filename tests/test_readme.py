"""The pages are true: their code runs, their commands exist and succeed, their outputs, tables and figures are those of committed runs and
surveys, and their links lead somewhere."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from onnx import helper, numpy_helper
from PIL import Image

from preproc.verify import Report
from tests.commands import run
from tests.conftest import ROOT
from tests.export.serving.fake import serving
from tests.onnx_files import hand_made

PAGES = (
    "README.md",
    "models/README.md",
    "export/README.md",
    "export/conformance/README.md",
    "export/embed/cpp-aoti/README.md",
    "export/embed/cpp-libtorch/README.md",
    "export/embed/cpp-openvino/README.md",
    "export/embed/executorch/README.md",
    "export/embed/node/README.md",
    "export/embed/python/README.md",
    "export/embed/web/README.md",
    "preproc/README.md",
    "preproc/diagnosis/README.md",
    "preproc/verify/pictures/README.md",
    "preproc/stats/README.md",
    "tests/bench/README.md",
)
GOES_ON = {"preproc/README.md", "preproc/diagnosis/README.md"}
"""Pages whose Python blocks are one program; elsewhere each stands for itself."""
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"\d[\d.]*(e[+-]?\d+)?%?")


def text(page):
    return (ROOT / page).read_text(encoding="utf-8")


def plain(page):
    """Without line breaks, to look for a sentence."""
    return " ".join(text(page).split())


def blocks(page, language):
    return [body for found, body in FENCE.findall(text(page)) if found == language]


@pytest.fixture
def checkout(tmp_path):
    """What a user has in front of them, in a folder that the examples may write into; and a model.onnx of their own."""
    for name in ("models", "export"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("node_modules", "conformance"))
    hand_made(tmp_path, shape=("N", 3, 64, 64)).rename(tmp_path / "model.onnx")  # over larger maps ONNX Runtime adds up worse than 1e-4
    return tmp_path


def test_python_blocks_run(checkout):
    """In one process, which loads torch once; each with names of its own, and from a file: torch.jit.script reads its classes' source."""
    programs = []
    with serving() as url:
        for page in PAGES:
            code = blocks(page, "python")
            for number, program in enumerate(["\n".join(code)] if page in GOES_ON else code):
                programs.append(checkout / f"{page.replace('/', '-')}-{number}.py")
                programs[-1].write_text(program.replace("127.0.0.1:8000", url.removeprefix("http://")), encoding="utf-8")
        assert len(programs) >= len(GOES_ON) + 5
        every = "import runpy, sys, tests.asked_once\nfor program in sys.argv[1:]:\n    runpy.run_path(program)"
        subprocess.run([sys.executable, "-c", every, *programs], cwd=checkout, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sh")])
def test_commands_succeed(page, checkout):
    """One after the other, as they stand there; of the size that ResNet-50's weights want where these are named."""
    with serving() as url:
        for line in "".join(blocks(page, "sh")).splitlines():
            here = line.replace("/tmp/bundles", str(checkout / "tmp")).replace("http://127.0.0.1:8000", url)
            program, *arguments = shlex.split(here, comments=True)
            assert program == "preproc"
            if "attach" in arguments and "--torchvision" in arguments:
                hand_made(checkout, shape=("N", 3, 224, 224)).rename(checkout / "model.onnx")
            run(*arguments, cwd=checkout, check=0)


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_need_more_than_a_checkout_exist_with_their_options(page):
    """The indented ones: they take a network, a server or a large data set."""
    for line in re.findall(r"^    preproc (.*)$", text(page), re.MULTILINE):
        command, *arguments = shlex.split(line, comments=True)
        told = run(command, "--help", check=0).stdout
        for option in (argument for argument in arguments if argument.startswith("--")):
            assert re.search(rf"{option}\b", told), line


def test_every_block_is_run_or_compared():
    """What is no code is named here, with the test that looks at it."""
    others = {(page, language) for page in PAGES for language, _ in FENCE.findall(text(page))} - {
        (page, language) for language in ("python", "sh") for page in PAGES
    }
    assert others == {
        ("README.md", ""),  # test_the_first_screen_is_what_attach_prints
        ("export/README.md", ""),  # test_the_report_is_the_committed_bundles
        ("export/README.md", "json"),  # test_the_manifests_for_servers_are_of_the_embedded_bundle
        ("export/README.md", "yaml"),
        ("models/README.md", "toml"),  # test_installed.py: `preproc init` writes it, and its recipe is that of models/digits.toml
        ("preproc/README.md", "mermaid"),
        ("preproc/diagnosis/README.md", "toml"),  # test_plan.py: compare reads it
    }


def differences(shown, real):
    """Lines that are shown and not printed, one after the other; any number stands for any other, [...] for the rest of a line."""
    left = iter([NUMBER.sub("#", " ".join(line.split())) for line in real.splitlines()])
    wanted = [NUMBER.sub("#", " ".join(line.split())).partition(" [...]")[0] for line in shown.splitlines()]
    return [line for line in wanted if line and not any(found.startswith(line) for found in left)]


def test_the_first_screen_is_what_attach_prints(checkout):
    """The very command, on a file of the reader's own; where there is a CUDA device, but for what is absent without."""
    command = next(line for line in blocks("README.md", "sh")[0].splitlines())
    (shown,) = blocks("README.md", "")
    real = run(*shlex.split(command)[1:], cwd=checkout, check=0).stdout
    if torch.cuda.is_available():
        shown = "\n".join(line for line in shown.splitlines() if " absent " not in line)
    assert differences(shown, real) == []
    assert differences(shown.replace("ort-cpu    passed", "ort-cpu    failed"), real)
    assert differences(shown.replace("channels swapped", "channels exchanged"), real)
    assert differences(shown.replace("  tolerance", ""), real)


def test_refusals_are_quoted_right(checkout):
    own = [helper.make_node("Sub", ["image", "mean"], ["moved"]), helper.make_node("Div", ["moved", "std"], ["first"])]
    constants = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    held = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(values, np.float32)[:, None, None]))
        for name, values in constants.items()
    ]
    hand_made(checkout, nodes=[*held, *own])
    page = plain("README.md")
    for arguments, quoted in (
        (["m.onnx", "--preset", "imagenet"], r'that itself: "([^"]+)"'),
        (["model.onnx", *shlex.split("--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --units 0-255")], r'units 0-255`: "([^"]+)"'),
    ):
        assert re.search(quoted, page)[1] in run("attach", *arguments, "-o", "out", cwd=checkout, check=1).stderr


def test_the_picture_is_described_right():
    """models/digits.png: what its rows read, as the committed file reads them now, as they were counted when it was drawn, and in words."""
    spec = importlib.util.spec_from_file_location("draw_picture", ROOT / "models" / "draw_picture.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    right = {name: script.right(answers) for name, answers in script.read().items()}
    with Image.open(ROOT / "models" / "digits.png") as image:
        assert image.text == {name: f"{count} of 10" for name, count in right.items()}
    raw, *wrong = right.values()
    best, worst = re.search(r"Given raw pixels it reads (\d+) of 10; .*, at most (\d+) of 10", plain("README.md")).groups()
    assert (raw, max(wrong)) == (int(best), int(worst))
    assert len(wrong) == 4  # swapped, greyed, divided, normalized


def test_the_manifests_for_servers_are_of_the_embedded_bundle():
    (document,), (manifest,) = blocks("export/README.md", "json"), blocks("export/README.md", "yaml")
    (told,) = json.loads(document)["model_config_list"]
    assert (told["config"]["name"], told["config"]["plugin_config"]) == ("digits", {"INFERENCE_PRECISION_HINT": "f32"})
    assert "name: digits\n" in manifest


def test_the_training_table_is_the_committed_one():
    assert f"<!-- table: models/digits.training.md -->\n{text('models/digits.training.md')}" in text("models/README.md")


def test_the_survey_is_quoted_right():
    figures = []
    for zoo in ("torchvision", "timm"):
        folded, all_of_them, wrong = re.search(r"(\d+) of (\d+) folded, (\d+) wrong", text(f"tests/survey/{zoo}.md")).groups()
        assert wrong == "0"
        figures += [all_of_them, folded]
    assert "of torchvision's {} classification models {} fold, and of timm's {} families {}".format(*figures) in plain("README.md")


def test_the_tables_of_pixels_are_quoted_right():
    survey, page = text("tests/survey/resize.md"), text("models/README.md")
    shown = re.search(r"<!-- table: tests/survey/resize.md -->\n(.*?)\n\n", page, re.DOTALL)[1].splitlines()
    rows = [row for row in survey.splitlines() if row.startswith("|")]
    assert shown == [row for row in rows if "| nearest" not in row and "| TorchScript |" not in row]
    assert all(row.endswith("| 0 | 0 | 0 |") for row in rows if "exact" in row or "torch |" in row or "TorchScript" in row)
    aliased = [row for row in rows if "smaller" in row and "antialias=False" in row and "nearest" not in row]
    most = max(float(cell) for row in aliased for cell in re.findall(r"\| (\d+), ", row))
    assert f"are up to {most:g} grey levels away from Pillow" in plain("models/README.md")
    counts = dict(re.findall(r"^\| (torchvision|timm) \| (\d+) \| TorchScript", text("tests/survey/pipelines.md"), re.MULTILINE))
    assert f"Of the published pipelines of {counts['torchvision']} torchvision weights and {counts['timm']} timm families" in page


def test_the_table_of_other_libraries_yuv_is_quoted_right():
    survey = text("tests/survey/yuv.md")
    shown = re.search(r"<!-- table: tests/survey/yuv.md -->\n(.*?)\n\n", text("models/README.md"), re.DOTALL)[1].splitlines()
    rows = survey.partition("\n\n")[2].partition("\n\n")[0].splitlines()
    assert len(shown) > 6
    assert shown == [row for row in rows if row in shown]
    assert all("bt601" in row or "as it is told" in row for row in rows[2:])
    assert all("| bt601 limited |" in row for row in shown if "nothing" in row or "NV12)" in row)


def test_the_report_is_the_committed_bundles():
    """Verdicts and the rounded figures in the page are those of the manifest that git holds, of one machine: where another one has other
    versions, `make export` writes other figures into the working tree."""
    held = subprocess.run(["git", "show", ":export/digits/manifest.json"], cwd=ROOT, capture_output=True, check=False)
    if held.returncode:
        pytest.skip("this is no git checkout")
    report = Report.from_json(json.loads(held.stdout)["report"])
    shown = re.search(r"<!-- report: printed by make export -->\n```\n(.*?)```", text("export/README.md"), re.DOTALL)[1]
    for result in report.results:
        row = next(line for line in shown.splitlines() if line.startswith(f"  {result.runtime} "))
        assert row.split()[1] == result.verdict
        assert all(value is None or f"{value:.1e}" in row for value in (result.error, result.bare, result.tolerance))
    for control in report.power.controls:
        assert re.search(rf"{control.name}\s+{re.escape(f'{control.movement:.1e}')}", shown)
    assert f"a shift of the mean by {report.power.smallest_shift:.2g} grey levels" in shown


def test_the_bench_tables_are_the_committed_runs():
    from tests.bench import plot

    parts = plot.parts()
    assert parts.keys() >= {"cpu.json", "gpu-h200.json"}
    told = {("tests/bench/README.md", name): part for name, part in parts.items()} | {("README.md", plot.SENTENCES): plot.sentences()}
    for (page, name), part in told.items():
        assert f"{plot.marker(name)}\n{part}<!-- end -->" in text(page), f"{page}, {name}: make plots writes it"
        assert plot.put(text(page), name, "another") != text(page)
    for name in parts:
        assert (plot.RESULTS / name).with_suffix(".png").stat().st_size
    assert len(plot.sentences().split("- ")) == 1 + len(parts)


def test_the_first_page_is_short():
    assert len(text("README.md").splitlines()) <= 200


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page):
    for target in set(
        re.findall(r"make ([a-z][\w-]+)(?=[ `]|$)", "\n".join(re.findall(r"`make [^`]*`|^    make .*$", text(page), re.MULTILINE)))
    ):
        assert re.search(rf"^{target}:", text("Makefile"), re.MULTILINE), target


def anchors(page):
    """The headings as GitHub and others make anchors of them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_somewhere(page):
    folder = (ROOT / page).parent
    for link, anchor in re.findall(r"\]\(([^)#:]*)#?([^):]*)\)", text(page)):
        target = (folder / link).resolve() if link else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.relative_to(ROOT)), (link, anchor)


def test_no_page_is_forgotten():
    done = subprocess.run(["git", "ls-files", "*README.md"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("this is no git checkout")
    assert set(done.stdout.split()) <= set(PAGES)


def test_the_map_has_every_room():
    rooms = {file.parent.name for file in (ROOT / "preproc").glob("*/__init__.py")}
    table = text("README.md").partition("## Where everything is")[2]
    assert rooms <= set(re.findall(r"`([a-z_]+)/`", table))
