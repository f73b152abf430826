"""Resizes, crops and pads: the oracle equals Pillow and torchvision, layers and ONNX nodes equal the oracle, whole files prove it."""

import itertools
import warnings
from dataclasses import replace as replace_step
from fractions import Fraction

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import v2

from preproc import graph, layers
from preproc.bundle.inspection import describe
from preproc.errors import PreprocError, RecipeError
from preproc.export import export_bundle, verify_bundle
from preproc.graph.builder import Builder
from preproc.graph.nodes import build
from preproc.layers import Letterbox as LetterboxLayer
from preproc.layers import Resize as ResizeLayer
from preproc.oracle import pillow, reference
from preproc.sources import parse_recipe, replace
from preproc.steps import (
    INTERPOLATIONS,
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
    output_size,
    parse,
)
from preproc.steps.resize import TORCHES
from preproc.verify import sizes_of
from preproc.verify.runtimes import onnxruntime
from preproc.verify.runtimes.ort import _output_types
from tests.conftest import ROOT
from tests.onnx_files import STEPS, alone, hand_made, put

FILTERS = {name: Image.Resampling[name.upper()] for name in INTERPOLATIONS}
SMOOTH = [name for name in FILTERS if name != "nearest"]
SIDES = st.integers(1, 70)
SIZES = [(1, 1), (1, 7), (2, 300), (300, 4), (4, 300), (37, 53), (100, 100), (120, 333), (64, 48), (33, 40)]
FIXED = [
    *(Resize(size=(17, 90), pillow=pillow) for pillow in PILLOWS),
    *(Resize(size=(17, 90), interpolation="bicubic", pillow=pillow) for pillow in PILLOWS),
    Resize(size=(33, 40), interpolation="nearest"),
    Resize(size=(31, 29), antialias=False),
    Letterbox(size=64),
    *(Resize(size=(17, 90), interpolation=name) for name in ("lanczos", "box", "hamming")),
    *(Resize(size=(17, 90), interpolation=name, torch="uint8") for name in ("bilinear", "bicubic", "lanczos")),
    *(Letterbox(size=(50, 90), antialias=True, interpolation="bicubic", fill=3, pillow=pillow) for pillow in PILLOWS),
    CenterCrop(size=(33, 40), fill=7),
    CenterCrop(size=(33, 40), rounding="floor"),
    CenterCrop(size=(33, 40), rounding="trunc"),
]
FREE = [
    *(Resize(size=32, pillow=pillow) for pillow in PILLOWS),
    *(Resize(size=50, max_size=61, interpolation="bicubic", pillow=pillow) for pillow in PILLOWS),
    Resize(size=200, interpolation="nearest"),
    Resize(size=40, max_size=47, antialias=False),
    Resize(size=32, torch="uint8"),
    Pad(padding=(1, 2, 3, 4), fill=9),
]


def noise(size, seed=0, channels=3):
    return np.random.default_rng(seed).integers(0, 256, (2, channels, *size), dtype=np.uint8)


def with_pillow(x, size, interpolation):
    """(N, C, H, W) through Pillow, plane by plane."""
    made = [[Image.fromarray(plane).resize(size[::-1], FILTERS[interpolation]) for plane in picture] for picture in x]
    return np.array([[np.asarray(plane) for plane in picture] for picture in made])


def as_image(x):
    return Image.fromarray(np.moveaxis(x[0], 0, -1))


def as_planes(image):
    return np.moveaxis(np.asarray(image), -1, 0)[None]


@given(old=st.tuples(SIDES, SIDES), new=st.tuples(SIDES, SIDES), interpolation=st.sampled_from(sorted(FILTERS)))
def test_the_oracle_is_pillow(old, new, interpolation):
    x = noise(old)
    assert np.array_equal(reference.apply([Resize(size=new, interpolation=interpolation)], x), with_pillow(x, new, interpolation))


