"""A network in 8 bits, through ONNX Runtime's own quantizer, with ranges that are taken from raw pixels.

In: an ONNX model that takes pixels, and a folder of pictures. Out: the model with QuantizeLinear and DequantizeLinear inside.
Never: a value that was normalized by anybody but the file itself; a quantizer of our own.
"""

from .asked import Quantization
from .calibration import Calibration, calibrated_with
from .static import quantized, without_batch_norms

__all__ = ["Calibration", "Quantization", "calibrated_with", "quantized", "without_batch_norms"]
