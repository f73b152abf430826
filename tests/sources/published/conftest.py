"""Photographs for the pipelines that are published with weights."""

import pytest
from PIL import Image

from preproc.verify.inputs import PHOTOGRAPHS


@pytest.fixture(scope="session")
def photographs():
    """One of each orientation, of odd sizes."""
    with Image.open(PHOTOGRAPHS / "coffee.jpg") as image:
        return [image.convert("RGB").resize(size) for size in ((304, 227), (190, 283))]
