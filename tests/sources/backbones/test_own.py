"""Backbones from a checkpoint with a constructor, and from an import path; whose code may run, and when."""

import json
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from preproc.errors import BundleError, PreprocError, RecipeError
from preproc.export import export_bundle, verify_bundle
from preproc.sources import replace
from preproc.sources.backbones import load_backbone
from tests.damage import edit_onnx
from tests.sources.backbones.recipes import recipe

NETS = """
import torch
from torch import nn

print("nets was imported")

class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, width, 3, padding=1), nn.Linear(width, 4)

    def forward(self, x):
        return self.head((self.conv(x).relu() ** 2).mean((2, 3)))

def make():
    torch.manual_seed(1)
    return Net()

def broken():
    raise KeyError("weights")

def number():
    return 3

class Table:
    make = staticmethod(make)
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """A folder with a recipe's own module in it, which no other test sees."""
    monkeypatch.delitem(sys.modules, "own_nets", raising=False)
    (tmp_path / "own_nets.py").write_text(NETS)
    yield tmp_path
    sys.modules.pop("own_nets", None)


def own(folder, **backbone):
    table = {"source": "import", "name": "own_nets:make", "weights": None, "seed": None} | backbone
    return replace(recipe(folder, **table), pixels={"size": (24, 20)})


def test_an_import_path_brings_its_weights(nets):
    before = list(sys.path)
    backbone = load_backbone(own(nets))
    assert sys.path == before
    assert (backbone.trained, backbone.weights) == (True, "as own_nets:make makes them")
    assert load_backbone(own(nets, name="own_nets:Table.make")).sha256() == backbone.sha256()
    random = own(nets, name="own_nets:Net", weights="random", seed=3, arguments={"width": 5})
    assert not load_backbone(random).trained
    assert load_backbone(random).sha256() == load_backbone(random).sha256()
    assert load_backbone(random).module.head.in_features == 5


def test_a_checkpoint_fills_what_a_constructor_makes(nets):
    made = load_backbone(own(nets)).module
    save_file(made.state_dict(), nets / "w.safetensors")
    torch.save({"state_dict": made.state_dict()}, nets / "w.pt")
    for name in ("w.safetensors", "w.pt"):
        backbone = load_backbone(own(nets, source="checkpoint", name="own_nets:Net", weights=name))
        assert (backbone.sha256(), backbone.trained) == (load_backbone(own(nets)).sha256(), True)
    with pytest.raises(PreprocError, match="expected the weights of this network"):
        load_backbone(own(nets, source="checkpoint", name="own_nets:Net", weights="w.pt", arguments={"width": 5}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "own_nets"}, "expected package.module:factory, got 'own_nets'"),
        ({"name": "no_nets:make"}, "expected a module no_nets in .* here or installed, got ModuleNotFoundError"),
        ({"name": "own_nets:mak"}, "expected mak in own_nets, got nothing there; did you mean 'make'"),
        ({"name": "own_nets:broken"}, "expected own_nets:broken to make a network from {}, got KeyError: 'weights'"),
        ({"name": "own_nets:number"}, "to return an nn.Module, got int"),
        ({"name": "own_nets:__name__"}, "to be a class or a function, got str"),
        ({"name": "own_nets:Net", "arguments": {"widht": 3}}, "from {'widht': 3}, got TypeError"),
        ({"weights": "w.pt"}, 'expected none for source = "import"'),
        ({"source": "checkpoint"}, "expected a weights name, a file"),
        ({"arguments": {"when": __import__("datetime").date(2026, 1, 1)}}, "arguments: expected numbers, strings"),
    ],
)
def test_ones_own_mistakes_are_one_line(nets, change, message):
    with pytest.raises(RecipeError, match=message) as caught:
        load_backbone(own(nets, **change))
    assert "\n" not in str(caught.value)


