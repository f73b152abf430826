"""Pipelines resolved from what is published with weights, against the Python pipelines themselves, and back again."""

import dataclasses
import importlib
import json
import sys
from unittest.mock import Mock

import numpy as np
import PIL
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config
from timm.models import get_pretrained_cfg
from torchvision import models, transforms
from torchvision.transforms import v2

from preproc.cli.attach_options import Options, steps_and_pixels
from preproc.cli.tables import show
from preproc.errors import NotAtHandError, PreprocError, RecipeError
from preproc.export import attach, original, verify_bundle
from preproc.layers import Pipeline
from preproc.oracle import reference
from preproc.sources import PixelsSpec, parse_recipe, published
from preproc.steps import CenterCrop, FromPixels, Normalize, Pad, Rescale, Resize, installed_pillow
from preproc.verify import Original, Report, Result
from preproc.verify.inputs import PHOTOGRAPHS
from tests.commands import run
from tests.conftest import ROOT
from tests.onnx_files import hand_made

WEIGHTS = {repr(member.transforms()): member for name in models.list_models(module=models) for member in models.get_model_weights(name)}
"""One for each setting of the transforms."""
NAME = "ResNet50_Weights.IMAGENET1K_V2"
CLIP = {
    "image_processor_type": "CLIPImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": 224},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "do_convert_rgb": True,
}


@pytest.fixture(scope="module")
def photographs():
    """One of each orientation, of odd sizes."""
    with Image.open(PHOTOGRAPHS / "coffee.jpg") as image:
        return [image.convert("RGB").resize(size) for size in ((304, 227), (190, 283))]


def close(ours, theirs):
    """Equal but for float32's rounding."""
    return ours.shape == theirs.shape and np.abs(ours - theirs).max() < 1e-6 * np.abs(theirs).max()


def ready(steps, image):
    return reference.apply([FromPixels(layout="NHWC"), *steps], np.asarray(image)[None])


def bare(steps):
    """Without where the constants come from, for what went through torch's float32."""
    return [
        (*(np.float32(value).round(6) for value in (*step.mean, *step.std)),) if isinstance(step, Normalize) else step for step in steps
    ]


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=str)
def test_every_torchvision_classifier_goes_there_and_back(weights):
    known = published.from_torchvision(weights)
    assert known.origin == str(weights)
    back = published.from_torchvision(published.to_torchvision(known.steps))
    assert bare(back.steps) == bare(known.steps)
    assert published.named_weights(str(weights)) == known


@pytest.mark.parametrize("name", ["ResNet50_Weights.IMAGENET1K_V2", "ViT_B_16_Weights.IMAGENET1K_V1", "Inception_V3_Weights.IMAGENET1K_V1"])
def test_torchvisions_pictures(photographs, name):
    transform, known = models.get_weight(name).transforms(), published.named_weights(name)
    again = published.to_torchvision(known.steps)
    for image in photographs:
        theirs = transform(image).numpy()[None]
        assert close(ready(known.steps, image), theirs)
        assert close(again(image).numpy()[None], theirs)
        for wrong in (Resize(size=known.steps[0].size + 1), Resize(size=known.steps[0].size, antialias=False)):
            assert not close(ready([wrong, *known.steps[1:]], image), theirs)


