"""The inputs and outputs of a bundle's model, as Triton has to be told them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...bundle import Bundle
from ...errors import PreprocError
from ...verify import Case
from ...verify.runtimes import OrtCpu
from . import batches
from .backends import Backend
from .client import protocol_word


@dataclass(frozen=True)
class Value:
    """An input or output of a model file. name: Triton's.  of: the contract's.  shape: numbers, and None where it is free."""

    name: str
    of: str
    dtype: str
    shape: tuple[int | None, ...]

    def data_type(self) -> int:
        """Triton's number of the dtype. Raises PreprocError for dtypes that it has none for."""
        known = schema_of().DataType
        word = "TYPE_STRING" if self.dtype == "string" else f"TYPE_{protocol_word(self.dtype)}"
        if word not in known.keys():  # noqa: SIM118 - no mapping
            raise PreprocError(
                f"expected values of a dtype that Triton has a word for, got {self.of} in {self.dtype}", name="triton-settings"
            )
        number: int = known.Value(word)
        return number


def signature(bundle: Bundle, backend: Backend) -> tuple[list[Value], list[Value]]:
    """The inputs and outputs: of an ONNX file as ONNX Runtime infers them, with which its backend compares the configuration; of torch's
    files, which do not tell, as the contract says, named as their backend demands."""
    if backend.model == "model.onnx":
        runtime = OrtCpu()
        runtime.open(bundle.folder / backend.model)
        return _values(runtime.session.get_inputs()), _values(runtime.session.get_outputs())
    contract = bundle.contract
    return _promised([contract["input"]], backend.inputs), _promised(contract["outputs"], backend.outputs)


def _values(values: Sequence[Any]) -> list[Value]:
    words = [value.type.removeprefix("tensor(").removesuffix(")") for value in values]
    dtypes = [{"float": "float32", "double": "float64"}.get(word, word) for word in words]
    return [Value(value.name, value.name, dtype, _sides(value.shape)) for value, dtype in zip(values, dtypes, strict=True)]


def _promised(values: Sequence[Mapping[str, Any]], naming: str) -> list[Value]:
    return [
        Value(naming.format(name=value["name"], position=position), value["name"], value["dtype"], _sides(value["shape"]))
        for position, value in enumerate(values)
    ]


def _sides(shape: Sequence[Any]) -> tuple[int | None, ...]:
    return tuple(side if isinstance(side, int) else None for side in shape)


def why_not_batched(bundle: Bundle, golden: Sequence[Case], values: Sequence[Value]) -> str | None:
    """Why Triton cannot put requests together, or None."""
    fixed = next((value for value in values if not value.shape or value.shape[0] is not None), None)
    if fixed is not None and fixed.shape and "N" in bundle.contract["input"]["layout"]:
        return f"{fixed.of} has a fixed batch, its shape is {[side or 'free' for side in fixed.shape]}"
    return batches.why_none(bundle.contract, golden) or (None if fixed is None else f"{fixed.of} is a single number")


def schema_of() -> Any:
    """Triton's own words: the messages of its model_config.proto."""
    try:
        from tritonclient.grpc import model_config_pb2
    except ImportError as error:
        raise PreprocError(
            "expected tritonclient, whose schema of config.pbtxt this needs, got none installed; pip install 'tritonclient[grpc]'",
            name="not-installed",
        ) from error
    return model_config_pb2
