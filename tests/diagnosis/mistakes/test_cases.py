"""Mistakes that people reported in public, rebuilt small by the libraries themselves, and named.

Each docstring has the thread: github.com, owner, repository and number.
"""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from preproc.diagnosis import diagnose_against
from preproc.steps import CenterCrop, FromPixels, Letterbox, Normalize, Rescale, Resize
from tests.diagnosis.mistakes.making import pictures

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
RGB = FromPixels(layout="NHWC")
IMAGENET = (RGB, Rescale(), Normalize.preset("imagenet"))
RESIZED = (RGB, Resize(size=14), CenterCrop(size=12), Rescale(), Normalize.preset("imagenet"))
YOLO = (RGB, Letterbox(size=16), Rescale())


def normalized(x, mean=MEAN, std=STD):
    return (np.asarray(x, np.float32) / 255 - mean.astype(np.float32)) / std.astype(np.float32)


def cropped(image, kernel):
    """The shorter side to 14, and the middle 12x12, as torchvision has it on a PIL image."""
    width, height = image.size
    size = (14, 14 * height // width) if width <= height else (14 * width // height, 14)
    left, top = (round((side - 12) / 2) for side in size)
    return image.resize(size, kernel).crop((left, top, left + 12, top + 12))


def rescaled_twice(image):
    """SarahwXU/HiSup #35: skimage's resize has made 0..1 of it already, and the data set divides by 255 again."""
    return normalized(np.asarray(image, np.float32) / 255)


def mean_for_std(image):
    """epic-kitchens/C1-Action-Recognition-TSN-TRN-TSM #6, linghu8812/tensorrt_inference #27: the mean read for both."""
    return normalized(image, std=MEAN)


def ncnn_norm(image):
    """Tencent/ncnn #4762: PyTorch's mean and std given to substract_mean_normalize(), which multiplies, and gets 0..255."""
    return (np.asarray(image, np.float32) - MEAN) * STD


def scaled_first(image):
    """Tencent/ncnn #569: scaled by 1/127.5, then minus 0.5 in place of 1."""
    return np.asarray(image, np.float32) * np.float32(1 / 127.5) - np.float32(0.5)


def averaged(image):
    """marcoslucianops/DeepStream-Yolo #265, apple/coremltools #1087: one scale for all channels, from the average of the stds."""
    return normalized(image, std=np.full(3, STD.mean()))


def twice(image):
    """open-edge-platform/anomalib #2091: normalized in the data set, and by the model, which had taken it over."""
    return (normalized(image) - MEAN) / STD


def bgr(image):
    """PaddlePaddle/PaddleOCR #1713: the means of RGB on the BGR picture that OpenCV reads."""
    return normalized(np.asarray(image)[..., ::-1])


def bicubic(image):
    """roboflow/rf-detr PR #1131: a helper whose default was bicubic, of a network that was trained with bilinear."""
    return normalized(cropped(image, Image.Resampling.BICUBIC))


def opencv(image):
    """opencv/opencv #22134: cv2.resize() in place of Pillow's, which antialiases."""
    height, width = np.asarray(image).shape[:2]
    size = (14, 14 * height // width) if width <= height else (14 * width // height, 14)
    x = cv2.resize(np.asarray(image), size, interpolation=cv2.INTER_LINEAR)
    top, left = round((x.shape[0] - 12) / 2), round((x.shape[1] - 12) / 2)
    return normalized(x[top : top + 12, left : left + 12])


def area(image):
    """roboflow/rf-detr #1203: three resizes in training, prediction and the ONNX example; here the fourth, cv2.INTER_AREA."""
    height, width = np.asarray(image).shape[:2]
    size = (14, 14 * height // width) if width <= height else (14 * width // height, 14)
    x = cv2.resize(np.asarray(image), size, interpolation=cv2.INTER_AREA)
    top, left = round((x.shape[0] - 12) / 2), round((x.shape[1] - 12) / 2)
    return normalized(x[top : top + 12, left : left + 12])


def black_border(image):
    """open-edge-platform/dlstreamer #351: zeros around the picture, where YOLO was trained with 114."""
    picture = np.asarray(image)
    ratio = min(16 / side for side in picture.shape[:2])
    height, width = (round(side * ratio) for side in picture.shape[:2])
    boxed, (top, left) = np.zeros((16, 16, 3), np.uint8), (round((16 - side) / 2 - 0.1) for side in (height, width))
    boxed[top : top + height, left : left + width] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
    return boxed.astype(np.float32) / 255


def upright(image):
    """roboflow/supervision #2577, open-mmlab/mmcv #805: OpenCV turns by the EXIF tag, Pillow does not."""
    return normalized(cropped(ImageOps.exif_transpose(image), Image.Resampling.BILINEAR))


def limited(image):
    """meta-pytorch/torchcodec PR #1270: the range of a video, 16..235, taken for the full one."""
    return normalized(np.asarray(image, np.float32) * (219 / 255) + 16)


CASES = {
    rescaled_twice: (IMAGENET, "rescaled twice"),
    mean_for_std: (IMAGENET, "mean for std"),
    ncnn_norm: (IMAGENET, "norm of 0-1 on 0-255"),
    scaled_first: ((RGB, Rescale(), Normalize.preset("inception")), "mean behind std"),
    averaged: (IMAGENET, "averaged std"),
    twice: (IMAGENET, "normalization doubled"),
    bgr: (IMAGENET, "channels swapped"),
    bicubic: (RESIZED, "resized bicubic"),
    opencv: (RESIZED, "resize without antialiasing"),
    area: (RESIZED, "resized by OpenCV INTER_AREA"),
    black_border: (YOLO, "letterbox filled with 0"),
    upright: (RESIZED, "turned by EXIF"),
    limited: (IMAGENET, "limited range"),
}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    for place, picture in enumerate(pictures(3)):
        exif = Image.Exif()
        exif[0x0112] = (6, 1, 3)[place]
        Image.fromarray(picture).save(folder / f"{place}.png", exif=exif)
    return folder


@pytest.mark.parametrize("made", CASES, ids=lambda made: made.__name__)
def test_a_public_case_is_named(made, photographs):
    recipe, name = CASES[made]
    found = diagnose_against(lambda image: made(image).astype(np.float32), recipe, images=photographs)
    assert (found.verdict, [fit.name for fit in found.mistakes]) == ("identified", [name]), list(found.lines())
    assert found.mistakes[0].residual < 0.35 < found.recipe.residual
    if found.mistakes[0].residual < 0.02:  # OpenCV's linear resize is the oracle's but for a level here and there
        assert found.second is None or found.second.residual > 0.02
