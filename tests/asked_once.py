"""What torch asks itself in each export of a process, asked once."""

import contextlib
import functools
import pkgutil

ASKED_ONCE = (
    "torch.onnx._internal.exporter._registration.onnxscript_apis.get_torchlib_ops",
    "torch.onnx._internal.exporter._schemas.op_signature_from_function",
    "torch._export.utils._materialize_cpp_cia_ops",
)
"""torch.onnx.export parses the source of all 500 functions of onnxscript's torchlib each time, asks each for its signature, and the
dispatcher for all operators once per namespace: two thirds of its time, and the answers are the same ones."""


def ask_once(path: str) -> None:
    """They are torch's own affair: under another name they are left alone, and the tests take longer."""
    with contextlib.suppress(ImportError, AttributeError):
        place, _, name = path.rpartition(".")
        owner = pkgutil.resolve_name(place)
        setattr(owner, name, functools.cache(getattr(owner, name)))


for path in ASKED_ONCE:
    ask_once(path)
