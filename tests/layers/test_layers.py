"""Every layer in every way that people run it, equal to the oracle."""

import copy
import io
import warnings

import numpy as np
import onnx_ir as ir
import pytest
import torch

from preproc import layers
from preproc.errors import PreprocError
from preproc.layers import ChannelAffine, FromPixels, LocalResponseNorm, MinMaxScale, Normalize, Rescale, Standardize
from preproc.oracle import reference
from tests.layers.kinds import LAYERS, picture
from tests.onnx_files import in_one_thread

MIX = ((0.3, 0.6, 0.1), (0.5, -0.4, 0.2), (0.1, 0.1, 0.9), (1.0, 0.0, 0.0))
SIZES = [(9, 7), (6, 11)]


def script(layer, _):
    return torch.jit.script(layer)


def trace(layer, x):
    return torch.jit.trace(layer, x, check_trace=False)


def compiled(layer, _):
    torch.compiler.reset()
    return torch.compile(layer, fullgraph=True, backend="aot_eager")


def exported(layer, x):
    dims = {0: torch.export.Dim("n"), 2: torch.export.Dim("h"), 3: torch.export.Dim("w")}
    return torch.export.export(layer, (x,), dynamic_shapes=(dims,)).module()


def onnx(layer, x):
    dims = {0: torch.export.Dim("n"), 2: torch.export.Dim("h"), 3: torch.export.Dim("w")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(layer, (x,), dynamo=True, dynamic_shapes=(dims,), verbose=False)
    session = in_one_thread(ir.to_proto(program.model).SerializeToString())
    return lambda y: torch.from_numpy(session.run(None, {session.get_inputs()[0].name: y.numpy()})[0])


def saved(layer, _):
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(layer), buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)


WAYS = {
    "eager": lambda layer, _: layer,
    "scripted": script,
    "traced": trace,
    "saved": saved,
    "compiled": compiled,
    "exported": exported,
    "deepcopied": lambda layer, _: copy.deepcopy(layer),
}
SLOW = ("compiled", "exported")
"""By a second each, so with two numbers of channels only: the one that torch.export treats otherwise, and the usual one."""


@pytest.mark.filterwarnings(r"ignore:`torch\.jit\.")
@pytest.mark.parametrize(("channels", "way"), [(channels, way) for way in WAYS for channels in ((1, 3) if way in SLOW else (1, 3, 4, 6))])
@pytest.mark.parametrize("name", LAYERS)
def test_equals_the_oracle_at_two_sizes(name, channels, way):
    layer = LAYERS[name](channels)
    x = torch.from_numpy(picture(channels, SIZES[0])).float()
    run = WAYS[way](layer, x)
    for size in SIZES:
        x = picture(channels, size, batch=3, seed=5).astype(np.float32)
        want = reference.apply([layer.step], x.astype(np.float64))
        np.testing.assert_allclose(run(torch.from_numpy(x)).numpy(), want, rtol=0, atol=2e-6 * np.abs(want).max())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", LAYERS)
def test_survives_torch_onnx_export(name, channels):
    layer = LAYERS[name](channels)
    run = onnx(layer, torch.from_numpy(picture(channels, SIZES[0])).float())
    for size in SIZES:
        x = picture(channels, size, batch=3, seed=5).astype(np.float32)
        want = reference.apply([layer.step], x.astype(np.float64))
        np.testing.assert_allclose(run(torch.from_numpy(x)).numpy(), want, rtol=0, atol=2e-6 * np.abs(want).max())


