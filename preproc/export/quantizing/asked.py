"""How a network is to be brought to 8 bits, as a value."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ...errors import check_choice
from ...folding import Eight
from ...steps import Resampling, Step

FORMATS = ("qdq",)
"""QuantizeLinear and DequantizeLinear around float operators, which runtimes fuse: what ONNX Runtime, OpenVINO and TensorRT read."""
METHODS = ("minmax", "entropy", "percentile")
BORDERS = ("exact", "nearest")
TARGETS = ("any", "tensorrt")
HELD = 8
"""Of how many pictures a histogram's values are in memory at once."""


@dataclass(frozen=True)
class Quantization:
    """images: the folder of raw pictures that the ranges are taken from.  per_channel: a scale for each output channel of every weight,
    not of the first layer's alone.  method: how a range is taken from what the tensors hold.  border: "exact", padding stays the mean,
    through an appended channel; or "nearest", without it: padding is the grey level nearest to the mean.  target: "any", or "tensorrt",
    whose rules for the place and the zero points of Q/DQ are stricter.
    Raises PreprocError for other words."""

    images: Path
    format: str = "qdq"
    per_channel: bool = False
    method: str = "minmax"
    border: str = "exact"
    target: str = "any"

    def __post_init__(self) -> None:
        known = {"format": FORMATS, "method": METHODS, "border": BORDERS}
        for field, words in known.items():
            check_choice(field, getattr(self, field), words)
        check_choice("--for (target)", self.target, TARGETS)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a method does not do. ONNX Runtime's histogram begins with as many bins as the entropy's candidates have at least, 128, and
        grows where later pictures go beyond: what is cut off are whole bins of these."""
        if self.method != "entropy":
            return ()
        return (f"entropy: ONNX Runtime's own cuts no range off below the largest value of the first {HELD} pictures",)

    @property
    def form(self) -> Eight:
        """Of the fold. TensorRT's zero points are 0, and a level less 128 is an int8."""
        return Eight(128 if self.target == "tensorrt" else "one", self.border == "nearest")

    def without_openvino(self, steps: Iterable[Step]) -> str | None:
        """Why OpenVINO does not decide, beside the runtimes that always do; None: it does."""
        if self.target == "tensorrt":
            return "its products of int8 and int8 saturate on x86 without VNNI"
        fast = (step for step in steps if isinstance(step, Resampling) and step.antialias and step.form == "fast")
        if any(step.interpolation != "nearest" for step in fast):
            return 'it reads a resize of form = "fast" without antialiasing, in any precision'
        return None