@pytest.mark.parametrize(
    ("old", "new"), [((1200, 1600), (224, 299)), ((900, 60), (45, 3)), ((3000, 4000), (256, 341)), ((20, 30), (512, 768))]
)
@pytest.mark.parametrize("interpolation", sorted(FILTERS))
def test_the_oracle_is_pillow_on_large_pictures(old, new, interpolation):
    x = noise(old, channels=1)[:1]
    assert np.array_equal(reference.apply([Resize(size=new, interpolation=interpolation)], x), with_pillow(x, new, interpolation))


def with_torch(x, size, interpolation, dtype):
    planes = torch.from_numpy(x).to(memory_format=torch.channels_last)  # for others it errs where one column is left
    made = torch.nn.functional.interpolate(planes.to(dtype), size, mode=interpolation, align_corners=False, antialias=True)
    return made.double().numpy()


@given(old=st.tuples(SIDES, SIDES), new=st.tuples(SIDES, SIDES), interpolation=st.sampled_from(["bilinear", "bicubic"]))
def test_the_oracle_is_torch_on_tensors(old, new, interpolation):
    """On uint8 to the bit, also by the kernel that torch has for CPUs without AVX2; on floats within a hundredth of a level."""
    x = noise(old)
    x[1] = np.where(x[1] > 127, 255, 0)
    steps = {torch_: Resize(size=new, interpolation=interpolation, torch=torch_) for torch_ in TORCHES}
    floats = reference.apply([steps["float32"]], x)
    assert np.abs(floats - with_torch(x, new, interpolation, torch.float32)).max() < 0.01
    assert np.abs(floats - with_torch(x, new, interpolation, torch.float64)).max() < 1e-4  # which has weights of float32 as well
    assert np.array_equal(reference.apply([steps["uint8"]], x), with_torch(x, new, interpolation, torch.uint8))


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


@pytest.mark.parametrize("dtype", TORCHES)
def test_files_with_torchs_resizes_are_verified(tmp_path, dtype):
    file = hand_made(tmp_path)
    steps = [Resize(size=(24, 20), torch=dtype), *STEPS]
    for size, form in ((None, "fast"), ((61, 50), "exact")):
        made = put(file, tmp_path / form, steps=[replace_step(steps[0], form=form), *STEPS], size=size)
        assert made.report.ok
        assert (made.report.power.slack > 0) == (dtype == "uint8" and form == "fast")
        assert made.contract["steps"][1]["torch"] == dtype
        assert "pillow" not in made.contract["steps"][1]


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


@given(columns=st.integers(-6, 12), offset=st.integers(-1, 1))
def test_the_order_of_the_passes_is_pillows(columns, offset):
    """On both sides of its bound, where a wrong order would show."""
    old, new = (60, 40), (60 - 2 * columns - offset, 40 - columns)
    x = noise(old, seed=columns + 50)
    assert np.array_equal(reference.apply([Resize(size=new)], x), with_pillow(x, new, "bilinear"))


def test_a_wrong_rounding_would_show():
    halves = np.array([[[[0, 1], [1, 2]]]], np.uint8)  # every mean is x.5 somewhere
    assert with_pillow(halves, (1, 1), "bilinear")[0, 0, 0, 0] == reference.apply([Resize(size=(1, 1))], halves)[0, 0, 0, 0]


@given(size=st.tuples(SIDES, SIDES), shorter=st.integers(1, 40), more=st.one_of(st.none(), st.integers(1, 30)))
def test_sizes_are_torchvisions(size, shorter, more):
    step = Resize(size=shorter, max_size=None if more is None else shorter + more)
    transform = v2.Resize(shorter, max_size=step.max_size)
    image = as_image(noise(size))
    try:
        expected = transform(image)
    except ValueError:  # Pillow refuses a side of 0
        with pytest.raises(PreprocError, match="ratio"):
            step.output_size(size)
        return
    assert step.output_size(size) == expected.size[::-1]
    assert np.array_equal(reference.apply([step], as_planes(image)), as_planes(expected))


