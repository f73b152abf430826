"""ONNX nodes that resize, crop and pad: equal to the oracle, or as near as their form is said to be."""

import itertools
from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest
import torch

from preproc import layers
from preproc.errors import PreprocError
from preproc.graph.builder import Builder
from preproc.graph.nodes import build
from preproc.oracle import reference
from preproc.steps import (
    FAST,
    PILLOWS,
    CenterCrop,
    FromPixels,
    Letterbox,
    Normalize,
    Pad,
    Rescale,
    Resize,
    check,
    collapse_steps,
    parse,
)
from tests.geometry import LAYERS, SIZES, SMOOTH, in_layout, noise, session


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
def test_torchs_resizes_are_pictures_of_their_own(interpolation):
    """And each of the forms that compute them is near enough to its own alone."""
    x = in_layout(np.where(noise((97, 61))[:1] > 127, np.uint8(255), np.uint8(0)), "NHWC")
    first = FromPixels(layout="NHWC")
    made = {
        name: reference.apply([first, Resize(size=(40, 33), interpolation=interpolation, **told)], x)
        for name, told in (("12", {"pillow": 12}), ("13", {"pillow": 13}), ("uint8", {"torch": "uint8"}), ("float32", {"torch": "float32"}))
    }
    for name, other in itertools.combinations(made, 2):
        assert (made[name] != made[other]).any() or {name, other} == {"12", "13"}
    for dtype, bound in (("uint8", 0), ("float32", 1e-3)):
        step = Resize(size=(40, 33), interpolation=interpolation, form="exact", torch=dtype)
        got = session([first, step], (97, 61), opset=13).run(None, {"pixels": x})[0]
        assert np.abs(got - made[dtype]).max() <= bound
        layer = layers.from_step(step)(torch.from_numpy(x).permute(0, 3, 1, 2).float())
        assert np.abs(layer.numpy() - made[dtype]).max() <= bound
        if interpolation != "lanczos":
            fast = session([first, Resize(size=(40, 33), interpolation=interpolation, torch=dtype)], None).run(None, {"pixels": x})[0]
            assert np.abs(fast - made[dtype]).max() <= (1 if dtype == "uint8" else 0.01)


def test_what_follows_a_resize_of_floats():
    """Crops and pads move its levels; what rounds would round them again."""
    x, floats = noise((31, 31)), Resize(size=20, torch="float32")
    made = reference.apply([floats, Pad(padding=2, fill=9), CenterCrop(size=22)], x)
    assert np.array_equal(made[:, :, 1:-1, 1:-1], reference.apply([floats, CenterCrop(size=20)], x))
    assert (made % 1 > 0).any()
    first = FromPixels(layout="NCHW")
    got = session([first, floats, Pad(padding=2, fill=9), CenterCrop(size=22)], None).run(None, {"pixels": x})[0]
    assert np.abs(got - made).max() < 0.01
    with pytest.raises(PreprocError, match=r"step 3 \(resize\): expected whole grey levels, got what a resize with torch"):
        check([first, floats, Resize(size=8)])


EXACT = [step for step in LAYERS if not (isinstance(step, (Resize, Letterbox)) and step.antialias and step.interpolation != "nearest")]


@pytest.mark.parametrize("step", EXACT, ids=str)
def test_nodes_that_interpolate_nothing_are_the_oracle(step):
    """In either layout."""
    firsts = [FromPixels(layout=layout, color="BGR") for layout in ("NCHW", "NHWC")]
    dynamic = [session([first, step], None) for first in firsts]
    for size in SIZES:
        x = noise(size)
        try:
            expected = reference.apply([firsts[0], step], x)
        except PreprocError:
            continue
        for first, free in zip(firsts, dynamic, strict=True):
            fixed = [session([first, step], sides) for sides in (size, (size[0], None), (None, size[1]))]
            for made in (free, *fixed):
                assert np.array_equal(made.run(None, {"pixels": in_layout(x, first.layout)})[0], expected), (size, first.layout)


