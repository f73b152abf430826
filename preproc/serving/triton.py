"""What Triton needs to serve a bundle: config.pbtxt, made with Triton's own schema from the model file, and the folder around it.

The schema is tritonclient's copy of NVIDIA's model_config.proto. The C++ backends' demands are from their READMEs (onnxruntime_backend,
pytorch_backend).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import graph
from ..bundle import Bundle, golden_files
from ..errors import BundleError, PreprocError, first_line
from ..verify import Case

MAX_BATCH = 8
"""Pictures in one batch, unless somebody asks for another number."""
QUEUE_DELAY = 1000
"""Microseconds that a request waits for others: a millisecond, against the several that a network takes."""
FILES = {"onnxruntime": ("model.onnx", "model.onnx.data"), "pytorch": ("model.pt",)}
"""By backend: the bundle's files that go into a version folder, the model first."""
PLATFORMS = {"onnxruntime": "onnxruntime_onnx", "pytorch": "pytorch_libtorch"}
KINDS = {"auto": "KIND_AUTO", "cpu": "KIND_CPU", "gpu": "KIND_GPU"}
"""Of an instance group: where the model runs. auto: on the GPUs where there are some, else on the CPU."""
LABELS, WARMUP = "labels.txt", "warmup"
_TYPES = {"float16": "FP16", "float32": "FP32", "float64": "FP64"}
_OURS = ("name", "backend", "platform", "input", "output", "max_batch_size", "default_model_filename", "model_warmup")


@dataclass(frozen=True)
class Value:
    """An input or output of a model file. shape: numbers, None where it is free.  first: the name of the first side, where it has one."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    first: str | None = None

    def data_type(self) -> str:
        """Triton's word. Raises PreprocError for dtypes that it has none for."""
        word = f"TYPE_{_TYPES.get(self.dtype, self.dtype.upper())}"
        if word not in _schema().DataType.keys():  # noqa: SIM118 - no mapping
            raise PreprocError(f"expected values of a dtype that Triton has a word for, got {self.name} in {self.dtype}")
        return word


def signature(bundle: Bundle, backend: str) -> tuple[list[Value], list[Value]]:
    """The inputs and outputs: of an ONNX file as its graph has them, of a TorchScript file as its contract says, named as the backend
    demands: <name>__<position>."""
    if backend == "onnxruntime":
        model = graph.load(bundle.folder / "model.onnx")
        fed = [value for value in model.graph.inputs if value.name not in model.graph.initializers]
        return _values(fed), _values(model.graph.outputs)
    contract = bundle.contract
    return [_promised(contract["input"])], [_promised(output, f"__{position}") for position, output in enumerate(contract["outputs"])]


def _values(values: Sequence[Any]) -> list[Value]:
    found = []
    for value in values:
        if value.shape is None or value.dtype is None:
            raise BundleError(f"expected a model whose inputs and outputs have a shape and a dtype, got {value.name} without")
        sides = graph.sides(value) or []
        word = value.dtype.name.lower()
        dtype = {"float": "float32", "double": "float64"}.get(word, word)
        first = sides[0] if sides and isinstance(sides[0], str) else None
        found.append(Value(value.name, dtype, tuple(side if isinstance(side, int) else None for side in sides), first))
    return found


def _promised(value: Mapping[str, Any], suffix: str = "") -> Value:
    sides = value["shape"]
    first = sides[0] if sides and isinstance(sides[0], str) else None
    return Value(f"{value['name']}{suffix}", value["dtype"], tuple(side if isinstance(side, int) else None for side in sides), first)