@given(size=st.tuples(SIDES, SIDES), crop=st.tuples(SIDES, SIDES))
def test_crops_are_torchvisions(size, crop):
    image = as_image(noise(size))
    expected = as_planes(v2.CenterCrop(crop)(image))
    assert np.array_equal(reference.apply([CenterCrop(size=crop)], as_planes(image)), expected)
    padded = as_planes(v2.Pad([1, 2, 3, 4], fill=9)(image))
    assert np.array_equal(reference.apply([Pad(padding=(1, 2, 3, 4), fill=9)], as_planes(image)), padded)


def ultralytics(shape, new_shape):
    """The sizes of its LetterBox(auto=False, scaleup=True): the resized picture's, and the border's top, bottom, left, right."""
    ratio = min(new_shape[0] / shape[0], new_shape[1] / shape[1])
    width, height = round(shape[1] * ratio), round(shape[0] * ratio)
    across, down = (new_shape[1] - width) / 2, (new_shape[0] - height) / 2
    return (height, width), (round(down - 0.1), round(down + 0.1), round(across - 0.1), round(across + 0.1))


@given(size=st.tuples(st.integers(1, 2000), st.integers(1, 2000)))
def test_letterboxes_are_yolos(size):
    step = Letterbox(size=(640, 480), antialias=True)
    (height, width), _ = ultralytics(size, (640, 480))
    assert step.inner_size(size) == (max(height, 1), max(width, 1))


def halves(most, up_to):
    """Sizes whose letterbox into a square of `most` has a side that ends in a half, where the ratio's own rounding decides."""
    found = []
    for tall, wide in itertools.product(range(most + 1, up_to), range(2, up_to)):
        side, rest = divmod(2 * wide * most, tall) if tall > wide else (0, 1)
        if rest == 0 and side % 2 and round(wide * (most / tall)) != round(Fraction(side, 2)):
            found += [(tall, wide), (wide, tall)]
    return found


HALVES = {15: halves(15, 60), 25: halves(25, 120)}


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
    for size in HALVES[most][:4]:
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


def test_the_letterbox_has_its_border_where_yolo_has_it():
    x = noise((37, 53))
    (height, width), (top, bottom, left, right) = ultralytics((37, 53), (64, 64))
    y = reference.apply([Letterbox(size=64, antialias=True)], x)
    assert np.array_equal(y[:, :, top : 64 - bottom, left : 64 - right], with_pillow(x, (height, width), "bilinear"))
    y[:, :, top : 64 - bottom, left : 64 - right] = 114
    assert (y == 114).all()


@pytest.mark.parametrize("size", [(19, 30), (75, 41), (150, 200)])
def test_without_antialiasing_it_is_bilinear_interpolation(size):
    """Within one level of torch's, which works in floats; OpenCV's INTER_LINEAR has the same weights."""
    x = noise((75, 83))
    exact = torch.nn.functional.interpolate(torch.from_numpy(x).double(), size, mode="bilinear", antialias=False).numpy()
    difference = np.abs(reference.apply([Resize(size=size, antialias=False)], x) - exact)
    assert difference.max() <= 0.5 + 255 * 2 / 2048
    assert np.abs(with_pillow(x, size, "bilinear") - exact).max() > 20 or size[0] > 75


LAYERS = [*FIXED, *FREE]


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
        *(Resize(size=size, pillow=pillow) for size in ((17, 90), 32) for pillow in PILLOWS),
        Resize(size=(17, 90), interpolation="bicubic"),
        CenterCrop(size=(33, 40)),
        Letterbox(size=64),
    ],
    ids=str,
)
def test_exported_layers_hold_for_other_sizes(step):
    layer, free = layers.from_step(step), torch.export.Dim
    shapes = ({0: free("N"), 2: free("h", max=32768), 3: free("w", max=32768)},)
    program = torch.export.export(layer, (torch.from_numpy(noise((60, 80))).float(),), dynamic_shapes=shapes, strict=False).module()
    for size in [(37, 53), (300, 40), (64, 48), (20, 33)]:
        x = noise(size)
        assert np.array_equal(program(torch.from_numpy(x).float()).numpy(), reference.apply([step], x)), size


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes_hold_grey_levels(dtype):
    step, x = Resize(size=(20, 30), interpolation="bicubic"), noise((50, 60))
    got = layers.from_step(step)(torch.from_numpy(x).to(dtype))
    assert got.dtype == dtype
    assert np.array_equal(got.double().numpy(), reference.apply([step], x))


