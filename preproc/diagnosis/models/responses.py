"""What BatchNorms behind a network's first layers are given, for every affine preprocessing at once.

Behind convolutions alone a feature is affine in the picture. With a scale s and an offset o per channel of levels it is s . R + o . B + Z:
R what the channels of the picture make, B what planes of ones make, which differs at padded borders, Z what nothing makes. Mean and
variance over positions follow from the means and products of R, B and Z: a few runs of the network per picture stand for all candidates,
and for those that nobody named.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .networks import Array, Network, Norm

_AFFINE = 1e-3
"""How far a sum of answers may be from the answer to the sum, relative to the largest: float32 and its sums are far below."""
_TOP = 255.0


@dataclass(frozen=True)
class Responses:
    """Of N pictures, K features of all norms together and B = 2 C + 1 parts: R, B, Z.

    means: (N, K, B), over positions.  products: (N, K, B, B), means of products of two.  mean, var: (K,), what the norms hold.
    eps: (K,)."""

    means: Array
    products: Array
    mean: Array
    var: Array
    eps: Array

    def moments(self, parts: Array) -> tuple[Array, Array]:
        """First and second moment of every picture's features, (N, K) each. parts: (B,), or (N, B), the factors s, o and 1."""
        given = np.broadcast_to(parts, (len(self.means), parts.shape[-1]))
        return np.einsum("nkb,nb->nk", self.means, given), np.einsum("nkbc,nb,nc->nk", self.products, given, given)


def affine_norms(network: Network, levels: Array) -> list[int]:
    """Those of a network's BatchNorms whose features are affine in the picture, levels: (1, C, H, W), found by trying: on two parts of it
    with their sum, and on its negative, for behind positive weights a ReLU lets all grey levels pass, and not what is prepared of them."""
    rng = np.random.default_rng(0)
    share = rng.uniform(0, 1, levels.shape)
    every = range(len(network.norms))
    tried = (levels, levels * share, levels * (1 - share), -levels, 0 * levels)
    found = []
    for number, parts in enumerate(zip(*(network.before(x, every) for x in tried), strict=True)):
        if any(part is None for part in parts):
            continue
        whole, one, other, negative, none = (np.asarray(part) for part in parts)
        moved = np.abs(whole - none).max()
        off = np.maximum(np.abs(one + other - none - whole).max(), np.abs(whole + negative - 2 * none).max())
        if 0 < moved < np.inf and off <= _AFFINE * moved:
            found.append(number)
    return found


def measure(network: Network, which: Sequence[int], pictures: Sequence[Array], order: Sequence[int]) -> Responses:
    """pictures: (1, C, H, W) each, in grey levels.  order: the network's channel c reads the picture's channel order[c]."""
    norms = [network.norms[number] for number in which]
    shared: dict[tuple[int, ...], list[list[Array]]] = {}
    means, products = [], []
    for picture in pictures:
        levels = picture[:, list(order)]
        if levels.shape not in shared:
            shared[levels.shape] = _constant_parts(network, which, levels.shape)
        moved = [network.before(_alone(levels, channel), which) for channel in range(levels.shape[1])]
        mean_of, product_of = [], []
        for number, constant in enumerate(shared[levels.shape]):
            parts = np.stack([*(np.asarray(found[number]) - constant[-1] for found in moved), *constant], axis=1)  # K, B, positions
            mean_of.append(parts.mean(axis=2))
            product_of.append(np.matmul(parts, parts.transpose(0, 2, 1)) / parts.shape[2])
        means.append(np.concatenate(mean_of))
        products.append(np.concatenate(product_of))
    return Responses(np.stack(means), np.stack(products), *(_joined(norms, name) for name in ("mean", "var", "eps")))


def _constant_parts(network: Network, which: Sequence[int], shape: tuple[int, ...]) -> list[list[Array]]:
    """For each norm B of each channel, and Z, (K, positions)."""
    zero = network.before(np.zeros(shape), which)
    planes = [network.before(_alone(np.full(shape, _TOP), channel), which) for channel in range(shape[1])]
    return [[*((np.asarray(plane[n]) - none) / _TOP for plane in planes), none] for n, none in enumerate(map(np.asarray, zero))]


def _alone(levels: Array, channel: int) -> Array:
    """With one channel, the others 0."""
    alone = np.zeros_like(levels)
    alone[:, channel] = levels[:, channel]
    return alone


def _joined(norms: Sequence[Norm], name: str) -> Array:
    return np.concatenate([np.broadcast_to(getattr(norm, name), norm.mean.shape) for norm in norms])
