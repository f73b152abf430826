"""A right model is never refused: what the bare network errs by in a runtime is no fault of the preprocessing. Every activation, norm and
attention block of torch.nn, long reductions, and a network that only ONNX Runtime adds up badly, in every format."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from preproc import graph
from preproc.errors import PreprocError, RuntimeAbsentError, VerificationError
from preproc.export import export_bundle, verify_bundle
from preproc.export.bare import bare_network
from preproc.layers import FromPixels, Normalize, Pipeline, Rescale, prepend
from preproc.sources import load_recipe
from preproc.verify import Case, Power, judge
from preproc.verify.power import LEAST, MARGIN, MOST, MOST_REDUCED, Control
from preproc.verify.runtimes import OrtCpu
from preproc.verify.runtimes.pytorch import TorchScriptCpu
from tests.conftest import ROOT
from tests.onnx_files import hand_made, put
from tests.verify.test_verify import Fake

FORMATS = ["onnx", "torchscript", "pt2"]
WIDTH = 8


def published(net, out, size=24, **options):
    torch.manual_seed(0)
    pipeline = Pipeline(FromPixels(layout="NHWC"), Rescale(), Normalize.preset("imagenet"))
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    return export_bundle(prepend(pipeline, net.eval()), out, example=example, **options)


def ran(report):
    return {result.runtime: result for result in report.results if result.verdict != "absent"}


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
    """Every runtime that ran passed, by a tolerance of its own, which comes from what the bare network errs by in it."""
    results = ran(report)
    assert len(results) == formats + 1, results
    for result in results.values():
        assert result.verdict == "passed", result
        assert result.bare is not None
        assert result.tolerance == pytest.approx(min(max(LEAST, MARGIN * result.bare), MOST))
        assert result.error <= result.tolerance
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
    assert report.bare_error(TorchScriptCpu()) == ran(report)["torchscript-cpu"].bare
    only = replace(report, results=tuple(result for result in report.results if result.runtime == "ort-cpu"))
    assert only.bare_error(TorchScriptCpu()) == stored.bare
    assert report.bare_error(Fake(None)) == max(result.bare for result in ran(report).values())  # a server, which may be any of them
    assert replace(report, results=()).bare_error(OrtCpu()) is None


def power(**changes):
    return replace(Power({"y": 1.0}, 1e-7, 4e-6, (Control("mean shifted by one grey level", 0.5),), 0.01), **changes)


def off(by):
    return Fake(lambda _: {"y": np.array([[1.0 + by]])})


@pytest.mark.parametrize(
    ("error", "bare", "changes", "verdict", "reason"),
    [
        (3e-6, 1e-8, {}, "passed", None),
        (5e-6, 1e-8, {}, "failed", "error 5.00e-06 on one, tolerance 4.0e-06"),
        (5e-5, 7e-6, {}, "passed", None),
        (8e-5, 7e-6, {}, "failed", "tolerance 7.0e-05"),
        (9e-5, 5e-5, {}, "passed", None),
        (2e-4, 5e-5, {}, "inconclusive", "the bare network alone, 5.0e-05 from float64 here, can account for"),
        (6e-4, 5e-5, {}, "failed", "tolerance 1.0e-04"),
        (2e-4, 3e-4, {}, "inconclusive", "the bare backbone in float32 is itself 3.0e-04 from float64"),
        (4e-3, 3e-4, {}, "failed", "error 4.00e-03"),
        (8e-4, 0.5, {}, "inconclusive", "the bare backbone in float32 is itself 5.0e-01 from float64"),
        (0.5, 0.5, {}, "failed", "the bare network alone errs by 5.0e-01 in this runtime"),
        (5e-3, 5e-3, {}, "failed", "the bare network alone errs by 5.0e-03 in this runtime"),
        (4e-3, 3e-4, {"asked": 5e-3}, "passed", None),
        (6e-3, 3e-4, {"asked": 5e-3}, "failed", "tolerance 5.0e-03"),
        (1e-3, 1e-8, {"asked": 0.1}, "inconclusive", "less than 10 tolerances of 1.0e-01"),
        (5e-5, None, {}, "failed", "tolerance 4.0e-06"),
        (5e-5, None, {"tolerance": 7e-5}, "passed", None),
        (5e-5, 1e-8, {"mixed": ("it",)}, "passed", None),
        (3e-4, 1e-8, {"slack": 4e-4}, "passed", None),
    ],
)
def test_verdicts_between_the_bounds(error, bare, changes, verdict, reason):
    cases = [Case("one", np.zeros((1, 2, 2, 3), np.uint8), {"y": np.array([[1.0]])})]
    result = judge(off(error), ROOT, cases, power(**changes), bare=bare)
    assert (result.verdict, result.bare) == (verdict, bare)
    assert reason is None or reason in str(result.reason)


def test_what_was_seen_to_be_wrong_stays_wrong_when_the_device_runs_full():
    def answer(pixels):
        if pixels.any():
            raise RuntimeAbsentError("out of memory")
        return {"y": np.array([[9.0]])}

    expected = {"y": np.array([[1.0]])}
    cases = [Case(name, np.full((1, 2, 2, 3), value, np.uint8), expected) for value, name in enumerate(("one", "two"))]
    result = judge(Fake(answer), ROOT, cases, power(), bare=1e-8)
    assert (result.verdict, "error 8.00e+00 on one" in result.reason, "out of memory" in result.reason) == ("failed", True, True)
    assert judge(Fake(answer), ROOT, cases[1:], power(), bare=1e-8).verdict == "absent"


def test_a_device_that_dies_behind_the_last_answer_is_one_line():
    expected = {"y": np.array([[1.0]])}
    cases = [Case("one", np.zeros((1, 2, 2, 3), np.uint8), expected)]
    result = judge(Fake(lambda _: expected, proof=RuntimeError("CUDA error: an illegal memory access")), ROOT, cases, power(), bare=1e-8)
    assert (result.verdict, result.reason) == ("failed", "RuntimeError: CUDA error: an illegal memory access")


def test_a_runtime_that_was_told_to_use_tf32_has_room_for_it():
    cases = [Case("one", np.zeros((1, 2, 2, 3), np.uint8), {"y": np.array([[1.0]])})]

    class Tf32(Fake):
        reduced = True

    assert judge(Tf32(lambda _: {"y": np.array([[1.002]])}), ROOT, cases, power(), bare=4e-4).verdict == "passed"
    assert judge(Fake(lambda _: {"y": np.array([[1.002]])}), ROOT, cases, power(), bare=4e-4).verdict == "failed"
    assert power().bounds(2e-3, reduced=True) == (MOST_REDUCED, MOST_REDUCED)


def test_the_bare_network_is_measured_on_what_the_reference_makes_ready(tmp_path):
    """A spoilt bare file shows; one that is not there, or does not run, is not measured."""
    file = hand_made(tmp_path)
    recipe = replace(load_recipe(ROOT / "models" / "digits.toml"))
    bundle = put(file, tmp_path / "out")
    assert {result.bare for result in ran(bundle.report).values()} == {0.0}  # the reference is the same file in the same runtime
    steps = bundle.contract["steps"]
    assert steps[0]["step"] == "from_pixels"
    from preproc.bundle import to_recipe
    from preproc.export.proving import prove

    told = to_recipe(bundle.contract)
    proof = prove(replace(told, backbone=replace(told.backbone, weights=str(file))), file)
    network = bare_network(told, file, proof.cases, ("model.onnx",), tmp_path)
    assert network.error(OrtCpu(), proof.cases, proof.power.scale) == 0.0
    twice = replace(network, arrange=lambda ready: 2 * ready)
    assert twice.error(OrtCpu(), proof.cases, proof.power.scale) > 0.1
    assert network.error(TorchScriptCpu(), proof.cases, proof.power.scale) is None
    broken = replace(network, files={"model.onnx": tmp_path / "nothing.onnx"})
    assert broken.error(OrtCpu(), proof.cases, proof.power.scale) is None
    assert recipe.export.tolerance is None


@pytest.mark.parametrize("wrong", [0, 1, -1e-3, "1e-3", True, float("nan")])
def test_a_tolerance_is_a_number_between_zero_and_one(tmp_path, wrong):
    with pytest.raises(PreprocError, match=r"tolerance: expected a number between 0 and 1"):
        put(hand_made(tmp_path), tmp_path / "out", tolerance=wrong)


def test_the_users_tolerance_is_in_contract_and_report(tmp_path):
    file = hand_made(tmp_path)
    bundle = put(file, tmp_path / "out", tolerance=2e-5)
    assert bundle.contract["tolerance"] == 2e-5
    assert bundle.report.power.tolerance == bundle.report.power.asked == 2e-5
    assert {result.tolerance for result in ran(bundle.report).values()} == {2e-5}
    again = verify_bundle(bundle.folder, recipe=file)
    assert again.power.asked == 2e-5
    net = published(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()), tmp_path / "net", tolerance=1e-3, formats=["onnx"])
    assert net.contract["tolerance"] == 1e-3
    with pytest.raises(PreprocError, match="tolerance with a Model only"):
        export_bundle(load_recipe(ROOT / "models" / "digits.toml"), tmp_path / "no", tolerance=1e-3)