def test_compositions_of_both_kinds(photographs):
    mean, std = [0.5, 0.4, 0.3], [0.2, 0.25, 0.3]
    old = transforms.Compose([transforms.Resize((60, 80), transforms.InterpolationMode.BICUBIC), transforms.ToTensor()])
    new = v2.Compose(
        [
            v2.Resize(70, max_size=90, interpolation=v2.InterpolationMode.NEAREST_EXACT),
            v2.Pad([3, 4], fill=9),
            v2.CenterCrop(64),
            v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]),
            v2.Normalize(mean, std),
        ]
    )
    for transform, expected in ((old, [Resize, Rescale]), (new, [Resize, Pad, CenterCrop, Rescale, Normalize])):
        known = published.from_torchvision(transform)
        assert [type(step) for step in known.steps] == expected
        for image in photographs:
            assert close(ready(known.steps, image), transform(image).numpy()[None])
    unscaled = published.from_torchvision(v2.Compose([v2.PILToTensor(), v2.ToDtype(torch.float32), v2.Normalize([127.5] * 3, [127.5] * 3)]))
    assert [step.unit for step in unscaled.steps] == ["0-255"]


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (v2.RandomResizedCrop(224), "got RandomResizedCrop"),
        (v2.Compose([v2.ToImage(), v2.GaussianBlur(3)]), "got GaussianBlur"),
        (v2.Pad(3, padding_mode="reflect"), "padding_mode constant"),
        (v2.Pad(3, fill=[1, 2, 3]), "Pad: expected a border of one grey level for all channels, 0 to 255, got one of 1, 2, 3"),
        (v2.Compose([v2.ToImage(), v2.ToDtype(torch.float16, scale=True)]), "expected float32"),
        (v2.Pad(3, fill={Image.Image: [3, 4, 5], "others": 0}), "one grey level for all channels, 0 to 255, got one of 3, 4, 5"),
        (transforms.Pad(3, padding_mode="edge"), "Pad: expected padding_mode constant, for steps have no other border, got edge"),
        (models.video.R3D_18_Weights.DEFAULT, "got VideoClassification"),
        (torch.nn.ReLU(), "transforms of torchvision, got ReLU"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_files_have_no_word_for_is_named(transform, message):
    with pytest.raises(PreprocError, match=message):
        published.from_torchvision(transform)


def test_timms_configurations():
    """All published ones: resolved, or refused by the name of the field."""
    refused = []
    for name in timm.list_pretrained():
        config = get_pretrained_cfg(name)
        try:
            known = published.from_timm(config)
        except PreprocError as error:
            refused.append((config.crop_mode, str(error)))
            continue
        resize, crop, _, normalize = known.steps
        assert (crop.size, resize.interpolation) == (tuple(config.input_size[1:]), config.interpolation)
        assert (normalize.mean, normalize.std) == (tuple(config.mean), tuple(config.std))
        assert published.title(known.origin) == f"timm {name}"
    assert len(refused) < 10
    assert all(mode == "border" and "crop_mode border" in text for mode, text in refused)


@pytest.mark.parametrize(
    "name", ["resnet50.a1_in1k", "vit_base_patch16_224.augreg_in1k", "convnext_atto.d2_in1k", "tf_efficientnet_b0.in1k"]
)
def test_timms_pictures(photographs, name):
    config = get_pretrained_cfg(name)
    transform, known = create_transform(**resolve_data_config({}, pretrained_cfg=config.to_dict())), published.from_timm(name)
    for image in photographs:
        assert close(ready(known.steps, image), transform(image).numpy()[None])
    again = published.from_torchvision(transform)  # timm builds it of torchvision's
    assert bare(again.steps) == bare(known.steps)


def test_timms_squash_and_models(photographs):
    config = get_pretrained_cfg("resnet50.a1_in1k").to_dict() | {"crop_mode": "squash"}
    transform = create_transform(**resolve_data_config({}, pretrained_cfg=config))
    assert close(ready(published.from_timm(config).steps, photographs[0]), transform(photographs[0]).numpy()[None])
    assert published.from_timm({"architecture": "resnet50", "pretrained_cfg": config}) == published.from_timm(config)
    assert Pipeline.from_timm(timm.create_model("resnet10t")).steps()[1] == published.from_timm("resnet10t.c3_in1k").steps[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop_mode": "border"}, "got crop_mode border"),
        ({"input_size": (3, 224, 320)}, "square input_size"),
        ({"crop_pc": 0.9}, "got 'crop_pc'; did you mean 'crop_pct'"),
        ({"crop_pct": None}, "expected crop_pct in timm's pretrained_cfg"),
        ({"input_size": (1, 224, 224)}, "3 channels"),
        ({"interpolation": "random"}, "got random"),
        ({"crop_pct": 0}, "with other values"),
        ({"input_size": 224}, "with other values"),
    ],
)
def test_timms_fields_are_used_or_refused(change, message):
    with pytest.raises(PreprocError, match=message):
        published.from_timm(get_pretrained_cfg("resnet50.a1_in1k").to_dict() | change)


