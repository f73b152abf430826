"""torchvision's weights and transforms, against the transforms themselves, and back again."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import models, transforms
from torchvision.transforms import v2

from preproc.errors import PreprocError
from preproc.layers import Pipeline
from preproc.sources import published
from preproc.steps import CenterCrop, FromPixels, Normalize, Pad, Rescale, Resize
from tests.sources.published.comparing import bare, close, ready

WEIGHTS = {repr(member.transforms()): member for name in models.list_models(module=models) for member in models.get_model_weights(name)}
"""One for each setting of the transforms."""


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


def test_unknown_weights_are_refused():
    with pytest.raises(PreprocError, match=r"got 'resnet50\.a1_in1kk'; did you mean 'resnet50\.a1_in1k'"):
        published.from_timm("resnet50.a1_in1kk")
    with pytest.raises(PreprocError, match="did you mean 'ResNet50_Weights'"):
        published.named_weights("ResNet50_Weigths.IMAGENET1K_V2")
    with pytest.raises(PreprocError, match="did you mean 'IMAGENET1K_V2'"):
        published.named_weights("ResNet50_Weights.IMAGENET1K_V22")


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