def session(steps, size, opset=18):
    """The steps alone as an ONNX model in ONNX Runtime; size None: dynamic."""
    return onnxruntime().InferenceSession(alone(steps, size=size, opset=opset), providers=["CPUExecutionProvider"])


def in_layout(x, layout):
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)) if layout == "NHWC" else x


EXACT = [step for step in LAYERS if not (isinstance(step, (Resize, Letterbox)) and step.antialias and step.interpolation != "nearest")]


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("step", EXACT, ids=str)
def test_nodes_that_interpolate_nothing_are_the_oracle(step, layout):
    first = FromPixels(layout=layout, color="BGR")
    dynamic = session([first, step], None)
    for size in SIZES:
        x = in_layout(noise(size), layout)
        try:
            expected = reference.apply([first, step], x)
        except PreprocError:
            continue
        for made in (dynamic, session([first, step], size)):
            assert np.array_equal(made.run(None, {"pixels": x})[0], expected), size


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("size", [size for size in SIZES if 4 not in size])
@pytest.mark.parametrize("interpolation", SMOOTH)
def test_the_exact_form_is_the_oracle(size, layout, interpolation):
    told = {"interpolation": interpolation, "form": "exact"}
    for step in (
        Resize(size=32, **told),
        Resize(size=(size[0] // 2 or 1, size[1] * 4), pillow=12, **told),
        Resize(size=(size[0] // 2 or 1, size[1] * 4), pillow=13, **told),
        Resize(size=(17, 90), **told),
        Letterbox(size=64, antialias=True, **told),
    ):
        first, x = FromPixels(layout=layout), in_layout(noise(size), layout)
        got = session([first, step], size, opset=13).run(None, {"pixels": x})[0]
        assert np.array_equal(got, reference.apply([first, step], x)), step


@pytest.mark.parametrize(("old", "new"), [((1024, 768), (300, 224)), ((2000, 40), (32, 32)), ((768, 1024), (1024, 1280))])
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


def test_halves_are_rounded_up_in_floats_too():
    """Many sums of 0 and 255 are a half, some of which a float32 sum misses by a rounding."""
    x = np.where(noise((375, 500))[:1] > 127, np.uint8(255), np.uint8(0))
    steps = [FromPixels(layout="NCHW"), Resize(size=(224, 224))]
    assert (session(steps, None).run(None, {"pixels": x})[0] != reference.apply(steps, x)).mean() < 0.005


def kinds_of(steps, size):
    """The operators of their nodes, in order."""
    builder = Builder(ir.DataType.FLOAT, 3, size=size)
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


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"step": "resize", "size": 0}, "1 to 32768, got 0"),
        ({"step": "resize", "size": [3, 0]}, r"\[height, width\]"),
        ({"step": "resize", "size": True}, r"\[height, width\]"),
        ({"step": "resize", "size": "256"}, r"\[height, width\]"),
        (
            {"step": "resize", "size": 32, "interpolation": "lanczos3"},
            "one of bilinear, bicubic, nearest, lanczos, box, hamming, got 'lanczos3'",
        ),
        ({"step": "resize", "size": 32, "interpolation": "biliner"}, "did you mean 'bilinear'"),
        ({"step": "resize", "size": 32, "max_size": 32}, "max_size with a size of one number below it"),
        ({"step": "resize", "size": [3, 4], "max_size": 32}, "max_size with a size of one number"),
        ({"step": "resize", "size": 32, "interpolation": "bicubic", "antialias": False}, "antialias = true for bicubic"),
        ({"step": "resize", "size": 32, "interpolation": "lanczos", "antialias": False}, "antialias = true for lanczos"),
        ({"step": "resize", "size": 32, "antialias": 1}, "true or false"),
        ({"step": "resize", "size": 32, "form": "exakt"}, "did you mean 'exact'"),
        ({"step": "resize", "size": 32, "pillow": 11}, "resize: pillow: expected 12 or 13, got 11; 12 stands for every older Pillow"),
        ({"step": "resize", "size": 32, "pillow": 12.0}, "expected 12 or 13, got 12.0"),
        ({"step": "letterbox", "size": 32, "antialias": True, "pillow": "13"}, "letterbox: pillow: expected 12 or 13, got '13'"),
        ({"step": "letterbox", "size": 32, "pillow": 12}, "pillow for antialiased resizes of Pillow's only, .* got 12"),
        ({"step": "resize", "size": 32, "interpolation": "nearest", "pillow": 13}, "antialiased resizes of Pillow's only, .* got 13"),
        ({"step": "resize", "size": 32, "torch": "int8"}, "torch to be one of uint8, float32, got 'int8'"),
        ({"step": "resize", "size": 32, "torch": "uint8", "pillow": 12}, "pillow for antialiased resizes of Pillow's only, .* got 12"),
        (
            {"step": "resize", "size": 32, "torch": "uint8", "interpolation": "nearest"},
            "antialiased bilinear, bicubic or lanczos for torch",
        ),
        ({"step": "resize", "size": 32, "torch": "uint8", "antialias": False}, "antialiased bilinear, bicubic or lanczos for torch"),
        ({"step": "center_crop", "size": [1, 2, 3]}, r"\[height, width\]"),
        ({"step": "center_crop", "size": 4, "fill": 256}, "grey level"),
        ({"step": "pad", "padding": [1, 2, 3]}, "1, 2 or 4 numbers"),
        ({"step": "pad", "padding": -1}, "1, 2 or 4 numbers"),
        ({"step": "letterbox"}, "expected size, got nothing"),
    ],
)
def test_wrong_steps_are_refused(table, message):
    with pytest.raises(PreprocError, match=message):
        parse(table)


