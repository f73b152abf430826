"""What `make bench` measures of the formats: each runtime answers right, and the table and the picture are what was measured."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from preproc.bundle import open_bundle
from preproc.folding.modules import fold
from preproc.layers import prepend
from tests.bench import cases, formats, opening, plot, plot_formats
from tests.conftest import ROOT

DIGITS = ROOT / "export" / "digits"
FROM_ONNX = ("ONNX Runtime", "OpenVINO")


@pytest.mark.parametrize("runtime", [runtime for runtime in formats.installed() if runtime in FROM_ONNX])
def test_a_runtime_of_onnx_answers_the_golden_samples(runtime):
    call = opening.RUNTIMES[runtime](DIGITS / "model.onnx")
    for case in open_bundle(DIGITS).golden():
        np.testing.assert_allclose(call(case.pixels), case.expected["logits"], rtol=1e-3, atol=1e-4)


@pytest.mark.filterwarnings(r"ignore:`torch\.jit\.")
@pytest.mark.parametrize("runtime", [runtime for runtime in formats.installed() if runtime not in FROM_ONNX])
def test_what_torch_writes_is_opened_and_answers_right(runtime, tmp_path):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)).eval()
    pixels = torch.randint(0, 256, (2, 9, 7, 3), dtype=torch.uint8)
    folded = fold(prepend(cases.pipeline(), net), example=pixels).model
    file = tmp_path / f"net{formats.SUFFIXES[runtime]}"
    formats.write(runtime, "net", folded, pixels, file)
    np.testing.assert_allclose(opening.RUNTIMES[runtime](file)(pixels.numpy()), folded(pixels).detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.fixture
def measured():
    """The committed run, with two runtimes of one network."""
    document = json.loads((plot.RESULTS / "cpu.json").read_text(encoding="utf-8"))
    for section in ("tables", "figures"):
        document[section] = {title: value for title, value in document[section].items() if not title.startswith(plot_formats.TITLE)}
    for runtime, seconds, costs in (
        ("torch, eager", 0.02, {}),
        (
            "AOTInductor",
            0.0125,
            {"written in, seconds": 61.25, "file, bytes": 2.5e6, "loaded in, seconds": 0.05, "peak memory, bytes": 4e8},
        ),
    ):
        title = f"{plot_formats.TITLE}: net: {runtime}"
        row = {"median": 1.25, "low": 1.0, "high": 1.5, "seconds": seconds}
        document["tables"][title] = {"bare": row | {"median": 1.0, "seconds": 0.01}, "folded": row}
        document["figures"][title] = costs
    return document


def test_the_table_is_what_was_measured(measured):
    told = plot.table(measured)
    assert "\n| net, torch, eager | 20.00 | 1.25 [1.00, 1.50] |  |  |  |  |\n" in told
    assert "\n| net, AOTInductor | 12.50 | 1.25 [1.00, 1.50] | 61.2 | 2.5 | 0.05 | 400 |\n" in told
    assert "(results/formats.png)" in told
    assert "net" not in plot.sentence(measured).split(", ")


def test_the_picture_has_every_runtime(measured, tmp_path):
    plot_formats.draw(measured, tmp_path / "formats.png")
    assert (tmp_path / "formats.png").stat().st_size


def test_a_run_from_before_has_none(measured, tmp_path):
    measured["tables"] = {title: table for title, table in measured["tables"].items() if not title.startswith(plot_formats.TITLE)}
    assert plot_formats.lines(measured) == []
    plot_formats.draw(measured, tmp_path / "formats.png")
    assert not (tmp_path / "formats.png").exists()
