"""Nodes follow the order of passes that their step says."""

import numpy as np
import pytest

from preproc.oracle import reference
from preproc.steps import PILLOWS, FromPixels, Resize
from tests.onnx_files import alone, in_one_thread
from tests.pillows import SMALL, TALL, noise


@pytest.mark.parametrize("order", PILLOWS)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("form", ["fast", "exact"])
def test_files_follow_the_step(order, interpolation, form):
    x = np.ascontiguousarray(np.moveaxis(noise(TALL), 1, -1))
    steps = {name: [FromPixels(layout="NHWC"), Resize(size=SMALL, interpolation=interpolation, form=form, pillow=name)] for name in PILLOWS}
    expected, other = (reference.apply(steps[name], x) for name in (order, 25 - order))
    for size in (TALL, None) if form == "fast" else (TALL,):
        made = in_one_thread(alone(steps[order], size=size))
        (got,) = made.run(None, {"pixels": x})
        assert (got != expected).mean() < (0.01 if form == "fast" else 1e-9)
        assert (got != other).mean() > 0.1
