"""What Triton needs to serve a bundle: config.pbtxt, made with Triton's own schema from the model file, and the folder around it.

The schema is tritonclient's copy of NVIDIA's model_config.proto.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...bundle import Bundle, golden_files
from ...errors import PreprocError, first_line
from ...verify import Case
from .backends import BACKENDS, Backend
from .signature import Value, schema_of, signature, why_not_batched

MAX_BATCH = 8
"""Pictures in one batch, unless somebody asks for another number, or the model takes no batches."""
QUEUE_DELAY = 1000
"""Microseconds that a request waits for others: a millisecond, against the several that a network takes."""
KINDS = {"auto": "KIND_AUTO", "cpu": "KIND_CPU", "gpu": "KIND_GPU"}
"""Of an instance group: where the model runs. auto: on the GPUs where there are some, else on the CPU; machine code on what it is for."""
COMPILED = {"cpu": "KIND_CPU", "cuda": "KIND_GPU"}
"""By the device that machine code is compiled for: the only kind of instances that can load it."""
LABELS, WARMUP = "labels.txt", "warmup"
_OURS = ("name", "backend", "platform", "input", "output", "max_batch_size", "default_model_filename", "model_warmup")


def make_config(
    bundle: Bundle,
    golden: Sequence[Case],
    name: str,
    *,
    backend: str,
    kind: str,
    max_batch: int | None,
    settings: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Any:
    """A ModelConfig message. golden: the bundle's samples; the first one warms the model up.  kind: of KINDS.

    max_batch: pictures in a batch at most; 0: requests are served as they come; None: MAX_BATCH, or 0 where the model takes no batches, and
    progress is told why.  settings: more of config.pbtxt, in its own syntax: a field that is there takes the place of ours.

    Raises PreprocError for what Triton would take and not heed, and for a max_batch that the model does not take.
    """
    schema, served = schema_of(), BACKENDS[backend]
    device = served.device(bundle.contract)
    inputs, outputs = signature(bundle, served)
    _check_inputs(inputs, served)
    max_batch = _chosen_batch(max_batch, why_not_batched(bundle, golden, [*inputs, *outputs]), progress)
    config = schema.ModelConfig(name=name, backend=served.name, platform=served.platform, max_batch_size=max_batch)
    config.default_model_filename = served.filename
    for value in inputs:
        _describe(config.input.add(), value, batched=max_batch > 0)
    for value in outputs:
        _describe(config.output.add(), value, batched=max_batch > 0)
    scores = [position for position, value in enumerate(outputs) if value.dtype.startswith("float")]
    if bundle.contract["labels"] and scores:
        config.output[scores[0]].label_filename = LABELS
    if max_batch > 1:
        config.dynamic_batching.preferred_batch_size.extend(sorted({max(max_batch // 2, 2), max_batch}))
        config.dynamic_batching.max_queue_delay_microseconds = QUEUE_DELAY
    where = COMPILED[device] if device is not None and kind == "auto" else KINDS[kind]
    config.instance_group.add(kind=schema.ModelInstanceGroup.Kind.Value(where), count=1)
    _warm_up(config, inputs, golden[0])
    if settings is not None:
        _merge(config, settings)
    check_config(config, device)
    if device is not None:
        made, batches = bundle.contract["compiled"]["aoti"], ", from release 26.06 on where max_batch_size is not 0" if max_batch else ""
        loads = f"a Triton with that torch, or a newer one, loads it{batches}"
        progress(f"note: compiled by torch {made['torch']} for {device}, {made['cpu']}: {loads}")
    return config


def _check_inputs(inputs: Sequence[Value], backend: Backend) -> None:
    if backend.name == "pytorch" and any(value.dtype in ("uint16", "uint32", "uint64") for value in inputs):
        raise PreprocError(
            f"expected pixels that Triton's pytorch backend takes, uint8, got {inputs[0].dtype}; use --backend onnxruntime",
            name="triton-settings",
        )


def _chosen_batch(asked: int | None, reason: str | None, progress: Callable[[str], None]) -> int:
    """max_batch, as make_config() has it. reason: why requests cannot be put together, or None."""
    if reason is not None and asked:
        raise PreprocError(
            f"expected a model that takes batches for --max-batch {asked}, got one that does not: {reason}", name="triton-settings"
        )
    if reason is not None and asked is None:
        progress(f"note: requests are not put together: {reason}")
    return (MAX_BATCH if reason is None else 0) if asked is None else asked


def _describe(message: Any, value: Value, *, batched: bool) -> None:
    """One of the configuration's inputs or outputs. batched: whether Triton puts the batch in front of the shape itself."""
    message.name, message.data_type = value.name, value.data_type()
    message.dims.extend(-1 if side is None else side for side in value.shape[1 if batched else 0 :])
    if not message.dims:  # Triton wants a side
        message.dims.append(1)
        if value.shape:  # a number per picture: the model has none. A single number is told to the backends so
            message.reshape.SetInParent()