def test_unknown_weights_are_refused():
    with pytest.raises(PreprocError, match=r"got 'resnet50\.a1_in1kk'; did you mean 'resnet50\.a1_in1k'"):
        published.from_timm("resnet50.a1_in1kk")
    with pytest.raises(PreprocError, match="did you mean 'ResNet50_Weights'"):
        published.named_weights("ResNet50_Weigths.IMAGENET1K_V2")
    with pytest.raises(PreprocError, match="did you mean 'IMAGENET1K_V2'"):
        published.named_weights("ResNet50_Weights.IMAGENET1K_V22")


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


def without(*keys, **changes):
    return {key: value for key, value in CLIP.items() if key not in keys} | changes


MOBILEVIT = without("do_normalize", "image_mean", "image_std", image_processor_type="MobileViTImageProcessor")


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


VIT = without("do_center_crop", "crop_size", image_processor_type="ViTImageProcessor", size={"height": 32, "width": 40})
CONVNEXT = without("do_center_crop", "crop_size", image_processor_type="ConvNextImageProcessor")


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


def test_timms_files(tmp_path, photographs):
    config = get_pretrained_cfg("resnet50.a1_in1k").to_dict() | {"mean": (0.5, 0.4, 0.3), "crop_pct": 0.9}
    nested = {"architecture": "resnet50", "num_classes": 10, "num_features": 2048, "global_pool": "avg", "pretrained_cfg": config}
    flat = {name: value for name, value in config.items() if name != "crop_mode"} | {"labels": ["a"], "num_features": 2048}
    file = tmp_path / "config.json"
    transform = create_transform(**resolve_data_config({}, pretrained_cfg=config))
    for table in (nested, flat):
        file.write_text(json.dumps(table))
        for source in (table, file, str(file), tmp_path, f"{tmp_path}/", f"local-dir:{tmp_path}"):
            known = published.from_timm(source)
            assert close(ready(known.steps, photographs[0]), transform(photographs[0]).numpy()[None])
            assert published.title(known.origin) == "timm resnet50.a1_in1k"
            theirs = published.original(known.origin)(photographs[1])  # of the file, not of the published weights
            assert close(ready(known.steps, photographs[1]), theirs)
            assert not close(ready(published.from_timm("resnet50.a1_in1k").steps, photographs[1]), theirs)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected JSON"),
        ("[]", "expected a table"),
        ('{"model_type": "vit", "hidden_size": 3}', "with input_size, mean and std, got a table with hidden_size, model_type"),
        ('{"pretrained_cfg": {"input_size": [3, 8, 8]}, "model_args": {"in_chans": 1}}', "expected interpolation"),
        (
            '{"pretrained_cfg": {"input_size": [3, 8, 8], "interpolation": "bicubic", "crop_pct": 1, "mean": [0.5, 0.5, 0.5], '
            '"std": [0.5, 0.5, 0.5]}, "model_args": {"in_chans": 1}}',
            r"model_args of the input_size \[3, 8, 8\], got \[1, 8, 8\]",
        ),
    ],
)
def test_timms_files_are_read_or_refused(tmp_path, text, message):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(PreprocError, match=f"{tmp_path.name}.*{message}"):
        published.from_timm(tmp_path)