def make_config(
    bundle: Bundle, name: str, *, backend: str, kind: str, max_batch: int, settings: str | None = None, sample: Case | None = None
) -> Any:
    """A ModelConfig message. kind: of KINDS.  max_batch: pictures in a batch at most; 0: requests are served as they come.
    settings: more of config.pbtxt, in its own syntax, which is put on top.  sample: what the model is warmed up with.

    Dynamic batching where every input and output has a free batch dimension in front. Raises PreprocError for settings that Triton would
    refuse when it starts, or would take and not heed, and for single numbers, which it does not know.
    """
    schema = _schema()
    inputs, outputs = signature(bundle, backend)
    if backend == "pytorch" and any(value.dtype in ("uint16", "uint32", "uint64") for value in inputs):
        raise PreprocError(f"expected pixels that Triton's pytorch backend takes, uint8, got {inputs[0].dtype}; use --backend onnxruntime")
    stackable = max_batch > 0 and _stackable(bundle, [*inputs, *outputs])
    config = schema.ModelConfig(name=name, backend=backend, platform=PLATFORMS[backend], max_batch_size=max_batch if stackable else 0)
    for value, message in [*((value, config.input.add()) for value in inputs), *((value, config.output.add()) for value in outputs)]:
        message.name, message.data_type = value.name, schema.DataType.Value(value.data_type())
        message.dims.extend(-1 if side is None else side for side in value.shape[1 if stackable else 0 :])
        if not value.shape:
            raise PreprocError(f"expected values with a side, got {value.name}, a single number, which Triton cannot pass to a model")
        if not message.dims:  # one number per picture: Triton wants a side, and to be told that the model has none
            message.dims.append(1)
            message.reshape.SetInParent()
    if bundle.contract["labels"]:
        config.output[0].label_filename = LABELS
    if stackable and max_batch > 1:
        config.dynamic_batching.preferred_batch_size.extend(sorted({max(max_batch // 2, 2), max_batch}))
        config.dynamic_batching.max_queue_delay_microseconds = QUEUE_DELAY
    config.instance_group.add(kind=schema.ModelInstanceGroup.Kind.Value(KINDS[kind]), count=1)
    if sample is not None:
        warmup = config.model_warmup.add(name=sample.name, batch_size=len(sample.pixels) if stackable else 0)
        for key, array in warmup_arrays(sample).items():
            (value,) = [value for value in inputs if value.name == key]
            entry = warmup.inputs[key]
            entry.data_type = schema.DataType.Value(value.data_type())
            entry.dims.extend(array.shape[1 if stackable else 0 :] or (1,))
            entry.input_data_file = _files(sample)[key]
    if settings is not None:
        _merge(config, settings)
    check_config(config)
    return config


def _stackable(bundle: Bundle, values: Sequence[Value]) -> bool:
    """Whether requests may be put together, and the answers cut apart: the first side of every value is free, has the one name that the
    pixels' has, and in every golden sample is the number of pictures. (A free side may be anything else: two rows per picture.)"""
    if any(not value.shape or value.shape[0] is not None or value.first is None for value in values):
        return False
    arrays = [(len(case.pixels), array) for case in bundle.golden() for array in (*case.expected.values(), *case.others.values())]
    return len({value.first for value in values}) == 1 and all(array.ndim > 0 and len(array) == count for count, array in arrays)


def warmup_arrays(sample: Case) -> dict[str, Any]:
    """What the sample feeds, by input."""
    return {"pixels": sample.pixels, **sample.others}


def write_warmup(folder: Path, sample: Case) -> None:
    """The raw bytes that config.pbtxt names."""
    folder.mkdir()
    for key, array in warmup_arrays(sample).items():
        (folder / _files(sample)[key]).write_bytes(np.ascontiguousarray(array).tobytes())


def _files(sample: Case) -> dict[str, str]:
    """By input: the name of its raw bytes."""
    return {"pixels": "pixels"} | {key: file.removesuffix(".npy") for key, file in golden_files(list(sample.others)).items()}


def _merge(config: Any, settings: str) -> None:
    more = parse(settings)
    for field, _ in more.ListFields():
        if field.name in _OURS:
            raise PreprocError(f"expected settings beside what the bundle says itself, got {field.name}")
        config.ClearField(field.name)
    config.MergeFrom(more)


def parse(text: str) -> Any:
    """A ModelConfig from config.pbtxt's text. Raises PreprocError for a text that is none."""
    from google.protobuf import text_format

    try:
        return text_format.Parse(text, _schema().ModelConfig())
    except text_format.ParseError as error:
        raise PreprocError(f"expected text of Triton's model configuration, got: {first_line(error)}") from error


def check_config(config: Any) -> None:
    """What no server notices. Raises PreprocError."""
    batching = config.WhichOneof("scheduling_choice") == "dynamic_batching"
    if batching and config.max_batch_size == 0:
        raise PreprocError("expected dynamic_batching with max_batch_size of 1 or more only, got 0, for which Triton ignores it")
    largest = max(config.dynamic_batching.preferred_batch_size, default=0)
    if batching and largest > config.max_batch_size:
        raise PreprocError(f"expected preferred_batch_size up to max_batch_size {config.max_batch_size}, got {largest}")
    kinds = {type(group).Kind.Name(group.kind) for group in config.instance_group}
    accelerators = [entry.name for entry in config.optimization.execution_accelerators.gpu_execution_accelerator]
    if accelerators and kinds & {"KIND_CPU", "KIND_MODEL"}:
        raise PreprocError(f"expected the accelerator {accelerators[0]} with instances on GPUs only, got {', '.join(sorted(kinds))}")
    processors = [entry.name for entry in config.optimization.execution_accelerators.cpu_execution_accelerator]
    if processors and kinds != {"KIND_CPU"}:
        raise PreprocError(f"expected the accelerator {processors[0]} with instances on CPUs only, got {', '.join(sorted(kinds))}")
    if any(group.count < 0 for group in config.instance_group):  # 0 is left out: Triton then chooses
        raise PreprocError("expected instance groups of no negative number of instances")
    if not config.input or not config.output:
        raise PreprocError("expected a model with inputs and outputs, got one without")


def to_text(config: Any) -> str:
    from google.protobuf import text_format

    return str(text_format.MessageToString(config))


def _schema() -> Any:
    try:
        from tritonclient.grpc import model_config_pb2
    except ImportError as error:
        raise PreprocError("expected tritonclient, whose schema of config.pbtxt this needs; pip install preproc[serve]") from error
    return model_config_pb2