@pytest.mark.parametrize("interpolation", ["lanczos", "box", "hamming"])
def test_what_no_node_computes_is_exact(interpolation):
    """And so for pixels of one size only in ONNX files."""
    step = Resize(size=8, interpolation=interpolation)
    assert (step.form, parse({"step": "resize", "size": 8, "interpolation": interpolation}).form) == ("exact", "exact")
    with pytest.raises(PreprocError, match=f"one static size .* got a dynamic one; no other form computes {interpolation}"):
        session([FromPixels(layout="NHWC"), step], None)


def test_steps_survive_json():
    for step in LAYERS:
        assert parse(step.spec()) == step


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([FromPixels(layout="NHWC"), Rescale(), Resize(size=8)], r"step 3 \(resize\): expected it on grey levels, in front of rescale"),
        ([FromPixels(layout="NHWC", pixel_dtype="uint16"), Resize(size=8)], "8-bit grey levels"),
        ([FromPixels(layout="NHWC", pixel_dtype="uint16"), CenterCrop(size=8)], "8-bit grey levels"),
    ],
)
def test_geometry_stands_on_eight_bit_grey_levels(steps, message):
    with pytest.raises(PreprocError, match=message):
        check(steps)


def test_the_oracle_refuses_what_are_no_grey_levels():
    with pytest.raises(PreprocError, match=r"whole numbers of 0\.\.255"):
        reference.apply([Resize(size=8)], np.full((1, 3, 9, 9), 0.5))


def test_output_sizes():
    assert output_size([Resize(size=256), CenterCrop(size=224)], None) == (224, 224)
    assert output_size([Resize(size=256)], None) is None
    assert output_size([Resize(size=256), Pad(padding=2)], (300, 400)) == (260, 345)


