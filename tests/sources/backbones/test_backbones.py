"""Where backbones come from, and what their weights know."""

import socket
import urllib.request
from unittest.mock import Mock, call

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from preproc.errors import PreprocError, RecipeError
from preproc.layers import build
from preproc.sources import load_recipe, replace
from preproc.sources.backbones import Reference, agreement, load_backbone, published_weights, zoo
from preproc.sources.backbones.embedded import DigitsNet
from preproc.steps import FromPixels, Normalize, Rescale
from tests.conftest import ROOT

DIGITS = load_recipe(ROOT / "models" / "digits.toml")
RESNET = replace(load_recipe(ROOT / "models" / "resnet50.toml"), backbone={"name": "resnet18", "weights": "random", "seed": 0})


def test_the_embedded_backbone_knows_its_constants():
    backbone = load_backbone(DIGITS)
    assert backbone.trained
    assert agreement(DIGITS, backbone) == "yes"
    assert not backbone.module.training


@pytest.mark.parametrize("change", [{"color": "BGR"}, {}])
def test_other_constants_than_the_weights_know_need_a_reason(change):
    backbone = load_backbone(DIGITS)
    steps = DIGITS.steps if change else (*DIGITS.steps[:2], Normalize.preset("imagenet"))
    other = replace(DIGITS, steps=steps, backbone=change)
    with pytest.raises(RecipeError, match=r"what the weights digits\.safetensors were trained with.*override"):
        agreement(other, backbone)
    assert agreement(replace(other, backbone={"override": "a test"}), backbone) == "no"


def test_random_weights_are_repeatable_untrained_and_disturb_no_generator():
    before = torch.random.get_rng_state()
    first, second = load_backbone(RESNET), load_backbone(RESNET)
    assert torch.equal(before, torch.random.get_rng_state())
    assert first.sha256() == second.sha256()
    assert first.sha256() != load_backbone(replace(RESNET, backbone={"seed": 1})).sha256()
    assert (first.trained, first.weights, agreement(RESNET, first)) == (False, "random (seed 0)", "unknown")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A torch.hub cache of its own, so that published weights are neither fetched nor found."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


PUBLISHED = replace(RESNET, backbone={"weights": "IMAGENET1K_V1", "seed": None})


def test_published_weights_know_constants_and_labels(cache):
    from torchvision.models import ResNet18_Weights

    state = load_backbone(RESNET).module.state_dict()
    torch.save(state, cache / ResNet18_Weights.IMAGENET1K_V1.url.rpartition("/")[2])
    backbone = load_backbone(PUBLISHED)
    assert agreement(PUBLISHED, backbone) == "yes"
    assert backbone.labels[0] == "tench"
    wrong = replace(PUBLISHED, steps=(FromPixels(layout="NHWC"), Rescale(), Normalize.preset("inception")))
    with pytest.raises(RecipeError, match=r"0\.485.*override"):
        build(wrong)


@pytest.mark.usefixtures("cache")
def test_without_a_network_one_line_says_which_weights_and_the_ways_out(monkeypatch, capsys):
    def offline(*_, **__):
        raise OSError("no network in this test")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    with pytest.raises(
        PreprocError, match=r"ResNet18_Weights.IMAGENET1K_V1 to be fetched.*put the file at .*weights = \"random\""
    ) as caught:
        load_backbone(PUBLISHED)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "resnet81"}, "did you mean 'resnet18'"),
        ({"weights": "IMAGENET1K_V3", "seed": None}, "did you mean 'IMAGENET1K_V1'"),
        ({"weights": "no.safetensors", "seed": None}, "got nothing there"),
        ({"source": "embedded"}, "expected one of digits"),
        ({"source": "onnx"}, r"source: expected one of embedded, torchvision, timm, checkpoint, import"),
        ({"arguments": {"num_clases": 3}}, r"arguments: expected what resnet18 takes, got .*num_clases"),
    ],
)
def test_unknown_names_are_refused(change, message):
    with pytest.raises(PreprocError, match=message):
        load_backbone(replace(RESNET, backbone=change))


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_weights_from_a_file(tmp_path, suffix):
    state = load_file(ROOT / "models" / "digits.safetensors")
    file = tmp_path / f"w.{suffix}"
    if suffix == "safetensors":
        save_file(state, file)
    else:
        torch.save({"state_dict": state}, file)
    backbone = load_backbone(replace(DIGITS, folder=tmp_path, backbone={"weights": file.name}))
    assert agreement(DIGITS, backbone) == "unknown"
    assert backbone.sha256() == load_backbone(DIGITS).sha256()


class Evil:
    def __reduce__(self):
        return print, ("a pickle ran",)


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("w.pt", lambda file: torch.save({"a": Evil()}, file), "tensors only"),
        ("w.pt", lambda file: file.write_bytes(b"garbage"), "tensors only"),
        ("w.pt", lambda file: file.write_bytes(b"junk"), "tensors only"),
        ("w.pt", lambda file: torch.save([1], file), "state_dict"),
        ("w.safetensors", lambda file: file.write_bytes(b"garbage"), "expected a .safetensors file of tensors only"),
        ("w.safetensors", lambda file: save_file({"x": torch.ones(1)}, file), "expected the weights of this network.*Missing key"),
        ("w.safetensors", lambda file: save_file(DigitsNet().state_dict(), file, metadata={"preproc": "{}"}), "in its metadata"),
    ],
)
def test_bad_weights_get_one_line_and_no_pickle_runs(tmp_path, name, write, message, capsys):
    write(tmp_path / name)
    with pytest.raises(PreprocError, match=message) as caught:
        load_backbone(replace(DIGITS, folder=tmp_path, backbone={"weights": name}))
    assert "\n" not in str(caught.value)
    assert "a pickle ran" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_transform_input_is_never_dropped(name, tmp_path):
    """torchvision sets it only when it downloads the weights itself; a file of the same weights would lose points."""
    recipe = replace(RESNET, backbone={"name": name})
    module = load_backbone(recipe).module
    assert module.transform_input
    save_file(module.state_dict() | {"aux1.conv.weight": torch.ones(1)}, tmp_path / "w.safetensors")
    again = replace(recipe, folder=tmp_path, backbone={"weights": "w.safetensors", "seed": None})
    assert load_backbone(again).module.transform_input


