"""Hugging Face's image processors: each field used or refused, against transformers' own classes."""

import importlib
import json
import sys
from unittest.mock import Mock

import numpy as np
import pytest

from preproc.errors import NotAtHandError, PreprocError
from preproc.layers import Pipeline
from preproc.sources import published
from preproc.steps import CenterCrop, FromPixels, Rescale, Resize
from tests.sources.published.comparing import close, ready
from tests.sources.published.configurations import CLIP, CONVNEXT, MOBILEVIT, VIT, without


def hf_with_pillow(image, config):
    """What transformers computes for CLIP, from its source: Pillow, a crop from (height - size) // 2, rescale, normalize."""
    short, long = sorted(image.size)
    edge = config["size"]["shortest_edge"]
    new = {short: edge, long: int(edge * long / short)}
    picture = np.asarray(image.resize((new[image.width], new[image.height]), config["resample"]))
    height, width = config["crop_size"]["height"], config["crop_size"]["width"]
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    values = picture[top : top + height, left : left + width] * config["rescale_factor"]
    return np.moveaxis((values - config["image_mean"]) / config["image_std"], -1, 0)[None]


def test_huggingfaces_pictures(photographs, tmp_path):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(CLIP))
    for source in (CLIP, tmp_path, tmp_path / "preprocessor_config.json"):
        known = published.from_huggingface(source)
        for image in photographs:
            assert close(ready(known.steps, image), hf_with_pillow(image, CLIP))
    half_even = [CenterCrop(size=step.size) if isinstance(step, CenterCrop) else step for step in known.steps]
    assert any(not close(ready(half_even, image), hf_with_pillow(image, CLIP)) for image in photographs)  # torchvision's crop is another


def test_huggingfaces_classes():
    squash = published.from_huggingface(
        without("do_center_crop", "crop_size", image_processor_type="ViTImageProcessor", size={"height": 224, "width": 200}, resample=2)
    )
    assert squash.steps[:2] == (Resize(size=(224, 200)), Rescale())
    old = published.from_huggingface(
        without(
            "image_processor_type",
            "do_center_crop",
            "crop_size",
            "do_rescale",
            "rescale_factor",
            feature_extractor_type="ViTFeatureExtractor",
            size=224,
        )
    )
    assert old.steps[:2] == (Resize(size=(224, 224), interpolation="bicubic"), Rescale())
    small = without("do_center_crop", "crop_size", image_processor_type="ConvNextImageProcessor", crop_pct=0.875)
    assert published.from_huggingface(small).steps[:2] == (
        Resize(size=256, interpolation="bicubic"),
        CenterCrop(size=(224, 224), rounding="floor"),
    )
    assert published.from_huggingface(small | {"size": {"shortest_edge": 384}}).steps[0] == Resize(size=(384, 384), interpolation="bicubic")
    assert published.from_huggingface(without(do_rescale=False, image_mean=[127] * 3, image_std=[64] * 3)).steps[-1].unit == "0-255"
    assert published.from_huggingface(MOBILEVIT).color == "BGR"
    assert published.from_huggingface(MOBILEVIT | {"do_flip_channel_order": False}).color == "RGB"
    with pytest.raises(PreprocError, match="RGB or grey pictures, as PIL gives them"):
        Pipeline.from_steps([FromPixels(layout="NHWC", to="BGR"), Rescale()]).to_torchvision()


SHORTEST = {"size": {"shortest_edge": 64}, "crop_size": {"height": 56, "width": 57}}
BOTH = {"size": {"height": 50, "width": 61}}
PROCESSORS = [
    ("CLIP", SHORTEST | {"resample": 3}),
    ("Bit", SHORTEST | {"resample": 2}),
    ("Bit", SHORTEST | {"do_resize": False}),
    ("MobileNetV2", SHORTEST | {"resample": 2}),
    ("MobileViT", SHORTEST | {"resample": 2, "do_flip_channel_order": True, "do_normalize": None, "image_mean": None, "image_std": None}),
    ("Beit", BOTH | {"crop_size": {"height": 44, "width": 51}, "resample": 3, "do_center_crop": True, "do_reduce_labels": False}),
    ("DeiT", BOTH | {"crop_size": {"height": 44, "width": 51}, "resample": 3}),
    ("Siglip", BOTH | {"resample": 3}),
    ("ViT", BOTH | {"resample": 0}),
    ("Pvt", BOTH | {"resample": 2}),
    ("ConvNext", {"size": {"shortest_edge": 64}, "resample": 3, "crop_pct": 0.875}),
    ("ConvNext", {"size": {"shortest_edge": 384}, "resample": 3, "crop_pct": 0.875}),
]