def test_timms_names_and_paths():
    with pytest.raises(PreprocError, match=r"none/config\.json: expected a config\.json of timm, got No such file"):
        published.from_timm("none/config.json")
    with pytest.raises(PreprocError, match=r"hf-hub:timm/resnet18\.a1_in1k, which is on the hub"):
        published.from_timm("hf-hub:timm/resnet18.a1_in1k")


def test_files_that_are_no_configuration(tmp_path):
    (tmp_path / "x.json").write_text("{")
    for path, message in ((tmp_path / "x.json", "expected JSON"), (tmp_path / "none.json", "No such file"), (tmp_path, "No such file")):
        with pytest.raises(PreprocError, match=message):
            published.from_huggingface(path)


def test_pipelines_in_torch(photographs):
    weights = models.ResNet18_Weights.IMAGENET1K_V1
    pipeline = Pipeline.from_torchvision(weights, color="BGR")
    for image in photographs:
        pixels = torch.from_numpy(np.asarray(image)[None, ..., ::-1].copy())
        theirs = weights.transforms()(image)[None]
        assert torch.allclose(pipeline(pixels), theirs, atol=1e-6)
        assert torch.allclose(pipeline.to_torchvision()(image)[None], theirs, atol=1e-6)
    with pytest.raises(PreprocError, match="transforms for, got min_max_normalize"):
        Pipeline.from_steps([FromPixels(layout="NHWC"), *parse_steps("min_max_normalize")]).to_torchvision()


def parse_steps(*names):
    from preproc.steps import parse

    return [parse({"step": name}) for name in names]


def recipe(**changes):
    table = {
        "name": "x",
        "steps_from": "weights",
        "backbone": {"source": "torchvision", "name": "resnet18", "weights": "IMAGENET1K_V1", "color": "RGB"},
        "pixels": {"layout": "NHWC", "color": "RGB", "size": "dynamic"},
    }
    return parse_recipe(table | changes, folder=ROOT)


def test_recipes_take_their_steps_from_the_weights():
    made = recipe()
    assert made.steps[1:] == published.named_weights("ResNet18_Weights.IMAGENET1K_V1").steps
    assert made.steps_from == "ResNet18_Weights.IMAGENET1K_V1"
    assert made.ready_size == (224, 224)
    other = recipe(backbone={"source": "timm", "name": "resnet50", "weights": "a1_in1k", "color": "RGB"})
    assert other.steps_from == "timm resnet50.a1_in1k"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps_from": "imagenet"}, 'expected "weights"'),
        ({"steps": []}, r"in place of \[\[steps\]\], got \[\[steps\]\] beside it"),
        ({"backbone": {"source": "torchvision", "name": "resnet18", "weights": "random", "seed": 0, "color": "RGB"}}, "IMAGENET1K_V1"),
        ({"backbone": {"source": "torchvision", "name": "resnet18", "weights": "IMAGENET1K_V1", "color": "BGR"}}, 'expected "RGB"'),
        ({"backbone": {"source": "embedded", "name": "digits", "weights": "x", "color": "RGB"}}, "whose weights say"),
    ],
)
def test_recipes_that_cannot(changes, message):
    with pytest.raises(RecipeError, match=message):
        recipe(**changes)


def test_attach_takes_them_from_the_command_line(tmp_path):
    """Verified on large photographs once; that each of the three is compared with its own pipeline, other tests show on small ones."""
    file = hand_made(tmp_path, shape=("N", 3, 224, 224))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(CLIP))
    for number, options in enumerate(
        (
            ["--huggingface", str(tmp_path / "preprocessor_config.json"), "--no-verify"],
            ["--torchvision", "ResNet50_Weights.IMAGENET1K_V2"],
            ["--timm", "resnet50.a1_in1k", "--no-verify"],
        )
    ):
        out = tmp_path / (f"out{number}.onnx" if "--no-verify" in options else "out")
        done = run("attach", str(file), "-o", str(out), *options)
        assert done.returncode == 0, done.stderr
        told = run("inspect", str(out)).stdout
        assert "steps    as published: " in told
        assert "['N', 'height', 'width', 3]" in told
        assert "graph    agrees with the contract" in told
    clash = run("attach", str(file), "-o", str(tmp_path / "no"), "--timm", "resnet50.a1_in1k", "--preset", "imagenet")
    assert clash.returncode == 1
    assert "--preset" in clash.stderr


