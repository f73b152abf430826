"""How colours become grey is what the libraries make of them."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional

from preproc.diagnosis.geometry import GREYS, REC_601, WEIGHTED, Fit, Geometry, Resampler, Source, Window
from tests.diagnosis.pipelines import picture

PICTURE = picture((40, 51), 3)
PLANES = torch.from_numpy(PICTURE.transpose(2, 0, 1).copy())
BY_HAND = {
    "Pillow": lambda: np.asarray(Image.fromarray(PICTURE).convert("L")),
    "OpenCV": lambda: cv2.cvtColor(PICTURE, cv2.COLOR_RGB2GRAY),
    "torchvision": lambda: functional.rgb_to_grayscale(PLANES)[0].numpy(),
    "Pillow of BGR": lambda: np.asarray(Image.fromarray(PICTURE[..., ::-1].copy()).convert("L")),
    "OpenCV of BGR": lambda: cv2.cvtColor(PICTURE, cv2.COLOR_BGR2GRAY),
}


@pytest.mark.parametrize("grey", GREYS, ids=lambda grey: f"{grey.name}{' first' if grey.first else ''}")
def test_a_way_to_grey_is_the_librarys(grey):
    """And near to what its weights make, by which a recipe says it."""
    weighted = PICTURE.astype(np.float64) @ np.array(grey.weights)
    if grey.rounds:
        np.testing.assert_array_equal(grey(PICTURE)[..., 0], BY_HAND[grey.library]())
        assert grey(PICTURE).dtype == np.uint8
        assert np.abs(grey(PICTURE)[..., 0] - weighted).max() < 1.001
    else:
        np.testing.assert_allclose(grey(PICTURE)[..., 0], weighted, rtol=1e-12)


def test_torchvisions_weights_of_floats():
    made = functional.rgb_to_grayscale(PLANES.float())[0].numpy()
    found = [grey.name for grey in WEIGHTED if np.abs(grey(PICTURE)[..., 0] - made).max() < 1e-3]
    assert found == ["with Rec. 601's weights in four digits, as torchvision and TensorFlow have them"]
    assert np.abs(cv2.cvtColor(PICTURE.astype(np.float32), cv2.COLOR_RGB2GRAY) - PICTURE @ np.array(REC_601)).max() < 1e-3


@pytest.mark.parametrize("grey", [GREYS[0], GREYS[5], WEIGHTED[0], WEIGHTED[6]], ids=lambda grey: grey.name)
def test_a_border_without_a_fill_is_not_finite(grey):
    """Whether the picture becomes grey in front of it or behind."""
    made = Geometry(Fit("as it is"), after=Window((50, 51)), grey=grey).pixels(Source(PICTURE))
    assert made.shape == (50, 51, 1)
    assert np.isposinf(made[:5]).all()
    assert np.isposinf(made[-5:]).all()
    np.testing.assert_array_equal(made[5:-5], grey(PICTURE))
    mixed = Geometry(Fit("to", (15, 15)), Resampler("Pillow", "bilinear", antialias=True, passes=12), before=Window("longer"), grey=grey)
    rows = mixed.pixels(Source(PICTURE))[:, 7, 0]
    assert np.isposinf(rows[0])
    assert np.isnan(rows).any()
    assert np.isfinite(rows[7])


@pytest.mark.parametrize("library", ["Pillow", "OpenCV", "torch", "torchvision"])
def test_one_channel_is_resized_as_the_library_does_it(library):
    gray = BY_HAND["Pillow"]()
    how = Resampler(library, "linear" if library == "OpenCV" else "bilinear", antialias=library != "OpenCV", floats=library == "torch")
    interpolate, plane = torch.nn.functional.interpolate, torch.from_numpy(gray.copy())[None, None].float()
    by_hand = {
        "Pillow": lambda: np.asarray(Image.fromarray(gray).resize((20, 16), Image.Resampling.BILINEAR)),
        "OpenCV": lambda: cv2.resize(gray, (20, 16)),
        "torch": lambda: interpolate(plane, (16, 20), mode="bilinear", antialias=True)[0, 0],
        "torchvision": lambda: functional.resize(torch.from_numpy(gray.copy())[None], [16, 20], antialias=True)[0],
    }  # fmt: skip
    np.testing.assert_array_equal(how(gray[..., None], (16, 20))[..., 0], np.asarray(by_hand[library]()))