@pytest.mark.parametrize(("kind", "config"), PROCESSORS)
def test_huggingfaces_own_processors(photographs, kind, config):
    """transformers' classes themselves, with the defaults that they have for what the file leaves out."""
    values = {"do_resize": True, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True}
    constants = {"image_mean": [0.48, 0.45, 0.41], "image_std": [0.27, 0.26, 0.28]}
    told = {"image_processor_type": f"{kind}ImageProcessor"} | values | constants | config
    known = published.from_huggingface({key: value for key, value in told.items() if value is not None})
    processor = published.original(known.origin)
    turned = slice(None, None, -1) if known.color == "BGR" else slice(None)
    for image in [*photographs, photographs[0].resize((40, 33)), photographs[0].resize((57, 55))]:
        theirs = processor(image)
        assert close(ready(known.steps, image)[:, turned], theirs)
        assert not close(ready(known.steps, image.rotate(9))[:, turned], theirs)


@pytest.fixture
def transformers():
    """The module that is there once a class of it is loaded: until then it may put another in its own place."""
    getattr(importlib.import_module("transformers"), "CLIPImageProcessorPil", None)
    return sys.modules["transformers"]


def test_a_processor_that_transformers_lacks_is_not_at_hand(monkeypatch, transformers):
    known = published.from_huggingface(CLIP)
    monkeypatch.setattr(transformers, "CLIPImageProcessorPil", None, raising=False)
    with pytest.raises(NotAtHandError, match="has no CLIPImageProcessor for Pillow"):
        published.original(known.origin)


@pytest.mark.parametrize(("version", "there"), [("4.57.6", False), ("5.0.0.dev0", True), ("10.1.0", True)])
def test_versions_of_transformers_are_numbers(monkeypatch, transformers, version, there):
    known = published.from_huggingface(CLIP)
    monkeypatch.setattr(transformers, "__version__", version)
    monkeypatch.setattr(transformers, "CLIPImageProcessorPil", Mock(), raising=False)
    if there:
        assert callable(published.original(known.origin))
    else:
        with pytest.raises(NotAtHandError, match=r"transformers 4\.57\.6 has no CLIPImageProcessor for Pillow; 5\.4 and newer have"):
            published.original(known.origin)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"feature_extractor_type": "Wav2Vec2FeatureExtractor", "sampling_rate": 16000}, "of an image processor, got one of Wav2Vec2"),
        ({"image_seq_len": 64, "processor_class": "SmolVLMProcessor"}, "got one of something else, with image_seq_len, processor_class"),
        (without(rescale_offset=True), "expected no rescale_offset, which CLIPImageProcessor of transformers .* does not read"),
        (without(size_divisor=32), "expected no size_divisor, which CLIPImageProcessor"),
        (without(crop_pct=0.9), "expected no crop_pct, which CLIPImageProcessor"),
        (without(image_seq=32), "expected fields of image processors that are known, got 'image_seq'"),
        (without(image_men=[0.5] * 3), "got 'image_men'; did you mean 'image_mean'"),
        (without(resample=6), r"resample .*3 \(bicubic\).*, got 6"),
        (without(do_pad=True, pad_size={"height": 300, "width": 300}), "do_pad to be false, for steps cannot say the border of CLIP"),
        (without(size={"longest_edge": 400}), "size with height and width or shortest_edge, .* got longest_edge"),
        (without(size=[224, 224]), r"size with height and width or shortest_edge, .* got \[224, 224\]"),
        (without("image_processor_type"), "whose arithmetic is known, of .*ViT, .* got none named"),
        (without(image_processor_type="CLIPImageProcesor"), "did you mean 'CLIPImageProcessor'"),
        (
            without(image_processor_type="LlavaNextImageProcessor"),
            "LlavaNextImageProcessor of transformers .*: driven with one picture alone",
        ),
        (without(size=224, default_to_square=True), "size as a table, got 224 with default_to_square True"),
        (without(image_mean=[10**400] * 3), "expected numbers"),
        (CONVNEXT | {"crop_pct": 0}, "expected numbers"),
        (CONVNEXT | {"crop_pct": "0.9"}, "crop_pct to be a number"),
        (without(do_resize="yes"), "do_resize to be true or false"),
        (without(do_resize=None), "do_resize to be said or left out, got null"),
        (without(image_mean="x"), "one number, or one for each of three channels"),
        (without(image_mean=[0.5]), "one number, or one for each of three channels"),
        (without(image_std=[0, 1, 1]), "every std > 0"),
        (without(size={"shortest_edge": "x"}), "size"),
        (MOBILEVIT | {"do_normalize": True}, "do_normalize to be false or left out, got true, but MobileViTImageProcessor .* no such step"),
        (VIT | {"do_flip_channel_order": True}, "do_flip_channel_order to be false or left out, got true, but ViTImageProcessor"),
        (
            VIT | {"do_center_crop": True, "crop_size": 30},
            r"got true, but ViTImageProcessor of transformers 4\.\d+\.\d+ computes no such step",
        ),
        (
            without("crop_size", "do_center_crop", image_processor_type="BeitImageProcessor", size={"height": 32, "width": 32}),
            r"expected do_center_crop \((True and False|False and True)\) to be said, got nothing, which transformers .* read otherwise",
        ),
        (
            without(
                "do_center_crop", "crop_size", image_processor_type="DetrImageProcessor", size={"shortest_edge": 80, "longest_edge": 133}
            ),
            "expected size with height and width, which steps can say for DetrImageProcessor.*, got shortest_edge and longest_edge;",
        ),
        (without("do_center_crop", "crop_size", image_processor_type="GLPNImageProcessor"), "GLPNImageProcessor"),
        ([], "expected a table"),
    ],
)
def test_huggingfaces_fields_are_used_or_refused(config, message):
    with pytest.raises(PreprocError, match=message):
        published.from_huggingface(config)


