"""torchvision's transforms, read: what each does depends on what reaches it. Random chains against the library: equal, or refused."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision import models, tv_tensors
from torchvision import transforms as v1
from torchvision.transforms import v2

from preproc.errors import PreprocError
from preproc.layers import Pipeline
from preproc.oracle import reference
from preproc.sources import published
from preproc.steps import CenterCrop, FromPixels, Normalize, Pad, Resampling, Rescale, Resize
from tests.conftest import needs_avx2
from tests.sources.published.chains import F32, MEAN, MODE, OLD_TO_TENSOR, STD, anything, usual

SIZES = [(52, 61), (90, 41), (17, 23)]
BLACK = tuple(-mean / std for mean, std in zip(MEAN, STD, strict=True))


@pytest.fixture(autouse=True)
def _quiet():
    """torchvision's words on what it deprecates."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def picture(size, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8))


def planes(value):
    values = np.asarray(value, np.float64)
    return values if hasattr(value, "dtype") else np.moveaxis(values, -1, 0)


def compared(transform, known, size):
    """How far the steps are from the library, relative to the largest value."""
    image = picture(size)
    theirs = planes(transform(image))
    ours = reference.apply([FromPixels(layout="NHWC"), *known.steps], np.asarray(image)[None])[0]
    return np.abs(theirs - ours).max() / max(np.abs(ours).max(), 1e-6) if theirs.shape == ours.shape else np.inf


def bound(known):
    """Torch resizes floats in float32, and so do its weights."""
    return 1e-4 if any(isinstance(step, Resampling) and not step.rounds for step in known.steps) else 2e-6


def outcome(chain, kit):
    transform = kit.Compose(chain)
    try:
        known = published.from_torchvision(transform)
        Pipeline.from_steps([FromPixels(layout="NHWC"), *known.steps])
    except PreprocError:
        return "refused"
    for size in SIZES:
        assert compared(transform, known, size) < bound(known), (size, known)
    return "equal"


@given(chain=anything, kit=st.sampled_from([v1, v2]))
def test_any_chain_is_equal_or_refused(chain, kit):
    outcome(chain, kit)


@given(chain=usual, kit=st.sampled_from([v1, v2]))
def test_usual_chains_are_equal_or_refused(chain, kit):
    outcome(chain, kit)


EQUAL = {
    "06: floats are not scaled again": [v2.PILToTensor(), v2.ToDtype(F32), v2.ToDtype(F32, scale=True)],
    "06: and normalized in grey levels": [
        v2.ToImage(),
        v2.ToDtype(F32),
        v2.ToDtype(F32, scale=True),
        v2.Normalize([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]),
    ],
    "06: nor by ConvertImageDtype": [v2.PILToTensor(), v2.ToDtype(F32, scale=False), v2.ConvertImageDtype(F32)],
    "06: v1's neither": [v1.ToTensor(), v1.ConvertImageDtype(F32), v1.Normalize(MEAN, STD)],
    "13: one number for all channels": [v1.ToTensor(), v1.Normalize((0.5,), (0.5,))],
    "13: for the means alone": [v1.ToTensor(), v1.Normalize(0.5, STD, inplace=True)],
    "integers of another width": [v2.ToImage(), v2.ToDtype(torch.int32, scale=True), v2.ToDtype(F32, scale=True), v2.Normalize(MEAN, STD)],
    "and unscaled": [v2.ToImage(), v2.ToDtype(torch.int64), v2.ToDtype(F32), v2.Normalize([127.5], [127.5])],
    "by the kind of the picture": [
        v2.ToImage(),
        v2.ToDtype({tv_tensors.Image: F32, "others": torch.int64}, scale=True),
        v2.ToPureTensor(),
        v2.ToDtype({tv_tensors.Image: torch.uint8, "others": F32}, scale=True),
    ],
    "v2.ToTensor leaves tensors alone": [v1.PILToTensor(), OLD_TO_TENSOR, v2.ToDtype(F32, scale=True)],
    "a crop that cuts commutes": [v1.Resize(30), v1.ToTensor(), v1.Normalize(MEAN, STD), v1.CenterCrop([20, 24])],
    "black borders are black behind a scaling": [v2.ToImage(), v2.ToDtype(F32, scale=True), v2.CenterCrop(70), v2.Pad(3, fill=1.0)],
    "of one grey level behind a normalization": [v1.ToTensor(), v1.Normalize([0.5], [0.5]), v1.Pad(2, fill=1)],
    "a fill per channel that is one grey level": [v1.Pad(2, fill=(7, 7, 7)), v1.ToTensor(), v1.Normalize(MEAN, STD), v2.Pad(1, fill=BLACK)],
    "a fill by the kind of the picture": [
        v2.Pad([2], fill={Image.Image: [3, 3, 3], "others": 200}),
        v2.ToImage(),
        v2.Pad(1, fill={tv_tensors.Image: 9, "others": 200}),
        v2.Pad(1, fill={Image.Image: 3, "others": None}),
        v2.ToDtype(F32, scale=True),
    ],
    "the recommended order": [
        v2.ToImage(),
        v2.Resize(32),
        v2.CenterCrop(28),
        v2.ToDtype(F32, scale=True),
        v2.Normalize(MEAN, STD),
    ],
    "bicubic": [v2.PILToTensor(), v2.Resize([31, 26], interpolation=MODE.BICUBIC), v2.Pad(2), v2.ConvertImageDtype(F32)],
    "floats resized": [v1.ToTensor(), v1.Resize([31, 26]), v1.Normalize(MEAN, STD), v1.Resize(20, MODE.BICUBIC), v1.CenterCrop(18)],
    "lanczos, box, hamming of PIL images": [
        v1.Resize(40, MODE.LANCZOS),
        v1.Resize(31, MODE.BOX),
        v1.Resize(20, MODE.HAMMING),
        v1.ToTensor(),
    ],
    "to floats and back": [v1.ToTensor(), v2.ToDtype(torch.uint8, scale=True), v2.Resize(20), v2.ToDtype(F32, scale=True)],
    "a PIL image at the end": [v2.Resize(20), v2.ToDtype(F32, scale=True)],
}


