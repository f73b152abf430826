"""A step says whose order of passes it has; left out, it is that of the installed Pillow."""

import json

import PIL
import pytest

from preproc import layers
from preproc.errors import PreprocError
from preproc.steps import (
    CenterCrop,
    FromPixels,
    Letterbox,
    Rescale,
    Resize,
    installed_pillow,
    parse,
    with_pillow,
)
from tests.pillows import HERE, OTHER


def test_left_out_it_is_the_installed_ones():
    assert installed_pillow() == HERE
    assert Resize(size=8).pillow == Letterbox(size=8, antialias=True).pillow == HERE
    assert Resize(size=8, interpolation="nearest").pillow is Resize(size=8, antialias=False).pillow is Letterbox(size=8).pillow is None
    for step in (Resize(size=8), Resize(size=8, pillow=OTHER)):
        assert step.spec()["pillow"] == step.pillow
        assert f"pillow={step.pillow}" in repr(layers.from_step(step))
        assert f"pillow={step.pillow}" in repr(step)
        assert parse(json.loads(json.dumps(step.spec()))) == step
    assert layers.Resize(size=8, pillow=OTHER).step.pillow == OTHER
    assert layers.Letterbox(size=8, antialias=True, pillow=OTHER).step.pillow == OTHER


@pytest.mark.parametrize(("version", "order"), [("9.5.0.post2", 12), ("11.0.0", 12), ("12.3.0", 12), ("13.0.0", 13), ("14.1.0.dev0", 13)])
def test_versions(monkeypatch, version, order):
    monkeypatch.setattr(PIL, "__version__", version)
    assert Resize(size=8).pillow == order


def test_steps_take_another_order_where_they_have_one():
    steps = [
        FromPixels(layout="NHWC"),
        Resize(size=8),
        Resize(size=8, antialias=False),
        Letterbox(size=8, antialias=True),
        CenterCrop(size=8),
    ]
    assert [getattr(step, "pillow", None) for step in with_pillow(steps, OTHER)] == [None, OTHER, None, OTHER, None]
    assert with_pillow(steps, None) == with_pillow(steps, HERE) == tuple(steps)
    with pytest.raises(PreprocError, match="expected 12 or 13, got 11"):
        with_pillow([Rescale()], 11)
