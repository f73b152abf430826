"""Which variants are compared."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from preproc.diagnosis.experiment import compare
from preproc.diagnosis.experiment.pictures import sent
from preproc.diagnosis.experiment.plan import CAMERA, Variant, _cameras, located, read_plan
from preproc.errors import PreprocError
from preproc.sources import PixelsSpec
from preproc.steps import CenterCrop, Resize
from tests.conftest import ROOT


def names(plan):
    return [each.name for each in plan.variants]


def own(tmp_path, text):
    (tmp_path / "v.toml").write_text(text)
    return tmp_path / "v.toml"


def test_the_usual_ones(recipe):
    plan = read_plan(recipe, None, resized=False)
    usual = {"recipe", "imagenet, RGB", "caffe, BGR", "min-max, RGB", "per picture, RGB", "LRN, RGB", "0-1, BGR", "JPEG of quality 75"}
    assert usual <= set(names(plan))
    assert names(plan)[0] == "recipe"
    assert len(set(names(plan))) == len(names(plan))
    misread = ["NV12, matrix bt601 for bt709", "NV12, range full for limited"]
    assert [each.name for each in plan.variants if each.mistake] == ["recipe, rescaled twice", *misread]


def test_a_camera_is_between_the_picture_and_its_colours():
    pixels = PixelsSpec(layout="NHWC", color="BGRA", dtype="uint8", size=None, channels=4)
    first = Variant("recipe", "", 0, pixels, None)
    picture = np.random.default_rng(0).integers(0, 256, (4, 5, 4), dtype=np.uint8).repeat(2, 0)[:7].repeat(2, 1)[:, :9]
    right, matrix, range_ = _cameras(first, CAMERA)
    assert [each.mistake for each in (right, matrix, range_)] == [False, True, True]
    made, count = sent(picture, right)
    assert (made.shape, made.dtype, count) == (picture.shape, np.uint8, 8 * 10 * 3 // 2)
    assert np.abs(made.astype(int) - picture).max() <= 3
    assert np.array_equal(made[..., 3], picture[..., 3])
    levels = [np.abs(sent(picture, each)[0][..., :3].astype(int) - picture[..., :3]).mean() for each in (matrix, range_)]
    assert min(levels) > 3
    assert not list(_cameras(replace(first, pixels=replace(pixels, dtype="uint16")), CAMERA))
    for other in ("NV12", "GRAY"):
        said = {"layout": "NHW", "matrix": "bt601", "range": "full"} if other == "NV12" else {}
        assert not list(_cameras(replace(first, pixels=replace(pixels, color=other, **said)), CAMERA))


@pytest.mark.parametrize(
    ("said", "misread"),
    [
        (("bt601", "full"), ("bt709", "limited")),
        (("bt2020", "limited"), ("bt709", "full")),
        (("bt709", "limited"), ("bt601", "full")),
    ],
)
def test_the_file_says_what_the_camera_gives(recipe, tmp_path, said, misread):
    camera = "[camera]\nmatrix = '{}'\nrange = '{}'\n".format(*said)
    plan = read_plan(recipe, own(tmp_path, camera), resized=False)
    right, matrix, range_ = (each for each in plan.variants if each.camera is not None)
    assert [each.name for each in (right, matrix, range_)] == [
        "NV12",
        f"NV12, matrix {misread[0]} for {said[0]}",
        f"NV12, range {misread[1]} for {said[1]}",
    ]
    assert [(step.matrix, step.range) for each in (right, matrix, range_) for step in each.camera] == [
        *(said, said),
        *(said, (misread[0], said[1])),
        *(said, (said[0], misread[1])),
    ]
    usual = read_plan(recipe, None, resized=False)
    assert names(plan) == names(usual) or said != ("bt709", "limited")
    changed = [one != other for one, other in zip(plan.variants, usual.variants, strict=True)]
    assert sum(changed) == (0 if said == ("bt709", "limited") else 3)


def test_resizes_of_the_recipe_are_varied(recipe_of):
    resize = '[[steps]]\nstep = "resize"\nsize = 9\n[[steps]]\nstep = "center_crop"\nsize = [8, 8]\n[[steps]]\nstep = "rescale"'
    file = recipe_of("Brightest", free=("size = [8, 10]", 'size = "dynamic"'), resized=('[[steps]]\nstep = "rescale"', resize))
    plan = read_plan(file, None, resized=False)
    varied = {each.name: each.steps for each in plan.variants if each.name.startswith("resize: ")}
    assert set(varied) == {
        "resize: bilinear without antialias, as OpenCV's",
        "resize: bicubic",
        "resize: lanczos",
        "resize: nearest",
        "resize: squashed",
    }
    assert [step.size for step in varied["resize: squashed"] if isinstance(step, (Resize, CenterCrop))] == [(8, 8)]
    assert all(isinstance(step, type(other)) for step, other in zip(varied["resize: nearest"], plan.variants[0].steps, strict=True))


def test_variants_of_ones_own_are_the_recipe_with_other_keys(recipe, tmp_path):
    text = """