ON_UINT8 = ("the recommended order", "to floats and back")
"""They resize tensors of uint8, bilinear."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs_avx2) if name in ON_UINT8 else name for name in EQUAL])
def test_what_is_read_is_what_the_library_makes(name):
    transform = v2.Compose(EQUAL[name])
    known = published.from_torchvision(transform)
    pipeline = Pipeline.from_torchvision(transform)
    for size in SIZES:
        assert compared(transform, known, size) < bound(known), size
        pixels = torch.from_numpy(np.asarray(picture(size)).copy())[None]
        theirs = planes(transform(picture(size)))
        assert np.abs(pipeline(pixels)[0].numpy() - theirs).max() < 1e-4 * np.abs(theirs).max()


def test_the_meaning_of_a_conversion_shows():
    """The wrong readings would be seen."""
    for wrong in ([Rescale()], [Resize(size=24)], [Pad(padding=1)], [CenterCrop(size=9)]):
        known = published.Published("RGB", tuple(wrong))
        assert compared(v2.Compose(EQUAL["06: floats are not scaled again"]), known, SIZES[0]) > 0.1
    for torchs, pillows in (("uint8", None), (None, "uint8")):
        first = [v2.ToImage()] if torchs else []
        transform = v2.Compose([*first, v2.Resize([20, 31], interpolation=MODE.BICUBIC)])
        assert (
            compared(transform, published.Published("RGB", (Resize(size=(20, 31), interpolation="bicubic", torch=torchs),)), (61, 67)) == 0
        )
        assert (
            compared(transform, published.Published("RGB", (Resize(size=(20, 31), interpolation="bicubic", torch=pillows),)), (61, 67)) > 0
        )


@needs_avx2
def test_steps_of_the_recommended_order():
    known = published.from_torchvision(v2.Compose(EQUAL["the recommended order"]))
    assert known.steps == (
        Resize(size=32, torch="uint8"),
        CenterCrop(size=28),
        Rescale(),
        Normalize(mean=tuple(MEAN), std=tuple(STD), unit="0-1", origin="torchvision transforms"),
    )
    again = published.to_torchvision(known.steps)
    assert published.from_torchvision(again).steps == known.steps
    assert compared(again, known, (61, 67)) < 2e-6


REFUSED = [
    ([v1.ToTensor(), v2.ToDtype(torch.uint8)], "keeps all values apart, got one that rounds"),
    (
        [v1.PILToTensor(), v1.Resize(20)],
        r"that of transforms\.v2 on a tensor of uint8, got that of v1, which .*; v2's, or one in front of the conversion",
    ),
    ([v2.ToImage(), v2.ToDtype(torch.int32), v2.Resize(20)], "got it on one of int32"),
    (
        [v2.ToImage(), v2.Resize(20, antialias=False)],
        "got bilinear with antialias=False; in front of the conversion",
    ),
    (
        [v2.ToImage(), v2.Resize(20, interpolation=MODE.NEAREST)],
        "got nearest; in front of the conversion",
    ),
    (
        [v1.Normalize(MEAN, STD)],
        "Normalize: expected transforms that run on a PIL image one after another, got one that fails on a PIL image",
    ),
    ([v1.PILToTensor(), v1.Normalize(MEAN, STD)], "got one that fails on a tensor of uint8"),
    ([v1.ToTensor(), v1.ToTensor()], "ToTensor: .* fails on a tensor of float32"),
    ([v1.ToTensor(), v1.Normalize(MEAN, STD), v1.Normalize(MEAN, STD)], "expected one Normalize, got a second one"),
    (
        [v1.ToTensor(), v1.Normalize(MEAN, STD), v1.CenterCrop(99)],
        "CenterCrop: expected a border of one grey level .* which stands for 123.7, 116.3",
    ),
    ([v1.ToTensor(), v1.Normalize([0.1, 0.2], [1.0, 1.0])], "Normalize: .* fails on a tensor of float32"),
    ([v2.Grayscale()], "got Grayscale"),
    ([v2.ToImage(), v2.Lambda(lambda x: x)], "got Lambda"),
    ([v2.Pad(2, fill=0.5)], "one grey level for all channels, 0 to 255, got one of 0.5"),
]


@pytest.mark.parametrize(("chain", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused(chain, message):
    with pytest.raises(PreprocError, match=message):
        published.from_torchvision(v2.Compose(chain))


def test_a_library_that_computes_otherwise_is_refused(monkeypatch):
    """Whatever the reader may think: the library itself is asked."""
    transform = v2.Compose(EQUAL["the recommended order"])
    original = v2.CenterCrop.transform
    monkeypatch.setattr(v2.CenterCrop, "transform", lambda *told: original(*told).roll(1, -1))
    for capability, end in (
        ("AVX512", r"normalize\)(?m:$)"),
        ("DEFAULT", "torch uses no AVX2 here, without which torchvision resizes uint8 .* floats(?m:$)"),
    ):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda told=capability: told)
        with pytest.raises(PreprocError, match=rf"got values .* of the largest one away from the steps .*\(resize, center_crop, .*{end}"):
            published.from_torchvision(transform)


def test_the_detour_is_told_only_of_resizes_that_take_it(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert "no AVX2" in published.through_floats([Rescale(), Resize(size=8, torch="uint8")])
    for other in (Resize(size=8), Resize(size=8, torch="float32"), Resize(size=8, torch="uint8", interpolation="bicubic"), Rescale()):
        assert published.through_floats([other]) == ""
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert published.through_floats([Resize(size=8, torch="uint8")]) == ""


def test_all_weights_of_all_models_are_read_or_refused_by_name():
    """One of each class of transforms and settings: reading takes a while."""
    found = {"read": set(), "refused": set()}
    for weights in {
        repr(member.transforms()): member for name in models.list_models() for member in models.get_model_weights(name)
    }.values():
        kind = type(weights.transforms()).__name__
        try:
            known = published.from_torchvision(weights)
        except PreprocError as error:
            found["refused"].add((kind, f"got {kind}" in str(error)))
            continue
        found["read"].add(kind)
        if kind != "ImageClassification":
            image = picture((52, 61))
            ours = reference.apply([FromPixels(layout="NHWC"), *known.steps], np.asarray(image)[None])[0]
            assert np.abs(ours - weights.transforms()(image).numpy()).max() < 1e-5
    assert found["read"] == {"ImageClassification", "SemanticSegmentation", "ObjectDetection"}
    assert found["refused"] == {("VideoClassification", True), ("OpticalFlow", True)}
