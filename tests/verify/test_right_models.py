"""A right model is never refused: what the bare network errs by in a runtime is no fault of the preprocessing. Every activation, norm and
attention block of torch.nn, long reductions, and a network that only ONNX Runtime adds up badly, in every format."""

import inspect
from dataclasses import replace

import pytest
import torch
from torch import nn

from preproc import graph
from preproc.errors import PreprocError, VerificationError
from preproc.export import verify_bundle
from preproc.layers import Rescale
from preproc.verify.precision import LEAST, MARGIN, MOST
from preproc.verify.runtimes import OrtCpu
from preproc.verify.runtimes.pytorch import TorchScriptCpu
from tests.export.exported import published, ran
from tests.verify.fake import Fake

FORMATS = ["onnx", "torchscript", "pt2"]
WIDTH = 8


class Heads(nn.Module):
    """A convolution, and behind it one block per output; each answers with a mean over the positions, mixed a little."""

    def __init__(self, heads, *, tokens=False):
        super().__init__()
        torch.manual_seed(1)
        self.conv, self.tokens = nn.Conv2d(3, WIDTH, 3, stride=2, padding=1), tokens
        self.heads, self.mix = nn.ModuleDict(heads), nn.Parameter(torch.randn(WIDTH, 5))

    def forward(self, x):
        x = self.conv(x)
        if self.tokens:
            x = x.flatten(2).transpose(1, 2)
        return {name: self.answer(head(x)) for name, head in self.heads.items()}

    def answer(self, y):
        y = y.mean(1) if self.tokens else y.flatten(2).mean(2)
        return y @ self.mix[: y.shape[1]]


SETTINGS = {"Threshold": (0.1, 0.2), "GLU": (1,), "Softmin": (1,), "Softmax": (1,), "LogSoftmax": (1,), "MultiheadAttention": None}
ACTIVATIONS = {
    name: getattr(nn, name)(*SETTINGS.get(name, ())) for name in nn.modules.activation.__all__ if SETTINGS.get(name, ()) is not None
}


class Attend(nn.Module):
    """A block of two inputs, given the same tokens twice."""

    def __init__(self, block):
        super().__init__()
        self.block = block

    def forward(self, x):
        return self.block(x, x)


class SelfAttention(nn.Module):
    def __init__(self, *, weights):
        super().__init__()
        self.block, self.weights = nn.MultiheadAttention(WIDTH, 2, batch_first=True), weights

    def forward(self, x):
        return self.block(x, x, x, need_weights=self.weights)[0]


class Scaled(nn.Module):
    def forward(self, x):
        x = x.unsqueeze(1)  # torch.onnx wants the axis of the heads
        return nn.functional.scaled_dot_product_attention(x, x, x).squeeze(1)


ATTENTION = {
    "Transformer": lambda: Attend(nn.Transformer(WIDTH, 2, 1, 1, 16, batch_first=True)),
    "norm_first": lambda: nn.TransformerEncoderLayer(WIDTH, 2, 16, batch_first=True, activation="gelu", norm_first=True),
    "MultiheadAttention": lambda: SelfAttention(weights=False),
    "with_weights": lambda: SelfAttention(weights=True),
    "scaled_dot_product": Scaled,
    "LayerNorm": lambda: nn.LayerNorm(WIDTH),
    "RMSNorm": lambda: nn.RMSNorm(WIDTH),
}


