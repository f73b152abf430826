"""Checkpoints as people save them: the network's tensors are found by its names, said, and never guessed between several."""

import argparse
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from preproc.bundle import to_recipe
from preproc.bundle.contract import make_contract
from preproc.errors import PreprocError, RecipeError
from preproc.export.resolving import job_of
from preproc.sources import load_recipe, replace
from preproc.sources.backbones import load_backbone
from preproc.sources.backbones.checkpoints import find
from preproc.sources.backbones.embedded import DigitsNet
from tests.conftest import ROOT

DIGITS = load_recipe(ROOT / "models" / "digits.toml")
STATE = load_file(ROOT / "models" / "digits.safetensors")
AVERAGE = {name: tensor + 1 for name, tensor in STATE.items()}
SHA256 = load_backbone(DIGITS).sha256()


def under(prefix, state=STATE):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def optimizer():
    """Of the same network: tables with tensors that are no weights."""
    net = DigitsNet()
    made = torch.optim.SGD(net.parameters(), momentum=0.9)
    net(torch.zeros(1, 3, 32, 32)).sum().backward()
    made.step()
    return made.state_dict()


def loaded(tmp_path, checkpoint, key=None):
    if isinstance(checkpoint, Path):
        shutil.copy(checkpoint, tmp_path / "w.pt")
    else:
        torch.save(checkpoint, tmp_path / "w.pt")
    return load_backbone(replace(DIGITS, folder=tmp_path, backbone={"weights": "w.pt", "checkpoint_key": key}))


@pytest.mark.parametrize(
    ("checkpoint", "said"),
    [
        (STATE, "w.pt"),
        ({"model": STATE, "optimizer": optimizer(), "epoch": 3, "args": argparse.Namespace(lr=0.1)}, "w.pt, its 'model'"),
        ({"state_dict": STATE}, "w.pt, its 'state_dict'"),
        ({"model_state_dict": under("module.")}, "w.pt, its 'model_state_dict', without the prefix 'module.'"),
        (under("_orig_mod."), "w.pt, without wrappers' names"),
        (under("module._orig_mod."), "w.pt, without the prefix 'module.', without wrappers' names"),
        ({"model_ema": {"module": STATE}}, "w.pt, its 'model_ema/module'"),
        (
            torch.optim.swa_utils.AveragedModel(DigitsNet()).state_dict() | under("module."),
            "w.pt, without the prefix 'module.', beside 1 tensors",
        ),
        (
            {"state_dict": under("model.") | {"loss.weight": torch.ones(3)}},
            "w.pt, its 'state_dict', without the prefix 'model.', beside 1 ",
        ),
        ({name.replace("features.", "features._orig_mod."): tensor for name, tensor in STATE.items()}, "w.pt, without wrappers' names"),
        ({name: tensor for name, tensor in STATE.items() if not name.endswith("tracked")} | {"epoch": 1}, "w.pt"),
    ],
    ids=["state_dict", "model", "lightning", "ddp", "compile", "both", "ema alone", "AveragedModel", "model.", "part compiled", "old"],
)
def test_found_and_said(tmp_path, checkpoint, said):
    backbone = loaded(tmp_path, checkpoint)
    expected, got = DigitsNet(), backbone.module
    expected.load_state_dict(STATE)
    assert all(torch.equal(one, other) for one, other in zip(expected.parameters(), got.parameters(), strict=True))
    assert backbone.weights.startswith(said)
    assert backbone.notes == (() if said == "w.pt" else (f"weights: {backbone.weights}",))


