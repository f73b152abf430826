"""Small models of one operator, and what ONNX Runtime answers to them."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from preproc.oracle.files import DoubleFile
from preproc.verify.runtimes import evaluate

SINGLE = 4e-6
"""Of the largest value: what ONNX Runtime's float32 may be from float64 on a few hundred values."""


def model(kind, inputs, *, opset=17, outputs=1, **attributes):
    """One node. kind: "Op" or "domain:Op".  inputs: arrays, None for one that is left out."""
    domain, _, op = kind.rpartition(":")
    names = [f"x{at}" if array is not None else "" for at, array in enumerate(inputs)]
    made = [f"y{at}" for at in range(outputs)]
    node = helper.make_node(op, names, made, domain=domain, **attributes)
    given = [(name, np.asarray(array)) for name, array in zip(names, inputs, strict=True) if array is not None]
    values = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape) for name, array in given]
    graph = helper.make_graph([node], "one", values, [onnx.ValueInfoProto(name=name) for name in made])
    imports = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=imports, ir_version=8), dict(given), tuple(made)


def doubled(proto, feeds, names, folder, **options):
    """By our own evaluator."""
    file = Path(folder) / "one.onnx"
    onnx.save(proto, file)
    return DoubleFile(file)(feeds, names, **options)


def check(kind, inputs, folder, **options):
    """Raises AssertionError where ONNX Runtime answers something else. What is float is float64 and no other."""
    proto, feeds, names = model(kind, inputs, **options)
    ours = doubled(proto, feeds, names, folder)
    (theirs,) = evaluate(proto.SerializeToString(), [feeds])
    for name, there in zip(names, theirs, strict=True):
        here = ours[name]
        assert here.shape == there.shape, (kind, here.shape, there.shape)
        if there.dtype != np.float32:
            assert here.dtype == there.dtype, (kind, here.dtype, there.dtype)
            np.testing.assert_array_equal(here, there)
            continue
        assert here.dtype == np.float64, kind
        np.testing.assert_allclose(here, there, rtol=0, atol=SINGLE * max(1.0, float(np.abs(here).max(initial=0.0))))
    return ours


FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
