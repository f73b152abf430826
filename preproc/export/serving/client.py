"""A model on a server that speaks the Open Inference Protocol (KServe's version 2), over HTTP or gRPC, as a runtime."""

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from ...errors import PreprocError, RuntimeAbsentError, VerificationError, first_line
from ...verify.runtimes import Outputs, Runtime

SCHEMES = {"http": ("http", False), "https": ("http", True), "grpc": ("grpc", False), "grpcs": ("grpc", True)}
"""By the scheme of a URL: the protocol, and whether it is encrypted."""
TIMEOUT = 60.0
"""Seconds for one answer."""


@dataclass(frozen=True)
class Address:
    protocol: str
    place: str
    encrypted: bool

    @classmethod
    def of(cls, url: str) -> "Address":
        """Raises PreprocError for what is no URL of a server."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise PreprocError(
                f"expected the URL of a server, as http://host:8000 or grpc://host:8001, got {url!r}: {error}", name="option-value"
            ) from error
        if parts.scheme not in SCHEMES or not parts.hostname or parts.query or parts.fragment or parts.username:
            raise PreprocError(f"expected the URL of a server, as http://host:8000 or grpc://host:8001, got {url!r}", name="option-value")
        protocol, encrypted = SCHEMES[parts.scheme]
        if protocol == "grpc" and (port is None or parts.path.strip("/")):
            raise PreprocError(f"expected grpc://host:port, got {url!r}", name="option-value")
        return cls(protocol, f"{parts.netloc}{parts.path.rstrip('/')}", encrypted)


class Served(Runtime):
    """A model behind a URL. Its inputs and outputs have to be those of the contract.

    contract: what the bundle promises.  model, version: on the server; by default the bundle's name, and whatever is served.
    binary: over HTTP, raw bytes as the protocol's extension has them; False: numbers in JSON.
    """

    def __init__(
        self, url: str, contract: Mapping[str, Any], *, model: str | None = None, version: str | None = None, binary: bool = True
    ) -> None:
        self.address, self.contract = Address.of(url), contract
        self.model, self.version, self.binary = model or str(contract["name"]), version or "", binary
        self.how = "gRPC" if self.address.protocol == "grpc" else "HTTP, binary" if binary else "HTTP, JSON"
        self.name = url
        self.seconds: list[float] = []
        self.served = ""
        self.widened: set[str] = set()
        self.limit: int | None = None

    def open(self, path: Path) -> None:  # noqa: ARG002 - nothing here is a file
        """Raises RuntimeAbsentError where no server answers or it has no such model, VerificationError if the model has other values."""
        api = _api(self.address.protocol)
        settings: dict[str, Any] = {"ssl": self.address.encrypted}
        if self.address.protocol == "http":
            settings |= {"connection_timeout": TIMEOUT, "network_timeout": TIMEOUT}
        self.api, self.client = api, api.InferenceServerClient(self.address.place, **settings)
        self.timeout: dict[str, Any] = {"client_timeout": TIMEOUT} if self.address.protocol == "grpc" else {}
        extra = {"as_json": True, **self.timeout} if self.timeout else {}
        try:
            server = self._ask(self.client.get_server_metadata, **extra)
        except RuntimeAbsentError:
            raise
        except PreprocError as error:
            hint = "; a URL has a path only where the server has one in front of /v2" if "/" in self.address.place else ""
            raise RuntimeAbsentError(
                f"expected a server of the Open Inference Protocol at {self.name}, got: {error}{hint}", name="not-served"
            ) from error
        if not isinstance(server, Mapping):
            raise RuntimeAbsentError(
                f"expected a server of the Open Inference Protocol at {self.name}, got other metadata: {server!r:.80}", name="not-served"
            )
        self.server = f"{server.get('name', 'a server')} {server.get('version', '')}".strip()
        if self.address.protocol == "http" and "binary_tensor_data" not in (server.get("extensions") or ()):
            self.binary, self.how = False, "HTTP, JSON"
        try:
            told = self._ask(self.client.get_model_metadata, self.model, self.version, **extra)
        except PreprocError as error:
            raise RuntimeAbsentError(f"{self._unknown(extra)}, got: {error}", name="not-served") from error
        try:
            self.inputs = self._compare(told.get("inputs") or (), [self.contract["input"], *self.contract["other_inputs"]], "INPUT")
            self.outputs = self._compare(told.get("outputs") or (), self.contract["outputs"], "OUTPUT")
        except (AttributeError, TypeError, KeyError, IndexError, ValueError) as error:
            if isinstance(error, PreprocError):
                raise
            raise VerificationError(f"expected metadata of the Open Inference Protocol, got other: {first_line(error)}") from error
        with contextlib.suppress(PreprocError, AttributeError, TypeError, ValueError):  # an extension that Triton has
            told = self._ask(self.client.get_model_config, self.model, self.version, **extra)
            self.limit = int((told.get("config") or told).get("max_batch_size", 0)) or None

    def _unknown(self, extra: Mapping[str, Any]) -> str:
        if self.version:
            with contextlib.suppress(PreprocError, AttributeError, TypeError):
                served = ", ".join(map(str, self._ask(self.client.get_model_metadata, self.model, **extra).get("versions") or ()))
                return f"expected version {self.version} of {self.model} on {self.server}, which serves {served or 'others'} (--version)"
        return f"expected the model {self.model} on {self.server} (--model)"

    def run(self, pixels: NDArray[Any], others: Mapping[str, NDArray[Any]] = MappingProxyType({})) -> Outputs:
        """In as few requests as the server takes."""
        values = {self.contract["input"]["name"]: pixels, **others}
        most = self.limit or len(pixels)
        if len(pixels) <= most:
            return self._send(values)
        starts = range(0, len(pixels), most)
        answers = [self._send({name: array[start : start + most] for name, array in values.items()}) for start in starts]
        return {name: np.concatenate([answer[name] for answer in answers]) for name in self.outputs}

    def _send(self, values: Mapping[str, NDArray[Any]]) -> Outputs:
        form = {} if self.address.protocol == "grpc" else {"binary_data": self.binary}
        inputs = []
        for name, array in values.items():
            array = array[..., None] if name in self.widened else array
            value = self.api.InferInput(self.inputs[name], list(array.shape), protocol_word(str(array.dtype)))
            value.set_data_from_numpy(np.ascontiguousarray(array), **form)
            inputs.append(value)
        outputs = [self.api.InferRequestedOutput(name, **form) for name in self.outputs.values()]
        start = time.perf_counter()
        answer = self._ask(self.client.infer, self.model, inputs, self.version, outputs, request_id="1", **self.timeout)
        self.seconds.append(time.perf_counter() - start)
        told = answer.get_response()
        self.served = str(told.get("model_version", "") if isinstance(told, dict) else told.model_version)
        if self.version and self.served and self.served != self.version:
            raise VerificationError(f"expected an answer of version {self.version}, got one of version {self.served}")
        found = {name: _plain(answer.as_numpy(theirs)) for name, theirs in self.outputs.items()}
        for name, array in found.items():
            if array is None:
                raise VerificationError(f"expected {name}, got an answer without it")
        return {name: array[..., 0] if name in self.widened else array for name, array in found.items()}

    def proof(self) -> str:
        limit = "" if self.limit is None else f", up to {self.limit} {'picture' if self.limit == 1 else 'pictures'} a request"
        return f"{self.server}, {self.model}{f' version {self.served}' if self.served else ''}, {self.how}{limit}"

    def close(self) -> None:
        if hasattr(self, "client"):
            self.client.close()

    def _ask(self, call: Any, *arguments: Any, **settings: Any) -> Any:
        from tritonclient.utils import InferenceServerException

        try:
            return call(*arguments, **settings)
        except InferenceServerException as error:
            status, told = str(error.status() or ""), first_line(RuntimeError(error.message() or error))
            if "UNAVAILABLE" in status:
                hint = "" if "refused" in told else "; is it its port for HTTP?"
                raise RuntimeAbsentError(f"expected a server at {self.name}, got: {told}{hint}", name="not-served") from error
            raise PreprocError(f"{told} (status {status})" if status.isdigit() else told, name="verification-failed") from error
        except (OSError, HTTPException) as error:  # geventhttpclient's own are HTTPExceptions
            told = getattr(error, "strerror", None) or first_line(RuntimeError(error.args[0] if error.args else error))
            hint = "; is it its port for gRPC?" if "HTTP/" in str(told) else "; is it a port without TLS?" if "SSL" in str(told) else ""
            raise RuntimeAbsentError(f"expected a server at {self.name}, got: {told}{hint}", name="not-served") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PreprocError(
                f"expected answers of the Open Inference Protocol, got: {first_line(error)}", name="verification-failed"
            ) from error

    def _compare(self, told: Sequence[Mapping[str, Any]], promised: Sequence[Mapping[str, Any]], word: str) -> dict[str, str]:
        """Promised name -> the server's, which may be one that Triton's pytorch backend demands, <name>__<position> or <word>__<position>.
        Behind (N,) or () is a 1."""
        if not told:  # some servers do not tell: what they answer decides
            return {value["name"]: value["name"] for value in promised}
        theirs = {value["name"]: value for value in told}
        found: dict[str, str] = {}
        for position, value in enumerate(promised):
            names = (value["name"], f"{value['name']}__{position}", f"{word}__{position}")
            name = next((name for name in names if name in theirs), None)
            if name is None:
                raise VerificationError(f"expected {value['name']} on the server, got {', '.join(theirs) or 'nothing'}")
            dtype, shape = theirs[name].get("datatype"), [int(side) for side in theirs[name].get("shape", ())]
            if dtype != protocol_word(value["dtype"]):
                raise VerificationError(f"expected {name} in {protocol_word(value['dtype'])}, got {dtype}")
            free = [side if isinstance(side, int) else -1 for side in value["shape"]]
            if len(free) <= 1 and shape == [*free, 1]:
                self.widened.add(value["name"])
            elif len(shape) != len(free) or any(-1 not in (one, other) and one != other for one, other in zip(shape, free, strict=False)):
                raise VerificationError(f"expected {name} of shape {free}, got {shape}")
            found[value["name"]] = name
        if len(theirs) != len(found):
            raise VerificationError(f"expected {', '.join(found)} on the server, got {', '.join(theirs)}")
        return found


def _plain(array: Any) -> Any:
    """Strings, which the client answers as objects that are bytes (over JSON, texts), in NumPy's own dtype for them."""
    if array is None or array.dtype != object:
        return array
    texts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in array.ravel()]
    return np.array(texts, dtype=np.str_).reshape(array.shape)


def _api(protocol: str) -> Any:
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what goes wrong is in the error
    try:
        if protocol == "grpc":
            import tritonclient.grpc as api
        else:
            import tritonclient.http as api
    except ImportError as error:
        raise RuntimeAbsentError(
            "expected tritonclient, a client of the protocol, got none installed; pip install 'tritonclient[http,grpc]'",
            name="not-installed",
        ) from error
    return api


def protocol_word(dtype: str) -> str:
    """The protocol's name of a dtype; in config.pbtxt it is TYPE_<that>, but for strings."""
    return {"float16": "FP16", "float32": "FP32", "float64": "FP64", "string": "BYTES"}.get(dtype, dtype.upper())
