"""Y, U and V misread and converted otherwise at once: by arithmetic, by other libraries, and as libswscale does it."""

from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import openvino
import pytest
from openvino import opset8

from preproc.diagnosis.geometry import Source
from preproc.diagnosis.mistakes.against import find_mistake
from preproc.diagnosis.mistakes.converted import CLIPPED, CLIPPED_ALONE, OTHERWISE, THREE_DIGITS, converted_together
from preproc.diagnosis.mistakes.libswscale import by_libswscale
from preproc.diagnosis.mistakes.rounded import bounds
from preproc.oracle import packed, reference
from preproc.steps import FromPixels, Normalize, Rescale, Resize
from tests.diagnosis.mistakes.making import pictures, samples
from tests.yuv import KR_KB

VALUES = (Rescale(), Normalize.preset("imagenet"))
HD = FromPixels(layout="NHW", color="NV12", matrix="bt709", range="limited")
SD, EIGHT = "matrix bt601 for bt709", replace(HD, conversion="rgb8")
SMOOTH = replace(HD, chroma="bilinear", siting="left")
TRIPLES = [(16, 128, 128), (235, 128, 128), (81, 90, 240), (145, 54, 34), (41, 240, 110), (120, 140, 100), (200, 120, 135), (90, 101, 161)]
PYAV = {
    ("tables", "bt601", "limited"): "000000 fdfdfd fc0000 00fe00 0000fd 4b8a90 e0d2c4 89451e",
    ("tables", "bt709", "full"): "101010 ebebeb ff230b 00ca08 0d1cf9 4c828e d3c5b9 8e4f28",
    ("products", "bt601", "limited"): "000000 ffffff fd0000 00fe00 0000fe 4c8a91 e1d3c5 8a451f",
    ("products", "bt709", "full"): "101010 ebebeb ff230a 00ca07 0c1cf8 4b828e d3c5b9 8d4f27",
}
"""What PyAV 18.1's to_ndarray(format="rgb24") makes of one colour, TRIPLES one by one: of nv12 and of yuv420p."""


def diagnosed(steps, convert):
    """convert: pixels as they lie in memory to (H, W, 3) of grey levels."""
    made = []
    for picture in pictures():
        picture = np.ascontiguousarray(picture[:22, :22])
        levels = np.moveaxis(convert(packed(picture, steps[0])).astype(np.float64), 2, 0)
        made.append((Source(picture), reference.apply(steps[1:], levels[None])[0]))
    found = find_mistake(steps, samples(made))
    return found.verdict, [fit.name for fit in found.mistakes]


def as_step(step, x):
    return np.moveaxis(reference.apply([step], x[None])[0], 0, 2)


def by_openvino(dtype, x):
    put = opset8.parameter([1, *x.shape, 1], dtype)
    compiled = openvino.Core().compile_model(openvino.Model([opset8.nv12_to_rgb(put)], [put]), "CPU")
    return compiled(x[None, ..., None].astype(dtype))[0][0]


def by_opencv(x):
    return cv2.cvtColor(x, cv2.COLOR_YUV2RGB_NV12)