@pytest.mark.parametrize(
    ("checkpoint", "keys"),
    [
        ({"model": STATE, "model_ema": AVERAGE}, ("model", "model_ema")),
        ({"state_dict": under("module."), "state_dict_ema": under("module.", AVERAGE)}, ("state_dict", "state_dict_ema")),
        (under("student.") | under("teacher.", AVERAGE), ("student", "teacher")),
        ({"all": under("module.student.") | under("module.teacher.", AVERAGE)}, ("all/module.student", "all/module.teacher")),
        (STATE | {"ema": AVERAGE}, ("nothing", "ema")),
        (STATE | under("ema.", AVERAGE), ("nothing", "ema")),
        ({"model": STATE | {"ema": AVERAGE}}, ("model", "model/ema")),
        ({"model": STATE | under("teacher.", AVERAGE)}, ("model", "model/teacher")),
        (under("m.") | under("m.ema.", AVERAGE), ("m", "m.ema")),
    ],
    ids=[
        "tables",
        "tables of ddp",
        "prefixes",
        "prefixes in a table",
        "beside",
        "prefix beside",
        "in it",
        "prefix in it",
        "prefixes in it",
    ],
)
def test_several_that_fit_are_refused_with_the_keys_to_write(tmp_path, checkpoint, keys):
    listed = " or ".join(f'"{key}"' for key in keys)
    with pytest.raises(
        RecipeError, match=f"expected one state_dict that fits the network, got several; write checkpoint_key = {listed} under"
    ):
        loaded(tmp_path, checkpoint)
    other = loaded(tmp_path, checkpoint, keys[1])
    assert other.sha256() != SHA256
    assert keys[1].split("/")[-1] in other.weights
    assert loaded(tmp_path, checkpoint, keys[0]).sha256() == SHA256


def test_another_table_is_not_taken_because_the_first_has_more(tmp_path):
    """What has the network's names and more is a candidate, too: a momentum under the same names is no network."""
    checkpoint = {"model": STATE | {"more": torch.ones(1)}, "momentum": {name: torch.zeros_like(value) for name, value in STATE.items()}}
    with pytest.raises(RecipeError, match='write checkpoint_key = "model" or "momentum" under'):
        loaded(tmp_path, checkpoint)
    with pytest.raises(PreprocError, match="its 'model': expected the weights of this network, got: Unexpected key"):
        loaded(tmp_path, checkpoint, "model")


def test_a_network_with_a_wrapped_part_takes_its_own_names_and_bare_ones():
    names = {"stem._orig_mod.weight", "head.weight"}
    for saved in (names, {"stem.weight", "head.weight"}, {"module.stem._orig_mod.weight", "module.head.weight"}):
        assert find({name: torch.zeros(1) for name in saved}, names, None, "f").state.keys() == names


@pytest.mark.parametrize(
    ("checkpoint", "key", "message"),
    [
        ({"model": STATE}, "modle", "checkpoint_key to be one of model, got 'modle'; did you mean 'model'"),
        (STATE, "model", "checkpoint_key to be one of nothing, got 'model'"),
        ({"epoch": 3}, None, "expected a state_dict, a table of names and tensors, got dict"),
        ([STATE], None, "expected a state_dict, a table of names and tensors, got list"),
        ({"model": {"x": torch.ones(1)}}, None, "its 'model': expected the weights of this network, got: Missing key"),
        (STATE | {"more.weight": torch.ones(1)}, None, r"expected the weights of this network, got: Unexpected key.*more\.weight"),
        (
            under("module.") | {"module.more": torch.ones(1)},
            None,
            "without the prefix 'module.': expected the weights.* got: Unexpected key",
        ),
        (ROOT / "export" / "digits" / "model.pt", None, "got: TorchScript, which is code; .*state_dict"),
        ({"model": DigitsNet()}, None, r"objects of Python in it \(.*DigitsNet\), which are never loaded; .*state_dict"),
    ],
    ids=["typo", "none there", "no tensors", "list", "another network's", "more", "more behind the prefix", "script", "pickled"],
)
def test_what_does_not_fit_is_one_line(tmp_path, checkpoint, key, message):
    with pytest.raises(PreprocError, match=message) as caught:
        loaded(tmp_path, checkpoint, key)
    assert "\n" not in str(caught.value)


