"""How other libraries make RGB of Y, U and V: a call each, as their users write it.

kornia and torchcodec are no part of this project: they are asked where they, and FFmpeg's libraries for torchcodec, are installed.
"""

import functools
import importlib
import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import av
import cv2
import numpy as np
import openvino
import torch
from av.video.reformatter import ColorRange, Interpolation
from numpy.typing import NDArray
from openvino import opset8
from openvino.preprocess import ColorFormat, PrePostProcessor
from PIL import Image
from skimage import color as skimage

from tests.survey.yuv.float64 import Bytes

Run = Callable[[Bytes], NDArray[Any]]
SPACES = {"bt601": "itu601", "bt709": "itu709", "bt2020": "bt2020"}
RANGES = {"limited": "MPEG", "full": "JPEG"}
TAGS = {"bt601": 6, "bt709": 1, "bt2020": 9}
"""H.273's numbers, which frames and streams carry."""
SAYING = [("bt601", "full"), ("bt709", "limited"), ("bt2020", "limited")]
"""What is tried of them."""
EXACTLY = "to_ndarray of nv12, src_colorspace, src_color_range, interpolation POINT, FULL_CHR_H_INT"
EXACT = Interpolation.POINT | Interpolation.FULL_CHR_H_INT
SMOOTH = Interpolation.BILINEAR | Interpolation.FULL_CHR_H_INT
INSTALLED = {"OpenVINO": "openvino", "OpenCV": "opencv-python-headless", "Pillow": "pillow", "PyAV": "av", "scikit-image": "scikit-image"}
OPTIONAL = {"kornia": "kornia", "torchcodec": "torchcodec"}


@dataclass(frozen=True)
class Peer:
    """color: what the call takes, as it lies in memory.  run: of that, (H, W, 3) of grey levels 0..255.  named: the matrix and the range
    that the call, or the picture that it takes, says; None where nothing does."""

    library: str
    call: str
    color: str
    run: Run
    named: tuple[str, str] | None = None


def peers() -> list[Peer]:
    return [*_openvino(), *_opencv(), *_pyav(), *_torchcodec(), *_others(), *_kornia()]


def versions() -> str:
    asked = {peer.library for peer in peers()}
    told = [f"{library} {metadata.version(package)}" for library, package in (INSTALLED | OPTIONAL).items() if library in asked]
    return f"{', '.join(told)}, FFmpeg's libswscale {'.'.join(map(str, av.library_versions['libswscale']))}"


def absent() -> list[str]:
    """The libraries that nothing is said of here."""
    return sorted(OPTIONAL.keys() - {peer.library for peer in peers()})


