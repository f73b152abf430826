"""The ways in which people run layers of Y, U and V."""

import io
import warnings

import onnx_ir as ir
import torch

from preproc.steps import YUV
from tests.onnx_files import in_one_thread


def free(color, layout):
    """Sizes that torch.export may change: halves of them, where pixels share their U and V."""
    half, batch = {"h": torch.export.Dim("h", min=2), "w": torch.export.Dim("w", min=2)}, torch.export.Dim("n")
    if layout == "NHW":
        return ({0: batch, 1: 3 * half["h"], 2: 2 * half["w"]},)
    height, width = (1, 2) if layout == "NHWC" else (2, 3)
    return ({0: batch, height: half["h"], width: 2 * half["w"] if YUV[color].block[1] == 2 else half["w"]},)


def saved(layer, *_):
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(layer), buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)


def compiled(layer, *_):
    torch.compiler.reset()
    return torch.compile(layer, fullgraph=True, backend="aot_eager", dynamic=True)


def exported(layer, x, color, layout):
    return torch.export.export(layer, (x,), dynamic_shapes=free(color, layout)).module()


def onnx(layer, x, color, layout):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(layer, (x,), dynamo=True, dynamic_shapes=free(color, layout), verbose=False)
    session = in_one_thread(ir.to_proto(program.model).SerializeToString())
    return lambda y: torch.from_numpy(session.run(None, {session.get_inputs()[0].name: y.numpy()})[0])


WAYS = {
    "eager": lambda layer, *_: layer,
    "traced": lambda layer, x, *_: torch.jit.trace(layer, x, check_trace=False),
    "saved": saved,
    "compiled": compiled,
    "exported": exported,
    "onnx": onnx,
}