def test_nearest_of_several_that_do_not_fit_says_what_is_wrong(tmp_path):
    near = {name: tensor for name, tensor in STATE.items() if name != "classifier.bias"}
    with pytest.raises(PreprocError, match=r"its 'net': .*Missing key\(s\) in state_dict: \"classifier\.bias\""):
        loaded(tmp_path, {"optimizer": {"x": torch.ones(1)}, "net": near})


def test_safetensors_with_a_prefix(tmp_path):
    save_file(under("module."), tmp_path / "w.safetensors")
    backbone = load_backbone(replace(DIGITS, folder=tmp_path, backbone={"weights": "w.safetensors"}))
    assert (backbone.sha256(), backbone.weights) == (SHA256, "w.safetensors, without the prefix 'module.'")


def test_a_network_of_other_shapes_is_refused(tmp_path):
    with pytest.raises(PreprocError, match="size mismatch for classifier"):
        loaded(tmp_path, {"model": STATE | {"classifier.weight": torch.ones(3, 112)}})


def test_two_names_that_wrappers_tell_apart_stay_two():
    state = {"a": torch.zeros(1), "_orig_mod.a": torch.ones(1)}
    with pytest.raises(RecipeError, match='checkpoint_key = "nothing" or "_orig_mod" under'):
        find(state, {"a"}, None, "f")
    found = find(state, {"a"}, "nothing", "f")
    assert not found.wrapped
    assert found.state["a"] == 0


def test_the_contract_keeps_the_key_and_the_notes(tmp_path):
    torch.save({"model": STATE, "model_ema": AVERAGE}, tmp_path / "w.pt")
    recipe = replace(DIGITS, folder=tmp_path, backbone={"weights": "w.pt", "checkpoint_key": "model_ema", "override": "a test"})
    job = job_of(recipe, ["onnx"], {}, lambda _: None)
    assert "weights: w.pt, its 'model_ema'" in job.notes
    contract = make_contract(
        job.recipe,
        outputs=[{"name": "logits", "dtype": "float32", "shape": ["N", 10]}],
        others=[],
        fold={"onnx": {"requested": "auto"}},
        weights=job.weights,
        weights_sha256=job.weights_sha256,
        trained=True,
        constants_agree="unknown",
        labels=(),
        notes=job.notes,
        sizes=(),
    )
    assert to_recipe(contract).backbone.checkpoint_key == "model_ema"


@pytest.mark.parametrize(
    ("change", "message"),
    [('weights = "random"\nseed = 0', "checkpoint_key: expected beside a weights file"), ('weights = "w.pt"', None)],
)
def test_the_key_stands_beside_a_file(tmp_path, change, message):
    text = (ROOT / "models" / "digits.toml").read_text().replace('weights = "digits.safetensors"', change + '\ncheckpoint_key = "ema"')
    file = tmp_path / "r.toml"
    file.write_text(
        text.replace("digits.stats.json", str(ROOT / "models" / "digits.stats.json")).replace('labels = "digits.labels.txt"', "")
    )
    if message is None:
        assert load_recipe(file).backbone.checkpoint_key == "ema"
    else:
        with pytest.raises(RecipeError, match=message):
            load_recipe(file)


def test_networks_that_classify_nothing_are_pointed_to_import():
    recipe = replace(DIGITS, backbone={"source": "torchvision", "name": "deeplabv3_mobilenet_v3_large"})
    with pytest.raises(
        RecipeError, match=r'source = "import", name = "torchvision\.models:get_model", arguments = \{name = "deeplabv3_mobile'
    ):
        load_backbone(recipe)
    made = load_backbone(
        replace(
            DIGITS,
            backbone={
                "source": "import",
                "name": "torchvision.models:get_model",
                "weights": "random",
                "seed": 0,
                "arguments": {"name": "lraspp_mobilenet_v3_large", "weights": None, "weights_backbone": None},
            },
        )
    )
    assert isinstance(made.module, nn.Module)
