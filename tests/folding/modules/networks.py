"""A pipeline, pixels, and networks that read them through other modules."""

import numpy as np
import torch
from torch import nn

from preproc.layers import FromPixels, Normalize, Pipeline, Rescale

CHANNELS = {"RGB": 3, "BGR": 3, "RGBA": 4, "BGRA": 4, "GRAY": 1}


def imagenet(color="RGB", dtype=torch.float64):
    return Pipeline(FromPixels(layout="NHWC", color=color, dtype=dtype), Rescale(dtype=dtype), Normalize.preset("imagenet", dtype=dtype))


def pixels(color="RGB", size=(13, 11), seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (2, *size, CHANNELS[color]), dtype=np.uint8))


class Stem(nn.Module):
    """Something in front of a convolution."""

    def __init__(self, before, conv=None):
        super().__init__()
        self.before = before
        self.conv = conv or nn.Conv2d(3, 4, 3, padding=1, dtype=torch.float64)
        self.norm = nn.BatchNorm2d(3, dtype=torch.float64)
        self.norm.running_mean, self.norm.running_var = torch.tensor([[0.4, 0.5, 0.3], [0.1, 0.2, 0.5]], dtype=torch.float64)
        self.register_buffer("scale", torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64).reshape(1, 3, 1, 1))
        self.register_buffer("field", torch.ones(13, 11, dtype=torch.float64))

    def forward(self, x):
        return self.before(self, x)


double = {"dtype": torch.float64}
