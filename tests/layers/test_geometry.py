"""Layers that resize, crop and pad are the oracle to the bit, in all their forms."""

import itertools
import warnings
from fractions import Fraction

import numpy as np
import pytest
import torch

from preproc import layers
from preproc.errors import PreprocError
from preproc.layers import Letterbox as LetterboxLayer
from preproc.layers import Resize as ResizeLayer
from preproc.oracle import reference
from preproc.steps import (
    PILLOWS,
    CenterCrop,
    FromPixels,
    Letterbox,
    Resize,
)
from tests.geometry import LAYERS, SIZES, noise, session, ultralytics


def halves(most, up_to):
    """Sizes whose letterbox into a square of `most` has a side that ends in a half, where the ratio's own rounding decides."""
    found = []
    for tall, wide in itertools.product(range(most + 1, up_to), range(2, up_to)):
        side, rest = divmod(2 * wide * most, tall) if tall > wide else (0, 1)
        if rest == 0 and side % 2 and round(wide * (most / tall)) != round(Fraction(side, 2)):
            found += [(tall, wide), (wide, tall)]
    return found


HALVES = {15: halves(15, 60), 25: halves(25, 120)}
OTHERS = [(37, 53), (300, 40), (64, 48), (20, 33)]


@pytest.mark.parametrize("most", HALVES)
def test_the_letterboxs_ratio_is_a_float(most):
    """In the step, the oracle, the layer in all its forms, and the nodes."""
    step, first = Letterbox(size=most), FromPixels(layout="NCHW")
    layer, free = layers.from_step(step), torch.export.Dim
    shapes = ({0: free("N"), 2: free("h", max=32768), 3: free("w", max=32768)},)
    example = torch.from_numpy(noise((20, 30))).float()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        forms = [layer, torch.jit.script(layer), torch.jit.trace(layer, example, check_trace=False)]
        if most == min(HALVES):  # of half a minute
            forms.append(torch.export.export(layer, (example,), dynamic_shapes=shapes, strict=False).module())
    dynamic = session([first, step], None)
    assert HALVES[most]
    for size in [*HALVES[most][:4], *OTHERS]:
        inner, (top, bottom, left, right) = ultralytics(size, (most, most))
        assert step.inner_size(size) == inner
        x = noise(size)
        expected = np.full((len(x), 3, most, most), 114.0)
        expected[:, :, top : most - bottom, left : most - right] = reference.apply([Resize(size=inner, antialias=False)], x)
        assert np.array_equal(reference.apply([step], x), expected)
        for form in forms:
            assert np.array_equal(form(torch.from_numpy(x).float()).numpy(), expected), size
        for made in (dynamic, session([first, step], size)):
            assert np.array_equal(made.run(None, {"pixels": x.astype(np.uint8)})[0], expected), size


@pytest.fixture(scope="module", params=LAYERS, ids=str)
def forms(request):
    """A layer, eager, scripted and traced at one size."""
    layer = layers.from_step(request.param)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and a trace warns of what is no danger here
        traced = torch.jit.trace(layer, torch.from_numpy(noise((60, 80))).float())
        return request.param, {"eager": layer, "script": torch.jit.script(layer), "trace": traced}


@pytest.mark.parametrize("size", SIZES)
def test_layers_are_the_oracle_to_the_bit(forms, size):
    step, made = forms
    x = noise(size)
    try:
        expected = reference.apply([step], x)
    except PreprocError:
        return
    for name, layer in made.items():
        got = layer(torch.from_numpy(x).float())
        assert got.dtype == torch.float32
        assert got.shape == expected.shape, name
        assert np.array_equal(got.numpy(), expected), name


@pytest.mark.parametrize(
    "step",
    [
        *(Resize(size=(17, 90), pillow=pillow) for pillow in PILLOWS),
        Resize(size=32, pillow=max(PILLOWS)),  # whose graph has both orders of the passes
        Resize(size=(17, 90), interpolation="bicubic"),
        CenterCrop(size=(33, 40)),
    ],
    ids=str,
)
def test_exported_layers_hold_for_other_sizes(step):
    """A letterbox, whose export takes half a minute: test_the_letterboxs_ratio_is_a_float."""
    layer, free = layers.from_step(step), torch.export.Dim
    shapes = ({0: free("N"), 2: free("h", max=32768), 3: free("w", max=32768)},)
    program = torch.export.export(layer, (torch.from_numpy(noise((60, 80))).float(),), dynamic_shapes=shapes, strict=False).module()
    for size in OTHERS:
        x = noise(size)
        assert np.array_equal(program(torch.from_numpy(x).float()).numpy(), reference.apply([step], x)), size


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes_hold_grey_levels(dtype):
    step, x = Resize(size=(20, 30), interpolation="bicubic"), noise((50, 60))
    got = layers.from_step(step)(torch.from_numpy(x).to(dtype))
    assert got.dtype == dtype
    assert np.array_equal(got.double().numpy(), reference.apply([step], x))


@pytest.mark.parametrize("layer", [ResizeLayer(size=8), ResizeLayer(size=(8, 9), antialias=False), LetterboxLayer(size=8)], ids=str)
def test_layers_refuse_what_they_would_turn_black(layer):
    for x, message in ((torch.rand(1, 3, 5, 4), "whole numbers of 0..255"), (torch.zeros(1, 3, 0, 4), "pictures with pixels, got 0x4")):
        with pytest.raises(PreprocError, match=message):
            layer(x)
    assert layer(torch.full((1, 3, 5, 4), 77.0)).max() == layer(torch.full((1, 3, 5, 4), 77.0, dtype=torch.float64)).max()
    with pytest.raises(PreprocError, match="a ratio that leaves pixels, got 4000x1 for 3x0"):
        ResizeLayer(size=2, max_size=3)(torch.zeros(1, 3, 4000, 1))
