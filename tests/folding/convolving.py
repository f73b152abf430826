"""A convolution with a border, and what the fold makes of it: for the tests of the plan and of the arithmetic."""

import numpy as np
import torch

from preproc.folding import Reader, plan_for
from preproc.folding.arithmetic import folded_weights
from preproc.folding.slots import Slots
from preproc.steps import Affine

IMAGENET = Affine.diagonal(1 / (255 * np.array([0.229, 0.224, 0.225])), -np.array([0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225])
BGR = Affine(IMAGENET.matrix @ np.eye(3)[[2, 1, 0]], IMAGENET.offset)
RGBA = Affine(IMAGENET.matrix @ np.eye(4)[:3], IMAGENET.offset)
GRAY = Affine(IMAGENET.matrix @ np.ones((3, 1)), IMAGENET.offset)
MIXING = Affine(np.array([[0.3, 0.6, 0.1], [0.5, -0.4, 0.2], [0.1, 0.1, 0.9]]) / 100, np.array([1.0, -2.0, 0.5]))
AFFINES = {"imagenet": IMAGENET, "BGR": BGR, "RGBA": RGBA, "GRAY": GRAY, "mixing": MIXING}


def conv(x, weight, bias, *, padding, pad, groups=1, **options):
    """The convolution whose padding, `padding` pixels wide, holds `pad` (None: no padding)."""
    if pad is not None:
        x = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)), constant_values=pad)
    tensors = [None if value is None else torch.from_numpy(np.asarray(value)) for value in (x, weight, bias)]
    return torch.nn.functional.conv2d(*tensors, groups=groups, **options).numpy()


def reader_of(channels, pad=None, *, groups=1, scale=1.0, offset=0.0, takes_bias=True, **others):
    """Of a convolution that reads `channels` of the picture, scaled and shifted."""
    slots = Slots.of_channels(channels).then(np.broadcast_to(scale, channels), np.broadcast_to(offset, channels))
    pads = pad if isinstance(pad, tuple) else () if pad is None else (pad,)
    slots = slots.beside(np.repeat(np.float64(pads)[:, None], channels, axis=1))
    return Reader("w", None, groups, slots, channels, takes_bias=takes_bias, **others)


def plan_of(affine, pads, whole=None, unit=1.0, nearest=False, **options):
    readers = [reader_of(affine.channels_out, pad, **options) for pad in pads]
    again = lambda channels: [reader_of(channels, pad, **options) for pad in pads]  # noqa: E731
    return readers, plan_for(readers, affine, again, whole=whole, unit=unit, nearest=nearest)


def folded(weight, bias, affine, pad, dtype=None, **options):
    """The plan, and the weights of the one convolution that it is for."""
    (reader,), plan = plan_of(affine, [pad], **options)
    return plan, *folded_weights(weight, bias, plan, reader, *plan.after, dtype)


def left_at_run_time(x, plan):
    x = x - plan.shift[:, None, None]
    return x if plan.constant is None else np.concatenate([x, np.full_like(x[:, :1], plan.constant)], axis=1)


def apply(affine, x):
    return np.einsum("oc,nchw->nohw", affine.matrix, x) + affine.offset[:, None, None]
