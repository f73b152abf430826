"""Backbones from timm, from a checkpoint with a constructor, and from an import path; whose code may run, and when."""

import io
import json
import shutil
import sys
import warnings
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from preproc.errors import BundleError, PreprocError, RecipeError
from preproc.export import export_bundle, verify_bundle
from preproc.sources import load_recipe, parse_recipe, replace
from preproc.sources.backbones import agreement, load_backbone
from preproc.steps import FromPixels, Normalize, Rescale
from preproc.verify.runtimes.pytorch import load_pt2
from tests.conftest import ROOT
from tests.verify.test_verify import edit_onnx

TABLE = {
    "name": "net",
    "backbone": {"source": "timm", "name": "vit_tiny_patch16_224", "weights": "random", "seed": 0, "color": "RGB"},
    "pixels": {"layout": "NHWC", "color": "RGB", "size": [224, 224]},
    "steps": [{"step": "rescale"}, {"step": "normalize", "preset": "inception"}],
}


def recipe(folder=ROOT / "models", **backbone):
    table = {key: value for key, value in (TABLE["backbone"] | backbone).items() if value is not None}
    return parse_recipe(TABLE | {"backbone": table}, folder=folder)


def test_timm_with_random_weights_is_repeatable():
    first, second = load_backbone(recipe()), load_backbone(recipe())
    assert first.sha256() == second.sha256()
    assert (first.trained, first.weights, first.published) == (False, "random (seed 0)", None)
    assert load_backbone(recipe(arguments={"num_classes": 3})).module(torch.zeros(1, 3, 224, 224)).shape == (1, 3)


def test_timms_published_weights_know_their_constants(monkeypatch):
    """What a recipe with ImageNet's constants on a ViT that was trained with 0.5/0.5 is told (timm #2463)."""
    import timm

    real = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, **rest: real(name, **rest | {"pretrained": False}))
    published = recipe(weights="augreg_in21k_ft_in1k", seed=None)
    backbone = load_backbone(published)
    assert agreement(published, backbone) == "yes"
    wrong = replace(published, steps=(FromPixels(layout="NHWC"), Rescale(), Normalize.preset("imagenet")))
    with pytest.raises(RecipeError, match=r"augreg_in21k_ft_in1k were trained with, RGB through .*0\.5, 0\.5, 0\.5"):
        agreement(wrong, backbone)


def test_timm_without_a_network_says_the_ways_out(monkeypatch):
    monkeypatch.setattr("timm.models._builder.load_pretrained", lambda *_, **__: (_ for _ in ()).throw(OSError("no network\nin this test")))
    with pytest.raises(PreprocError, match=r"expected the weights to be fetched, got OSError: no network; or") as caught:
        load_backbone(recipe(weights="augreg_in21k_ft_in1k", seed=None))
    assert "\n" not in str(caught.value)


def test_timm_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(PreprocError, match=r"pip install timm") as caught:
        load_backbone(recipe())
    assert caught.value.name == "not-installed"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "vit_tny_patch16_224"}, "did you mean 'vit_tiny_patch16_224'"),
        ({"name": "resnet18.a1_in1k"}, 'write name = "resnet18" and weights = "a1_in1k"'),
        ({"name": "resnet18", "weights": "a1_in1", "seed": None}, "expected one of .*did you mean 'a1_in1k'"),
        ({"arguments": {"num_clases": 3}}, "arguments: expected what vit_tiny_patch16_224 takes"),
    ],
)
def test_timms_unknown_names_are_refused(change, message):
    with pytest.raises(RecipeError, match=message):
        load_backbone(recipe(**change))


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


@pytest.mark.parametrize("key", ["weights", "pretrained", "checkpoint_path"])
def test_weights_do_not_come_in_through_the_arguments(key):
    with pytest.raises(RecipeError, match=rf"expected the weights in \[backbone\] weights, got {key}"):
        load_backbone(recipe(arguments={key: "x"}))


@pytest.fixture(scope="module")
def pt2(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pt2")
    return export_bundle(load_recipe(ROOT / "models" / "digits.toml"), folder / "digits", formats=["pt2"]).folder / "model.pt2"


def damaged(source, target, change, extra=None):
    """A copy of an archive, its JSON tables changed, and perhaps one member more."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("_config.json"):
                data = json.dumps(change(json.loads(data))).encode()
            new.writestr(name, data)
        if extra:
            new.writestr(old.namelist()[0].partition("/")[0] + extra, b"garbage")
    return target


def with_entry(**entry):
    def change(table):
        for value in table["config"].values():
            value |= entry
        return table

    return change


@pytest.mark.parametrize(
    ("change", "extra"),
    [
        (with_entry(use_pickle=True), None),
        (with_entry(use_pickle=0), None),
        (with_entry(path_name="opaque_obj_0"), None),
        (with_entry(path_name="custom_obj_0"), None),
        (lambda table: table, "/data/weights/model.pt"),
        (lambda table: table, "/models/model.json"),
    ],
)
def test_a_pt2_archive_with_anything_but_tensors_is_not_loaded(pt2, tmp_path, monkeypatch, change, extra):
    load_pt2(pt2)
    monkeypatch.setattr(torch.export, "load", lambda _: pytest.fail("torch has been asked to load it"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's, of two members of one name
        file = damaged(pt2, tmp_path / "bad.pt2", change, extra)
    with pytest.raises(BundleError, match=r"bad\.pt2: expected a pt2 archive of tensors, without pickles"):
        load_pt2(file)


class Evil:
    def __reduce__(self):
        return print, ("a pickle ran",)


def test_sample_inputs_with_a_pickle_are_not_loaded(pt2, tmp_path, capsys):
    file, buffer = tmp_path / "bad.pt2", io.BytesIO()
    torch.save(Evil(), buffer)
    with zipfile.ZipFile(pt2) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            new.writestr(name, buffer.getvalue() if "sample_inputs" in name else old.read(name))
    with pytest.raises(BundleError, match=r"without pickles, got .*sample_inputs/model\.pt"):
        load_pt2(file)
    assert "a pickle ran" not in capsys.readouterr().out


def test_what_is_no_pt2_archive_is_one_line(exported, pt2, tmp_path):
    shutil.copy(exported.folder / "model.onnx", tmp_path / "other.pt2")
    damaged(pt2, tmp_path / "empty.pt2", lambda _: {})
    for name in ("other", "empty"):
        with pytest.raises(BundleError, match="expected a pt2 archive, got") as caught:
            load_pt2(tmp_path / f"{name}.pt2")
        assert "\n" not in str(caught.value)