def _openvino() -> Iterator[Peer]:
    @functools.cache
    def operator(name: str, shape: tuple[int, ...], dtype: type) -> openvino.CompiledModel:
        x = opset8.parameter([1, *shape, 1], dtype)
        return openvino.Core().compile_model(openvino.Model([getattr(opset8, name)(x)], [x]), "CPU")

    @functools.cache
    def preprocessed(form: str, shape: tuple[int, ...]) -> openvino.CompiledModel:
        x = opset8.parameter([1, shape[0] * 2 // 3, shape[1], 3], np.float32)
        made = PrePostProcessor(openvino.Model([opset8.relu(x)], [x]))  # it clips, as everything else does
        made.input().tensor().set_element_type(openvino.Type.u8).set_color_format(getattr(ColorFormat, form))
        made.input().preprocess().convert_element_type(openvino.Type.f32).convert_color(ColorFormat.RGB)
        return openvino.Core().compile_model(made.build(), "CPU")

    for name, color in (("nv12_to_rgb", "NV12"), ("i420_to_rgb", "I420")):
        for dtype in (np.uint8, np.float32):

            def run(x: Bytes, name: str = name, dtype: type = dtype) -> NDArray[Any]:
                return operator(name, x.shape, dtype)(x[None, ..., None].astype(dtype))[0][0]

            yield Peer("OpenVINO", f"opset8.{name}, {dtype.__name__}", color, run)
    for form, color in (("NV12_SINGLE_PLANE", "NV12"), ("I420_SINGLE_PLANE", "I420")):
        yield Peer(
            "OpenVINO",
            f"PrePostProcessor, {form} to RGB in f32",
            color,
            lambda x, form=form: preprocessed(form, x.shape)(x[None, ..., None])[0][0],
        )


def _opencv() -> Iterator[Peer]:
    def code(name: str, color: str) -> Peer:
        return Peer("OpenCV", f"cvtColor(x, COLOR_{name})", color, lambda x: cv2.cvtColor(x, getattr(cv2, f"COLOR_{name}")))

    def two_planes(x: Bytes) -> NDArray[Any]:
        rows = len(x) * 2 // 3
        return cv2.cvtColorTwoPlane(x[:rows], x[rows:].reshape(rows // 2, -1, 2), cv2.COLOR_YUV2RGB_NV12)

    yield from (code(f"YUV2RGB_{color}", color) for color in ("NV12", "I420", "YUYV"))
    yield Peer("OpenCV", "cvtColorTwoPlane(y, uv, COLOR_YUV2RGB_NV12)", "NV12", two_planes)
    yield code("YUV2RGB", "YUV444")
    swapped = functools.partial(np.take, indices=(0, 2, 1), axis=2)
    yield Peer("OpenCV", "cvtColor(y_cr_cb, COLOR_YCrCb2RGB)", "YUV444", lambda x: cv2.cvtColor(swapped(x), cv2.COLOR_YCrCb2RGB))


def _pyav() -> Iterator[Peer]:
    formats = {"NV12": "nv12", "I420": "yuv420p", "YUYV": "yuyv422"}

    def frame(x: Bytes, color: str) -> av.VideoFrame:
        return av.VideoFrame.from_ndarray(x, format=formats[color])

    def converted(x: Bytes, color: str, **said: Any) -> NDArray[Any]:
        return frame(x, color).to_ndarray(format="rgb24", **said)

    def tagged(x: Bytes, matrix: str, range_: str) -> NDArray[Any]:
        made = frame(x, "I420")
        made.colorspace, made.color_range = TAGS[matrix], int(ColorRange[RANGES[range_]])
        return made.to_ndarray(format="rgb24")

    for color, format_ in formats.items():
        yield Peer("PyAV", f'to_ndarray(format="rgb24") of {format_}', color, functools.partial(converted, color=color))
    yield Peer("PyAV", "to_image() of nv12", "NV12", lambda x: np.asarray(frame(x, "NV12").to_image()))
    for words, flags in (("BILINEAR, FULL_CHR_H_INT", SMOOTH), ("POINT, FULL_CHR_H_INT", EXACT)):
        yield Peer(
            "PyAV", f"to_ndarray of nv12, interpolation {words}", "NV12", functools.partial(converted, color="NV12", interpolation=flags)
        )
    for matrix, space in SPACES.items():
        for range_, word in RANGES.items():
            said = {"src_colorspace": space, "src_color_range": word}
            named = (matrix, range_)
            for color, format_ in (("NV12", "nv12"), ("I420", "yuv420p")):
                run = functools.partial(converted, color=color, **said)
                yield Peer("PyAV", f"to_ndarray of {format_}, src_colorspace, src_color_range", color, run, named)
            run = functools.partial(converted, color="NV12", interpolation=EXACT, **said)
            yield Peer("PyAV", EXACTLY, "NV12", run, named)
    for named in SAYING:
        run = functools.partial(tagged, matrix=named[0], range_=named[1])
        yield Peer("PyAV", "to_ndarray of yuv420p, of a frame that says what it is", "I420", run, named)


def _torchcodec() -> Iterator[Peer]:
    """It takes videos: of one lossless picture, written by PyAV."""
    try:
        decoder = importlib.import_module("torchcodec.decoders").VideoDecoder
    except (ImportError, OSError, RuntimeError):
        return

    def run(x: Bytes, named: tuple[str, str] | None) -> NDArray[Any]:
        memory = io.BytesIO()
        with av.open(memory, "w", format="matroska") as out:
            stream = out.add_stream("ffv1", rate=1)
            stream.height, stream.width, stream.pix_fmt = len(x) * 2 // 3, x.shape[1], "yuv420p"
            picture = av.VideoFrame.from_ndarray(x, format="yuv420p")
            for place in () if named is None else (stream.codec_context, picture):
                place.colorspace, place.color_range = TAGS[named[0]], int(ColorRange[RANGES[named[1]]])
            out.mux(stream.encode(picture))
            out.mux(stream.encode(None))
        return decoder(memory.getvalue())[0].permute(1, 2, 0).numpy()

    yield Peer("torchcodec", "VideoDecoder of a video that says nothing", "I420", functools.partial(run, named=None))
    for named in SAYING:
        yield Peer("torchcodec", "VideoDecoder of a video that says what it is", "I420", functools.partial(run, named=named), named)


def _others() -> Iterator[Peer]:
    def pillow(x: Bytes) -> NDArray[Any]:
        return np.asarray(Image.frombytes("YCbCr", x.shape[1::-1], x.tobytes()).convert("RGB"))

    def of_bytes(x: Bytes) -> NDArray[Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return 255 * skimage.ycbcr2rgb(x)

    yield Peer("Pillow", 'convert("RGB") of "YCbCr"', "YUV444", pillow)
    yield Peer("scikit-image", "ycbcr2rgb of floats 0..255", "YUV444", lambda x: 255 * skimage.ycbcr2rgb(x.astype(np.float64)))
    yield Peer("scikit-image", "ycbcr2rgb of uint8", "YUV444", of_bytes)
    yield Peer("scikit-image", "yuv2rgb of (y, u - 128, v - 128) / 255", "YUV444", lambda x: 255 * skimage.yuv2rgb((x - _ZERO) / 255))


def _kornia() -> Iterator[Peer]:
    try:
        kornia = importlib.import_module("kornia.color")
    except ImportError:
        return

    def planes(values: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.moveaxis(values / 255, -1, 0)[None].copy())

    def levels(made: torch.Tensor) -> NDArray[Any]:
        return 255 * np.moveaxis(made[0].numpy(), 0, -1)

    def shared(x: Bytes) -> NDArray[Any]:
        rows = len(x) * 2 // 3
        return levels(kornia.yuv420_to_rgb(planes(x[:rows, :, None]), planes(x[rows:].reshape(rows // 2, -1, 2) - 128.0)))

    yield Peer("kornia", "ycbcr_to_rgb of x / 255", "YUV444", lambda x: levels(kornia.ycbcr_to_rgb(planes(x))))
    yield Peer("kornia", "yuv_to_rgb of (y, u - 128, v - 128) / 255", "YUV444", lambda x: levels(kornia.yuv_to_rgb(planes(x - _ZERO))))
    yield Peer("kornia", "yuv420_to_rgb of y / 255, (uv - 128) / 255", "NV12", shared)


_ZERO = np.array([0.0, 128.0, 128.0])