@pytest.mark.parametrize("name", LAYERS)
def test_float64_layers_are_exact(name):
    layer, x = LAYERS[name](3, dtype=torch.float64), picture(3, SIZES[0])
    got = layer(torch.from_numpy(x))
    assert got.dtype == torch.float64
    np.testing.assert_allclose(got.numpy(), reference.apply([layer.step], x), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", LAYERS)
def test_is_differentiable(name):
    x = torch.from_numpy(picture(3, (3, 4))[:1]).requires_grad_()  # no ties, at which a minimum has no derivative
    assert torch.autograd.gradcheck(LAYERS[name](3, dtype=torch.float64), x)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", LAYERS)
def test_half_precision_in_and_out(name, dtype):
    """The step itself may lose no more than the rounding of its input and output does."""
    layer = LAYERS[name](3).to(dtype)
    x = torch.from_numpy(picture(3, SIZES[0])).to(dtype)
    want = reference.apply([layer.step], x.double().numpy())
    got = layer(x)
    assert got.dtype == dtype
    np.testing.assert_allclose(got.double().numpy(), want, rtol=0, atol=8 * torch.finfo(dtype).eps * np.abs(want).max())


def test_half_precision_squares_of_grey_levels_do_not_overflow():
    x = torch.full((1, 3, 8, 8), 255.0, dtype=torch.float16)
    for region in ("channels", "spatial"):
        layer = LocalResponseNorm(size=3, alpha=1.0, region=region)
        want = reference.apply([layer.step], x.double().numpy())
        np.testing.assert_allclose(layer(x).double().numpy(), want, rtol=2e-3)


@pytest.mark.parametrize("name", LAYERS)
def test_autocast_changes_nothing(name):
    layer, x = LAYERS[name](3), torch.from_numpy(picture(3, SIZES[0])).float() * 255
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = layer(x)
    assert got.dtype == torch.float32
    assert torch.equal(got, layer(x))


@pytest.mark.parametrize("name", LAYERS)
def test_state_dict_stays_empty_and_the_repr_says_the_constants(name):
    layer = LAYERS[name](3)
    assert layer.state_dict() == {}
    assert all(f"{key}=" in repr(layer) for key in layer.step.spec() if key != "step")
    again = layers.from_step(layer.step)
    assert type(again) is type(layer)
    assert again.step == layer.step


COLORS = [("RGB", "BGR", 3), ("BGRA", "RGB", 4), ("GRAY", "RGB", 1), ("GRAY", "GRAY", 1), ("ANY", "ANY", 6)]


@pytest.mark.filterwarnings(r"ignore:`torch\.jit\.")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize(("color", "to", "channels"), COLORS)
def test_from_pixels(color, to, channels, layout, way, rng):
    layer = FromPixels(layout=layout, color=color, to=to)
    shapes = [(2, *size, channels) if layout == "NHWC" else (2, channels, *size) for size in SIZES]
    batches = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
    if way == "exported":
        axes = (1, 2) if layout == "NHWC" else (2, 3)
        dims = {0: torch.export.Dim("n"), axes[0]: torch.export.Dim("h"), axes[1]: torch.export.Dim("w")}
        run = torch.export.export(layer, (torch.from_numpy(batches[0]),), dynamic_shapes=(dims,)).module()
    else:
        run = WAYS[way](layer, torch.from_numpy(batches[0]))
    for pixels in batches:
        got = run(torch.from_numpy(pixels))
        assert got.dtype == torch.float32
        np.testing.assert_array_equal(got.numpy(), reference.apply([layer.step], pixels))


def test_from_pixels_takes_uint16_and_follows_its_dtype(rng):
    pixels = rng.integers(0, 65536, (2, 3, 5, 3), dtype=np.uint16)
    layer = FromPixels(layout="NHWC", pixel_dtype="uint16", dtype=torch.float64)
    np.testing.assert_array_equal(layer(torch.from_numpy(pixels)).numpy(), reference.apply([layer.step], pixels))
    assert layer.half()(torch.zeros(1, 2, 2, 3, dtype=torch.uint16)).dtype == torch.float16
    with pytest.raises(PreprocError, match="float dtype that holds 65535"):
        FromPixels(layout="NHWC", pixel_dtype="uint16", dtype=torch.float16)


@pytest.mark.parametrize("name", ["min-max-normalize", "min-max-normalize-channel", "standardize", "standardize-channel"])
@pytest.mark.parametrize("value", [0.0, 250.0])
def test_a_flat_picture_stays_finite_and_each_picture_keeps_to_itself(name, value):
    layer = LAYERS[name](3)
    flat = torch.full((1, 3, 5, 6), value)
    other = torch.from_numpy(picture(3, (5, 6), batch=1)).float() * 255
    both = layer(torch.cat([flat, other]))
    assert both.isfinite().all()
    assert torch.equal(both[:1], torch.full_like(flat, layer.step.out[0] if "min-max" in name else 0.0))
    torch.testing.assert_close(both[1:], layer(other), rtol=0, atol=1e-6)


def test_a_bright_low_contrast_picture_keeps_its_contrast():
    """250 and 251 on a large picture: float32 has to find a std of 0.5 beside a mean of 250.5."""
    x = np.random.default_rng(0).integers(250, 252, (1, 3, 400, 300)).astype(np.float32)
    layer = Standardize()
    np.testing.assert_allclose(layer(torch.from_numpy(x)).numpy(), reference.apply([layer.step], x.astype(np.float64)), atol=2e-6)


@pytest.mark.parametrize(
    ("layer", "x", "message"),
    [
        (MinMaxScale(low=(0, 0), high=(1, 2)), torch.zeros(1, 3, 4, 4), "as many channels as constants, got 3"),
        (Standardize(), torch.zeros(3, 4, 4), "got 3 dimensions"),
        (Rescale(), torch.zeros(3, 4, 4), "got 3 dimensions"),
        (Rescale(), torch.zeros(1, 3, 4, 4, dtype=torch.uint8), "put FromPixels first"),
        (Normalize.preset("imagenet"), torch.zeros(1, 1, 4, 4), "as many channels as constants, got 1"),
        (Normalize.preset("imagenet"), torch.zeros(3, 3, 5), "got 3 dimensions"),
        (ChannelAffine(matrix=MIX), torch.zeros(1, 4, 2, 2), "got 4 channels"),
        (LocalResponseNorm(size=3), torch.zeros(3, 3), "got 2 dimensions"),
        (FromPixels(layout="NHWC"), torch.zeros(1, 4, 4, 3), "expected integer pixels"),
        (FromPixels(layout="NHWC"), torch.zeros(1, 4, 4, 3, dtype=torch.int64), "got another integer dtype"),
        (FromPixels(layout="NHWC"), torch.zeros(1, 4, 4, 3, dtype=torch.uint16), "got another integer dtype"),
        (FromPixels(layout="NHWC"), torch.zeros(1, 3, 4, 4, dtype=torch.uint8), "expected 3 channels in axis 3, got 4"),
        (FromPixels(layout="NCHW"), torch.zeros(3, 4, 4, dtype=torch.uint8), "got 3"),
    ],
)
def test_guards_raise_instead_of_broadcasting(layer, x, message):
    with pytest.raises(PreprocError, match=message):
        layer(x)


def test_inductor_compiles_the_whole_pipeline(rng):
    import shutil

    from preproc.layers import Pipeline

    if shutil.which("g++") is None and shutil.which("clang++") is None:
        pytest.skip("torch.compile's default backend needs a C++ compiler")
    pipeline = Pipeline(FromPixels(layout="NHWC", color="BGR"), Rescale(), Normalize.preset("imagenet"), LocalResponseNorm(size=3))
    pixels = rng.integers(0, 256, (2, 8, 9, 3), dtype=np.uint8)
    torch.compiler.reset()
    got = torch.compile(pipeline, fullgraph=True)(torch.from_numpy(pixels))
    np.testing.assert_allclose(got.numpy(), reference.apply(pipeline.steps(), pixels), atol=2e-6)
