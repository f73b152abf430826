"""What is installed is whole: in any folder the embedded recipe, recipes to begin with, and the pages on the formats."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from onnx import helper, numpy_helper

from preproc.cli.first_recipe import write_recipe
from preproc.errors import PreprocError, RecipeError
from preproc.host import compiler, examples, no_compiler
from preproc.sources import load_recipe
from preproc.steps import Normalize, Rescale
from tests.conftest import ROOT
from tests.onnx_files import hand_made

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
BUILD = PYPROJECT["tool"]["hatch"]["build"]["targets"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The package as a wheel installs it, by pyproject.toml's own list."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "preproc", folder / "preproc", ignore=shutil.ignore_patterns("__pycache__"))
    for source, target in BUILD["wheel"]["force-include"].items():
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / source).is_dir() else shutil.copyfile)(ROOT / source, folder / target)
    return folder


def run(site, *arguments, cwd):
    environment = os.environ | {"PYTHONPATH": str(site), "COLUMNS": "120"}
    command = [sys.executable, "-P", "-m", "preproc", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_anywhere_the_embedded_recipe_is_exported_and_verified(site, tmp_path):
    assert "export/digits: published" in run(site, "export", "digits", "--format", "torchscript", cwd=tmp_path)
    (tmp_path / "moved").mkdir()
    (tmp_path / "export" / "digits").rename(tmp_path / "moved" / "digits")
    assert "float64 reference, 12 inputs" in run(site, "verify", "moved/digits", cwd=tmp_path)  # by the recipe that is installed


def test_the_pages_are_one_text(site, tmp_path):
    assert run(site, "explain", "recipe", cwd=tmp_path).rstrip() == (ROOT / "models" / "README.md").read_text(encoding="utf-8").rstrip()
    assert run(site, "explain", "unit-mismatch", cwd=tmp_path).startswith(examples.refusals()["unit-mismatch"])
    assert examples.page("bundle") == (ROOT / "export" / "README.md").read_text(encoding="utf-8")
    assert examples.page("layers").startswith("# The layers")
    known = r"one of recipe, bundle, layers, stats, diagnose, refusals, a verdict, .*, got 'recpie'; did you mean 'recipe'"
    with pytest.raises(PreprocError, match=known):
        examples.page("recpie")


def test_every_recipe_is_packed_with_what_it_names(site):
    packed = site / "preproc" / "host" / "packed" / "models"
    assert {file.name for file in packed.glob("*.toml")} == {file.name for file in (ROOT / "models").glob("*.toml")}
    for file in packed.glob("digits*.toml"):
        recipe = load_recipe(file)
        assert recipe.resolve(str(recipe.backbone.weights)).is_file()
        assert recipe.export.images
        assert recipe.export.images.is_dir()


def test_what_the_sdist_needs_is_in_it():
    for name in (
        "Makefile",
        "constraints.txt",
        "constraints-lowest.txt",
        "tests",
        "models",
        "export/digits",
        "export/embed",
        "export/conformance",
    ):
        assert name in BUILD["sdist"]["include"]
        assert (ROOT / name).exists()


def test_what_a_package_index_shows_has_no_links_into_the_checkout():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for rule in PYPROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(rule["pattern"], rule["replacement"], text)
    assert not re.findall(r"\]\([^)#:]+\)", text)
    assert "**what**: one recipe per exported model" in text


@pytest.mark.parametrize("command", ["", "no-such-compiler", "'g++", 'g++ -DX="'])
def test_a_compiler_that_is_no_command_is_none(command, monkeypatch):
    monkeypatch.setenv("CXX", command)
    assert compiler() is None
    assert no_compiler() == f"CXX={command!r}, which is no command here: unset CXX, or install it"
    monkeypatch.delenv("CXX")
    assert no_compiler() == "no g++: install it"


def test_names_of_recipes_that_come_along():
    assert examples.recipe_file(Path("digits")) == ROOT / "models" / "digits.toml"
    assert str(examples.recipe_file(Path("mine.toml"))) == "mine.toml"
    with pytest.raises(PreprocError, match=r"digist: expected a recipe's file, .*which come along, got neither; did you mean 'digits'"):
        examples.recipe_file(Path("digist"))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_init_writes_the_embedded_recipe_with_its_files(here):
    made, left = write_recipe()
    assert (str(made), left) == ("digits.toml", None)
    one, other = load_recipe(made), load_recipe(ROOT / "models" / "digits.toml")
    assert (one.steps, one.pixels, one.labels) == (other.steps, other.pixels, other.labels)
    assert one.resolve("digits.safetensors").read_bytes() == other.resolve("digits.safetensors").read_bytes()
    assert made.read_text().count("#") > 10
    before = {file: file.stat().st_mtime_ns for file in here.rglob("*")}
    with pytest.raises(PreprocError, match=r"digits\.toml: expected a free name, got a file that is there"):
        write_recipe()
    assert {file: file.stat().st_mtime_ns for file in here.rglob("*")} == before


def test_init_keeps_files_beside_that_are_the_same_and_refuses_others(here):
    write_recipe()
    (here / "digits.images" / "3.png").unlink()
    before = {file: file.stat().st_mtime_ns for file in here.rglob("*") if file.is_file()}
    write_recipe(out=Path("other.toml"))
    assert load_recipe("other.toml").export.images.is_dir()
    assert (here / "digits.images" / "3.png").read_bytes() == (ROOT / "models" / "digits.images" / "3.png").read_bytes()
    assert {file: file.stat().st_mtime_ns for file in before} == before
    for name in ("digits.stats.json", "digits.images/7.png"):
        kept = Path(name).read_bytes()
        Path(name).write_text("mine")
        with pytest.raises(PreprocError, match=rf"{name}: expected the file that comes along.* another file.*-o FOLDER/third\.toml"):
            write_recipe(out=Path("third.toml"))
        assert Path(name).read_text() == "mine"
        Path(name).write_bytes(kept)
    assert not Path("third.toml").exists()


@pytest.mark.parametrize("limit", [100, 4096, 300_000])
def test_init_on_a_full_disk_names_the_target_and_leaves_nothing(limit, tmp_path):
    code = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); from preproc.cli.app import main; main()"
    command = [sys.executable, "-c", code, "init", "-o", "mine.toml"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    (tmp_path / "digits.images").mkdir()  # somebody's: it stays
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "preproc: error: mine.toml: expected a place that can be written to, got: File too large [system-refused]\n"
    assert [file.name for file in tmp_path.rglob("*")] == ["digits.images"]


def test_init_that_fails_takes_back_what_it_made(here, monkeypatch):
    """A folder of its own, too; and the disk is looked at first."""
    monkeypatch.setattr(Path, "mkdir", lambda path: (os.mkdir(path), Path("mine.toml").write_text("somebody's"))[0])  # noqa: PTH102
    with pytest.raises(FileExistsError):
        write_recipe(out=Path("mine.toml"))
    assert [file.name for file in here.iterdir()] == ["mine.toml"]
    assert Path("mine.toml").read_text() == "somebody's"
    usage = shutil.disk_usage(here)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=5000))
    with pytest.raises(PreprocError, match=r"digits\.toml: expected room for about 6\d\d,\d\d\d bytes, got 5,000 free"):
        write_recipe()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("name", "file", "weights"),
    [("resnet18", "resnet18.toml", "IMAGENET1K_V1"), ("ResNet50_Weights.IMAGENET1K_V1", "resnet50.toml", "IMAGENET1K_V1")],
)
def test_init_for_torchvision(name, file, weights):
    made, left = write_recipe(torchvision=name)
    assert (str(made), left) == (file, None)
    recipe = load_recipe(made)
    assert (recipe.backbone.weights, recipe.pixels.size, recipe.ready_size) == (weights, (None, None), (224, 224))
    assert recipe.steps_from


@pytest.mark.usefixtures("here")
def test_init_for_timm():
    pytest.importorskip("timm")
    recipe = load_recipe(write_recipe(timm="resnet50.a1_in1k")[0])
    assert (recipe.backbone.source, recipe.backbone.name, recipe.backbone.weights) == ("timm", "resnet50", "a1_in1k")
    assert load_recipe(write_recipe(timm="resnet18")[0]).backbone.weights
    with pytest.raises(PreprocError, match="did you mean"):
        write_recipe(timm="resnet5")


def test_init_for_an_onnx_file(here):
    hand_made(here)
    (here / "deep").mkdir()
    made, left = write_recipe(onnx=here / "m.onnx", preset="imagenet", out=here / "deep" / "mine.toml")
    assert left is None
    recipe = load_recipe(made)
    assert (recipe.name, recipe.pixels.size, recipe.backbone.color) == ("mine", (24, 20), "RGB")
    assert recipe.resolve(str(recipe.backbone.weights)).samefile(here / "m.onnx")
    assert recipe.steps[1:] == (Rescale(), Normalize.preset("imagenet", color="RGB"))


def test_init_makes_no_constants_up(here):
    """No .onnx file tells them, and nothing defaults to ImageNet: the recipe is refused until somebody writes them."""
    hand_made(here)
    made, left = write_recipe(onnx=here / "m.onnx")
    assert left
    with pytest.raises(RecipeError, match="expected one of preset, stats, or mean with std and unit, got none"):
        load_recipe(made)
    made.write_text(made.read_text().replace("# preset", "preset"))
    assert load_recipe(made).steps[-1] == Normalize.preset("imagenet", color="RGB")


@pytest.mark.parametrize("stem", ['a"b', "a\\b", "a # b", "a'''b", "é 模", "a\tb\x7f", "{x}", '"'])
@pytest.mark.parametrize("preset", ["imagenet", None])
def test_every_name_of_a_file_is_read_back(stem, preset, here):
    hand_made(here).rename(f"{stem}.onnx")
    made, _ = write_recipe(onnx=Path(f"{stem}.onnx"), preset=preset)
    table = tomllib.loads(made.read_text(encoding="utf-8"))
    assert table["backbone"]["weights"] == f"{stem}.onnx"
    assert f"export/{made.stem}. preproc explain" in made.read_text(encoding="utf-8")
    assert len(table["steps"]) == 2


def test_a_name_that_is_no_text_is_refused(here):
    try:
        hand_made(here).rename(os.fsdecode(b"a\xff.onnx"))
    except OSError as error:
        pytest.skip(f"no such names here: {error}")
    with pytest.raises(PreprocError, match="expected a name in UTF-8"):
        write_recipe(onnx=Path(os.fsdecode(b"a\xff.onnx")))
    assert not list(here.glob("*.toml"))


def test_a_preset_that_is_in_bgr_is_of_a_network_that_is(here):
    recipe = load_recipe(write_recipe(onnx=hand_made(here), preset="caffe")[0])
    assert (recipe.backbone.color, recipe.pixels.color) == ("BGR", "RGB")
    assert recipe.steps[-1] == Normalize.preset("caffe", color="BGR")


@pytest.mark.parametrize(("top", "steps"), [(255, 0), (1, 1), (4095, None)])
def test_a_network_that_normalizes_itself_gets_no_second_one(top, steps, here):
    value = numpy_helper.from_array(np.array(0.5 * top, np.float32))
    nodes = [
        helper.make_node("Constant", [], ["k"], value=value),
        helper.make_node("Sub", ["image", "k"], ["moved"]),
        helper.make_node("Div", ["moved", "k"], ["first"]),
    ]
    file = hand_made(here, nodes=nodes)
    with pytest.raises(PreprocError, match=r"--preset: expected a model that takes normalized values.*\(x - .*leave --preset out"):
        write_recipe(onnx=file, preset="imagenet")
    if steps is None:
        with pytest.raises(PreprocError, match=r"values in 0-255 or 0-1, or none itself, got .*0-4095; write its recipe by hand"):
            write_recipe(onnx=file)
    else:
        made, left = write_recipe(onnx=file)
        assert left is None
        assert [step.name for step in load_recipe(made).steps if step.name != "from_pixels"] == ["rescale"] * steps
    assert len(list(here.glob("*.toml"))) == (steps is not None)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"torchvision": "a", "timm": "b"}, "expected one of --torchvision, --timm and --onnx, got --torchvision and --timm"),
        ({"preset": "imagenet"}, "--preset: expected beside --onnx"),
        ({"torchvision": "resnet81"}, "did you mean 'resnet18'"),
        ({"onnx": Path("no.onnx")}, "got nothing there"),
        ({"onnx": ROOT / "export" / "digits" / "model.onnx"}, "expected a bare .onnx file, got one with a contract"),
        ({"onnx": ROOT / "export" / "digits" / "model.onnx", "preset": "imagnet"}, "did you mean 'imagenet'"),
        ({"out": Path("x.txt")}, r"x\.txt: expected the name of a \.toml file"),
        ({"torchvision": "resnet18", "out": Path("no/x.toml")}, "in a folder that exists"),
    ],
    ids=str,
)
def test_wrong_options_of_init_write_nothing(options, message):
    with pytest.raises(PreprocError, match=message):
        write_recipe(**options)
    assert not list(Path().iterdir())
