"""What torch.export's operators that mix a channel's pixels with each other do: resizes, averages, maxima.

An affine map of channels goes through every mean whose weights sum to one: f(M x + c) = M f(x) + c. Where the weights of some pixels sum to
less, the rest is the border's constant, as if it had been padded: an average that counts padded zeros.
"""

from collections.abc import Callable
from typing import Any

from torch import fx

from ...errors import NotFoldableError
from .. import Tracked
from .moves import Made, axis_of, shape_of
from .values import Values, arguments_of


def _average(walk: Values, node: fx.Node) -> Tracked:
    """torch divides the last windows of ceil_mode by what of them lies in the padded picture, so that the weights sum to one there, too."""
    arguments = arguments_of(node)
    pooled = walk.of(arguments["self"]).mixed(shape_of(node), _told(node))
    padding = arguments.get("padding", 0)
    counted = arguments.get("count_include_pad", True) and any(padding if isinstance(padding, (list, tuple)) else [padding])
    return pooled.holding(0.0) if counted or arguments.get("divisor_override") else pooled


def _mean(walk: Values, node: fx.Node) -> Tracked:
    return _reduced(walk, node, walk.of(node.args[0]).mixed)


def _maximum(walk: Values, node: fx.Node) -> Tracked:
    return _reduced(walk, node, walk.of(node.args[0]).compared)


def _reduced(walk: Values, node: fx.Node, mix: Callable[..., Tracked]) -> Tracked:
    arguments, source = arguments_of(node), walk.of(node.args[0])
    if arguments.get("dtype") is not None:
        raise NotFoldableError("the input is cast to another type before the first convolution", name="fold-dtype")
    given = arguments.get("dim")
    axes = [axis_of(node, axis) for axis in given] if given else list(range(source.rank))
    if not all(map(source.is_plain, axes)):
        raise NotFoldableError(f"{node.target} mixes the channels with each other", name="fold-not-affine")
    made = mix([1 if axis in axes else side for axis, side in enumerate(source.shape)], _told(node))
    return made.reshape(shape_of(node))


def _mixed(walk: Values, node: fx.Node) -> Tracked:
    """Weights that sum to one: adaptive averages; nearest, linear and cubic resizes, which repeat the pixels at the edges."""
    return walk.of(node.args[0]).mixed(shape_of(node), _told(node))


def _max_pool(walk: Values, node: fx.Node) -> Tracked:
    return walk.of(node.args[0]).compared(shape_of(node), _told(node))


def _max_pool_and_places(walk: Values, node: fx.Node) -> Tracked:
    """The maxima and where they are: what reads the places is no map of the picture's numbers."""
    if any(user.args[1] != 0 for user in node.users):
        raise NotFoldableError("where the picture's maxima are is read, too", name="fold-not-affine")
    shape = tuple(int(side) for side in node.meta["val"][0].shape)
    return walk.of(node.args[0]).compared(shape, _told(node))


def _sampled(walk: Values, node: fx.Node) -> Tracked:
    """grid_sample with a grid that does not depend on the picture: beyond the edges there are zeros, or pixels are repeated."""
    grid, padding_mode = node.args[1], node.args[3]
    if grid in walk.tracked:
        raise NotFoldableError("the picture tells where it is sampled", name="fold-not-affine")
    sampled = walk.of(node.args[0]).mixed(shape_of(node), _told(node))
    return sampled.holding(0.0) if padding_mode == 0 else sampled


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
    "aten.mean.dim": _mean,
    "aten.amax.default": _maximum,
    **dict.fromkeys(("aten.max_pool1d.default", "aten.max_pool2d.default", "aten.max_pool3d.default"), _max_pool),
    **dict.fromkeys(("aten.max_pool2d_with_indices.default", "aten.max_pool3d_with_indices.default"), _max_pool_and_places),
    **dict.fromkeys(("aten.grid_sampler.default", "aten.grid_sampler_2d.default", "aten.grid_sampler_3d.default"), _sampled),
}