def test_build_runs():
    assert build(DIGITS)(torch.zeros(2, 32, 32, 3, dtype=torch.uint8)).shape == (2, 10)


class Half(torch.nn.Module):
    def forward(self, x):
        return x.half().double().sum((2, 3))


def test_the_reference_names_what_computes_in_less_than_float64():
    x = np.random.default_rng(0).normal(size=(3, 3, 4, 4))
    exact, mixed = Reference(DigitsNet(), ("y",)), Reference(Half(), ("y",))
    assert exact(x)["y"].dtype == np.float64
    assert mixed(x)["y"].shape == (3, 3)
    assert not exact.mixed
    assert any("_to_copy" in name or "to" in name for name in mixed.mixed)


def spec_of(source, name, weights):
    return replace(load_recipe(ROOT / "models" / "digits.toml"), backbone={"source": source, "name": name, "weights": weights})


def test_a_hub_that_does_not_answer_is_not_asked_again_and_again(monkeypatch):
    """huggingface_hub retries for a minute: it is told that it is offline, and then takes what is cached, or nothing."""
    constants, errors = pytest.importorskip("huggingface_hub.constants"), pytest.importorskip("huggingface_hub.errors")
    timm, seen = pytest.importorskip("timm"), []
    damaged = OSError("nothing came")

    def create_model(*_, **__):
        seen.append(constants.HF_HUB_OFFLINE)
        raise damaged if len(seen) != 2 else errors.LocalEntryNotFoundError("not found")

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(zoo, "getproxies", dict)
        monkeypatch.setattr(timm, "create_model", create_model)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(PreprocError, match="expected the weights to be fetched, got OSError: nothing came"):
            load_backbone(spec_of("timm", "resnet18", "a1_in1k"))
    with pytest.raises(PreprocError, match=r"got none in the cache, and no connection to 127\.0\.0\.1 \(.*refused.*\); or write weights"):
        load_backbone(spec_of("timm", "resnet18", "a1_in1k"))
    with pytest.raises(PreprocError, match="got OSError: nothing came"):  # a damaged cache is none that is empty
        load_backbone(spec_of("timm", "resnet18", "a1_in1k"))
    monkeypatch.setattr(zoo, "getproxies", lambda: {"http": "a proxy"})
    monkeypatch.setattr(zoo, "proxy_bypass", lambda _: False)
    with pytest.raises(PreprocError, match="nothing came"):
        load_backbone(spec_of("timm", "resnet18", "a1_in1k"))
    assert seen == [False, True, True, False]
    assert constants.HF_HUB_OFFLINE is False


@pytest.mark.parametrize(
    ("environment", "asked"),
    [
        ({}, True),
        ({"NO_PROXY": "other.example"}, True),
        ({"http_proxy": "proxy.example"}, True),
        ({"https_proxy": "proxy.example"}, False),
        ({"ALL_PROXY": "proxy.example"}, False),
        ({"https_proxy": "proxy.example", "NO_PROXY": "localhost,hub.example"}, True),
        ({"https_proxy": "proxy.example", "NO_PROXY": "hub.example:8443"}, True),
        ({"https_proxy": "proxy.example", "NO_PROXY": "hub.example:443"}, False),
    ],
)
def test_whether_a_proxy_is_asked_instead(monkeypatch, environment, asked):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(zoo, "getproxies", urllib.request.getproxies_environment)  # not of a desktop's settings
    monkeypatch.setattr(zoo, "proxy_bypass", urllib.request.proxy_bypass_environment)
    for failure, told in (
        (TimeoutError("timed out"), "no answer from hub.example within 5 s"),
        (ConnectionRefusedError(111, "Connection refused"), "no connection to hub.example (Connection refused)"),
        (socket.gaierror(-2, "Name or service not known"), "no connection to hub.example (Name or service not known)"),
    ):
        connect = Mock(side_effect=failure)
        monkeypatch.setattr(socket, "create_connection", connect)
        assert zoo._silence("https" + "://user:word@hub.example:8443") == (told if asked else "")
        assert connect.mock_calls == ([call(("hub.example", 8443), timeout=5)] if asked else [])


def test_torchs_hub_does_not_wait_for_ever(monkeypatch):
    from torchvision.models import ResNet18_Weights

    def get_state_dict(*_, **__):
        raise OSError(f"timed out after {socket.getdefaulttimeout():g} s")

    monkeypatch.setattr(ResNet18_Weights, "get_state_dict", get_state_dict)
    with pytest.raises(PreprocError, match=r"expected the weights .* to be fetched, got OSError: timed out after 10 s; put the file at"):
        load_backbone(spec_of("torchvision", "resnet18", "IMAGENET1K_V1"))
    assert socket.getdefaulttimeout() is None


def test_what_is_waited_for_is_told():
    assert published_weights(spec_of("timm", "resnet18", "a1_in1k").backbone)
    assert not published_weights(spec_of("timm", "resnet18", "random").backbone)
    assert not published_weights(spec_of("torchvision", "resnet18", "own.safetensors").backbone)
    assert not published_weights(spec_of("embedded", "digits", "x.safetensors").backbone)
