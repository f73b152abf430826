"""Every refusal has a name, every name has its section on the page, and every example on the page meets just that refusal."""

import ast
import copy
import functools
import json
import re
import shlex
import shutil
import tomllib
import traceback
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import preproc
from preproc.errors import BundleError, PreprocError, RecipeError, VerificationError
from preproc.export import export_bundle
from preproc.host.examples import page, refusals
from preproc.sources import parse_recipe
from tests.commands import run
from tests.conftest import ROOT
from tests.onnx_files import hand_made

SECTIONS = refusals()
PARTS = ("What it means", "Why it is refused", "How to mend it", "Example")
EXAMPLES = {name: re.search(r"```(\w+)\n(.*?)```", section, re.DOTALL).groups() for name, section in SECTIONS.items()}
ELSEWHERE = {
    "not-installed": "test_zoo.py::test_timm_is_an_extra",
    "written-meanwhile": "test_targets.py::test_a_bundle_that_cannot_be_written_to_its_end",
    "worker-failed": "test_engines.py::test_workers_that_cannot_start_end_it_with_a_line",
    "runtime-absent": "test_cli.py::test_a_runtime_asked_for_by_name_and_absent_is_exit_1",
    "recipe-runs-code": "test_own.py::test_a_bundle_from_elsewhere_does_not_choose_which_code_runs",
}
"""The tests that meet what no short example can: a library that is absent, a place to which somebody else writes."""
USUAL = {kind.__name__: kind.usual for kind in (PreprocError, *PreprocError.__subclasses__())}


@functools.cache
def trees():
    found = []
    for file in sorted((ROOT / "preproc").rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            for child in ast.iter_child_nodes(node):
                child.parent = node
        found.append((file, tree))
    return found


def above(node):
    while (node := getattr(node, "parent", None)) is not None:
        yield node


def made(tree):
    """The calls that make an error of ours, and how each is named: the node behind name=, or None."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", None)) in USUAL:
            yield node, next((keyword.value for keyword in node.keywords if keyword.arg == "name"), None)


def words(tree):
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def handled(call):
    """The variable of the handler around it that catches errors of ours, or None."""
    for node in above(call):
        if isinstance(node, ast.ExceptHandler):
            caught = {each.id for each in ast.walk(node.type) if isinstance(each, ast.Name)}
            return node.name if caught & set(USUAL) else None
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            return None
    return None


def test_every_name_in_the_code_stands_on_the_page():
    for file, tree in trees():
        for call, name in made(tree):
            for constant in ast.walk(name) if name is not None else ():
                if isinstance(constant, ast.Constant) and isinstance(constant.value, str):
                    assert constant.value in SECTIONS, f"{file}:{call.lineno}"
    assert set(USUAL.values()) - {"refused"} <= set(SECTIONS)


def test_every_name_on_the_page_is_in_the_code():
    in_code = set().union(*(words(tree) for _, tree in trees()))
    assert set(SECTIONS) <= in_code, set(SECTIONS) - in_code


def test_every_refusal_has_a_name():
    """Its own, its class's, or that of the error of ours that it is raised from."""
    for file, tree in trees():
        for call, name in made(tree):
            variable, raised = handled(call), call.parent
            carried = variable is not None and isinstance(raised, ast.Raise) and getattr(raised.cause, "id", None) == variable
            assert name or carried or USUAL[call.func.id] != "refused", f"{file}:{call.lineno}: which refusal is it?"
            told = variable is not None and any(isinstance(node, ast.Name) and node.id == variable for node in ast.walk(call))
            assert name or carried or not told, f"{file}:{call.lineno}: the name of the error that it tells is lost"


def test_every_section_has_its_four_parts():
    for name, section in SECTIONS.items():
        assert re.findall(r"^\*\*(.*)\.\*\*", section, re.MULTILINE) == list(PARTS), name
        assert section.count("```") == 2, name
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name)


