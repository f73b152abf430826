"""Networks in Python of free sides, and the sizes that they are verified with."""

import numpy as np
import pytest
import torch
from torch import nn

from preproc.errors import PreprocError
from preproc.export import export_bundle
from preproc.layers import FromPixels, Normalize, Pipeline, Rescale, prepend
from tests.onnx_files import in_one_thread


class Skipping(nn.Module):
    """A U-Net's kind: sides have to be multiples of 8."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(8, 2, 1)
        self.down, self.up = nn.Conv2d(4, 4, 8, stride=8), nn.ConvTranspose2d(4, 4, 8, stride=8)

    def forward(self, x):
        x = self.stem(x)
        return self.head(torch.cat([x, self.up(self.down(x).relu())], 1)).relu()


PIPELINE = Pipeline(FromPixels(layout="NHWC", color="BGR"), Rescale(), Normalize.preset("imagenet"))


def network():
    torch.manual_seed(3)
    return prepend(PIPELINE, Skipping().eval())


def test_a_network_in_python_with_one_free_side(tmp_path):
    bundle = export_bundle(network(), tmp_path / "m", size=(24, None), formats=["torchscript", "pt2"])
    assert bundle.contract["input"]["shape"] == ["N", 24, "width", 3]
    assert bundle.contract["verified_sizes"] == [[24, 128], [24, 112]]
    assert {result.runtime: result.verdict for result in bundle.report.results if result.runtime.endswith("-cpu")} == dict.fromkeys(
        ["torch-cpu", "torchscript-cpu", "pt2-cpu"], "passed"
    )
    pixels = torch.randint(0, 256, (1, 24, 40, 3), dtype=torch.uint8)
    expected = network()(pixels)
    torch.testing.assert_close(torch.export.load(bundle.folder / "model.pt2").module()(pixels), expected, rtol=1e-4, atol=1e-5)


def test_a_network_in_python_that_wants_multiples(tmp_path):
    bundle = export_bundle(network(), tmp_path / "m", size="dynamic", formats=["onnx"])
    assert bundle.contract["verified_sizes"] == [[96, 128], [160, 112]]
    assert bundle.report.ok
    pixels = np.random.default_rng(0).integers(0, 256, (1, 24, 40, 3), dtype=np.uint8)
    expected = network()(torch.from_numpy(pixels)).detach().numpy()
    session = in_one_thread(bundle.folder / "model.onnx")
    (answer,) = session.run(None, {"pixels": pixels})
    assert np.abs(answer - expected).max() < 1e-5 * np.abs(expected).max()
    with pytest.raises(PreprocError, match="got none among 20x24: it refuses 20x24: Sizes of tensors must match"):
        export_bundle(network(), tmp_path / "m", size="dynamic", verify_sizes=[(20, 24)], formats=["onnx"])


def test_a_network_in_python_that_takes_no_picture_says_so(tmp_path):
    class Two(nn.Module):
        def forward(self, x, y):
            return x + y

    with pytest.raises(PreprocError, match="expected a backbone that takes one picture") as refusal:
        export_bundle(prepend(PIPELINE, Two()), tmp_path / "m", size="dynamic", formats=["onnx"])
    assert refusal.value.name == "several-inputs"
