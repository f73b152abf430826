"""timm's configurations, by name, in files and of models, against timm's own transforms."""

import json

import pytest
import timm
from timm.data import create_transform, resolve_data_config
from timm.models import get_pretrained_cfg

from preproc.errors import PreprocError
from preproc.layers import Pipeline
from preproc.sources import published
from tests.sources.published.comparing import bare, close, ready


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