@pytest.mark.parametrize("size", [size for size in SIZES if 4 not in size])
@pytest.mark.parametrize("interpolation", SMOOTH)
def test_the_exact_form_is_the_oracle(size, interpolation):
    """In either layout."""
    told, x = {"interpolation": interpolation, "form": "exact"}, noise(size)
    for step in (
        Resize(size=32, **told),
        Resize(size=(size[0] // 2 or 1, size[1] * 4), pillow=12, **told),
        Resize(size=(size[0] // 2 or 1, size[1] * 4), pillow=13, **told),
        Resize(size=(17, 90), **told),
        Letterbox(size=64, antialias=True, **told),
    ):
        expected = reference.apply([FromPixels(layout="NCHW"), step], x)
        for layout in ("NCHW", "NHWC"):
            made = session([FromPixels(layout=layout), step], size, opset=13)
            assert np.array_equal(made.run(None, {"pixels": in_layout(x, layout)})[0], expected), (step, layout)


@pytest.mark.parametrize(
    ("old", "new"), [((1024, 768), (300, 224)), ((2000, 40), (32, 32)), ((768, 32), (1024, 40)), ((32, 1024), (40, 1280))]
)
def test_the_exact_form_is_exact_far_apart(old, new):
    white = np.full((1, *old, 3), 255, np.uint8)
    picture = noise(old)[:1].transpose(0, 2, 3, 1)
    for interpolation in SMOOTH:
        steps = [FromPixels(layout="NHWC"), Resize(size=new, interpolation=interpolation, form="exact")]
        made = session(steps, old)
        for x in (white, np.ascontiguousarray(picture), np.where(picture > 127, np.uint8(255), np.uint8(0))):
            assert np.array_equal(made.run(None, {"pixels": x})[0], reference.apply(steps, x))


@pytest.mark.parametrize("size", [(120, 160), (331, 200), (300, 64), (50, 60)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("order", PILLOWS)
def test_the_fast_form_is_close(size, interpolation, order):
    """Usually one level on 1 % of the values where it shrinks, two on 3 % where it enlarges; on tall pictures too, whose passes change
    places."""
    step, x = Resize(size=(56, 64), interpolation=interpolation, pillow=order), in_layout(noise(size), "NHWC")
    steps = [FromPixels(layout="NHWC"), step]
    expected = reference.apply(steps, x)
    most, share = (1, 0.02) if size[0] > 56 else (2, 0.03)
    for made in (session(steps, None), session(steps, size)):
        difference = np.abs(made.run(None, {"pixels": x})[0] - expected)
        assert difference.max() <= most
        assert (difference > 0).mean() <= share
    aliased = Resize(size=(56, 64), antialias=False)
    assert size != (300, 64) or interpolation == "bicubic" or np.abs(reference.apply([steps[0], aliased], x) - expected).max() > 20


@pytest.mark.parametrize("interpolation", FAST)
def test_the_fast_form_with_one_free_side_is_that_with_two(interpolation):
    for step in (Resize(size=40, interpolation=interpolation), Letterbox(size=(50, 60), interpolation=interpolation, antialias=True)):
        steps, x = [FromPixels(layout="NHWC"), step], in_layout(noise((120, 70)), "NHWC")
        expected = session(steps, None).run(None, {"pixels": x})[0]
        for sides in ((120, None), (None, 70)):
            assert np.array_equal(session(steps, sides).run(None, {"pixels": x})[0], expected)
        with pytest.raises(PreprocError, match='expected pixels of one static size for form = "exact"'):
            session([steps[0], replace(step, form="exact")], (120, None))


def test_halves_are_rounded_up_in_floats_too():
    """Many sums of 0 and 255 are a half, some of which a float32 sum misses by a rounding."""
    x = np.where(noise((375, 500))[:1] > 127, np.uint8(255), np.uint8(0))
    steps = [FromPixels(layout="NCHW"), Resize(size=(224, 224))]
    assert (session(steps, None).run(None, {"pixels": x})[0] != reference.apply(steps, x)).mean() < 0.005


def kinds_of(steps, size):
    """The operators of their nodes, in order."""
    builder = Builder(ir.DataType.FLOAT, 3, size=size or (None, None))
    build(builder, steps, ir.Value(name="pixels"))
    return [node.op_type for node in builder.nodes]


def test_pictures_are_moved_in_front_of_everything_else():
    first, ends = FromPixels(layout="NHWC", color="BGR"), (Rescale(), Normalize.preset("imagenet"))
    kinds = [type(step).__name__ for step in collapse_steps([first, Resize(size=(8, 8)), *ends], 3)]
    assert kinds == ["FromPixels", "Resize", "ChannelAffine"]  # the selection of the channels stays foldable
    rounded = ["Resize", "Add", "Floor"]
    floats = kinds_of([first, Resize(size=(8, 8)), *ends], (20, 30))
    assert floats[:12] == ["Transpose", "Reshape", "Cast", "Reshape", *rounded, *rounded, "Transpose", "Gather"]
    integers = kinds_of([first, Resize(size=(8, 8), interpolation="bicubic"), *ends], (20, 30))
    assert integers[:5] == ["Transpose", "Resize", "Cast", "Transpose", "Gather"]
    assert kinds_of([first, CenterCrop(size=8), *ends], (20, 30))[:4] == ["Slice", "Cast", "Transpose", "Gather"]


@pytest.mark.parametrize("interpolation", ["lanczos", "box", "hamming"])
def test_what_no_node_computes_is_exact(interpolation):
    """And so for pixels of one size only in ONNX files."""
    step = Resize(size=8, interpolation=interpolation)
    assert (step.form, parse({"step": "resize", "size": 8, "interpolation": interpolation}).form) == ("exact", "exact")
    with pytest.raises(PreprocError, match=f"one static size .* got a dynamic one; no other form computes {interpolation}"):
        session([FromPixels(layout="NHWC"), step], None)