def _warm_up(config: Any, inputs: Sequence[Value], sample: Case) -> None:
    """With the sample, whose values lie beside config.pbtxt."""
    batched = config.max_batch_size > 0
    warmup = config.model_warmup.add(name=sample.name, batch_size=len(sample.pixels) if batched else 1)  # of 0 it skips the sample
    for key, array in warmup_arrays(sample).items():
        (value,) = [value for value in inputs if value.of == key]
        entry = warmup.inputs[value.name]
        entry.data_type = value.data_type()
        entry.dims.extend(array.shape[1 if batched else 0 :] or (1,))
        entry.input_data_file = _files(sample)[key]


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
    more = parse(settings, "--settings")
    for field, _ in more.ListFields():
        if field.name in _OURS:
            raise PreprocError(f"expected settings beside what the bundle says itself, got {field.name}", name="triton-settings")
        config.ClearField(field.name)
    config.MergeFrom(more)


def parse(text: str, where: str | Path) -> Any:
    """A ModelConfig from config.pbtxt's text. Raises PreprocError, which names `where`, for a text that is none."""
    from google.protobuf import text_format

    try:
        return text_format.Parse(text, schema_of().ModelConfig())
    except text_format.ParseError as error:
        raise PreprocError(
            f"{where}: expected text of Triton's model configuration, got: {first_line(error)}", name="malformed-file"
        ) from error


def check_config(config: Any, device: str | None = None) -> None:
    """What Triton takes and does not heed. device: what the model is compiled for, "cpu" or "cuda", or None.  Raises PreprocError."""
    batching = config.WhichOneof("scheduling_choice") == "dynamic_batching"
    if batching and config.max_batch_size == 0:
        raise PreprocError(
            "expected dynamic_batching with max_batch_size of 1 or more only, got 0, for which Triton ignores it", name="triton-settings"
        )
    preferred = config.dynamic_batching.preferred_batch_size
    if batching and not all(0 < size <= config.max_batch_size for size in preferred):
        raise PreprocError(
            f"expected preferred_batch_size of 1 to max_batch_size {config.max_batch_size}, got {list(preferred)}", name="triton-settings"
        )
    kinds = {type(group).Kind.Name(group.kind) for group in config.instance_group}
    if device is not None and kinds != {COMPILED[device]}:
        raise PreprocError(
            f"expected instances of {COMPILED[device]} alone for a package that is compiled for {device}, which loads on nothing else, got "
            f"{', '.join(sorted(kinds)) or 'none'}; leave --kind out, or export it for the other device",
            name="triton-settings",
        )
    accelerators = [entry.name for entry in config.optimization.execution_accelerators.gpu_execution_accelerator]
    if accelerators and kinds & {"KIND_CPU", "KIND_MODEL"}:
        raise PreprocError(
            f"expected the accelerator {accelerators[0]} with instances on GPUs only, got {', '.join(sorted(kinds))}",
            name="triton-settings",
        )
    processors = [entry.name for entry in config.optimization.execution_accelerators.cpu_execution_accelerator]
    if processors and kinds != {"KIND_CPU"}:
        raise PreprocError(
            f"expected the accelerator {processors[0]} with instances on CPUs only (--kind cpu), got {', '.join(sorted(kinds))}",
            name="triton-settings",
        )
    if config.backend != "onnxruntime" and (accelerators or processors):
        raise PreprocError(
            f"expected accelerators with the onnxruntime backend only, got {config.backend}, which heeds none", name="triton-settings"
        )
    if any(group.count < 0 for group in config.instance_group):  # 0 is left out: Triton then chooses
        raise PreprocError("expected instance groups of no negative number of instances", name="triton-settings")
    if not config.input or not config.output:
        raise PreprocError("expected a model with inputs and outputs, got one without", name="triton-settings")


def check_policy(config: Any, version: int) -> None:
    """Raises PreprocError if the version would not be served."""
    policy = config.version_policy
    choice = policy.WhichOneof("policy_choice")
    if (choice == "specific" and version not in policy.specific.versions) or (choice == "latest" and policy.latest.num_versions < 1):
        told = f"specific {list(policy.specific.versions)}" if choice == "specific" else f"latest {policy.latest.num_versions}"
        raise PreprocError(f"expected a version_policy that serves the new version {version}, got {told}", name="triton-settings")


def differing(one: Any, other: Any) -> list[str]:
    """The fields in which two configurations differ."""
    return [field.name for field in one.DESCRIPTOR.fields if getattr(one, field.name) != getattr(other, field.name)]


def to_text(config: Any) -> str:
    from google.protobuf import text_format

    return str(text_format.MessageToString(config))
