"""The oracle's resizes, crops and pads are Pillow's, torch's on tensors, torchvision's and YOLO's."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import v2

from preproc.errors import PreprocError
from preproc.oracle import reference
from preproc.steps import CenterCrop, Letterbox, Pad, Resize
from preproc.steps.resize import TORCHES
from tests.geometry import FILTERS, SIDES, noise, ultralytics, with_pillow


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


@given(size=st.tuples(st.integers(1, 2000), st.integers(1, 2000)))
def test_letterboxes_are_yolos(size):
    step = Letterbox(size=(640, 480), antialias=True)
    (height, width), _ = ultralytics(size, (640, 480))
    assert step.inner_size(size) == (max(height, 1), max(width, 1))


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


def test_the_oracle_refuses_what_are_no_grey_levels():
    with pytest.raises(PreprocError, match=r"whole numbers of 0\.\.255"):
        reference.apply([Resize(size=8)], np.full((1, 3, 9, 9), 0.5))
