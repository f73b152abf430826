"""A TorchScript file decides nothing for its user: convolutions' flags, devices and the operators' version are chosen, kept and checked."""

import warnings
import zipfile

import pytest
import torch
from torch import nn

from preproc.bundle import to_recipe
from preproc.bundle.contract import check
from preproc.errors import BundleError, PreprocError
from preproc.export import export_bundle
from preproc.export.formats import check_settled, export_torchscript, torchscript
from preproc.export.formats.torchscript import FLAGS
from preproc.layers import FromPixels, Model, Normalize, Pipeline, Rescale, prepend
from preproc.sources import load_recipe
from preproc.verify import Report
from preproc.verify.runtimes import load_torchscript
from tests.conftest import ROOT

DIGITS = load_recipe(ROOT / "models" / "digits.toml")
PIXELS = torch.randint(0, 256, (2, 16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def model(backbone):
    pipeline = Pipeline(FromPixels(layout="NHWC"), Rescale(), Normalize.preset("imagenet"))
    return prepend(pipeline, backbone.eval().requires_grad_(False))


def written(backbone, tmp_path, *, tf32=False):
    """The file of a model, and how far its outputs are from the model's, at a batch of its own."""
    torch.manual_seed(0)
    whole = model(backbone)
    export_torchscript(whole, PIXELS, tmp_path / "m.pt", tf32=tf32, extra={})
    file = load_torchscript(tmp_path / "m.pt")
    pixels = PIXELS.repeat(2, 1, 1, 1)[:3]
    with torch.inference_mode():
        return file, float((file(pixels) - whole(pixels)).abs().max())


def spoiled(backbone):
    """The module as torch.jit.trace leaves it, which is what we wrote once."""
    whole = model(backbone)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        return torch.jit.script(
            Model(torch.jit.script(whole.pipeline), torch.jit.trace(whole.backbone, whole.pipeline(PIXELS), check_trace=False))
        )


def flags(file):
    graph = file.inlined_graph  # its nodes live as long as it does
    return [tuple(node.namedInput(name).toIValue() for name in FLAGS) for node in graph.findAllNodes("aten::_convolution")]


@pytest.fixture
def users_switches():
    """Somebody's process: TF32 and the search for the fastest algorithm allowed, cuDNN itself off; as before when the test is over."""
    backend = torch.backends.cudnn
    before = backend.enabled, backend.benchmark, backend.deterministic, backend.conv.fp32_precision
    chosen = False, True, True, "tf32"

    def switch(enabled, benchmark, deterministic, precision):
        backend.enabled, backend.benchmark, backend.deterministic, backend.conv.fp32_precision = (
            enabled,
            benchmark,
            deterministic,
            precision,
        )

    switch(*chosen)
    yield lambda: (backend.enabled, backend.benchmark, backend.deterministic, backend.conv.fp32_precision) == chosen
    switch(*before)


@pytest.mark.parametrize("tf32", [False, True])
def test_convolutions_have_the_flags_that_were_chosen_whatever_the_process_has(tmp_path, tf32, users_switches):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Sequential(nn.ConvTranspose2d(4, 4, 2), nn.Conv2d(4, 2, 3, groups=2)))
    file, error = written(net, tmp_path, tf32=tf32)
    assert flags(file) == 3 * [(False, False, True, tf32)]
    assert error < 1e-6
    assert users_switches()


@pytest.mark.usefixtures("users_switches")
@pytest.mark.parametrize("switch", ["tf32", "ieee"])
def test_a_plain_trace_is_refused(switch):
    torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = True, False, False
    torch.backends.cudnn.conv.fp32_precision = switch
    wrong = spoiled(nn.Conv2d(3, 4, 3))
    check_settled(wrong, tf32=switch == "tf32")
    with pytest.raises(PreprocError, match=rf"got a convolution with allow_tf32 = {switch == 'tf32'}"):
        check_settled(wrong, tf32=switch != "tf32")
    torch.backends.cudnn.benchmark = True
    with pytest.raises(PreprocError, match="got a convolution with benchmark = True"):
        check_settled(spoiled(nn.Conv2d(3, 4, 3)), tf32=switch == "tf32")


class Kinds(nn.Module):
    """Convolutions that a trace records in other words, or that came as TorchScript."""

    def __init__(self):
        super().__init__()
        self.same = nn.Sequential(nn.Conv2d(3, 4, 2, padding="same"), nn.Conv2d(4, 4, (3, 2), padding="same", dilation=(2, 3)))
        self.valid = nn.Conv2d(4, 4, 3, stride=2, padding="valid")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.scripted = torch.jit.script(nn.Sequential(nn.Conv2d(4, 4, 3, 2, 1, bias=False), nn.ConvTranspose2d(4, 4, 3, 2, 1, 1)))
        self.one = nn.Conv1d(4, 4, 4, padding="same")

    def forward(self, x):
        y = self.scripted(self.valid(self.same(x))).flatten(2)
        return self.one(y) + nn.functional.conv1d(input=y, weight=self.one.weight, padding="same")


@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_every_way_to_write_a_convolution(tmp_path):
    net = Kinds()
    file, error = written(net, tmp_path)
    assert flags(file) == 7 * [(False, False, True, False)]
    graph = file.inlined_graph
    kinds = {node.kind() for node in graph.nodes() if "conv" in node.kind()}
    assert kinds == {"aten::_convolution"}
    assert error < 1e-6
    assert "aten::conv2d" in str(net.scripted.inlined_graph), "the user's own TorchScript was changed"


class Maker(nn.Module):
    """Makes tensors on the way, as position embeddings and masks are made."""

    def __init__(self):
        super().__init__()
        self.inner, self.scale = Inner(), torch.tensor([1.0, 2.0, 3.0])  # not a buffer

    def forward(self, x):
        y = x.mean((2, 3)) * self.scale.to(x.device)
        return self.inner(y) + torch.zeros(y.shape, device=x.device) + y.new_tensor(2.0) + torch.ones(3).to(y)


class Inner(nn.Module):
    def forward(self, y):
        return y * torch.arange(y.shape[1], device=y.device)


def test_tensors_are_made_where_the_input_is(tmp_path):
    """The meta device stands for any other: a tensor that is made on the CPU does not mix with its."""
    file, error = written(Maker(), tmp_path)
    assert error < 1e-6
    wrong = spoiled(Maker())
    with pytest.raises(PreprocError, match="got the device cpu"):
        check_settled(wrong, tf32=False)
    with torch.inference_mode():
        assert file.to("meta")(PIXELS.to("meta")).device.type == "meta"
        with pytest.raises(RuntimeError, match="device"):
            wrong.to("meta")(PIXELS.to("meta"))


def records(path):
    with zipfile.ZipFile(path) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


class Divide(nn.Module):
    """An operator whose meaning has changed, with an archive's version that is older than that of GELU."""

    def forward(self, x):
        return (torch.ones(x.shape[0], 2, dtype=torch.long) * 7 / 2) * x.mean((2, 3))[:, :2]


ACROSS = {
    "exact": (nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU()), ".data/version"),
    "tanh": (nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU("tanh")), ".data/version"),
    "plain": (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), "version"),
    "division": (Divide(), "version"),
}