def test_attach_takes_files_and_folders(tmp_path):
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": CLIP}))
    (tmp_path / "config.json").write_text(json.dumps({"pretrained_cfg": get_pretrained_cfg("resnet50.a1_in1k").to_dict()}))
    for source in (tmp_path, tmp_path / "processor_config.json"):
        steps, _, color, origin = steps_and_pixels(Options(huggingface=source))
        assert (steps, color) == (published.from_huggingface(CLIP).steps, "RGB")
        assert published.title(origin) == "Hugging Face processor_config.json (Pillow backend)"
    for source in (f"{tmp_path}/", str(tmp_path / "config.json")):
        steps, _, _, origin = steps_and_pixels(Options(timm=source))
        assert steps == published.from_timm("resnet50.a1_in1k").steps
        assert published.title(origin) == "timm resnet50.a1_in1k"


def test_verify_compares_with_the_original_pipeline(tmp_path, monkeypatch):
    file = hand_made(tmp_path, shape=("N", 3, 64, 64))
    known = published.Published("RGB", (Resize(size=72), CenterCrop(size=(64, 64)), *published.named_weights(NAME).steps[2:]), NAME)
    weights = models.get_weight(NAME)
    transform = v2.Compose([v2.Resize(72), v2.CenterCrop(64), *published.to_torchvision(known.steps[2:]).transforms])
    monkeypatch.setattr(type(weights), "transforms", property(lambda _: lambda: transform))
    pixels = PixelsSpec(layout="NHWC", color="BGR", dtype="uint8", size=None, channels=3)
    made = attach(file, tmp_path / "out", steps=known.steps, pixels=pixels, steps_from=NAME)
    original = made.report.original
    assert (original.name, original.pictures, made.report.ok) == (NAME, 9, True)
    assert original.ready_error < 1e-6
    ran = [result for result in original.results if result.verdict != "absent"]
    assert [(result.runtime, result.verdict, result.top1) for result in ran] == [("ort-cpu", "passed", 1.0)]
    assert Report.from_json(made.report.to_json()) == made.report
    wrong = (Resize(size=72, interpolation="bicubic"), *known.steps[1:])
    with pytest.raises(
        PreprocError, match=r"expected the steps to compute what ResNet50_Weights.* its pixels are others, .* no order of passes"
    ):
        attach(file, tmp_path / "no", steps=wrong, pixels=pixels, steps_from=NAME)
    wrong = (*known.steps[:2], Rescale(), Normalize(mean=(0.5,) * 3, std=(0.5,) * 3, unit="0-1"))
    with pytest.raises(
        PreprocError, match=r"its pixels are the same, its constants are not: channel by channel it has 2\.183 x \+0\.0655, 2\.232 x"
    ):
        attach(file, tmp_path / "no", steps=wrong, pixels=pixels, steps_from=NAME)
    with monkeypatch.context() as patch:  # a Pillow that has the order of passes of another
        patch.setattr("preproc.export.original.installed_pillow", lambda: 25 - installed_pillow())
        with pytest.raises(PreprocError, match=rf"Pillow {PIL.__version__} here has the order of passes of Pillow {installed_pillow()}"):
            attach(file, tmp_path / "no", steps=known.steps, pixels=pixels, steps_from=NAME)
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("told", "capability", "end"),
    [
        ({}, "DEFAULT", "otherwise, and in no order of passes of Pillow's"),
        ({"torch": "uint8"}, "AVX2", "otherwise"),
        (
            {"torch": "uint8"},
            "DEFAULT",
            "otherwise, torch uses no AVX2 here, without which torchvision resizes uint8 tensors through floats",
        ),
        ({"torch": "uint8", "interpolation": "bicubic"}, "DEFAULT", "otherwise"),
    ],
)
def test_other_pixels_are_laid_to_the_cpu_only_where_it_is_so(monkeypatch, told, capability, end):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    steps = [FromPixels(layout="NHWC"), Resize(size=(9, 8), **told)]
    picture = np.random.default_rng(0).integers(0, 256, (1, 20, 30, 3), dtype=np.uint8)
    ours = reference.apply(steps, picture)
    message = original._cause(steps, picture, ours[..., ::-1].astype(np.float32), ours)
    assert message == f"its pixels are others, so it resizes, crops or converts them {end}"


