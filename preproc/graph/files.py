"""ONNX files: reading and checking; and the metadata that a file carries."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx_ir as ir

from ..errors import BundleError, first_line
from ..host import Progress, digest, silent
from .messages import all_tensors, beside, in_nodes, light, messages, model_of
from .reading import read


def load(path: str | Path, progress: Progress = silent) -> ir.Model:
    """Raises BundleError with the file's name if it is not an ONNX file. Weights in files of their own stay there.

    Older files list every initializer among their inputs, for they had to: here they are initializers only. Sides of inputs and outputs
    that some exporters declare as 0 or -1 are free, which is what these mean by it.
    """
    proto = read(path, progress)
    try:
        if not proto.graph.output:
            raise BundleError(f"{path}: expected an ONNX file, got one without a graph", name="not-a-model")
        names = [tensor.name for tensor in proto.graph.initializer]
        twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
        if twice is not None:
            raise BundleError(f"{path}: expected initializers of different names, got {twice!r} twice", name="not-a-model")
        files = _files(proto)
        _take_in(proto, Path(path).parent)
        freed = _free_sides(proto.graph)
        with _silent("onnx_ir.serde"):  # it warns of what the check below refuses
            model = model_of(proto, Path(path).absolute().parent, files, freed)
    except BundleError:
        raise
    except Exception as error:  # onnx-ir raises whatever Python does with a wrong message
        raise BundleError(f"{path}: expected an ONNX file, got: {first_line(error.__cause__ or error)}", name="not-a-model") from error
    values = [*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values()]
    values += [value for node in model.graph.all_nodes() for value in (*node.inputs, *node.outputs) if value is not None]
    if not all(isinstance(value.name, str) for value in values):
        raise BundleError(f"{path}: expected an ONNX file, got one whose names are not UTF-8", name="not-a-model")
    check(model, path, full=False)
    _check_weights(model, path)
    return model


def _free_sides(graph: onnx.GraphProto) -> tuple[str, ...]:
    """In place; the names of the inputs that had such. Inside of the graph a 0 may be one, but for a batch."""
    found, weights = [], {tensor.name for tensor in graph.initializer}
    for values, inside in ((graph.input, False), (graph.output, False), (graph.value_info, True)):
        for value in (value for value in values if value.name not in weights):
            for axis, side in enumerate(value.type.tensor_type.shape.dim):
                none = side.dim_value == 0 and (axis == 0 or not inside)
                if side.HasField("dim_value") and (side.dim_value < 0 or none):
                    side.ClearField("dim_value")
                    found.append(value.name)
    return tuple(dict.fromkeys(value.name for value in graph.input if value.name in found))


def _files(proto: onnx.ModelProto) -> tuple[str, ...]:
    """The other files that it names."""
    tensors = [*all_tensors(proto.graph), *_elsewhere(proto)]
    return tuple(sorted({entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}))


def _elsewhere(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """The tensors in functions and in training information."""
    for function in proto.functions:
        yield from in_nodes(function.node)
    for training in proto.training_info:
        yield from all_tensors(training.initialization)
        yield from all_tensors(training.algorithm)


@contextlib.contextmanager
def _silent(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _take_in(proto: onnx.ModelProto, folder: Path) -> None:
    """Reads weights that are neither initializers nor in this file: nothing is gained by leaving a Constant node's outside."""
    for tensor in [*in_nodes(proto.graph.node), *_elsewhere(proto)]:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            outside = ir.serde.deserialize_tensor(tensor, folder.absolute())
            tensor.raw_data = outside.tobytes()
            tensor.ClearField("data_location")
            tensor.ClearField("external_data")


def _check_weights(model: ir.Model, path: str | Path) -> None:
    """That weights are as long as their shapes say; those in other files there, in full, and inside of the model's folder."""
    for value in model.graph.initializers.values():
        tensor = value.const_value
        try:
            if isinstance(tensor, ir.ExternalTensor):
                tensor.numpy()  # maps the file; nothing is read
                tensor.release()
            elif tensor is not None:
                tensor.numpy()
        except (OSError, ValueError, TypeError) as error:
            if not isinstance(tensor, ir.ExternalTensor):
                raise BundleError(
                    f"{path}: expected a valid ONNX file, got {value.name}: {first_line(error)}", name="not-a-model"
                ) from error
            lacks = isinstance(error, FileNotFoundError)
            got = f"no {tensor.location}: copy it beside the file" if lacks else f": {first_line(error)}"
            raise BundleError(
                f"{path}: expected its weights in the files that it names, got{' ' if lacks else ''}{got}", name="weights-unreadable"
            ) from error


def check(model: ir.Model, name: str | Path, *, full: bool = True) -> None:
    """ONNX's own check of everything but large weights, if it is full with shapes and types. Raises BundleError about the file `name`."""
    parts = messages(model)
    try:
        for tensor in parts.tensors:
            if tensor.data_location != onnx.TensorProto.EXTERNAL:
                onnx.checker.check_tensor(tensor)
        proto = light(parts)
        shapeless = [value.type.tensor_type for value in (*proto.graph.input, *proto.graph.output) if _has_no_shape(value)]
        for kind in shapeless:
            kind.shape.SetInParent()  # the check wants one, which runtimes do without
        onnx.checker.check_model(proto)
        for kind in shapeless:
            kind.ClearField("shape")
        if full:
            onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError, TypeError) as error:
        if not full and "No Op registered for" in str(error):
            return  # ONNX Runtime's optimizer writes operators of newer opsets, and runs them; what does not run is said when it is run
        raise BundleError(f"{name}: expected a valid ONNX file, got: {first_line(error)}", name="not-a-model") from error


def _has_no_shape(value: onnx.ValueInfoProto) -> bool:
    return value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape")


def fingerprint(path: str | Path, model: ir.Model, progress: Progress = silent) -> str:
    """sha256 of the file that `model` was loaded from; if it has weights in other files, of it and then of these, in the order of their
    names."""
    return digest([Path(path), *(Path(path).parent / name for name in beside(model))], progress)


def output_types(path: str | Path) -> dict[str, ir.DataType]:
    """Node name -> the dtype of its first output, as far as ONNX can infer it."""
    inferred = onnx.shape_inference.infer_shapes(read(path))
    graph = ir.from_proto(inferred).graph
    return {str(node.name): node.outputs[0].dtype for node in graph.all_nodes() if node.outputs and node.outputs[0].dtype is not None}


def of_sizes(path: str | Path) -> set[str]:
    """The names of our own nodes in which no input's values are, but how many there are: arithmetic on sizes and positions."""
    made, read_from, found = ir.from_proto(read(path)).graph, set[ir.Value](), set[str]()
    read_from |= {value for value in made.inputs if value.name not in made.initializers}
    for node in made:
        if node.op_type != "Shape" and any(value in read_from for value in node.inputs if value is not None):
            read_from |= set(node.outputs)
        elif str(node.name).startswith("preproc/"):
            found.add(str(node.name))
    return found


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
