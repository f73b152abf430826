"""A resize alone, one thread, over Pillow's: uint8 photographs (H, W, 3) in, grey levels out."""

import sys

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2

from preproc.layers import Pipeline
from preproc.steps import FromPixels, Resize
from preproc.verify.inputs import PHOTOGRAPHS
from preproc.verify.runtimes import onnxruntime
from tests.bench.measure import Ratio, ratios
from tests.onnx_files import alone

SIZES = {"512x512 to 256x256": ((512, 512), (256, 256)), "1280x960 to 341x256": ((960, 1280), (256, 341))}


def session(step: Resize, size: tuple[int, int] | None):
    """One Resize step in ONNX Runtime, one thread, float grey levels out."""
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    made = alone([FromPixels(layout="NHWC"), step], size=size)
    return ort.InferenceSession(made, options, providers=["CPUExecutionProvider"])


def openvino(size: tuple[int, int], new: tuple[int, int], interpolation: str):
    """OpenVINO's own preprocessing in front of nothing, one thread: its resize made after Pillow's, uint8 in and float out."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino as ov
    from openvino import opset13
    from openvino.preprocess import PrePostProcessor, ResizeAlgorithm

    parameter = opset13.parameter([1, *new, 3], np.float32)
    steps = PrePostProcessor(ov.Model([opset13.result(parameter)], [parameter], "resize"))
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC")).set_spatial_static_shape(*size)
    steps.input().preprocess().resize(getattr(ResizeAlgorithm, f"RESIZE_{interpolation.upper()}_PILLOW")).convert_element_type(ov.Type.f32)
    steps.input().model().set_layout(ov.Layout("NHWC"))
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    return ov.Core().compile_model(steps.build(), "CPU", settings).create_infer_request()


def resizing(name: str, interpolation: str) -> dict[str, Ratio]:
    old, new = SIZES[name]
    with Image.open(PHOTOGRAPHS / "coffee.jpg") as image:
        picture = image.convert("RGB").resize(old[::-1], Image.Resampling.BICUBIC)
    array = np.asarray(picture)[None]
    tensor = torch.from_numpy(array.copy())
    planes = tensor.permute(0, 3, 1, 2).contiguous()
    fast, exact = (Resize(size=new, interpolation=interpolation, form=form) for form in ("fast", "exact"))
    dynamic, static = session(fast, None), session(exact, old)
    theirs = openvino(old, new, interpolation)
    layer = Pipeline.from_steps([FromPixels(layout="NHWC"), fast])
    code = getattr(Image.Resampling, interpolation.upper())
    method = v2.InterpolationMode(interpolation)
    calls = {
        "Pillow": lambda: picture.resize(new[::-1], code),
        "ONNX file, fast, any size": lambda: dynamic.run(None, {"pixels": array}),
        "ONNX file, exact": lambda: static.run(None, {"pixels": array}),
        "preproc's layer, exact": lambda: layer(tensor),
        "OpenVINO's RESIZE_*_PILLOW": lambda: theirs.infer([array]),
        "torchvision on uint8 tensors": lambda: v2.functional.resize(planes, list(new), interpolation=method, antialias=True),
    }
    return ratios(calls, peer="Pillow", seconds=6.0)