def test_a_bundle_from_elsewhere_does_not_choose_which_code_runs(nets, tmp_path, monkeypatch, capsys):
    """verify imports a factory only if a recipe that lies here says so, never because a manifest does."""
    bundle = export_bundle(own(nets), tmp_path / "out" / "net", formats=["onnx", "torchscript"])
    assert bundle.report.ok
    text = RECIPE.replace("FOLDER", str(nets))
    (nets / "net.toml").write_text(text)
    assert verify_bundle(bundle.folder, recipe=nets / "net.toml", runtimes=["torch-cpu", "ort-cpu"]).ok
    sys.modules.pop("own_nets")
    capsys.readouterr()
    monkeypatch.chdir(nets)
    report = verify_bundle(bundle.folder, runtimes=["torchscript-cpu", "torch-cpu"])
    assert {result.runtime: result.verdict for result in report.results} == {"torchscript-cpu": "passed", "torch-cpu": "absent"}
    assert "give the recipe that says so with --recipe" in str(report.results[1].reason)
    np.save(nets / "picture.npy", np.zeros((24, 20, 3), np.uint8))
    with pytest.raises(BundleError, match="give the recipe that says so with --recipe") as caught:
        verify_bundle(bundle.folder, images=nets)
    assert caught.value.name == "recipe-runs-code"
    assert "nets was imported" not in capsys.readouterr().out
    assert "own_nets" not in sys.modules


RECIPE = """
name = "net"
[backbone]
source = "import"
name = "own_nets:make"
color = "RGB"
[pixels]
layout = "NHWC"
color = "RGB"
size = [24, 20]
[[steps]]
step = "rescale"
[[steps]]
step = "normalize"
preset = "inception"
"""


@pytest.mark.parametrize("name", ["net", "../export/net/r", "/tmp/r", "a/b"])
def test_a_recipe_that_a_bundle_brings_runs_nothing(nets, tmp_path, monkeypatch, capsys, name):
    """Neither models/<name>.toml beside it, nor a name that leads into the bundle."""
    place = tmp_path / "sent"
    bundle = export_bundle(own(nets), place / "export" / "net", formats=["onnx"])
    sys.modules.pop("own_nets")
    for folder in (place / "models", bundle.folder):
        folder.mkdir(exist_ok=True)
        (folder / "own_nets.py").write_text(NETS)
        (folder / ("net.toml" if folder.name == "models" else "r.toml")).write_text(RECIPE)
    manifest = json.loads((bundle.folder / "manifest.json").read_text())
    manifest["contract"]["name"] = name
    edit_onnx(bundle.folder, lambda model: model.metadata_props.update({"preproc.contract": json.dumps(manifest["contract"])}))
    rewritten = json.loads((bundle.folder / "manifest.json").read_text())
    rewritten["contract"]["name"] = name
    (bundle.folder / "manifest.json").write_text(json.dumps(rewritten))
    monkeypatch.chdir(place)
    capsys.readouterr()
    if name == "net":
        report = verify_bundle(bundle.folder)
        assert {result.verdict for result in report.results if result.runtime == "torch-cpu"} == {"absent"}
    else:
        with pytest.raises(PreprocError, match="expected letters, digits"):
            verify_bundle(bundle.folder)
    assert "nets was imported" not in capsys.readouterr().out


def test_two_recipes_modules_of_one_name_are_not_taken_for_each_other(nets, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "own_nets.py").write_text(NETS.replace("nn.Linear(width, 4)", "nn.Linear(width, 7)"))
    load_backbone(own(nets))
    with pytest.raises(RecipeError, match=r"other/own_nets\.py, got another one of that name imported before"):
        load_backbone(own(other))


def test_a_factory_may_import_its_neighbours_when_it_runs_and_may_not_end_the_program(nets):
    (nets / "own_helper.py").write_text("WIDTH = 5")
    with (nets / "own_nets.py").open("a") as file:
        file.write("\ndef late():\n    from own_helper import WIDTH\n    return Net(WIDTH)\n\ndef ends():\n    raise SystemExit(3)\n")
    assert load_backbone(own(nets, name="own_nets:late")).module.head.in_features == 5
    with pytest.raises(RecipeError, match="got SystemExit: 3"):
        load_backbone(own(nets, name="own_nets:ends"))