def in_tables(x):
    """PyAV's of nv12, written pixel by pixel from libswscale/yuv2rgb.c in bt601 and limited range."""
    height, width = len(x) * 2 // 3, x.shape[1]
    chroma = x[height:].reshape(height // 2, width // 2, 2).astype(int)
    red, green_u, green_v, blue = (int((value * 65536 + 32768) / 76309) for value in (104597, -25675, -53279, 132201))
    found = np.empty((height, width, 3), np.uint8)
    for i, j in np.ndindex(height, width):
        other = min(max(i // 2 + (1 if i % 2 else -1), 0), height // 2 - 1)
        u, v = (3 * chroma[i // 2, j // 2] + chroma[other, j // 2] + 2) // 4
        at = [[(v, red)], [(u, green_u), (v, green_v)], [(u, blue)]]
        for channel, parts in enumerate(at):
            place = int(x[i, j]) + 326 + sum(((int(value) * by) >> 16) - (by >> 9) for value, by in parts)
            found[i, j, channel] = min(max((place * 76309 - (400 << 16) + 32768) >> 16, 0), 255)
    return found


CASES = {
    "OpenCV, linear": (HD, by_opencv, [SD, CLIPPED]),
    "OpenCV, rgb8": (EIGHT, by_opencv, [SD]),
    "OpenCV, bilinear": (SMOOTH, by_opencv, [SD, "chroma replicated", CLIPPED]),
    "OpenVINO, rgb8": (EIGHT, partial(by_openvino, np.uint8), [SD, OTHERWISE]),
    "OpenVINO of full": (
        replace(EIGHT, matrix="bt601", range="full"),
        partial(by_openvino, np.uint8),
        ["range limited for full", OTHERWISE],
    ),
    "OpenVINO, float32": (HD, partial(by_openvino, np.float32), [SD, THREE_DIGITS]),
    "PyAV": (HD, in_tables, [SD, "converted by libswscale's tables, chroma interpolated down (PyAV of nv12)"]),
    "three, in 8 bits": (
        HD,
        partial(as_step, replace(EIGHT, matrix="bt601", range="full", color="NV21")),
        [SD, "range full for limited", "U and V exchanged", CLIPPED],
    ),
    "two, exactly": (EIGHT, partial(as_step, replace(HD, matrix="bt2020", range="full")), None),
    "clipped": (HD, lambda x: np.clip(as_step(replace(HD, range="full"), x), 0, 255), ["range full for limited", CLIPPED_ALONE]),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_misread_and_how_it_is_converted_are_named_together(case):
    first, convert, names = CASES[case]
    names = names or ["matrix bt2020 for bt709", "range full for limited", "neither clipped nor rounded"]
    assert diagnosed((first, *VALUES), convert) == ("identified", [", and ".join(names)])


def test_what_moves_behind_the_conversion_is_whole():
    steps = (HD, Resize(size=14), *VALUES)
    made = diagnosed((HD, Resize(size=14), *VALUES), partial(as_step, replace(EIGHT, matrix="bt601")))
    assert made == ("identified", [f"{SD}, and {CLIPPED}"])
    assert all(OTHERWISE not in mistake.name for together in converted_together(HD, steps[1:2]) for mistake in together)


def test_noise_beyond_a_rounding_is_not_named():
    rng = np.random.default_rng(0)
    noisy = diagnosed((EIGHT, *VALUES), lambda x: np.clip(by_opencv(x) + rng.integers(-3, 1, (22, 22, 3)), 0, 255))
    assert noisy == ("not identified", [])
    verdict, _ = diagnosed((EIGHT, *VALUES), lambda x: by_opencv(x) + (rng.random((22, 22, 3)) < 0.02))
    assert verdict == "narrowed"


@pytest.mark.parametrize(("way", "matrix", "range_"), PYAV)
def test_libswscale_of_one_colour_is_as_pyav_has_it(way, matrix, range_):
    step = FromPixels(layout="NHW", color="NV12", matrix=matrix, range=range_)
    ways = [convert for name, convert in by_libswscale(step).items() if f"libswscale's {way}" in name]
    for (y, u, v), told in zip(TRIPLES, PYAV[way, matrix, range_].split(), strict=True):
        x = np.full((1, 6, 4), y, np.uint8)
        x[:, 4:] = np.tile([u, v], 2)
        for convert in ways:
            assert (convert(x)[0].transpose(1, 2, 0) == list(bytes.fromhex(told))).all()


@pytest.mark.parametrize("matrix", KR_KB)
def test_bounds_leave_no_room_but_beside_a_half(matrix):
    step = replace(HD, matrix=matrix)
    x = np.random.default_rng(0).integers(0, 256, (1, 96, 64), dtype=np.uint8)
    low, high = bounds(step, x)
    assert (high - low).max() == 1
    assert (high != low).mean() < (0.1 if matrix == "bt601" else 0.05)
    exact = np.clip(reference.apply([step], x), 0, 255)
    assert (np.abs((low + high) / 2 - exact) <= 0.62).all()
