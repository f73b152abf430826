"""Preprocessing inside the model file: folded exactly into the first convolution, with proven numerical parity.

The public names are resolved when they are first used: `import preproc` loads neither torch nor NumPy.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

_WHERE = {
    "layers": (
        "CenterCrop",
        "ChannelAffine",
        "FromPixels",
        "Letterbox",
        "LocalResponseNorm",
        "MinMaxNormalize",
        "MinMaxScale",
        "Model",
        "Normalize",
        "Pad",
        "Pipeline",
        "Rescale",
        "Resize",
        "Standardize",
        "build",
        "prepend",
    ),
    "folding.modules": ("FoldResult", "fold", "why_not_foldable"),
    "sources": ("PixelsSpec", "Recipe", "load_recipe"),
    "bundle": ("Bundle", "open_bundle"),
    "verify": ("Report",),
    "export": ("attach", "export_bundle", "quantize_bundle", "verify_bundle"),
    "export.serving": ("package", "serve_check"),
    "diagnosis": ("diagnose_against", "diagnose_pairs"),
    "diagnosis.experiment": ("compare",),
    "diagnosis.models": ("diagnose_model",),
    "stats": ("Stats", "StatsInterruptedError", "compute_stats"),
    "errors": ("PreprocError",),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}

if TYPE_CHECKING:
    from .bundle import Bundle as Bundle
    from .bundle import open_bundle as open_bundle
    from .diagnosis import diagnose_against as diagnose_against
    from .diagnosis import diagnose_pairs as diagnose_pairs
    from .diagnosis.experiment import compare as compare
    from .diagnosis.models import diagnose_model as diagnose_model
    from .errors import PreprocError as PreprocError
    from .export import attach as attach
    from .export import export_bundle as export_bundle
    from .export import quantize_bundle as quantize_bundle
    from .export import verify_bundle as verify_bundle
    from .export.serving import package as package
    from .export.serving import serve_check as serve_check
    from .folding.modules import FoldResult as FoldResult
    from .folding.modules import fold as fold
    from .folding.modules import why_not_foldable as why_not_foldable
    from .layers import CenterCrop as CenterCrop
    from .layers import ChannelAffine as ChannelAffine
    from .layers import FromPixels as FromPixels
    from .layers import Letterbox as Letterbox
    from .layers import LocalResponseNorm as LocalResponseNorm
    from .layers import MinMaxNormalize as MinMaxNormalize
    from .layers import MinMaxScale as MinMaxScale
    from .layers import Model as Model
    from .layers import Normalize as Normalize
    from .layers import Pad as Pad
    from .layers import Pipeline as Pipeline
    from .layers import Rescale as Rescale
    from .layers import Resize as Resize
    from .layers import Standardize as Standardize
    from .layers import build as build
    from .layers import prepend as prepend
    from .sources import PixelsSpec as PixelsSpec
    from .sources import Recipe as Recipe
    from .sources import load_recipe as load_recipe
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
