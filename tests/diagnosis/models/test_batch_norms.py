"""What BatchNorms tell: the way that was, no other one as `identified`, and "cannot be told" where they do not."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from preproc import PreprocError, diagnose_model, load_recipe
from preproc.diagnosis.models import diagnosing
from preproc.diagnosis.models.batch_norms import CANNOT_BE_TOLD, IDENTIFIED, NARROWED, NOT_IDENTIFIED
from preproc.diagnosis.models.fitting import divergence, fit
from preproc.diagnosis.models.modules import ModuleNetwork
from preproc.diagnosis.models.responses import affine_norms, measure
from preproc.steps import Normalize
from tests.commands import run
from tests.conftest import ROOT
from tests.diagnosis.models.networks import WAYS, as_onnx, network, pictures, save, trained, with_statistics


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures like those that trained() sees, and none of them."""
    return save(tmp_path_factory.mktemp("own") / "pictures", pictures(24, seed=1))


@pytest.fixture(scope="module")
def imagenet(folder):
    return diagnose_model(trained("imagenet, RGB"), images=folder)


@pytest.mark.parametrize("way", ["imagenet, RGB", "inception or siglip, BGR", "caffe, BGR, twice"])
def test_the_way_that_was_is_among_those_that_are_left(folder, imagenet, way):
    found = imagenet if way == "imagenet, RGB" else diagnose_model(trained(way), images=folder)
    assert found.verdict in (IDENTIFIED, NARROWED)
    assert "if these pictures are like those that it was trained with, in the order of their colours, too" in found.reason
    assert found.fits[0].name == way
    assert found.second.measured["divergence"] > 4 * found.fits[0].measured["divergence"]


def test_per_picture_is_a_candidate_too(folder):
    found = diagnose_model(trained("per picture, RGB"), images=folder)
    assert "per picture, RGB" in [each.name for each in found.fits]
    assert found.verdict == NARROWED or found.fits[0].name == "per picture, RGB"


def test_mean_and_std_come_without_candidates_with_an_interval_that_has_them(imagenet):
    found = imagenet
    assert found.color == "RGB"
    for truth, values, (low, high) in (
        (255 * np.array([0.485, 0.456, 0.406]), found.fit.mean, found.fit.mean_interval),
        (255 * np.array([0.229, 0.224, 0.225]), found.fit.std, found.fit.std_interval),
    ):
        assert np.abs(values - truth).max() < 0.1 * truth.max()
        assert ((low <= truth) & (truth <= high)).all()
        assert (high - low < truth).all()


@pytest.mark.parametrize(
    "change",
    [
        lambda x: 255 - x,
        lambda x: (x * 0.6).astype(np.uint8),
        lambda x: np.repeat(x.mean(axis=3, keepdims=True), 3, axis=3).astype(np.uint8),
    ],
    ids=["negatives", "dark", "grey"],
)
def test_pictures_of_another_domain_identify_nothing(tmp_path, change):
    found = diagnose_model(trained("imagenet, RGB"), images=save(tmp_path / "other", change(pictures(24, seed=1))))
    assert found.verdict == NOT_IDENTIFIED
    assert found.fits == ()


def test_other_statistics_than_any_candidates_identify_nothing(folder):
    net = trained("imagenet, RGB")
    net[1].running_mean += 0.7 * net[1].running_var.sqrt()
    assert diagnose_model(net, images=folder).verdict == NOT_IDENTIFIED


def test_a_recipe_is_ruled_out_only_if_the_pictures_are_of_its_kind(folder):
    """The digits network with ImageNet's constants, asked with digits, and with other pictures."""
    wrong = dataclasses.replace(load_recipe(ROOT / "models/digits.toml"), steps=WAYS["imagenet, RGB"].steps)
    found = diagnose_model(wrong, images=ROOT / "models/digits.images")
    assert found.verdict == NARROWED
    assert "the recipe's own is ruled out, if these pictures are like those that it was trained with" in " ".join(found.notes)
    found = diagnose_model(wrong, images=folder)
    assert found.verdict == NOT_IDENTIFIED
    assert "the recipe's own is not near either, so not what it was trained with, if these pictures are like" in " ".join(found.notes)