def test_what_is_left_out_is_what_the_class_has():
    """Where all versions of transformers that were driven have the same."""
    clip = published.from_huggingface({"image_processor_type": "CLIPImageProcessor"})
    assert clip.steps == published.from_huggingface(CLIP).steps
    assert published.from_huggingface(without("resample", do_pad=True)).steps == clip.steps
    same = without(image_mean=0.5, image_std=0.25, size=224, crop_size=224)
    spelled = without(image_mean=[0.5] * 3, image_std=[0.25] * 3)
    assert published.from_huggingface(same).steps == published.from_huggingface(spelled).steps


def test_where_publishers_put_the_table(tmp_path):
    right = published.from_huggingface(CLIP)
    whole = {"image_processor": CLIP, "processor_class": "CLIPProcessor", "feature_extractor": {"sampling_rate": 16000}}
    assert published.from_huggingface(whole).steps == right.steps
    new, old = tmp_path / "processor_config.json", tmp_path / "preprocessor_config.json"
    new.write_text(json.dumps(whole))
    for source in (new, tmp_path, str(tmp_path)):
        found = published.from_huggingface(source)
        assert (found.steps, published.title(found.origin)) == (right.steps, "Hugging Face processor_config.json (Pillow backend)")
    old.write_text(json.dumps(CLIP))
    assert published.from_huggingface(tmp_path).steps == right.steps
    old.write_text(json.dumps(CLIP | {"resample": 2}))
    with pytest.raises(PreprocError, match=r"processor_config.json and preprocessor_config.json to say the same, .* name one of the files"):
        published.from_huggingface(tmp_path)
    assert published.from_huggingface(old).steps[0].interpolation == "bilinear"
    new.write_text(json.dumps({"processor_class": "CLIPProcessor", "chat_template": None}))
    assert published.from_huggingface(tmp_path).steps[0].interpolation == "bilinear"
    old.unlink()
    with pytest.raises(PreprocError, match="of an image processor, got one of something else, with processor_class"):
        published.from_huggingface(tmp_path)


def test_files_that_are_no_configuration(tmp_path):
    (tmp_path / "x.json").write_text("{")
    for path, message in ((tmp_path / "x.json", "expected JSON"), (tmp_path / "none.json", "No such file"), (tmp_path, "No such file")):
        with pytest.raises(PreprocError, match=message):
            published.from_huggingface(path)


def test_a_file_is_read_for_the_backend_that_is_said():
    assert published.from_huggingface(VIT, backend="pil").steps == published.from_huggingface(VIT).steps
    on_tensors = published.from_huggingface(VIT, backend="torchvision")
    assert on_tensors.steps[0] == Resize(size=(32, 40), interpolation="bicubic", torch="uint8")
    assert published.title(on_tensors.origin) == "Hugging Face preprocessor_config (torchvision backend)"
    crop = published.from_huggingface(CLIP, backend="torchvision").steps[1]
    assert (crop.rounding, published.from_huggingface(CLIP).steps[1].rounding) == ("trunc", "floor")
    assert Pipeline.from_huggingface(VIT, backend="torchvision").steps()[1].torch == "uint8"
    fast = VIT | {"image_processor_type": "ViTImageProcessorFast"}  # as transformers 4 writes it
    assert published.from_huggingface(fast).steps == on_tensors.steps
    assert published.from_huggingface(fast, backend="pil").steps[0].torch is None
    with pytest.raises(PreprocError, match="expected backend to be one of pil, torchvision, got 'fast'"):
        published.from_huggingface(VIT, backend="fast")
    for code, name in ((0, "nearest"), (1, "lanczos"), (4, "box")):
        with pytest.raises(PreprocError, match=rf"resample 2 \(bilinear\) or 3 \(bicubic\), which steps can say on tensors, got {name}"):
            published.from_huggingface(VIT | {"resample": code}, backend="torchvision")


def test_classes_for_tensors_alone_need_no_backend():
    """And one that resizes floats, behind its rescale."""
    config = VIT | {"image_processor_type": "DINOv3ViTImageProcessorFast"}
    assert published.from_huggingface(config).steps[0] == Resize(size=(32, 40), interpolation="bicubic", torch="float32")
    with pytest.raises(PreprocError, match="expected a processor that computes with pil, got DINOv3ViTImageProcessor, which does not"):
        published.from_huggingface(config, backend="pil")
    with pytest.raises(
        PreprocError, match=r"expected do_rescale, behind which DINOv3ViTImageProcessor with torchvision of .* resizes floats"
    ):
        published.from_huggingface(config | {"do_rescale": False, "image_mean": 127, "image_std": 64})