def recipe_of(form="fast", size="dynamic", interpolation="bilinear"):
    """digits, from photographs of any size."""
    table = {
        "name": "photos",
        "backbone": {"source": "embedded", "name": "digits", "weights": "digits.safetensors", "color": "RGB"},
        "pixels": {"layout": "NHWC", "color": "BGR", "size": size},
        "steps": [
            {"step": "resize", "size": 36, "interpolation": interpolation, "form": form},
            {"step": "center_crop", "size": 32},
            {"step": "rescale"},
            {"step": "normalize", "stats": "digits.stats.json"},
        ],
    }
    return parse_recipe(table, folder=ROOT / "models")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return export_bundle(recipe_of(), tmp_path_factory.mktemp("photos") / "photos")


def test_a_bundle_takes_photographs_of_any_size(photos, rng):
    report = photos.report
    verdicts = {result.runtime: result for result in report.results if result.verdict != "absent"}
    assert {result.verdict for result in verdicts.values()} == {"passed"}
    assert report.power.slack > 0
    assert verdicts["torchscript-cpu"].error < report.power.tolerance - report.power.slack  # torch resizes exactly
    moved = {control.name: control.movement for control in report.power.controls}
    assert min(moved["resize without antialiasing"], moved["picture moved by one pixel"]) > 10 * report.power.tolerance
    assert any("-" in name and "x" in name for name in report.inputs)  # several sizes
    made = onnxruntime().InferenceSession(photos.folder / "model.onnx")
    for size in [(100, 70), (31, 200), (32, 32)]:
        x = rng.integers(0, 256, (3, *size, 3), dtype=np.uint8)
        assert made.run(None, {"pixels": x})[0].shape == (3, 10)
    assert photos.contract["input"]["shape"] == ["N", "height", "width", 3]
    assert describe(photos.folder)["agreement"]["agrees"]


def test_an_exact_bundle_has_the_tolerance_of_one_without_a_resize(tmp_path):
    report = export_bundle(recipe_of("exact", [75, 100]), tmp_path / "exact").report
    assert report.ok
    assert report.power.slack == 0
    assert max(result.error for result in report.results if result.error is not None) < 5e-6


def test_a_file_that_resizes_otherwise_fails(tmp_path, monkeypatch):
    """Without antialiasing, as most other libraries do it."""

    save = graph.save

    def spoiled(model, path):
        for node in model.graph:
            if node.op_type == "Resize":
                for name in ("antialias", "exclude_outside"):
                    node.attributes[name] = ir.AttrInt64(name, 0)
        save(model, path)

    monkeypatch.setattr("preproc.graph.save", spoiled)
    with pytest.raises(PreprocError, match="ort-cpu: error"):
        export_bundle(replace(recipe_of(), export={"formats": ("onnx",)}), tmp_path / "spoiled")
    assert not (tmp_path / "spoiled").exists()


def rewritten(bundle, change, path):
    model = onnx.load(bundle.folder / "model.onnx")
    change(model.graph)
    onnx.save(model, path)
    return describe(path)["agreement"]


def test_inspect_sees_other_resizes_and_what_comes_behind_them(photos, tmp_path):
    def no_antialias(made):
        for node in made.node:
            for attribute in node.attribute:
                if attribute.name in ("antialias", "exclude_outside"):
                    attribute.i = 0

    def other_weights(made):
        name = next(node for node in made.node if node.op_type == "Conv").input[1]
        weight = next(tensor for tensor in made.initializer if tensor.name == name)
        weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * 2, name))

    def renamed(made):
        for node in made.node:
            for names in (node.input, node.output):
                names[:] = [f"v{name}" if name.startswith("preproc/") else name for name in names]
        for tensor in made.initializer:
            tensor.name = f"v{tensor.name}" if tensor.name.startswith("preproc/") else tensor.name

    def rewired(made):
        for node in made.node:
            if node.op_type == "Concat" and len(node.input) == 2:
                node.input[:] = list(node.input)[::-1]

    assert "resizes and crops" in rewritten(photos, rewired, tmp_path / "d.onnx")["wrong"][0]
    assert rewritten(photos, lambda _: None, tmp_path / "same.onnx") == {"agrees": True, "wrong": [], "not_compared": []}
    assert "resizes and crops" in rewritten(photos, no_antialias, tmp_path / "a.onnx")["wrong"][0]
    assert "the convolutions that took the normalization up" in rewritten(photos, other_weights, tmp_path / "b.onnx")["wrong"][0]
    other_names = rewritten(photos, renamed, tmp_path / "c.onnx")
    assert other_names["agrees"]
    assert "renamed their values" in other_names["not_compared"][0]


