"""The oracle against other people's implementations of the same formulas."""

import ast

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

from preproc.oracle import reference
from preproc.steps import ChannelAffine, FromPixels, LocalResponseNorm, Normalize, Rescale, Standardize
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("name", "own", "others"),
    [
        ("reference", {"pillow", "video", "errors", "steps"}, {"numpy"}),
        ("pillow", {"steps"}, {"math", "numpy"}),
        ("video", {"steps"}, {"numpy"}),
    ],
)
def test_it_imports_no_layer_and_no_graph_builder(name, own, others):
    tree = ast.parse((ROOT / "preproc" / "oracle" / f"{name}.py").read_text())
    from_here = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
    assert {module for node in from_here for module in ([node.module] if node.module else [alias.name for alias in node.names])} == own
    assert {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names} == others


def test_normalize_equals_torchvision(rng):
    pixels = rng.integers(0, 256, (2, 7, 5, 3), dtype=np.uint8)
    ready = functional.normalize(torch.from_numpy(pixels).permute(0, 3, 1, 2).double() / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    ours = reference.apply([FromPixels(layout="NHWC"), Rescale(), Normalize.preset("imagenet")], pixels)
    np.testing.assert_allclose(ours, ready.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("channels", [1, 3, 6])
def test_lrn_over_channels_equals_torch(rng, size, channels):
    x = rng.normal(size=(2, channels, 4, 5)) * 30
    theirs = torch.nn.LocalResponseNorm(size, alpha=0.2, beta=0.6, k=1.5)(torch.from_numpy(x)).numpy()
    ours = reference.apply([LocalResponseNorm(size=size, alpha=0.2, beta=0.6, k=1.5)], x)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_lrn_over_a_window_equals_caffes_loop(rng):
    x = rng.normal(size=(1, 2, 5, 6)) * 3
    want = np.empty_like(x)
    for c, i, j in np.ndindex(2, 5, 6):
        window = x[0, c, max(0, i - 1) : i + 2, max(0, j - 1) : j + 2]
        want[0, c, i, j] = x[0, c, i, j] / (1 + 0.5 / 9 * (window**2).sum()) ** 0.75
    ours = reference.apply([LocalResponseNorm(size=3, alpha=0.5, region="spatial")], x)
    np.testing.assert_allclose(ours, want, rtol=1e-12)


@pytest.mark.parametrize(
    ("color", "to", "order"),
    [("RGB", "BGR", [2, 1, 0]), ("BGRA", "RGB", [2, 1, 0]), ("RGBA", "RGB", [0, 1, 2]), ("GRAY", "RGB", [0, 0, 0]), ("GRAY", "GRAY", [0])],
)
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_colors(rng, color, to, order, layout):
    channels = {"GRAY": 1, "RGBA": 4, "BGRA": 4}.get(color, 3)
    planes = rng.integers(0, 256, (1, channels, 3, 4), dtype=np.uint8)
    pixels = planes if layout == "NCHW" else np.moveaxis(planes, 1, 3)
    np.testing.assert_array_equal(reference.apply([FromPixels(layout=layout, color=color, to=to)], pixels), planes[:, order])


def test_channel_affine_is_a_matrix_product_per_pixel(rng):
    x, matrix = rng.normal(size=(1, 3, 2, 2)), rng.normal(size=(2, 3))
    ours = reference.apply([ChannelAffine(matrix=tuple(map(tuple, matrix)), offset=(1.0, 2.0))], x)
    np.testing.assert_allclose(ours[0, :, 1, 0], matrix @ x[0, :, 1, 0] + [1, 2])


def test_float32_is_summed_in_float64():
    x = (200 + np.random.default_rng(0).integers(0, 2, (2, 3, 35, 41))).astype(np.float32)
    for step in (Standardize(per="channel"), LocalResponseNorm(size=3, alpha=0.5)):
        assert np.array_equal(reference.apply([step], x), reference.apply([step], x.astype(np.float64)))