def test_huggingfaces_processor_is_run_for_batches_of_a_fixed_size(tmp_path):
    file = hand_made(tmp_path, shape=(2, 3, 64, 64))
    known = published.from_huggingface(CLIP | {"size": {"shortest_edge": 72}, "crop_size": {"height": 64, "width": 64}})
    pixels = PixelsSpec(layout="NHWC", color="RGB", dtype="uint8", size=None, channels=3)
    made = attach(file, tmp_path / "out", steps=known.steps, pixels=pixels, steps_from=known.origin)
    original = made.report.original
    assert (original.name, original.pictures, original.reason) == ("Hugging Face preprocessor_config (Pillow backend)", 9, "")
    assert 0 < original.ready_error < 1e-6
    golden = verify_bundle(tmp_path / "out", runtimes=["ort-cpu"])
    assert "takes the original backbone" in golden.original.reason
    shown = run("inspect", tmp_path / "out")
    assert "as published: Hugging Face preprocessor_config (Pillow backend)\n" in shown.stdout


def test_what_is_not_compared_says_why(tmp_path, monkeypatch, capsys):
    file = hand_made(tmp_path, shape=("N", 3, 64, 64))
    known = published.Published("RGB", (Resize(size=(64, 64)), *published.from_timm("resnet50.a1_in1k").steps[2:]), "timm resnet50.a1_in1k")
    for color, missing, reason in (
        ("GRAY", False, "takes RGB pictures of 8 bits, the model GRAY"),
        ("RGB", True, "timm is not installed; pip install timm"),
    ):
        if missing:
            monkeypatch.setitem(sys.modules, "timm", None)
        pixels = PixelsSpec(layout="NHWC", color=color, dtype="uint8", size=None, channels=len(color) if color == "RGB" else 1)
        made = attach(file, tmp_path / color, steps=known.steps, pixels=pixels, steps_from=known.origin)
        assert (made.report.original.results, made.report.ok) == ((), True)
        assert reason in made.report.original.reason
        show(made.report)
        assert capsys.readouterr().out.startswith("not compared with timm resnet50.a1_in1k: ")


def test_an_original_that_differs_fails_the_file():
    right = Result("ort-cpu", "passed", error=0.0)
    report = Report("x", "y", "yes", None, (right,), original=Original("z", 1, 0.0, (Result("ort-cpu", "failed", "error 1"),)))
    assert report.failed
    assert not report.ok


FACTORS, WHY = [1 / 0.229, 1 / 0.224, 1 / 0.225], "measured so"
"""ncnn's norm_vals where stds belong."""
DOUBTED = {
    "torchvision": (
        Pipeline.from_torchvision,
        transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], FACTORS)]),
    ),
    "timm": (Pipeline.from_timm, get_pretrained_cfg("resnet50.a1_in1k").to_dict() | {"std": FACTORS}),
    "huggingface": (Pipeline.from_huggingface, without(image_mean=[0.485, 0.456, 0.406], image_std=FACTORS)),
}