class Reductions(nn.Module):
    """Sums over all of a map of 112 x 112."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.conv = nn.Conv2d(3, WIDTH, 3, stride=2, padding=1)
        self.weigh = nn.Linear(112 * 112, 1)

    def forward(self, x):
        x = self.conv(x)
        flat, answers = x.flatten(2), {}
        answers["std"], few = flat.std(2), flat[:, :, ::64]
        answers["softmax"] = (few.softmax(2) * few).sum(2)  # over all of them torch errs by 1.6e-5 itself
        answers["logsumexp"], answers["linear"] = flat.logsumexp(2), self.weigh(flat)[..., 0]
        answers["pool"] = nn.functional.adaptive_avg_pool2d(x, 1).flatten(1)
        return {name: values + x.mean((2, 3)) for name, values in answers.items()}  # a std alone does not see a shift


def is_right(report, formats=3):
    """Every runtime that ran passed, by a tolerance of its own for each output, which comes from what the bare network errs by in it
    there."""
    results = ran(report)
    assert len(results) == formats + 1, results
    for result in results.values():
        assert result.verdict == "passed", result
        assert result.bare is not None
        for name, part in result.parts.items():
            assert part.tolerance == pytest.approx(min(max(LEAST, MARGIN * part.bare, MARGIN * report.power.truths[name].rounding), MOST))
            assert part.error <= part.tolerance
    assert report.power.tolerance == max(result.tolerance for result in results.values())


def test_every_activation(tmp_path):
    assert set(ACTIVATIONS) | {"MultiheadAttention"} == set(nn.modules.activation.__all__)
    heads = {name: head for name, head in ACTIVATIONS.items() if name != "RReLU"}
    is_right(published(Heads(heads), tmp_path / "m", formats=FORMATS).report)


def test_the_one_that_torch_cannot_write_as_onnx(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), ACTIVATIONS["RReLU"], nn.Flatten())
    is_right(published(net, tmp_path / "m", formats=FORMATS[1:]).report, formats=2)
    with pytest.raises(PreprocError, match=r"torch\.onnx can export, got: No ONNX function found"):
        published(net, tmp_path / "n", formats=FORMATS[:1])


def test_every_attention_block_and_norm_on_tokens(tmp_path):
    torch.manual_seed(3)
    net = Heads({name: make() for name, make in ATTENTION.items()}, tokens=True)
    known = {kind for name, kind in vars(nn.modules.transformer).items() if inspect.isclass(kind) and name.startswith("Transformer")}
    assert known <= {type(module) for module in net.modules()}
    is_right(published(net, tmp_path / "m", formats=FORMATS).report)


def test_long_reductions(tmp_path):
    is_right(published(Reductions(), tmp_path / "m", size=224, formats=FORMATS).report)


class Noisy(nn.Module):
    """ONNX Runtime's InstanceNormalization errs by 6e-4 over 12,544 values, on the machine on which this was written."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.conv, self.norm = nn.Conv2d(3, WIDTH, 3, stride=2, padding=1), nn.InstanceNorm2d(WIDTH, affine=True)

    def forward(self, x):
        x = self.conv(x)
        return (self.norm(x) * x).mean((2, 3)) + x.mean((2, 3))


def test_a_noisy_network_is_neither_refused_nor_passed(tmp_path):
    report = published(Noisy(), tmp_path / "m", size=224, formats=["onnx"]).report
    result = ran(report)["ort-cpu"]
    assert result.verdict == ("inconclusive" if result.bare > MOST else "passed")
    assert result.bare <= MOST or "the bare backbone in float32 is itself" in result.reason
    assert ran(report)["torch-cpu"].verdict == "passed"


class Average(nn.Module):
    """ONNX Runtime's ReduceMean adds up 50,176 floats one after the other, torch's in a tree."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 16, 3, padding=1)

    def forward(self, x):
        return self.conv(x).relu().mean((2, 3))


@pytest.fixture(scope="module")
def average(tmp_path_factory):
    return published(Average(), tmp_path_factory.mktemp("average") / "m", size=224)


def test_what_the_runtime_errs_by_alone_is_no_fault_of_ours(average):
    is_right(average.report, formats=2)
    results = ran(average.report)
    assert results["ort-cpu"].bare > 2 * results["torch-cpu"].bare  # else this shows nothing


def test_what_is_wrong_is_refused_all_the_same(tmp_path, monkeypatch):
    real = graph.attach

    def attach(model, steps, *rest, **options):
        return real(model, [*steps[:1], Rescale(offset=1 / 255).step, *steps[2:]], *rest, **options)

    monkeypatch.setattr(graph, "attach", attach)
    with pytest.raises(VerificationError, match=r"ort-cpu: error .*, tolerance"):
        published(Average(), tmp_path / "m", size=224, formats=["onnx"])


def test_golden_samples_are_judged_by_the_error_that_was_measured(average):
    """Here is no backbone to measure it with."""
    (known,) = verify_bundle(average.folder, runtimes=["ort-cpu"]).results
    stored = ran(average.report)["ort-cpu"]
    assert (known.verdict, known.bare, known.tolerance) == ("passed", stored.bare, stored.tolerance)
    report = average.report
    (name,) = report.power.scale
    assert report.bare_errors(TorchScriptCpu()) == {name: ran(report)["torchscript-cpu"].bare}
    only = replace(report, results=tuple(result for result in report.results if result.runtime == "ort-cpu"))
    assert only.bare_errors(TorchScriptCpu()) == {name: stored.bare}
    assert report.bare_errors(Fake(None)) == {
        name: max(result.bare for result in ran(report).values())
    }  # a server, which may be any of them
    assert replace(report, results=()).bare_errors(OrtCpu()) is None