def test_sizes_that_are_verified_reach_every_branch():
    recipe = recipe_of()
    assert any(pillow.vertical_first(size, Resize(size=36).output_size(size), 13) for size in sizes_of(recipe))
    limited = replace(recipe, steps=(recipe.steps[0], Resize(size=36, max_size=50), *recipe.steps[2:]))
    assert any(Resize(size=36).output_size(size) != Resize(size=36, max_size=50).output_size(size) for size in sizes_of(limited))


def test_an_exact_onnx_file_needs_a_static_size(tmp_path):
    with pytest.raises(PreprocError, match='one static size for form = "exact"'):
        export_bundle(recipe_of("exact"), tmp_path / "out")


def test_the_model_has_to_take_what_the_steps_make(tmp_path):
    file = hand_made(tmp_path, shape=("N", 3, 24, 20))
    steps = [Resize(size=(30, 30), interpolation="bicubic"), CenterCrop(size=(24, 20)), *STEPS]
    made = put(file, tmp_path / "out", steps=steps)
    assert made.contract["input"]["shape"][1:3] == ["height", "width"]
    assert made.report.ok
    assert verify_bundle(made.folder, runtimes=["ort-cpu"]).ok
    with pytest.raises(PreprocError, match="the steps: expected height 24, which the model's input image has, got 23"):
        put(file, tmp_path / "no", steps=[CenterCrop(size=(23, 20)), *STEPS])
    with pytest.raises(PreprocError, match="expected height 24, which the model's input image has, got dynamic"):
        put(file, tmp_path / "no", steps=[Resize(size=24), *STEPS])


def test_old_models_get_the_exact_form_or_a_clear_line(tmp_path):
    file = hand_made(tmp_path, shape=("N", 3, 24, 20), opset=13)
    with pytest.raises(PreprocError, match="opset 18 or newer for resize"):
        put(file, tmp_path / "no", steps=[Resize(size=(24, 20)), *STEPS])
    assert put(file, tmp_path / "out", steps=[Resize(size=(24, 20), form="exact"), *STEPS], size=(50, 41)).report.ok


def test_auto_takes_the_exact_form_where_the_fast_one_has_no_nodes(tmp_path):
    steps = [Resize(size=(24, 20)), *STEPS]
    for opset in (13, 18):
        (tmp_path / str(opset)).mkdir()
    old, new = (hand_made(tmp_path / str(opset), shape=("N", 3, 24, 20), opset=opset) for opset in (13, 18))
    taken = put(old, tmp_path / "old", steps=steps, size=(50, 41), form="auto")
    assert taken.report.ok
    assert [step.get("form") for step in taken.contract["steps"]][1] == "exact"
    assert "resizes are in the exact form, for a model of opset 13 has no nodes for the fast one" in taken.contract["notes"]
    assert put(new, tmp_path / "new", steps=steps, size=(50, 41), form="auto").contract["steps"][1]["form"] == "fast"
    assert put(new, tmp_path / "said", steps=steps, size=(50, 41), form="exact").contract["steps"][1]["form"] == "exact"
    with pytest.raises(PreprocError, match=r"opset 18 or newer for resize.*; or say the pixels' size: the exact form") as caught:
        put(old, tmp_path / "no", steps=steps, form="auto")
    assert caught.value.name == "opset-too-old"


