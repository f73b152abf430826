"""What torch.export cannot read is one line, whole, and nothing else is heard."""

import re

import pytest
import torch
from torch import nn

import preproc
from preproc.errors import first_line, shortened
from preproc.folding.modules import reason, unheard


class Decides(nn.Module):
    """How much it computes depends on the values of the picture."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        found = (x > 0.5).nonzero()
        return self.conv(x) if len(found) > 7 else self.conv(-x)


class Loops(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return torch.stack([self.conv(picture[None]).mean(dim=(2, 3))[0] for picture in x])


def prepended(network):
    torch.manual_seed(0)
    return preproc.prepend(preproc.Pipeline(preproc.FromPixels(layout="NHWC"), preproc.Rescale()), network.eval())


EXAMPLE = torch.arange(2 * 16 * 16 * 3).reshape(2, 16, 16, 3).to(torch.uint8)


def test_a_fold_says_why_not_in_one_line_and_torch_says_nothing(capfd):
    told = preproc.why_not_foldable(prepended(Decides()), example=EXAMPLE)
    assert told.startswith("torch.export cannot read the backbone: ")
    assert re.search(r": test_tracing\.py:\d+ in forward decides by what only the values of a picture tell \(u0.*\), which a graph", told)
    assert capfd.readouterr() == ("", "")


def test_torch_does_print_half_of_its_graph(capfd):
    with pytest.raises(RuntimeError):
        torch.export.export(Decides().eval(), (torch.rand(2, 3, 16, 16),), strict=False)
    assert "def forward(self" in capfd.readouterr().err  # else unheard() is not needed any more


def test_an_export_says_it_before_the_reference_is_computed(tmp_path, monkeypatch, capfd):
    def never(*_, **__):
        raise AssertionError("the reference was computed")

    monkeypatch.setattr("preproc.export.exporter.prove", never)
    with pytest.raises(preproc.PreprocError, match=r"expected a backbone that torch\.onnx can export, got: .*decides by what only the val"):
        preproc.export_bundle(prepended(Decides()), tmp_path / "b", example=EXAMPLE)
    with pytest.raises(preproc.PreprocError, match=r"for 2 pictures, the example's: a loop over the pictures.*the batch must be free"):
        preproc.export_bundle(prepended(Loops()), tmp_path / "b", example=EXAMPLE)
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_long_expressions_are_cut_between_words_where_no_bracket_is_open():
    assert shortened("short (open") == "short (open"
    text = "Eq(4*Min(300, u0), 0) and " + " + ".join(f"4*Min(300, u{number})" for number in range(40))
    cut = shortened(text, 100)
    assert cut.endswith(" ...")
    assert cut.count("(") == cut.count(")")
    assert text.startswith(cut.removesuffix(" ..."))
    assert 60 < len(cut) <= 104
    early = "cannot export (see " + "word " * 100
    assert 150 <= len(shortened(early)) <= 304
    assert shortened(early).endswith("word ...")
    assert shortened("x" * 500) == "x" * 300 + " ..."
    assert shortened("Eq(" + "a, " * 200).endswith("a, a, ...")
    assert first_line(ValueError(text * 3)).count("(") == first_line(ValueError(text * 3)).count(")")


def test_the_reason_is_the_first_cause():
    inner = RuntimeError(
        "Could not guard on data-dependent expression Eq(4*u1, 0) (unhinted: Eq(4*u1, 0)).  (Size-like symbols: u1)\n\nmore"
    )
    outer = RuntimeError("outer")
    outer.__cause__ = inner
    assert reason(outer) == "it decides by what only the values of a picture tell (Eq(4*u1, 0)), which a graph cannot"
    placed = RuntimeError("Could not extract specialized integer from data-dependent expression u0\nCaused by: (a/b.py:12 in forward)\n")
    assert reason(placed) == "b.py:12 in forward decides by what only the values of a picture tell (u0), which a graph cannot"
    assert reason(KeyError()) == "KeyError"


def test_what_is_said_outside_is_heard(capsys):
    import sys

    with unheard():
        print("a graph", file=sys.stderr)
    print("ours", file=sys.stderr)
    assert capsys.readouterr().err == "ours\n"
