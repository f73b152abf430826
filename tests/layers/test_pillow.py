"""Layers follow the order of passes that their step says."""

import warnings

import numpy as np
import pytest
import torch

from preproc import layers
from preproc.oracle import reference
from preproc.steps import PILLOWS, Resize
from tests.pillows import SMALL, TALL, noise


@pytest.mark.parametrize("order", PILLOWS)
def test_a_recorded_layer_has_both_orders_only_if_it_needs_them(order):
    layer, x = layers.from_step(Resize(size=SMALL, pillow=order)), torch.from_numpy(noise(TALL)).float()
    free = torch.export.Dim
    shapes = ({0: free("N"), 2: free("h", max=32768), 3: free("w", max=32768)},)
    two = torch.cat([x, x])
    program = torch.export.export(layer, (two,), dynamic_shapes=shapes, strict=False)
    assert sum("index_select" in str(node.target) for node in program.graph.nodes) == {12: 2, 13: 4}[order]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(layer, x)
        scripted = torch.jit.script(layer)
    expected = reference.apply([layer.step], noise(TALL))
    for made in (layer, program.module(), traced, scripted):
        assert np.array_equal(made(two)[:1].numpy(), expected)
