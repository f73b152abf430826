"""What torch.export's operators that mix a channel's pixels with each other do: resizes, averages, maxima.

An affine map of channels goes through every mean whose weights sum to one: f(M x + c) = M f(x) + c. Where the weights of some pixels sum to
less, the rest is the border's constant, as if it had been padded: an average that counts padded zeros.
"""

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

from torch import fx

from ...errors import NotFoldableError
from .. import Tracked
from .moves import Made, axis_of, shape_of
from .values import Values, arguments_of


def _average(walk: Values, node: fx.Node) -> Tracked:
    """torch divides the last windows of ceil_mode by what of them lies in the padded picture, so that the weights sum to one there, too."""
    arguments = arguments_of(node)
    pooled, padding = _mixed(walk, node), arguments.get("padding", 0)
    counted = arguments.get("count_include_pad", True) and any(padding if isinstance(padding, (list, tuple)) else [padding])
    return pooled.holding(0.0) if counted or arguments.get("divisor_override") else pooled


def _mixed(walk: Values, node: fx.Node) -> Tracked:
    """Weights that sum to one: adaptive averages; nearest, linear and cubic resizes, which repeat the pixels at the edges."""
    source = walk.of(node.args[0])
    return source.mixed(_sides(source, node, shape_of(node)), _told(node))


def _max_pool(walk: Values, node: fx.Node) -> Tracked:
    source = walk.of(node.args[0])
    return source.compared(_sides(source, node, shape_of(node)), _told(node))


def _max_pool_and_places(walk: Values, node: fx.Node) -> Tracked:
    """The maxima and where they are: what reads the places is no map of the picture's numbers."""
    if any(user.args[1] != 0 for user in node.users):
        raise NotFoldableError("where the picture's maxima are is read, too", name="fold-not-affine")
    source = walk.of(node.args[0])
    return source.compared(_sides(source, node, tuple(node.meta["val"][0].shape)), _told(node))


def _sides(source: Tracked, node: fx.Node, made: Sequence[Any]) -> list[int]:
    """The last sides as the operator makes them; the others as they are, for the graph may have been traced with more or fewer channels."""
    count = source.rank - 2 if "grid_sampler" in str(node.target) else int(re.findall("[123](?=d)", str(node.target))[0])
    front = source.rank - count
    if not all(map(source.is_plain, range(front, source.rank))):
        raise _between_channels(node)
    return [*source.shape[:front], *map(int, made[front:])]


def _mean(walk: Values, node: fx.Node) -> Tracked:
    return _reduced(walk, node, walk.of(node.args[0]).mixed)


def _sum(walk: Values, node: fx.Node) -> Tracked:
    """Of how many, a graph that was traced with one size does not tell."""
    return _reduced(walk, node, functools.partial(walk.of(node.args[0]).summed, counted=False))


def _largest(walk: Values, node: fx.Node) -> Tracked:
    return _reduced(walk, node, walk.of(node.args[0]).compared)


def _reduced(walk: Values, node: fx.Node, mix: Callable[..., Tracked]) -> Tracked:
    arguments, source = arguments_of(node), walk.of(node.args[0])
    if arguments.get("dtype") is not None:
        raise NotFoldableError("the input is cast to another type before the first convolution", name="fold-dtype")
    axes = [axis_of(node, axis) for axis in arguments.get("dim") or range(source.rank)]
    if not all(map(source.is_plain, axes)):
        raise _between_channels(node)
    made = mix([1 if axis in axes else side for axis, side in enumerate(source.shape)], _told(node))
    return made if arguments.get("keepdim") else made.reshape([side for axis, side in enumerate(source.shape) if axis not in axes])


def _sampled(walk: Values, node: fx.Node) -> Tracked:
    """grid_sample with a grid that does not depend on the picture: beyond the edges there are zeros, or pixels are repeated."""
    if node.args[1] in walk.tracked:
        raise NotFoldableError("the picture tells where it is sampled", name="fold-not-affine")
    sampled = _mixed(walk, node)
    return sampled.holding(0.0) if node.args[3] == 0 else sampled


def _expand(walk: Values, node: fx.Node) -> Tracked:
    """The same numbers again and again: sides of one grow."""
    source, made = walk.of(node.args[0]), shape_of(node)
    grown = source.reshape((1,) * (len(made) - source.rank) + source.shape)
    old = (1,) * (len(made) - source.rank) + shape_of(node.args[0])
    shape = [mine if one == other else other for mine, one, other in zip(grown.shape, old, made, strict=True)]
    return grown.mixed(shape, _told(node))


def _repeat(walk: Values, node: fx.Node) -> Tracked:
    source, times = walk.of(node.args[0]), list(node.args[1])  # type: ignore[arg-type]
    source = source.reshape((1,) * (len(times) - source.rank) + source.shape)
    for axis, count in enumerate(times, start=source.rank - len(times)):
        source = source.repeated(axis, count)
    return source


def _between_channels(node: fx.Node) -> NotFoldableError:
    return NotFoldableError(f"{node.target} mixes the channels with each other before the first convolution", name="fold-not-affine")


def _told(node: fx.Node) -> tuple[Any, ...]:
    """What names the weights: the operator with all that it is told."""
    return str(node.target), str(node.args[1:]), str(sorted(node.kwargs.items()))


MIXING: dict[str, Callable[[Values, fx.Node], Made]] = {
    **dict.fromkeys(("aten.avg_pool1d.default", "aten.avg_pool2d.default", "aten.avg_pool3d.default"), _average),
    **dict.fromkeys(
        (
            "aten.adaptive_avg_pool1d.default",
            "aten.adaptive_avg_pool2d.default",
            "aten.adaptive_avg_pool3d.default",
            "aten._adaptive_avg_pool2d.default",
            "aten._adaptive_avg_pool3d.default",
            *(
                f"aten.{name}.{overload}"
                for name in (
                    "upsample_nearest1d",
                    "upsample_nearest2d",
                    "upsample_nearest3d",
                    "_upsample_nearest_exact1d",
                    "_upsample_nearest_exact2d",
                    "_upsample_nearest_exact3d",
                    "upsample_linear1d",
                    "upsample_bilinear2d",
                    "upsample_trilinear3d",
                    "upsample_bicubic2d",
                    "_upsample_bilinear2d_aa",
                    "_upsample_bicubic2d_aa",
                )
                for overload in ("vec", "default")
            ),
        ),
        _mixed,
    ),
    "aten.expand.default": _expand,
    "aten.mean.dim": _mean,
    "aten.sum.dim_IntList": _sum,
    **dict.fromkeys(("aten.amax.default", "aten.amin.default"), _largest),
    **dict.fromkeys(("aten.repeat.default", "aten.tile.default"), _repeat),
    **dict.fromkeys(("aten.max_pool1d.default", "aten.max_pool2d.default", "aten.max_pool3d.default"), _max_pool),
    **dict.fromkeys(("aten.max_pool2d_with_indices.default", "aten.max_pool3d_with_indices.default"), _max_pool_and_places),
    **dict.fromkeys(("aten.grid_sampler.default", "aten.grid_sampler_2d.default", "aten.grid_sampler_3d.default"), _sampled),
}
