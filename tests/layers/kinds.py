"""A layer of every kind that computes values, and a picture for each."""

import numpy as np

from preproc.layers import ChannelAffine, LocalResponseNorm, MinMaxNormalize, MinMaxScale, Normalize, Rescale, Standardize


def per_channel(channels):
    return tuple(np.linspace(0.4, 0.5, channels)), tuple(np.linspace(0.2, 0.3, channels))


LAYERS = {
    "rescale": lambda _, **to: Rescale(scale=1 / 127.5, offset=-1, **to),
    "normalize": lambda c, **to: Normalize(mean=per_channel(c)[0], std=per_channel(c)[1], **to),
    "min-max-scale": lambda c, **to: MinMaxScale(low=np.zeros(c), high=np.linspace(0.9, 1.1, c), out=(-1, 1), **to),
    "min-max-scale-clip": lambda _, **to: MinMaxScale(low=0.2, high=0.9, clip=True, **to),
    "min-max-normalize": lambda _, **to: MinMaxNormalize(**to),
    "min-max-normalize-channel": lambda _, **to: MinMaxNormalize(per="channel", out=(-1, 1), **to),
    "standardize": lambda _, **to: Standardize(**to),
    "standardize-channel": lambda _, **to: Standardize(per="channel", min_std=0.05, correction=1, **to),
    "lrn": lambda _, **to: LocalResponseNorm(size=5, alpha=0.3, k=2, **to),
    "lrn-even-beta": lambda _, **to: LocalResponseNorm(size=2, alpha=0.3, beta=0.6, **to),
    "lrn-root": lambda _, **to: LocalResponseNorm(size=3, alpha=0.3, beta=0.5, **to),
    "lrn-one": lambda _, **to: LocalResponseNorm(size=3, alpha=0.3, beta=1.0, **to),
    "lrn-spatial": lambda _, **to: LocalResponseNorm(size=3, alpha=0.3, region="spatial", **to),
    "affine-diagonal": lambda c, **to: ChannelAffine(matrix=np.diag(np.linspace(0.5, 2, c)), offset=np.arange(c), **to),
    "affine-permutation": lambda c, **to: ChannelAffine(matrix=np.eye(c)[::-1], **to),
    "affine-monomial": lambda c, **to: ChannelAffine(matrix=2 * np.eye(c)[::-1], offset=np.ones(c), **to),
    "affine-mixing": lambda c, **to: ChannelAffine(matrix=np.linspace(-1, 1, 4 * c).reshape(4, c), offset=np.arange(4), **to),
}


def picture(channels, size, *, batch=2, seed=3):
    """Different in every channel, row and column; the last picture of the batch is nearly flat."""
    x = np.random.default_rng(seed).uniform(0, 1, (batch, channels, *size))
    x[-1] = 250 / 255 + (x[-1] > 0.5) / 255
    return x