def test_an_opset_that_is_too_old_is_refused_before_the_reference(tmp_path, monkeypatch):
    def never(*_, **__):
        raise AssertionError

    monkeypatch.setattr("preproc.export.exporter.prove", never)
    file = hand_made(tmp_path, shape=("N", 3, 24, 20), opset=9)
    for form in (None, "fast", "auto", "exact"):
        with pytest.raises(PreprocError, match=r"expected a model of opset 1[08] or newer for resize"):
            put(file, tmp_path / "no", steps=[Resize(size=(24, 20)), *STEPS], size=(50, 41), form=form)
    assert not (tmp_path / "no").exists()


def test_a_recipe_says_where_geometry_is_wrong():
    table = {
        "name": "x",
        "backbone": {"source": "embedded", "name": "digits", "weights": "w", "color": "RGB"},
        "pixels": {"layout": "NHWC", "color": "RGB", "size": "dynamic"},
        "steps": [{"step": "rescale"}, {"step": "resize", "size": 32}],
    }
    with pytest.raises(RecipeError, match="pictures are resized, cropped and padded first"):
        parse_recipe(table, folder=ROOT)


def test_pictures_in_integers_count_as_pictures_on_a_device(tmp_path):
    """Whatever of them ran on the CPU must not pass for shape arithmetic."""
    put(hand_made(tmp_path), tmp_path / "linear.onnx", steps=[Resize(size=(24, 20), antialias=False), *STEPS])
    kinds = _output_types(tmp_path / "linear.onnx")
    assert {kind for name, kind in kinds.items() if name.endswith(("_Mul", "_Add", "_Gather"))} == {
        "integer",
        "floating",
    }  # sizes, and pixels
    put(hand_made(tmp_path), tmp_path / "fast.onnx", steps=[Resize(size=(24, 20)), *STEPS])
    assert {kind for name, kind in _output_types(tmp_path / "fast.onnx").items() if name.endswith("_Resize")} == {"floating"}
    put(hand_made(tmp_path), tmp_path / "free.onnx", steps=[Resize(size=40, interpolation="nearest"), CenterCrop(size=(24, 20)), *STEPS])
    kinds = _output_types(tmp_path / "free.onnx")
    assert {kind for name, kind in kinds.items() if name.endswith(("_CumSum", "_Div"))} == {"integer"}  # positions, in float64
    assert {kind for name, kind in kinds.items() if name.endswith(("_Cast", "_Pad", "_Slice"))} == {"integer", "floating"}


@pytest.mark.parametrize("layer", [ResizeLayer(size=8), ResizeLayer(size=(8, 9), antialias=False), LetterboxLayer(size=8)], ids=str)
def test_layers_refuse_what_they_would_turn_black(layer):
    for x, message in ((torch.rand(1, 3, 5, 4), "whole numbers of 0..255"), (torch.zeros(1, 3, 0, 4), "pictures with pixels, got 0x4")):
        with pytest.raises(PreprocError, match=message):
            layer(x)
    assert layer(torch.full((1, 3, 5, 4), 77.0)).max() == layer(torch.full((1, 3, 5, 4), 77.0, dtype=torch.float64)).max()
    with pytest.raises(PreprocError, match="a ratio that leaves pixels, got 4000x1 for 3x0"):
        ResizeLayer(size=2, max_size=3)(torch.zeros(1, 3, 4000, 1))


@pytest.mark.parametrize(("form", "verdict"), [("fast", "failed"), ("exact", "passed")])
def test_openvino_does_not_antialias_resize_nodes_and_verify_says_so(tmp_path, form, verdict):
    """openvino 2026.4 reads antialias = 1 and does without; the exact form has no such node."""
    file = hand_made(tmp_path)
    steps = [Resize(size=(24, 20), form=form), *STEPS]
    made = put(file, tmp_path / "out", steps=steps, size=(61, 67))
    (result,) = verify_bundle(made.folder, runtimes=["openvino-cpu"]).results
    assert result.verdict == verdict, result
