"""Static quantization by ONNX Runtime's own quantizer: ranges from what the tensors hold, Q/DQ around the operators."""

import contextlib
import io
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ... import graph
from ...errors import PreprocError, first_line
from ...verify.runtimes import onnxruntime
from .asked import HELD, Quantization

if TYPE_CHECKING:
    import onnx_ir as ir

Feeds = Callable[[], Iterator[Mapping[str, NDArray[Any]]]]
"""Reads the calibration's pictures again, as the model's inputs."""
PADDED = "preproc/"
"""What the names of our own nodes begin with, in front of the network: what they compute is none of its layers."""


def quantized(model: "ir.Model", feeds: Feeds, count: int, asked: Quantization, held: graph.Held | None = None) -> "ir.Model":
    """The model with QuantizeLinear and DequantizeLinear inside, its outputs not rounded; the float32 one stays as it is.

    count: of the pictures.  held: what is on its grid already, and stays there.
    Weights are symmetric. By themselves they are uint8 around 128, as activations are uint8: on x86 without VNNI the products of uint8 and
    int8 saturate in pairs, in ONNX Runtime and OpenVINO alike, which spoils a first layer of bright pixels. TensorRT takes int8 and zero
    points of 0 alone, biases in float32, and would rather not have the sums of convolutions rounded.
    Raises PreprocError where the quantizer refuses the model.
    """
    onnxruntime()
    from onnxruntime import quantization as own

    ours = [str(node.name) for node in model.graph if str(node.name).startswith(PADDED)]
    strict = asked.target == "tensorrt"
    kind = own.QuantType.QInt8 if strict else own.QuantType.QUInt8
    options: dict[str, Any] = {"WeightSymmetric": True, "TensorQuantOverrides": {} if held is None else _overrides(held, kind, strict)}
    if strict:
        options |= {"ActivationSymmetric": True, "QuantizeBias": False}
        options |= {"OpTypesToExcludeOutputQuantization": ["Conv", "ConvTranspose", "Gemm", "MatMul"]}
    if asked.method != "minmax":
        options |= {"CalibStridedMinMax": 1}
    methods = {"minmax": "MinMax", "entropy": "Entropy", "percentile": "Percentile"}
    with tempfile.TemporaryDirectory() as folder, _unheard():
        given, made = Path(folder) / "float.onnx", Path(folder) / "quantized.onnx"
        graph.save(model, given)
        try:
            own.quantize_static(
                str(given),
                str(made),
                _Reader(feeds(), count, count if asked.method == "minmax" else HELD),
                quant_format=own.QuantFormat.QDQ,
                per_channel=asked.per_channel,
                activation_type=kind,
                weight_type=kind,
                nodes_to_exclude=[*ours, *(() if held is None else held.adding)],
                calibrate_method=own.CalibrationMethod[methods[asked.method]],
                extra_options=options,
            )
            found = graph.load(made)
            graph.answer_unrounded(found)
        except PreprocError:
            raise
        except Exception as error:  # the quantizer's own, of any class
            raise PreprocError(
                f"expected a model that ONNX Runtime quantizes, got: {type(error).__name__}: {first_line(error)}", name="not-quantizable"
            ) from error
    return found


def without_batch_norms(model: "ir.Model") -> "ir.Model":
    """The same network, its batch norms in the weights before them, as ONNX Runtime's offline optimization does: the quantizer would round
    in front of them. As it is where it has none."""
    if not any(node.op_type == "BatchNormalization" for node in model.graph):
        return model
    ort = onnxruntime()
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "given.onnx", Path(folder) / "optimized.onnx"
        graph.save(model, given)
        options = ort.SessionOptions()
        options.log_severity_level, options.optimized_model_filepath = 4, str(made)
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        ort.InferenceSession(str(given), options, providers=["CPUExecutionProvider"])
        return graph.load(made)


def _overrides(held: graph.Held, kind: Any, strict: bool) -> dict[str, list[dict[str, Any]]]:
    """In the quantizer's words."""
    dtype, middle, zero = (np.int8, 0, 0) if strict else (np.uint8, 128, held.zero)

    def said(scale: float, zero: int) -> dict[str, Any]:
        return {"quant_type": kind, "scale": np.array(scale, np.float32), "zero_point": np.array(zero, dtype)}

    tensors = {name: [said(1.0, zero)] for name in held.levels}
    weights = {name: [said(scale, middle) | {"axis": axis} for scale in scales] for name, (scales, axis) in held.weights.items()}
    return tensors | weights


class _Reader:
    """A CalibrationDataReader, which hands out so many pictures before the quantizer makes ranges of them."""

    def __init__(self, feeds: Iterator[Mapping[str, NDArray[Any]]], count: int, at_once: int) -> None:
        self.feeds, self.count, self.at_once, self.left = feeds, count, at_once, at_once

    def __len__(self) -> int:
        return -(-self.count // self.at_once)

    def set_range(self, start_index: int, end_index: int) -> None:
        self.left = (end_index - start_index) * self.at_once

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        self.left -= 1
        feed = next(self.feeds, None) if self.left >= 0 else None
        return None if feed is None else dict(feed)


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    """It prints, and logs on the root logger, which has no handler before that."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    root.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        root.setLevel(level)
        for handler in set(root.handlers) - set(before):
            root.removeHandler(handler)
