"""Whole numbers in ExecuTorch's programs: their sums are exact for as many as are taken, which its own kernel's are not."""

import numpy as np
import pytest
import torch
from torch import nn

from preproc.errors import PreprocError
from preproc.export.formats import executorch
from preproc.layers import FromPixels, Pipeline, Resize
from tests.in_executorch import answers, written

PIXELS = torch.randint(0, 256, (8, 40, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class Levels(nn.Module):
    def __init__(self):
        super().__init__()
        self.resize = Pipeline(FromPixels(layout="NHWC"), Resize(size=(8, 30), pillow=13))

    def forward(self, pixels):
        return self.resize(pixels)


def test_whole_numbers_are_added_exactly(tmp_path, monkeypatch):
    """A resize of Pillow's to the bit, whose sums ExecuTorch's own kernel would round to 24 bits."""
    model = Levels()
    want = model(PIXELS).numpy()
    (got,) = answers(written(model, tmp_path / "exact.pte", PIXELS), PIXELS)
    np.testing.assert_array_equal(got, want)
    monkeypatch.delitem(executorch._EXACT, torch.ops.aten.sum.dim_IntList)
    (rounded,) = answers(written(model, tmp_path / "rounded.pte", PIXELS), PIXELS)
    assert 0 < (rounded != want).mean() < 0.1, "ExecuTorch adds whole numbers exactly now: the rule is not needed any more"


class Sums(nn.Module):
    """Of 16,383 where a pixel is 255: every one of the lower bits is set."""

    def forward(self, pixels):
        return (pixels.long() * 64 + 63).sum(2)


@pytest.mark.parametrize("count", [1024, 1025, 1 << 16])
def test_sums_are_exact_for_as_many_numbers_as_are_taken(tmp_path, count):
    pixels = torch.full((2, 1, count, 3), 255, dtype=torch.uint8)
    pixels[1] = torch.randint(0, 256, (1, count, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    (got,) = answers(written(Sums(), tmp_path / "m.pte", pixels, size=(1, count)), pixels)
    np.testing.assert_array_equal(got, Sums()(pixels).numpy())
    assert got[0, 0, 0] == count * 16383


def seeded():
    return torch.Generator().manual_seed(0)


class Added(nn.Module):
    def forward(self, x):
        return x.sum((1, 2))


class Narrow(nn.Module):
    def forward(self, pixels):
        return (pixels.to(torch.int16) - 200).clamp(-128, 127).to(torch.int8).sum((1, 2))


def test_whole_numbers_of_every_kind_are_added_exactly():
    """Of eight bits, too, which have no room for as many lower ones."""
    for dtype in (torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64):
        span = torch.iinfo(dtype)
        x = torch.randint(max(span.min, -(2**20)), min(span.max, 2**20), (2, 40, 30, 3), dtype=dtype, generator=seeded())
        exact = torch.export.export(Added(), (x,)).run_decompositions(executorch._EXACT)
        torch.testing.assert_close(exact.module()(x), x.sum((1, 2)), rtol=0, atol=0)


def test_whole_numbers_of_eight_bits_are_added_exactly_in_its_runtime(tmp_path):
    (got,) = answers(written(Narrow(), tmp_path / "m.pte", PIXELS), PIXELS)
    np.testing.assert_array_equal(got, Narrow()(PIXELS).numpy())
    assert got.max() < 0


@pytest.mark.parametrize(("width", "sizes", "said"), [((1 << 16) + 1, (), "65537"), (None, [(1, 9)], "s[0-9]+")])
def test_sums_of_more_whole_numbers_are_refused(tmp_path, width, sizes, said):
    pixels = torch.zeros((2, 1, width or 9, 3), dtype=torch.uint8)
    with pytest.raises(
        PreprocError, match=rf"got.* a sum of {said} whole numbers, which is exact in its runtime up to 65,536; the formats onnx"
    ) as caught:
        written(Sums(), tmp_path / "m.pte", pixels, size=(1, width), sizes=sizes)
    assert caught.value.name == "not-exportable"
