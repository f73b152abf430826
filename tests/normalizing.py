"""ImageNet's normalization in every spelling, networks that begin with it, and what has to be told of them."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from preproc.folding import guard
from preproc.steps import Affine, ValueRange

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
M, S = MEAN.view(1, 3, 1, 1), STD.view(1, 3, 1, 1)
NORMALIZED = ValueRange((-2.2,) * 3, (2.7,) * 3)
IMAGENET = Affine.diagonal((1 / STD.double()).numpy(), (-MEAN.double() / STD.double()).numpy())


def in_place(x):
    x = x.clone()
    x.sub_(M).div_(S)
    return x


def in_place_by_channel(x):
    x = x.clone()
    for i in range(3):
        x[:, i].sub_(MEAN[i]).div_(STD[i])
    return x


def into_a_batch(x):
    """As torchvision's detectors put pictures of different sizes together."""
    whole = x.new_full((len(x), 3, x.shape[2] + 2, x.shape[3] + 2), 0)
    for i, image in enumerate(x):
        whole[i, :, : x.shape[2], : x.shape[3]].copy_((image - M[0]) / S[0])
    return whole


SPELLINGS = {
    "plain": lambda x: (x - M) / S,
    "folded": lambda x: x * (1 / S) - M / S,
    "as kornia": lambda x: ((x.reshape(x.shape[0], x.shape[1], -1) - MEAN.view(1, 3, 1)) / STD.view(1, 3, 1)).reshape(x.shape),
    "in blocks": lambda x: F.pixel_shuffle((F.pixel_unshuffle(x, 2) - M.repeat_interleave(4, 1)) / S.repeat_interleave(4, 1), 2),
    "a fifth axis": lambda x: ((x[:, None] - M[None]) / S[None])[:, 0],
    "unsqueezed": lambda x: ((x.unsqueeze(2) - M.unsqueeze(2)) / S.unsqueeze(2)).squeeze(2),
    "padded first": lambda x: (F.pad(x, (1, 1, 1, 1)) - M) / S,
    "transposed": lambda x: ((x.transpose(1, 3) - MEAN) / STD).transpose(1, 3),
    "channel by channel": lambda x: torch.cat([(x[:, i : i + 1] - float(MEAN[i])) / float(STD[i]) for i in range(3)], 1),
    "unbound": lambda x: torch.stack([(plane - MEAN[i]) / STD[i] for i, plane in enumerate(x.unbind(1))], 1),
    "picture by picture": lambda x: torch.stack([(image - M[0]) / S[0] for image in x.unbind(0)], 0),
    "pictures in one": lambda x: torch.cat([(x[i : i + 1] - M) / S for i in range(len(x))], 0),
    "a 1x1 convolution": lambda x: F.conv2d(x, torch.diag(1 / STD).view(3, 3, 1, 1), -MEAN / STD),
    "a depthwise one": lambda x: F.conv2d(x, (1 / STD).view(3, 1, 1, 1), -MEAN / STD, groups=3),
    "a matrix product": lambda x: (x.permute(0, 2, 3, 1) @ torch.diag(1 / STD) - MEAN / STD).permute(0, 3, 1, 2),
    "where and clamp": lambda x: (torch.where(torch.isnan(x), torch.zeros(()), x).clamp(0, 1) - M) / S,
    "expanded": lambda x: (x - M.expand_as(x)) / S.expand_as(x),
    "a sum": lambda x: torch.stack([x, (-M).expand_as(x)]).sum(0) / S,
    "a BatchNorm": lambda x: F.batch_norm(x, MEAN, STD**2, eps=1e-9),
    "resized first": lambda x: (F.interpolate(x, size=(32, 32), mode="bilinear", antialias=True) - M) / S,
    "cropped and flipped": lambda x: ((x[..., 2:-2, 2:-2] - M) / S).flip(3),
    "cut into patches": lambda x: F.pixel_shuffle(F.pixel_unshuffle((x - M) / S, 2), 2),
    "of 0..255": lambda x: (x - 255 * M) / (255 * S),
    "in two parts": lambda x: (x / 255 - M) / S,
    "in double": lambda x: ((x.double() - M) / S).float(),
}
"""Each is ImageNet's normalization; the last but two of 0..255."""
IN_PYTHON = {"in place": in_place, "in place, by channel": in_place_by_channel, "into a batch": into_a_batch}
OF_LEVELS = ("of 0..255", "in two parts")


class Net(nn.Module):
    def __init__(self, before):
        super().__init__()
        torch.manual_seed(0)
        self.before, self.conv, self.head = before, nn.Conv2d(3, 8, 3, 2, 1), nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.conv(self.before(x)).relu().mean((2, 3)))


def check(effect, spelling):
    """It is ImageNet's, is told by its name, and is refused behind a normalization."""
    (found,) = effect.maps
    size = 255 if spelling in OF_LEVELS else 1
    order = np.argsort(np.argmax(found.matrix != 0, axis=1))
    in_order = Affine(found.matrix[order] * size, found.offset[order])
    assert in_order.close_to(IMAGENET)
    assert not effect.stopped
    assert "normalizes its input itself" in guard.why_not(effect, NORMALIZED)
    assert "which is imagenet" in guard.why_not(effect, NORMALIZED)
    assert guard.why_not(effect, ValueRange((0.0,) * 3, (float(size),) * 3)) is None
