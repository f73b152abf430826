"""What cameras give, folded: a convolution of Y and one of U and V against one that sees the converted, normalized, padded picture."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preproc.errors import NotFoldableError
from preproc.folding import plan_on_cells
from preproc.folding.arithmetic import folded_on_cells
from preproc.folding.cells import Cells, Side, Window
from preproc.steps import Affine
from tests.conftest import ROOT
from tests.folding.convolving import IMAGENET, apply, reader_of

KINDS = {
    "NV12": Cells((2, 2), (1, 2)),
    "NV21": Cells((2, 2), (2, 1)),
    "YUYV": Cells((1, 2), (1, 2)),
    "YVYU": Cells((1, 2), (2, 1)),
    "YUV444": Cells((1, 1), (1, 2)),
    "4:1:1": Cells((1, 4), (1, 2)),
}
WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}


def to_rgb(matrix, range_):
    """R, G and B of 0..255 from Y, U and V: the inverse of what makes them."""
    red, blue = WEIGHTS[matrix]
    black, white, chroma = (16, 219, 224) if range_ == "limited" else (0, 255, 255)
    luma = np.array([red, 1 - red - blue, blue])
    there = (
        np.stack([luma * white, (np.eye(3)[2] - luma) / (2 * (1 - blue)) * chroma, (np.eye(3)[0] - luma) / (2 * (1 - red)) * chroma]) / 255
    )
    back = np.linalg.inv(there)
    return Affine(back, -back @ [black, 128, 128])


def picture(kind, cells, rng):
    """(2, 1, H, W) of luma and (2, 2, *cells) of chroma, 0..255, and the (2, 3, H, W) picture: chroma is the same for all of a cell."""
    rows, columns = kind.size
    luma = rng.integers(0, 256, (2, 1, cells[0] * rows, cells[1] * columns)).astype(np.float64)
    shared = rng.integers(0, 256, (2, len(kind.shared), *cells)).astype(np.float64)
    whole = np.repeat(luma, 3, axis=1)
    for row in range(rows):
        for column in range(columns):
            whole[:, kind.shared, row::rows, column::columns] = shared
    return (luma, shared), whole


def convolved(x, weight, bias, window):
    """From the formula: every output is a sum over taps, outside of x are zeros."""
    made = np.zeros(
        (len(x), len(weight), *(side.outputs(length) for side, length in zip((window.rows, window.columns), x.shape[2:], strict=True)))
    )
    padded = np.pad(x, ((0, 0), (0, 0), *((side.before, side.behind) for side in (window.rows, window.columns))))
    for row in range(made.shape[2]):
        for column in range(made.shape[3]):
            top, left = row * window.rows.stride, column * window.columns.stride
            taken = padded[:, :, top:, left:][:, :, :: window.rows.dilation, :: window.columns.dilation]
            made[:, :, row, column] = np.einsum("nckl,ockl->no", taken[:, :, : weight.shape[2], : weight.shape[3]], weight)
    return made if bias is None else made + bias[:, None, None]


def folded(weight, bias, affine, window, kind, *, pad=0.0, dtype=None):
    """The plan on cells, and the weights and the bias of the two convolutions that it is for."""
    padded = any(side.before or side.behind for side in (window.rows, window.columns))
    reader = reader_of(affine.channels_out, pad if padded else None, window=window)
    plan = plan_on_cells([reader], affine, kind)
    return plan, *folded_on_cells(weight, bias, plan, plan.cells, reader, *plan.after, dtype)


def seen(parts, plan):
    """What the two convolutions read."""
    luma, shared = parts[0] - plan.shift[0], parts[1] - plan.shift[list(plan.cells.shared[:2]), None, None]
    return luma, shared if plan.constant is None else np.concatenate([shared, np.full_like(shared[:, :1], plan.constant)], axis=1)


def both(parts, luma, shared, bias, window, kind):
    """What they make, added."""
    return convolved(parts[0], luma, bias, window) + convolved(parts[1], shared, None, kind.window(window))


sides = st.builds(
    Side,
    kernel=st.integers(1, 7),
    stride=st.sampled_from([4, 8, 2, 6]),
    before=st.integers(0, 5),
    behind=st.integers(0, 5),
    dilation=st.integers(1, 4),
)
cases = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(sorted(KINDS)),
        "rows": sides,
        "columns": sides,
        "cells": st.tuples(st.integers(3, 9), st.integers(3, 9)),
        "matrix": st.sampled_from(sorted(WEIGHTS)),
        "range": st.sampled_from(["limited", "full"]),
        "bias": st.booleans(),
        "groups": st.sampled_from([1, 1, 1, 3]),
        "seed": st.integers(0, 2**16),
    }
)


def made(case):
    rng, kind = np.random.default_rng(case["seed"]), KINDS[case["kind"]]
    window = Window(case["rows"], case["columns"])
    affine = to_rgb(case["matrix"], case["range"]).then(IMAGENET)
    weight, bias = rng.normal(size=(4, 3, window.rows.kernel, window.columns.kernel)), rng.normal(size=4) if case["bias"] else None
    return rng, kind, window, affine, weight, bias


@given(cases)
def test_planes_give_what_the_converted_normalized_and_padded_picture_gives(case):
    rng, kind, window, affine, weight, bias = made(case)
    if case["groups"] > 1:  # of which each would be given Y, U and V
        with pytest.raises(NotFoldableError, match="in one group"):
            plan_on_cells([reader_of(3, 0.0, groups=case["groups"], window=window)], affine, kind)
        return
    if window.columns.stride % kind.size[1]:
        with pytest.raises(NotFoldableError, match=f"the stride {window.columns.stride} across, and 4 pixels share one"):
            kind.window(window)
        return
    planes, whole = picture(kind, case["cells"], rng)
    want = convolved(apply(affine, whole), weight, bias, window)
    plan, luma, shared, new_bias = folded(weight, bias, affine, window, kind)
    assert luma.shape[1] + shared.shape[1] == 3
    got = both(seen(planes, plan), luma, shared, new_bias, window, kind)
    assert got.shape == want.shape
    assert np.abs(got - want).max(initial=0) <= 1e-12 * np.abs(want).max(initial=0)


@given(st.integers(1, 4), st.integers(1, 9), st.integers(-20, 40))
def test_no_cell_is_half_in_the_padding(cell, cells, place):
    """The sides are whole cells: a place is outside of the picture just where its cell is outside of the planes."""
    assert (0 <= place < cell * cells) == (0 <= place // cell < cells)


def taps(window):
    """Of three channels."""
    return 3 * window.rows.kernel * window.columns.kernel


def multiplications(kind, window):
    """For one number of one output channel."""
    return sum(part.size for part in kind.weights(np.zeros((1, 3, window.rows.kernel, window.columns.kernel)), window))


STEM = Window(Side(7, 2, 3, 3), Side(7, 2, 3, 3))
SMALL = Window(Side(3, 2, 1, 1), Side(3, 2, 1, 1))
PATCH = Window(Side(16, 16), Side(16, 16))
SWIN = Window(Side(4, 4), Side(4, 4))


@pytest.mark.parametrize(
    ("told", "window", "counts"),
    [
        ("7x7, stride 2 (ResNet)", STEM, (147, 81, 105)),
        ("3x3, stride 2 (MobileNet, EfficientNet)", SMALL, (27, 17, 21)),
        ("16x16 patches (ViT)", PATCH, (768, 384, 512)),
        ("4x4 patches (ConvNeXt, Swin)", SWIN, (48, 24, 32)),
    ],
)
def test_there_are_fewer_multiplications_as_the_page_says(told, window, counts):
    counted = [multiplications(KINDS[name], window) for name in ("NV12", "YUYV")]
    assert (taps(window), *counted) == counts
    assert f"| {told} | {' | '.join(map(str, counts))} |" in (ROOT / "preproc" / "README.md").read_text(encoding="utf-8")


def test_the_page_of_recipes_has_the_same_numbers():
    page = " ".join((ROOT / "models" / "README.md").read_text(encoding="utf-8").split())
    stem, patch = (multiplications(KINDS["NV12"], window) for window in (STEM, PATCH))
    assert "one convolution of Y and one of U and V, added, of these as they lie" in page
    assert f"(7x7 with a stride of 2: {stem} for {taps(STEM)}, ViT's patches: half)" in page
    assert 2 * patch == taps(PATCH)


RIGHT = to_rgb("bt601", "limited").then(IMAGENET)
MISTAKEN = {
    "another matrix": to_rgb("bt709", "limited").then(IMAGENET),
    "the other range": to_rgb("bt601", "full").then(IMAGENET),
    "U and V exchanged": Affine(RIGHT.matrix[:, [0, 2, 1]], RIGHT.offset),
}


@pytest.mark.parametrize("window", [STEM, SMALL, PATCH, SWIN], ids=["7x7/2", "3x3/2", "16x16/16", "4x4/4"])
@pytest.mark.parametrize("mistake", ["none", *MISTAKEN, "the offset in the bias"])
def test_what_is_done_wrongly_is_seen(mistake, window, rng):
    kind = KINDS["NV12"]
    planes, whole = picture(kind, (16, 24), rng)
    weight = rng.normal(size=(8, 3, window.rows.kernel, window.columns.kernel))
    want = convolved(apply(RIGHT, whole), weight, None, window)
    if mistake == "the offset in the bias":  # and nothing subtracted, as if there were no padding
        made = kind.weights(np.einsum("ockl,cd->odkl", weight, RIGHT.matrix), window)
        got = both(planes, *made, np.einsum("ockl,c->o", weight, RIGHT.offset), window, kind)
    else:
        plan, *made = folded(weight, None, MISTAKEN.get(mistake, RIGHT), window, kind)
        got = both(seen(planes, plan), *made, window, kind)
    off = np.abs(got - want).max() / np.abs(want).max()
    is_right = mistake == "none" or (mistake == "the offset in the bias" and not window.rows.before)
    assert off <= 1e-12 if is_right else off > 1e-3


def test_half_precision_appends_a_plane_and_keeps_the_border(rng):
    """Whole numbers are subtracted of Y, U and V; what is left of the constants is in a plane that pads with zeros. Whatever else reads the
    number of channels does not see it."""
    kind, reader = KINDS["NV12"], reader_of(3, 0.0, window=STEM, direct=False)
    planes, whole = picture(kind, (8, 9), rng)
    plan = plan_on_cells([reader], RIGHT, kind, whole="each")
    assert plan.form == "append"
    assert plan.cells.shared == (1, 2, 3)
    assert (plan.shift == np.round(plan.shift)).all()
    weight = rng.normal(size=(4, 3, 7, 7))
    want = convolved(apply(RIGHT, whole), weight, None, STEM)
    made = folded_on_cells(weight, None, plan, plan.cells, reader, *plan.after)
    got = both(seen(planes, plan), *made, STEM, plan.cells)
    assert np.abs(got - want).max() <= 1e-12 * np.abs(want).max()


def test_the_bias_comes_from_the_rounded_sums_of_chroma(rng):
    """Where nothing is padded, the constants are in the bias. Of a picture of the colour that becomes 0 the convolution makes 0, up to what
    the bias itself is rounded by, whatever its weights are rounded by."""
    kind, weight = KINDS["NV12"], rng.normal(size=(8, 3, 4, 4)) * 0.05
    plan, luma, shared, new_bias = folded(weight, None, RIGHT, SWIN, kind, dtype=np.float16)
    assert plan.form == "cast"
    assert luma.dtype == shared.dtype == np.float16
    colour = RIGHT.nearest(np.zeros(3)).reshape(1, 3, 1, 1)
    parts, weights = (
        (colour[:, :1] * np.ones((8, 8)), colour[:, 1:] * np.ones((4, 4))),
        [each.astype(np.float64) for each in (luma, shared)],
    )
    made = np.abs(both(parts, *weights, new_bias.astype(np.float64), SWIN, kind)).max(axis=(0, 2, 3))
    assert (made <= np.spacing(np.abs(new_bias)) / 2).all()
    *_, exact = folded(weight, None, RIGHT, SWIN, kind)
    naive = np.abs(both(parts, *weights, exact, SWIN, kind)).max(axis=(0, 2, 3))
    assert (naive > np.spacing(np.abs(new_bias)) / 2).any()


@pytest.mark.parametrize(
    ("reader", "reason"),
    [
        (reader_of(3, window=Window(Side(3, 1, 1, 1), Side(3, 2, 1, 1))), "the stride 1 down, and 2 pixels share one chroma value"),
        (reader_of(3, window=Window(Side(3, 2, 1, 1), Side(3, 3, 1, 1))), "the stride 3 across"),
        (reader_of(3), "no convolution of it as it is"),
        (reader_of(3, groups=3, window=STEM), "in one group"),
    ],
    ids=["down", "across", "moved", "groups"],
)
def test_what_no_plane_serves_is_refused_with_the_reason(reader, reason):
    with pytest.raises(NotFoldableError, match=reason):
        plan_on_cells([reader], to_rgb("bt601", "full"), KINDS["NV12"])


def test_grey_that_is_padded_needs_no_chroma(rng):
    """A network of one channel reads luma alone: the planes of U and V have weights of zero."""
    kind, grey = KINDS["NV12"], Affine(np.array([[0.01, 0, 0]]), np.array([-0.5]))
    planes, whole = picture(kind, (6, 6), rng)
    weight = rng.normal(size=(2, 1, 3, 3))
    want = convolved(apply(grey, whole), weight, None, SMALL)
    plan, luma, shared, new_bias = folded(weight, None, grey, SMALL, kind)
    assert not shared.any()
    np.testing.assert_allclose(both(seen(planes, plan), luma, shared, new_bias, SMALL, kind), want, rtol=1e-12, atol=1e-12)