def test_the_table_of_contents_is_that_of_the_sections():
    told = re.findall(r"^- \[(.*?)\]\(#(.*?)\): .", page("refusals"), re.MULTILINE)
    assert [name for name, _ in told] == [link for _, link in told] == list(SECTIONS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the page says that lies there."""
    place = tmp_path_factory.mktemp("refusals")
    for file in (ROOT / "models").glob("digits.*"):
        (shutil.copytree if file.is_dir() else shutil.copy)(file, place / file.name)
    shutil.copytree(ROOT / "export" / "digits", place / "digits")
    hand_made(place, shape=("N", 3, 32, 32)).rename(place / "cnn.onnx")
    rng = np.random.default_rng(1)
    for name, darker in (("photos", 1), ("dark", 2)):
        (place / name).mkdir()
        for position in (1, 2, 3):
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8) // darker
            Image.fromarray(pixels).save(place / name / f"{position}.png")
        preproc.compute_stats(str(place / name), workers=1).save(place / f"{name}.json")
    shutil.rmtree(place / "dark")
    return place


def export(tables):
    """A recipe with these tables in place of those of digits.toml."""
    data = tomllib.loads(Path("digits.toml").read_text(encoding="utf-8")) | tomllib.loads(tables)
    export_bundle(parse_recipe(data, folder=Path.cwd()), "out")


def met(kind, code):
    """The message and the name of what an example meets."""
    if kind == "console":
        done = run(*shlex.split(code.partition("\n")[0])[2:], cwd=".")
        line = done.stderr.splitlines()[-1]
        assert done.returncode == (2 if line.endswith("[wrong-usage]") else 1)
        return line, line.rpartition("[")[2].removesuffix("]")
    with pytest.raises(PreprocError) as caught:
        export(code) if kind == "toml" else exec(compile(code, "example", "exec"), {"__name__": "example"})
    assert explained(caught.value) == f"preproc explain {caught.value.name}"
    return str(caught.value), caught.value.name


def explained(error):
    """What a traceback says last of it: the note of the error, or of the one that it was raised from."""
    return (getattr(error, "__notes__", None) or [explained(error.__cause__)])[-1]


def promised(kind, code):
    lines = code.splitlines()
    told = lines[1:] if kind == "console" else [line[2:] for line in lines if line.startswith("# ")]
    return " ".join(told)


@pytest.mark.parametrize("name", [name for name, (kind, _) in EXAMPLES.items() if kind != "text"])
def test_the_example_meets_it(name, folder, tmp_path, monkeypatch):
    kind, code = EXAMPLES[name]
    monkeypatch.chdir(shutil.copytree(folder, tmp_path / "here"))
    message, got = met(kind, code)
    assert got == name, message
    assert re.fullmatch(re.escape(promised(kind, code)).replace(r"\.\.\.", ".*"), message, re.DOTALL), message


def test_what_has_no_example_that_runs_is_met_by_another_test():
    assert {name for name, (kind, _) in EXAMPLES.items() if kind == "text"} == set(ELSEWHERE)
    for name, place in ELSEWHERE.items():
        file, _, test = place.partition("::")
        (found,) = (ROOT / "tests").rglob(file)
        text = found.read_text(encoding="utf-8")
        (told,) = (ast.get_source_segment(text, node) for node in ast.parse(text).body if getattr(node, "name", None) == test)
        assert name in told, place


def test_explain_prints_a_section_and_helps_with_a_name():
    told = run("explain", "unit-mismatch", check=0).stdout
    assert told.startswith("### unit-mismatch\n")
    assert "They run in a folder with `cnn.onnx`" in told
    assert "\n  unit-mismatch: constants in one unit, values in another\n" in run("explain", check=0).stdout
    assert "### unit-mismatch\n" in run("explain", "refusals", check=0).stdout
    assert "- **inconclusive**: it agrees, but a mistake might have, too." in run("explain", "inconclusive", check=0).stdout
    assert "\nverdicts: passed, failed, inconclusive, absent\n" in run("explain", check=0).stdout
    assert "did you mean 'unit-mismatch'?" in run("explain", "unit-missmatch", check=1).stderr
    assert "did you mean 'recipe'?" in run("explain", "recipes", check=1).stderr


def inner():
    return PreprocError("what", name="step-value")


def wrapped(kind, **named):
    def wrap():
        try:
            raise inner()
        except PreprocError as error:
            raise kind(f"there: {error}", **named) from error

    with pytest.raises(kind) as caught:
        wrap()
    return caught.value


def test_an_error_has_its_own_name_or_that_of_its_cause_or_its_classs():
    assert BundleError("x").name == "damaged-bundle"
    assert wrapped(RecipeError).name == "step-value"
    assert wrapped(PreprocError, name="unknown-key").name == "unknown-key"
    error = BundleError("x")
    error.__cause__ = OSError("y")
    assert error.name == "damaged-bundle"


@pytest.mark.parametrize("error", [inner(), wrapped(RecipeError), VerificationError("x")])
def test_the_name_goes_with_the_error_between_processes(error):
    back = copy.copy(error)  # as pickle does, by __reduce__
    assert (type(back), str(back), back.name) == (type(error), str(error), error.name)


def test_a_traceback_ends_in_what_explains_it():
    assert "".join(traceback.format_exception(inner())).endswith("PreprocError: what\npreproc explain step-value\n")
    told = "".join(traceback.format_exception(wrapped(RecipeError)))
    assert told.count("preproc explain step-value") == 1
    assert "preproc explain recipe-value" not in told


@pytest.mark.parametrize(
    "arguments", [["export"], ["verify", "a", "--runtme", "x"], ["exprot"], ["attach", "a", "-o", "b", "--tolerance", "x"]]
)
def test_what_typer_refuses_has_a_name_too(arguments):
    done = run(*arguments, "--json", check=2)
    told = json.loads(done.stdout)
    assert told["name"] == "wrong-usage"
    assert done.stderr.splitlines()[-1] == f"preproc: error: {told['error']} [wrong-usage]"
    bare = run(check=2)  # the help
    assert "wrong-usage" not in bare.stderr


@pytest.mark.parametrize("command", [["inspect", "no.onnx"], ["export", "no.toml"]])
def test_json_has_the_name_beside_the_error(command, tmp_path):
    done = run(*command, "--json", check=1, cwd=tmp_path)
    told = json.loads(done.stdout)
    assert (told[0] if isinstance(told, list) else told)["name"] == "nothing-there"
    assert done.stderr.splitlines()[-1].endswith(" [nothing-there]")
