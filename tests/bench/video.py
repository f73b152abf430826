"""From NV12 in host memory to logits, one 224x224 picture, one thread: folded, and converted in front of a file that takes RGB.

All are of BT.601 in limited range, the only one that OpenCV and OpenVINO have for NV12.
"""

import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from PIL import Image

from preproc import graph
from preproc.sources import PixelsSpec
from preproc.steps import FromPixels, Normalize, Rescale, to_rgb
from preproc.verify.inputs import PHOTOGRAPHS
from tests.bench import cases
from tests.bench.measure import Ratio, ratios

NETWORKS = ("mobilenet_v3_small", "resnet18", "vit_b_16")
SIZE = (224, 224)
RGB, FOLDED, OPENCV, NUMPY = "our RGB file, RGB ready", "our NV12 file", "OpenCV, our RGB file", "NumPy, our RGB file"
OPENVINO_RGB, OPENVINO_OURS, OPENVINO = "OpenVINO, RGB ready", "OpenVINO, our NV12 file", "OpenVINO, its NV12"
AGREE = 0.05
"""How far logits may be apart, as a share of the largest: some convert to 8 bits, with a rounding, and clip."""
CAMERA = to_rgb("bt601", "limited")


def nv12_of(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> (1, 3H/2, W) uint8, chroma the mean of each 2 x 2 pixels."""
    yuv = (picture - CAMERA.offset) @ np.linalg.inv(CAMERA.matrix).T
    height, width, _ = picture.shape
    chroma = yuv[..., 1:].reshape(height // 2, 2, width // 2, 2, 2).mean(axis=(1, 3)).reshape(height // 2, width)
    return np.concatenate([yuv[..., 0], chroma]).round().clip(0, 255).astype(np.uint8)[None]


def rgb_in_numpy(x: np.ndarray) -> np.ndarray:
    """(1, 3H/2, W) uint8 -> (1, H, W, 3) uint8, as it is usually written."""
    height = x.shape[1] * 2 // 3
    chroma = x[0, height:].reshape(height // 2, -1, 2).repeat(2, axis=0).repeat(2, axis=1)
    yuv = np.concatenate([x[0, :height, :, None], chroma], axis=2).astype(np.float32)
    rgb = yuv @ CAMERA.matrix.T.astype(np.float32) + CAMERA.offset.astype(np.float32)
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)[None]


def attached(bare: Path, first: FromPixels) -> ir.Model:
    """The file that takes such pixels, folded."""
    model = graph.load(bare)
    graph.attach(model, [first, Rescale(), Normalize.preset("imagenet")], PixelsSpec.of(first, size=SIZE, channels=3), fold="require")
    return model


def of(name: str, *, rounds: int = 300, seconds: float = 15.0) -> tuple[dict[str, Ratio], dict[str, int]]:
    """Times over those of our file of RGB that is ready, and what is multiplied and sent. name: a network of torchvision's."""
    with Image.open(PHOTOGRAPHS / "coffee.jpg") as image:
        x = nv12_of(np.asarray(image.convert("RGB").resize(SIZE)))
    ready = rgb_in_numpy(x)
    with tempfile.TemporaryDirectory() as folder:
        bare, camera_file = Path(folder) / "bare.onnx", Path(folder) / "camera.onnx"
        graph.save(cases.bare_file(name), bare)
        rgb_model = attached(bare, FromPixels(layout="NHWC"))
        camera_model = attached(bare, FromPixels(layout="NHW", color="NV12", matrix="bt601", range="limited"))
        graph.save(camera_model, camera_file)
        rgb, camera = cases.session(rgb_model), cases.session(camera_model)
        calls: dict[str, Callable[[], Any]] = {RGB: lambda: rgb(ready), FOLDED: lambda: camera(x), NUMPY: lambda: rgb(rgb_in_numpy(x))}
        if find_spec("cv2") is not None:
            import cv2

            calls[OPENCV] = lambda: rgb(cv2.cvtColor(x[0], cv2.COLOR_YUV2RGB_NV12)[None])
        if find_spec("openvino") is not None:
            calls |= _in_openvino(bare, camera_file, x, ready)
    expected = rgb(ready)
    for key, call in calls.items():
        np.testing.assert_allclose(call(), expected, rtol=0, atol=AGREE * np.abs(expected).max(), err_msg=key)
    figures = {"bytes of RGB": ready.nbytes, "bytes of NV12": x.nbytes}
    figures |= {"multiplications of RGB": _multiplications(rgb_model, 1), "multiplications of NV12": _multiplications(camera_model, 2)}
    return ratios(calls, peer=RGB, rounds=rounds, seconds=seconds), figures


def _multiplications(model: ir.Model, convolutions: int) -> int:
    """For one number of one output channel, of the first so many convolutions of a file."""
    found = [node.inputs[1] for node in model.graph if node.op_type == "Conv"][:convolutions]
    return sum(int(np.prod(weight.shape.numpy()[1:])) for weight in found if weight is not None and weight.shape is not None)


def _in_openvino(bare: Path, ours: Path, x: np.ndarray, ready: np.ndarray) -> dict[str, Callable[[], Any]]:
    """OpenVINO's own preprocessing in front of the bare network, and our file in it; in float32."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino as ov
    from openvino.preprocess import ColorFormat, PrePostProcessor

    core, settings = ov.Core(), {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    mean, scale = (cases.MEAN * 255).tolist(), (cases.STD * 255).tolist()

    def built(color: Any) -> Any:
        steps = PrePostProcessor(core.read_model(bare))
        steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC")).set_color_format(color)
        steps.input().preprocess().convert_element_type(ov.Type.f32).convert_color(ColorFormat.RGB).mean(mean).scale(scale)
        steps.input().model().set_layout(ov.Layout("NCHW"))
        return core.compile_model(steps.build(), "CPU", settings)

    theirs, rgb, own = built(ColorFormat.NV12_SINGLE_PLANE), built(ColorFormat.RGB), core.compile_model(str(ours), "CPU", settings)
    return {OPENVINO_RGB: lambda: rgb([ready])[0], OPENVINO_OURS: lambda: own([x])[0], OPENVINO: lambda: theirs([x[..., None]])[0]}
