"""Preprocessing inside the model file: folded exactly into the first convolution, with proven numerical parity.

The public names are resolved when they are first used: `import preproc` loads neither torch nor NumPy.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

_WHERE = {
    "layers.geometry": ("CenterCrop", "Letterbox", "Pad", "Resize"),
    "layers": ("ChannelAffine", "FromPixels", "LocalResponseNorm", "MinMaxNormalize", "MinMaxScale", "Normalize", "Rescale", "Standardize"),
    "pipeline": ("Model", "Pipeline", "prepend"),
    "folding": ("FoldResult", "fold", "why_not_foldable"),
    "recipe": ("PixelsSpec", "Recipe", "load_recipe"),
    "backbones": ("build",),
    "bundle": ("Bundle", "open_bundle"),
    "export.exporter": ("export_bundle",),
    "export.attaching": ("attach",),
    "verify": ("Report",),
    "proof": ("verify_bundle",),
    "serving.packaging": ("package",),
    "serving.check": ("serve_check",),
    "stats": ("Stats", "StatsInterruptedError", "compute_stats"),
    "errors": ("PreprocError",),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}

if TYPE_CHECKING:
    from .backbones import build as build
    from .bundle import Bundle as Bundle
    from .bundle import open_bundle as open_bundle
    from .errors import PreprocError as PreprocError
    from .export.attaching import attach as attach
    from .export.exporter import export_bundle as export_bundle
    from .folding import FoldResult as FoldResult
    from .folding import fold as fold
    from .folding import why_not_foldable as why_not_foldable
    from .layers import ChannelAffine as ChannelAffine
    from .layers import FromPixels as FromPixels
    from .layers import LocalResponseNorm as LocalResponseNorm
    from .layers import MinMaxNormalize as MinMaxNormalize
    from .layers import MinMaxScale as MinMaxScale
    from .layers import Normalize as Normalize
    from .layers import Rescale as Rescale
    from .layers import Standardize as Standardize
    from .layers.geometry import CenterCrop as CenterCrop
    from .layers.geometry import Letterbox as Letterbox
    from .layers.geometry import Pad as Pad
    from .layers.geometry import Resize as Resize
    from .pipeline import Model as Model
    from .pipeline import Pipeline as Pipeline
    from .pipeline import prepend as prepend
    from .proof import verify_bundle as verify_bundle
    from .recipe import PixelsSpec as PixelsSpec
    from .recipe import Recipe as Recipe
    from .recipe import load_recipe as load_recipe
    from .serving.check import serve_check as serve_check
    from .serving.packaging import package as package
    from .stats import Stats as Stats
    from .stats import StatsInterruptedError as StatsInterruptedError
    from .stats import compute_stats as compute_stats
    from .verify import Report as Report
else:

    def __getattr__(name):
        from importlib import import_module

        if name not in _MODULE_OF:
            raise AttributeError(f"module 'preproc' has no attribute {name!r}")
        return getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(_MODULE_OF)


__all__ = [*sorted(_MODULE_OF)]  # pyright: ignore[reportUnsupportedDunderAll]