def test_what_is_near_a_preset_is_not_that_preset(folder):
    """(x - 0.5) / 0.45, asked with pictures of its kind: inception's 0.5 is within LIMIT of it."""
    steps = (*WAYS["0-1, RGB"].steps, Normalize(mean=(0.5,) * 3, std=(0.45,) * 3, unit="0-1"))
    found = diagnose_model(with_statistics(network(nn.BatchNorm2d(8), nn.ReLU()), steps, pictures(200, seed=100)), images=folder)
    assert found.verdict != IDENTIFIED
    assert "a mean and std of its own" in [each.name for each in found.candidates if each.kept]


def test_a_file_says_what_the_module_says(tmp_path):
    folder = save(tmp_path / "few", pictures(24, seed=1)[:8])
    net = trained("inception or siglip, RGB")
    ours, theirs = (diagnose_model(model, images=folder) for model in (net, as_onnx(net, tmp_path / "m.onnx")))
    assert [each.name for each in ours.fits] == [each.name for each in theirs.fits]
    for one, other in zip(ours.candidates[:3], theirs.candidates[:3], strict=True):
        assert one.measured["divergence"] == pytest.approx(other.measured["divergence"], rel=1e-2, abs=1e-6)
    fused = diagnose_model(as_onnx(net, tmp_path / "fused.onnx", fused=True), images=folder)
    assert fused.verdict == CANNOT_BE_TOLD
    assert "never there, or fused" in fused.reason


@pytest.mark.parametrize(
    ("middle", "told"),
    [
        ([nn.GroupNorm(2, 8)], "it has no BatchNorms, .*, but GroupNorm, which keeps nothing of the pictures"),
        ([nn.ReLU(), nn.BatchNorm2d(8)], "no BatchNorm stands behind the first layers"),
        ([nn.BatchNorm2d(8)], "as a network begins"),
        ([nn.ReLU()], "it has no BatchNorms"),
    ],
    ids=["group norm", "behind a ReLU", "not trained", "none"],
)
def test_where_nothing_tells_that_is_the_answer(folder, middle, told):
    net = network(*middle).eval()
    if isinstance(middle[0], nn.ReLU):
        net = with_statistics(net, WAYS["imagenet, RGB"].steps, pictures(20, seed=3))
    found = diagnose_model(net, images=folder)
    assert found.verdict == CANNOT_BE_TOLD
    assert found.to_json()["fits"] == []
    with pytest.raises(AssertionError, match=told):
        raise AssertionError(found.reason)
    assert "--labels" in found.reason


