"""Recipe, Model or .onnx file -> verified bundle.

In: what is to be made. Out: a published folder and its report; see preproc/README.md, "The way through the code".
Never: a file that differs from what was verified, or that failed.
"""

from .attaching import attach
from .explaining import explained
from .exporter import export_bundle
from .finding import rebuild
from .quantize import quantize_bundle
from .verifying import verify_bundle

__all__ = ["attach", "explained", "export_bundle", "quantize_bundle", "rebuild", "verify_bundle"]
