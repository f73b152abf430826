"""Pictures of Y, U and V for tests, and the conversion once more, pixel by pixel."""

import numpy as np
from hypothesis import strategies as st

from preproc.steps import LUMA, RANGES, UNCONVERTED, WEIGHTS, YUV, FromPixels, layouts_of

KR_KB = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
OPENCV = (1.164, 1.596, -0.813, -0.391, 2.018)
"""Of BT.601 in limited range, as its comments say them."""
SAID = {"matrix": "bt709", "range": "limited"}
FORMS = {
    "linear": SAID,
    "bgr-full": {"matrix": "bt2020", "range": "full", "to": "BGR"},
    "rgb8": {**SAID, "conversion": "rgb8"},
    "rgb8-bgr": {"matrix": "bt601", "range": "limited", "conversion": "rgb8", "to": "BGR"},
    "left": {**SAID, "chroma": "bilinear", "siting": "left"},
    "center": {**SAID, "chroma": "bilinear", "siting": "center"},
    "unconverted": {"to": UNCONVERTED},
    "grey": {**SAID, "to": "GRAY"},
    "luma": {"to": LUMA},
}
KINDS = [
    (color, layout, form)
    for color in YUV
    for layout in layouts_of(color)
    for form in FORMS
    if "444" not in color or "chroma" not in FORMS[form]
]
"""Every colour in every layout, as each of FORMS."""


def pixels(color, layout, size, *, seed=0, batch=2):
    """(N, ...) uint8 of that colour: any bytes."""
    return np.random.default_rng(seed).integers(0, 256, (batch, *YUV[color].shape(layout, size)), dtype=np.uint8)


@st.composite
def steps(draw):
    """A FromPixels of Y, U and V."""
    color = draw(st.sampled_from(sorted(YUV)))
    said = {key: draw(st.sampled_from(sorted(known))) for key, known in (("matrix", WEIGHTS), ("range", RANGES))}
    said["conversion"] = draw(st.sampled_from(["linear", "rgb8"]))
    if said["conversion"] == "linear" and YUV[color].block != (1, 1) and draw(st.booleans()):
        said |= {"chroma": "bilinear", "siting": draw(st.sampled_from(["left", "center"]))}
    to = ["RGB", "BGR", *(["GRAY"] if said["conversion"] == "linear" and "chroma" not in said else [])]
    return FromPixels(layout=draw(st.sampled_from(layouts_of(color))), color=color, to=draw(st.sampled_from(to)), **said)


@st.composite
def drawn(draw):
    """Such a step and pixels for it, of a small size."""
    step = draw(steps())
    rows, columns = YUV[step.color].block
    size = (rows * draw(st.integers(1, 4)), columns * draw(st.integers(1, 5)))
    return step, pixels(step.color, step.layout, size, seed=draw(st.integers(0, 1000)), batch=draw(st.integers(1, 2)))


def plain_loop(step, x):
    """The step as one writes it who has the format's picture before him: where pixel (i, j) finds its three bytes, and the formula."""
    return np.stack([_one(step, picture) for picture in x])


def _one(step, x):
    if step.layout == "NHW":
        height, width = x.shape[0] * 2 // 3, x.shape[1]
    else:
        height, width = x.shape[1:] if step.layout == "NCHW" else x.shape[:2]
    found = np.empty((1 if step.to == "GRAY" else 3, height, width))
    for i, j in np.ndindex(height, width):
        if step.to == "GRAY":
            y = _luma(step, x, i, j)
            found[:, i, j] = 255 * (y - 16) / 219 if step.range == "limited" else y
            continue
        y, u, v = _luma(step, x, i, j), *_chroma(step, x, i, j, height, width)
        rgb = _rounded(step, y, u, v) if step.conversion == "rgb8" else _exact(step, y, u, v)
        found[:, i, j] = rgb if step.to == "RGB" else rgb[::-1]
    return found


def _luma(step, x, i, j):
    if step.layout == "NHW":
        return int(x[i, j])
    if step.layout == "NCHW":
        return int(x[0, i, j])
    return int(x[i, j, 1 if step.color in ("UYVY", "VYUY") else 0])


def _sample(step, x, i, j, height, width):
    """The U and V of the block (i, j)."""
    first, second = {
        "NV12": lambda: (x[height + i, 2 * j], x[height + i, 2 * j + 1]),
        "I420": lambda: tuple(
            x.reshape(-1)[height * width + half * (height // 2 * (width // 2)) + i * (width // 2) + j] for half in (0, 1)
        ),
        "YUYV": lambda: (x[i, 2 * j, 1], x[i, 2 * j + 1, 1]),
        "UYVY": lambda: (x[i, 2 * j, 0], x[i, 2 * j + 1, 0]),
        "YUV444": lambda: (x[1, i, j], x[2, i, j]) if step.layout == "NCHW" else (x[i, j, 1], x[i, j, 2]),
    }[{"NV21": "NV12", "YV12": "I420", "YVYU": "YUYV", "VYUY": "UYVY", "YVU444": "YUV444"}.get(step.color, step.color)]()
    turned = step.color in ("NV21", "YV12", "YVYU", "VYUY", "YVU444")
    return (float(second), float(first)) if turned else (float(first), float(second))


def _chroma(step, x, i, j, height, width):
    rows = 2 if step.layout == "NHW" else 1
    columns = 1 if "444" in step.color else 2
    if step.chroma != "bilinear":
        return _sample(step, x, i // rows, j // columns, height, width)
    down = (i - 0.5) / 2 if rows == 2 else float(i)  # where the pixel is, in blocks
    across = j / 2 if step.siting == "left" else (j - 0.5) / 2
    total = np.zeros(2)
    for a in range(-1, height // rows + 1):
        for b in range(-1, width // 2 + 1):
            inside = min(max(a, 0), height // rows - 1), min(max(b, 0), width // 2 - 1)
            total += max(0, 1 - abs(down - a)) * max(0, 1 - abs(across - b)) * np.array(_sample(step, x, *inside, height, width))
    return total


def _exact(step, y, u, v):
    kr, kb = KR_KB[step.matrix]
    if step.range == "limited":
        y, u, v = (y - 16) / 219, (u - 128) / 224, (v - 128) / 224
    else:
        y, u, v = y / 255, (u - 128) / 255, (v - 128) / 255
    r, b = y + (2 - 2 * kr) * v, y + (2 - 2 * kb) * u
    return np.array([r, (y - kr * r - kb * b) / (1 - kr - kb), b]) * 255


def _rounded(step, y, u, v):
    kr, kb = KR_KB[step.matrix]
    a, c = (255 / 219, 255 / 224) if step.range == "limited" else (1, 1)
    k = (a, c * (2 - 2 * kr), -c * (2 - 2 * kr) * kr / (1 - kr - kb), -c * (2 - 2 * kb) * kb / (1 - kr - kb), c * (2 - 2 * kb))
    luma, rv, gv, gu, bu = (round(value * 2**20) for value in (OPENCV if (step.matrix, step.range) == ("bt601", "limited") else k))
    top = max(0, int(y) - (16 if step.range == "limited" else 0)) * luma + 2**19
    u, v = int(u) - 128, int(v) - 128
    return np.clip(np.array([top + rv * v, top + gv * v + gu * u, top + bu * u]) // 2**20, 0, 255).astype(float)