[[variants]]
name = "lifted"
what = "nobody knows why"
steps = [{step = "rescale", scale = 0.00392156862745098, offset = 0.5}]
[[variants]]
name = "sent as JPEG 30"
jpeg = 30
[[variants]]
name = "other network"
[variants.backbone]
name = "brightest_of_tests:Sure"
"""
    plan = read_plan(recipe, own(tmp_path, text), resized=False)
    lifted, compressed, other = plan.variants[-3:]
    assert (lifted.what, lifted.network, lifted.steps[1].offset) == ("nobody knows why", 0, 0.5)
    assert (compressed.jpeg, compressed.steps) == (30, plan.variants[0].steps)
    assert (other.network, plan.networks[1].backbone.name) == (1, "brightest_of_tests:Sure")
    assert plan.fingerprint() != read_plan(recipe, None, resized=False).fingerprint()


def test_variants_are_read_in_front_of_all_that_takes_time(recipe, tmp_path):
    with pytest.raises(PreprocError, match="expected a file of variants, got No such file"):
        compare(recipe, tmp_path / "nowhere", variants=tmp_path / "nothing.toml")
    keys = own(tmp_path, "[[variants]]\nname = 'a'\nsteps = []\n")
    with pytest.raises(PreprocError, match="expected a recipe as the model, whose keys it changes, got a file that takes pixels"):
        compare(ROOT / "export" / "nothing.onnx", tmp_path / "nowhere", variants=keys)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[variants]\n", "expected a file of variants, which is TOML, got something else"),
        ("[[variant]]\nname = 'a'\n", r"expected \[\[variants\]\] tables, \[camera\] and nothing else, got variant"),
        ("", r"expected \[\[variants\]\] tables, \[camera\] and nothing else, got nothing"),
        ("camera = 'bt709'\n", r"v.toml: camera: expected a table, got 'bt709'"),
        ("[camera]\nmatrix = 'bt709'\n", r"v.toml: \[camera\] .*expected range = one of limited, full .*got nothing"),
        ("[camera]\nmatrix = 'bt470bg'\nrange = 'full'\n", "expected matrix to be bt601, which FFmpeg calls bt470bg"),
        ("[camera]\nmatrix = 'bt709'\nrange = 'wide'\n", "expected range to be one of limited, full, got 'wide'"),
        ("[camera]\nmatrix = 'bt709'\nrange = 1\n", r"v.toml: \[camera\] range: expected a string, got 1"),
        ("[camera]\nmatrix = 'bt709'\nranges = 'full'\n", "ranges: expected one of matrix, range, got an unknown key"),
        ("[[variants]]\njpeg = 3\n", "number 1: expected name, a string, got jpeg"),
        ("[[variants]]\nname = 'a'\njpeg = 0\n", "variant 'a': expected jpeg to be a quality from 1 to 100, got 0"),
        ("[[variants]]\nname = 'a'\nstep = []\n", "variant 'a': step: expected one of .*, got an unknown key; did you mean 'steps'"),
        ("[[variants]]\nname = 'recipe'\njpeg = 3\n", "expected a name that no other variant has, got 'recipe'"),
        ("[[variants]]\nname = 'a'\n[[variants]]\nname = 'a'\n", "expected a name that no other variant has, got 'a'"),
        ("[[variants]]\nname = 'a'\nbundle = 'x'\njpeg = 3\nsteps = []\n", "expected bundle, or a recipe's keys, got both"),
    ],
)
def test_variants_that_are_refused(recipe, tmp_path, text, told):
    with pytest.raises(PreprocError, match=told):
        read_plan(recipe, own(tmp_path, text), resized=False)


def test_a_camera_in_front_of_what_takes_no_colours_is_refused(recipe_of, tmp_path):
    file = own(tmp_path, "[camera]\nmatrix = 'bt709'\nrange = 'full'\n")
    yuv = ('color = "RGB"\ndtype', 'color = "YUV444"\nmatrix = "bt601"\nrange = "full"\ndtype')
    with pytest.raises(PreprocError, match=r"v.toml: \[camera\]: expected a model that takes 8-bit R, G and B.* uint8 YUV444") as caught:
        read_plan(recipe_of("Brightest", yuv=yuv), file, resized=False)
    assert caught.value.name == "option-without-effect"


def test_the_variants_on_the_page_are_some(tmp_path):
    page = (ROOT / "preproc" / "diagnosis" / "README.md").read_text()
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    file = own(tmp_path, block.replace('"bundles/int8"', json.dumps(str(ROOT / "export" / "digits"))))
    plan = read_plan(ROOT / "models" / "digits.toml", file, resized=False)
    one, eight = plan.variants[-2:]
    assert (one.name, one.steps[-1].mean, one.network) == ("one mean for all", (0.7, 0.7, 0.7), 0)
    assert (eight.name, eight.steps, plan.networks[eight.network].name) == ("eight bits", None, "model.onnx")
    (tmp_path / "some.csv").write_text("".join(f"{ROOT}/models/digits.images/{digit}.png,{digit}\n" for digit in (3, 7)))
    rows = {row.name: row for row in compare(ROOT / "models" / "digits.toml", tmp_path / "some.csv", variants=file).rows}
    assert (rows["eight bits"].accuracy.right, rows["eight bits"].changed) == (2, 0)


def test_a_folder_of_pictures_may_be_called_like_a_recipe(tmp_path, monkeypatch):
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert located(Path("digits")).name == "digits.toml"
    assert located(Path("./digits").absolute()) == tmp_path / "digits"


def test_what_is_no_model(tmp_path):
    with pytest.raises(PreprocError, match="expected a bundle"):
        read_plan(tmp_path, None, resized=False)
    with pytest.raises(PreprocError, match="expected a recipe"):
        read_plan(tmp_path / "nothing.toml", None, resized=False)
