"""ONNX files: reading, checking, writing; and the metadata that a file carries."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from ..errors import BundleError

EXTERNAL_ABOVE = 2_000_000_000
"""Bytes of weights above which they go into a second file: protobuf ends at 2 GiB."""


EXTERNAL = "preproc.external"
"""In a loaded model's `meta`: whether its weights were in files of their own."""
UNLISTED = 4
"""The IR version from which on initializers need not be listed among the inputs; listed, they may be overridden by callers."""


def load(path: str | Path) -> ir.Model:
    """Raises BundleError with the file's name if it is not an ONNX file.

    Older files list every initializer among their inputs, for they had to: here they are initializers only, and to_bytes() lists them.
    """
    try:
        model = ir.load(path)
    except FileNotFoundError as error:
        raise BundleError(f"{path}: expected an ONNX file, got nothing there") from error
    except (DecodeError, ValueError, TypeError, OSError, KeyError) as error:
        raise BundleError(
            f"{path}: expected an ONNX file, got: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from error

    if not model.graph.outputs:
        raise BundleError(f"{path}: expected an ONNX file, got one without a graph")
    model.meta[EXTERNAL] = any(isinstance(value.const_value, ir.ExternalTensor) for value in model.graph.initializers.values())
    if model.ir_version < UNLISTED:
        inputs = [value for value in model.graph.inputs if value.name not in model.graph.initializers]
        model.graph.inputs[:] = inputs
    try:
        return ir.external_data.load_to_model(model)
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: expected its weights in the files that it names, got: {str(error).splitlines()[0]}") from error


def save(model: ir.Model, path: Path) -> None:
    """Writes one file; weights that were in files of their own, or that are more than protobuf holds, go into `<name>.data` beside it.
    Same model, same bytes."""
    size = sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value is not None)
    if size > EXTERNAL_ABOVE or model.meta.get(EXTERNAL):
        ir.save(model, path, external_data=f"{path.name}.data")
    else:
        path.write_bytes(to_bytes(model))


def to_bytes(model: ir.Model) -> bytes:
    proto = ir.to_proto(model)
    if model.ir_version < UNLISTED:
        named = {value.name for value in proto.graph.input}
        proto.graph.input.extend(
            onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            for tensor in proto.graph.initializer
            if tensor.name not in named
        )
    data: bytes = proto.SerializeToString(deterministic=True)
    return data


def check_file(path: Path) -> None:
    """ONNX's own full check, shapes and types included. Raises BundleError."""
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise BundleError(f"{path.name}: expected a valid ONNX file, got: {str(error).splitlines()[0]}") from error


def fingerprint(path: str | Path) -> str:
    """sha256 of the whole model, weights in other files included."""
    return hashlib.sha256(to_bytes(load(path))).hexdigest()


def output_names(path: str | Path) -> tuple[str, ...]:
    """The file's outputs."""
    return tuple(str(value.name) for value in load(path).graph.outputs)


def output_types(path: str | Path) -> dict[str, ir.DataType]:
    """Node name -> the dtype of its first output, as far as ONNX can infer it."""
    inferred = onnx.shape_inference.infer_shapes(onnx.load(str(path), load_external_data=False))
    graph = ir.from_proto(inferred).graph
    return {str(node.name): node.outputs[0].dtype for node in graph.all_nodes() if node.outputs and node.outputs[0].dtype is not None}


def read_metadata(path: str | Path) -> Mapping[str, str]:
    """The file's metadata_props, without its weights being looked at."""
    return dict(load(path).metadata_props)


def strip_traces(model: ir.Model) -> None:
    """Removes what torch's exporter leaves on every node and value (stack traces, paths of the machine); all other metadata stays."""
    for graph in [model.graph, *(function.graph for function in model.functions.values())]:
        values = [*graph.inputs, *graph.initializers.values(), *(value for node in graph.all_nodes() for value in node.outputs)]
        owners: list[ir.Graph | ir.Node | ir.Value | Any] = [graph, *values, *graph.all_nodes()]
        for item in owners:
            for key in [key for key in item.metadata_props if key.startswith(("pkg.", "namespace"))]:
                del item.metadata_props[key]


def strip(model: ir.Model) -> None:
    """Removes everything that says on which machine and by which code the graph was traced: metadata and doc strings."""
    graphs = [model.graph, *(function.graph for function in model.functions.values())]
    for graph in graphs:
        graph.metadata_props.clear()
        graph.doc_string = None
        for value in [*graph.inputs, *graph.initializers.values()]:
            value.metadata_props.clear()
            value.doc_string = None
        for node in graph.all_nodes():
            node.metadata_props.clear()
            node.doc_string = None
            for value in node.outputs:
                value.metadata_props.clear()
                value.doc_string = None
    model.metadata_props.clear()
    model.doc_string = None
