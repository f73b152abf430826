"""Pictures, and the tensors that a mistake makes of them."""

import numpy as np
from PIL import Image

from preproc.diagnosis import Mistakes
from preproc.diagnosis.geometry import Source
from preproc.diagnosis.mistakes.mistake import valued
from preproc.diagnosis.mistakes.parts import Sample
from preproc.oracle import reference
from preproc.steps import CenterCrop, ChannelAffine, FromPixels, Letterbox, Normalize, Rescale, Resize, Standardize

RGB = FromPixels(layout="NHWC")
IMAGENET = (RGB, Resize(size=14), CenterCrop(size=(12, 11)), Rescale(), Normalize.preset("imagenet"))
RECIPES = {
    "imagenet": IMAGENET,
    "yolo": (FromPixels(layout="NHWC", color="BGR", to="RGB"), Letterbox(size=16), Rescale()),
    "inception": (FromPixels(layout="NCHW"), Resize(size=(12, 12), interpolation="bicubic"), Rescale(), Normalize.preset("inception")),
    "caffe": (FromPixels(layout="NHWC", to="BGR"), Normalize.preset("caffe")),
    "per picture": (RGB, Resize(size=(12, 10)), Standardize()),
    "grey pixels": (FromPixels(layout="NHWC", color="GRAY", to="GRAY"), Resize(size=(12, 10)), Rescale(), Normalize.preset("mnist")),
    "grey by weights": (RGB, Resize(size=(12, 10)), Rescale(), ChannelAffine(matrix=((0.299, 0.587, 0.114),)), Rescale(scale=2, offset=-1)),
}


def pictures(count=2, seed=0):
    """(H, W, 3) uint8 of different sizes: smooth, so that resizes differ by little, with colours and noise."""
    rng = np.random.default_rng(seed)
    found = []
    for height, width in ((23, 30), (31, 22), (24, 28))[:count]:
        rows, columns = np.mgrid[:height, :width]
        waves = [np.sin(rows / rng.uniform(2, 5) + columns / rng.uniform(2, 5) + c) * 70 + 60 + 40 * c for c in range(3)]
        found.append(np.clip(np.stack(waves, axis=-1) + rng.integers(-20, 20, (height, width, 3)), 0, 255).astype(np.uint8))
    return found


def sources(turned=6):
    """The first picture as of a file with an EXIF tag."""
    made = [Source(picture) for picture in pictures()]
    made[0].__dict__["turned"] = turned  # cached_property
    return made


def wrong(sequence, mistake, made=None):
    """What a mistake makes of the pictures, as it would be written: (source, tensor) each."""
    known, found = Mistakes(sequence), []
    for source in made or sources():
        picture = known.picture_of(source)
        levels = known.levels(picture, mistake)
        levels = levels if mistake.order is None else levels[:, list(mistake.order)]
        found.append((source, valued(known.later if mistake.values is None else mistake.values, levels)[0]))
    return found


def right(sequence):
    """What the recipe makes, by the oracle alone: its pixels in the order and the layout that it takes."""
    first, found = sequence[0], []
    for source in sources():
        picture = source.picture()
        if first.color == "GRAY":
            picture = np.asarray(Image.fromarray(picture).convert("L"))[..., None]
        pixels = picture[None, ..., :: -1 if first.color == "BGR" else 1]
        pixels = pixels if first.layout == "NHWC" else np.moveaxis(pixels, 3, 1)
        found.append((source, reference.apply(sequence, pixels)[0]))
    return found


def samples(pairs, dtype=np.float32):
    return [Sample(f"[{place}]", source, tensor.astype(dtype).astype(np.float64)) for place, (source, tensor) in enumerate(pairs)]