@pytest.mark.parametrize("name", ACROSS)
def test_archives_of_every_version(tmp_path, name, monkeypatch):
    backbone, place = ACROSS[name]
    originals = []
    copy = torchscript.repack
    monkeypatch.setattr(torchscript, "repack", lambda raw, path, kept: (originals.append(records(raw)), copy(raw, path, kept)))
    _, error = written(backbone, tmp_path)
    assert error < 1e-6
    (original,), ours = originals, records(tmp_path / "m.pt")
    assert any(name.endswith(".debug_pkl") for name in original)
    assert not any(name.endswith(".debug_pkl") for name in ours)
    assert [name for name in ours if name.rpartition("/")[2] == "version"] == [place]
    assert {name: record for name, record in original.items() if not name.endswith((".debug_pkl", "serialization_id"))} == {
        name: record for name, record in ours.items() if not name.endswith("serialization_id")
    }


@pytest.mark.parametrize("formats", [["torchscript"], ["onnx", "torchscript", "pt2"]])
def test_a_network_with_gelu_becomes_a_bundle(tmp_path, formats):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.GELU("tanh"), nn.Flatten(), nn.Linear(784, 3))
    bundle = export_bundle(model(net), tmp_path / "m", example=PIXELS, formats=formats)
    assert bundle.report.ok, [result.reason for result in bundle.report.results]


def test_a_recipe_may_allow_tf32(tmp_path, capsys):
    from preproc.cli.tables import print_report

    bundle = export_bundle(DIGITS, tmp_path / "digits", formats=["torchscript"], precision="tf32")
    assert bundle.contract["tf32"] is True
    assert bundle.contract["precision"] == "tf32"
    assert to_recipe(bundle.contract).export.tf32
    assert bundle.report.tf32
    assert set(flags(load_torchscript(bundle.folder / "model.pt"))) == {(False, False, True, True)}
    print_report(bundle.report)
    assert "TF32 is allowed" in capsys.readouterr().out


def test_float32_is_the_default_and_needs_no_word(exported, capsys):
    from preproc.cli.tables import print_report

    assert {"tf32", "precision"}.isdisjoint(exported.contract)
    assert not to_recipe(exported.contract).export.tf32
    assert not Report.from_json(exported.report.to_json()).tf32
    assert set(flags(load_torchscript(exported.folder / "model.pt"))) == {(False, False, True, False)}
    print_report(exported.report)
    assert "TF32 is allowed" not in capsys.readouterr().out
    with pytest.raises(BundleError, match="values that it never has"):
        check({**exported.contract, "tf32": "yes"}, "here")


def test_runtimes_get_what_the_contract_allows(exported):
    from preproc.export.answering import make_runtimes

    names = ["torchscript-cuda", "ort-cuda"]
    assert [runtime.tf32 for runtime in make_runtimes(names, exported.contract, None)] == [False, False]
    assert [runtime.tf32 for runtime in make_runtimes(names, exported.contract, None, tf32=True)] == [True, True]
    assert [runtime.tf32 for runtime in make_runtimes(names, {**exported.contract, "tf32": True}, None)] == [True, True]