@pytest.mark.parametrize("publisher", DOUBTED)
def test_published_constants_are_taken_where_somebody_says_why(publisher):
    read, source = DOUBTED[publisher]
    with pytest.raises(PreprocError, match=r"imagenet's; write mean = .* or say why they are right in constants_because = "):
        read(source)
    assert read(source, constants_because=WHY).steps()[-1].constants_because == WHY
    with pytest.raises(PreprocError, match="constants_because to be a reason in words"):
        read(source, constants_because=" ")


def test_a_reason_for_no_constants_is_refused():
    with pytest.raises(
        PreprocError, match=r"a normalization, whose constants the reason in constants_because = .*, got resize, center_crop, resc"
    ):
        published.from_huggingface(without(do_normalize=False), constants_because=WHY)
    assert published.from_huggingface(CLIP).steps[-1].constants_because is None


@pytest.mark.parametrize("publisher", ["timm", "huggingface"])
def test_attach_says_why_published_constants_are_right(tmp_path, publisher):
    file, config, out = hand_made(tmp_path, shape=("N", 3, 224, 224)), tmp_path / "config.json", tmp_path / "o.onnx"
    config.write_text(json.dumps(DOUBTED[publisher][1]))
    options = ["attach", file, "-o", out, "--no-verify", f"--{publisher}", config]
    assert 'or say why they are right in --constants-because "the reason"' in run(*options, check=1).stderr
    assert not out.exists()
    said = run(*options, "--constants-because", WHY, check=0).stderr
    assert f"note: normalize: its constants are taken as they are given, because: {WHY}" in said
    assert f"because: {WHY}" in run("inspect", out, check=0).stdout
    refused = run(*options[:5], "--preset", "imagenet", "--constants-because", WHY, check=1).stderr
    assert "--constants-because: expected beside --mean and --std, or one of --huggingface, --timm, --torc" in refused


def test_recipes_say_why_the_constants_of_weights_are_right(monkeypatch):
    backbone = {"source": "timm", "name": "resnet50", "weights": "a1_in1k", "color": "RGB"}
    config = get_pretrained_cfg("resnet50.a1_in1k")
    monkeypatch.setattr("timm.models.get_pretrained_cfg", lambda _: dataclasses.replace(config, std=tuple(FACTORS)))
    with pytest.raises(RecipeError, match=r"steps_from: normalize: .* or say why they are right in constants_because = "):
        recipe(backbone=backbone)
    made = recipe(backbone=backbone, constants_because=WHY)
    assert made.steps[-1].constants_because == WHY
    with pytest.raises(
        RecipeError, match=r"constants_because: expected beside steps_from, .*; in \[\[steps\]\] each normalize may say its own"
    ):
        recipe(backbone=backbone, steps_from=None, steps=[], constants_because=WHY)


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


@pytest.mark.parametrize("name", ["ViTImageProcessor", "DINOv3ViTImageProcessor"])
def test_attach_with_the_backend_for_tensors(tmp_path, name):
    """Verified against transformers' own class."""
    import transformers

    file, config = hand_made(tmp_path, shape=("N", 3, 32, 40)), tmp_path / "preprocessor_config.json"
    config.write_text(json.dumps(VIT | {"image_processor_type": name}))
    steps, pixels, _, origin = steps_and_pixels(Options(huggingface=config, backend="torchvision"))
    assert published.title(origin) == "Hugging Face preprocessor_config.json (torchvision backend)"
    original = attach(file, tmp_path / "out", steps=steps, pixels=pixels, steps_from=origin).report.original
    if hasattr(transformers, name):
        assert (original.pictures, original.reason) == (9, "")
        assert original.ready_error < (1e-5 if name.startswith("ViT") else 1e-4)
    with pytest.raises(PreprocError, match=r"--pillow: expected a resize of Pillow's, whose order .* got none .*torch"):
        steps_and_pixels(Options(huggingface=config, backend="torchvision", pillow=12))
    with pytest.raises(PreprocError, match="--backend: expected beside --huggingface, which it is of, got it with --preset"):
        steps_and_pixels(Options(preset="imagenet", backend="torchvision"))
