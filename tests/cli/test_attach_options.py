"""The options of preproc attach that take the steps from what is published."""

import json
import tomllib

import pytest
from timm.models import get_pretrained_cfg

from preproc.cli.attach_options import Options, steps_and_pixels, verify_sizes
from preproc.errors import PreprocError
from preproc.export import attach
from preproc.sources import published
from tests.commands import run
from tests.onnx_files import hand_made
from tests.sources.published.configurations import CLIP, DOUBTED, VIT, WHY


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
        assert (steps[1:], color) == (published.from_huggingface(CLIP).steps, "RGB")
        assert published.title(origin) == "Hugging Face processor_config.json (Pillow backend)"
    for source in (f"{tmp_path}/", str(tmp_path / "config.json")):
        steps, _, _, origin = steps_and_pixels(Options(timm=source))
        assert steps[1:] == published.from_timm("resnet50.a1_in1k").steps
        assert published.title(origin) == "timm resnet50.a1_in1k"


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


@pytest.mark.parametrize(
    ("text", "size"), [("48,64", (48, 64)), ("48,*", (48, None)), ("*, 64", (None, 64)), ("*,*", (None, None)), (None, (None, None))]
)
def test_sides_are_said_one_by_one(text, size):
    assert steps_and_pixels(Options(preset="imagenet", size=text))[1].size == size


@pytest.mark.parametrize("text", ["48", "*", "48,64,3", "a,b", "48,", "48,0", "-1,*", "*,0"])
def test_sizes_that_are_none(text):
    with pytest.raises(PreprocError, match="expected --size"):
        steps_and_pixels(Options(preset="imagenet", size=text))


def test_sizes_to_verify_with_are_said_as_often_as_there_are_some():
    assert verify_sizes([]) == ()
    assert verify_sizes(["320,480", "96, 64"]) == ((320, 480), (96, 64))
    for text in ("320", "320,*", "0,4", "1,2,3"):
        with pytest.raises(PreprocError, match=r"verify[-_]size"):
            verify_sizes([text])


def test_one_free_side_on_the_command_line(tmp_path):
    file = hand_made(tmp_path, shape=("N", 3, "h", "w"))
    options = ["--preset", "imagenet", "--size", "16,*", "--verify-size", "16,24", "--verify-size", "16,9"]
    done = run("attach", file, "-o", tmp_path / "out", *options, check=0)
    assert "24 inputs" in done.stdout
    told = run("inspect", tmp_path / "out", check=0).stdout
    assert "['N', 16, 'width', 3]" in told
    assert "sizes    verified with 16x24, 16x9" in told
    run("init", "--onnx", hand_made(tmp_path, shape=("N", 3, 16, "w")), "-o", tmp_path / "r.toml", check=0)
    assert tomllib.loads((tmp_path / "r.toml").read_text())["pixels"]["size"] == [16, "dynamic"]