def test_moments_are_those_of_a_run():
    """The oracle: the picture prepared, through the network in float64; whose border is padded."""
    net = trained("imagenet, RGB").double()
    rng = np.random.default_rng(4)
    levels = np.moveaxis(pictures(2, seed=5), 3, 1).astype(np.float64)
    scale, offset = rng.uniform(0.01, 0.1, 3), rng.uniform(-3, 3, 3)
    subject = ModuleNetwork(net.float())
    assert affine_norms(subject, levels[:1]) == [0]
    found = measure(subject, [0], [levels[:1], levels[1:]], (2, 1, 0))
    first, second = found.moments(np.concatenate([scale, offset, [1.0]]))
    prepared = levels[:, ::-1] * scale[:, None, None] + offset[:, None, None]
    with torch.no_grad():
        given = net.double()[0](torch.from_numpy(prepared)).numpy()
    np.testing.assert_allclose(first, given.mean(axis=(2, 3)), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(second, (given**2).mean(axis=(2, 3)), rtol=1e-4, atol=1e-4)


def test_a_norm_behind_a_relu_is_none_of_these_though_grey_levels_pass_it_whole():
    """Behind positive weights nothing of a picture is below 0, and half of what is prepared of it is."""
    net = network(nn.ReLU(), nn.BatchNorm2d(8)).eval()
    with torch.no_grad():
        net[0].weight.abs_()
        net[0].bias.abs_()
    levels = np.moveaxis(pictures(1, seed=5), 3, 1).astype(np.float64)
    assert affine_norms(ModuleNetwork(net), levels) == []


def test_intervals_of_few_pictures_hold_the_constants_that_were():
    """Of six at a time, ten times: with the percentiles of such samples alone it were four of five."""
    drawn = np.moveaxis(pictures(60, seed=7), 3, 1).astype(np.float64)
    whole = measure(ModuleNetwork(trained("imagenet, RGB")), [0], [each[None] for each in drawn], (0, 1, 2))
    truth = 255 * np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
    start, held = np.concatenate([1 / truth[1], -truth[0] / truth[1], [1.0]]), []
    for six in np.arange(60).reshape(10, 6):
        found = fit(dataclasses.replace(whole, means=whole.means[six], products=whole.products[six]), start)
        held += [(low <= each) & (each <= high) for each, (low, high) in zip(truth, (found.mean_interval, found.std_interval), strict=True)]
    assert np.mean(held) > 0.89


def test_the_divergence_is_that_of_gaussians():
    """By sampling the logarithm of the ratio of their densities."""
    x = np.random.default_rng(0).normal(1.0, 2.0, 400_000)
    ratio = -0.5 * ((x - 1) / 2) ** 2 - np.log(2) + 0.5 * ((x + 0.5) / 3) ** 2 + np.log(3)
    assert divergence(np.array([1.0]), np.array([4.0]), np.array([-0.5]), np.array([9.0])) == pytest.approx(ratio.mean(), abs=5e-3)


def test_few_pictures_are_refused_and_some_decide_nothing(tmp_path):
    net = trained("imagenet, RGB")
    with pytest.raises(PreprocError, match=r"expected at least 5 pictures.*got 3"):
        diagnose_model(net, images=save(tmp_path / "three", pictures(3, seed=1)))
    save(tmp_path / "classes" / "a", pictures(2, seed=1))
    save(tmp_path / "classes" / "b", pictures(1, seed=2))
    with pytest.raises(PreprocError, match=r"expected at least 5 pictures.*got 3"):
        diagnose_model(net, labels=tmp_path / "classes")
    found = diagnose_model(net, images=save(tmp_path / "five", pictures(5, seed=1)))
    assert found.verdict != IDENTIFIED or found.fits[0].name == "imagenet, RGB"


@pytest.mark.parametrize(
    ("model", "options", "name"),
    [
        ("digits", {}, "conflicting-options"),
        ("digits", {"images": ".", "labels": "."}, "conflicting-options"),
        ("weights.safetensors", {"images": "."}, "wrong-object"),
        (3, {"images": ROOT / "models/digits.images"}, "wrong-object"),
        ("nothing.onnx", {"images": ROOT / "models/digits.images"}, "nothing-there"),
        ("digits", {"images": "nowhere"}, "nothing-there"),
    ],
)
def test_what_cannot_be_asked_is_refused(model, options, name):
    with pytest.raises(PreprocError) as refused:
        diagnose_model(model, **options)
    assert refused.value.name == name


@pytest.mark.parametrize(
    ("model", "place", "name"),
    [
        ("r18.pt", {"images": "models/digits.images"}, "wrong-object"),
        ("r18.pt", {"labels": "models/digits.images"}, "wrong-object"),
        ("digits", {"images": "nowhere"}, "nothing-there"),
        ("digits", {"labels": "nowhere"}, "nothing-there"),
        ("digits", {"images": "preproc/verify/pictures"}, "few-pictures"),
    ],
)
def test_what_can_be_refused_early_is_so_before_a_network_is_loaded(monkeypatch, model, place, name):
    """Nor torch, without which tests/diagnosis/experiment/test_dask.py imports all that stands in front of it."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(diagnosing, "subject_of", None)
    with pytest.raises(PreprocError) as refused:
        diagnose_model(model, **place)
    assert refused.value.name == name


def test_the_command_answers_for_a_recipe():
    done = run("diagnose", "digits", "--images", "models/digits.images", "--json")
    assert done.returncode == 0
    assert '"verdict": "narrowed"' in done.stdout
    assert '"recipe"' in done.stdout
