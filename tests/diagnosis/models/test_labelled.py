"""By labels: the way that was is left, what answers worse is not, and what is no class is refused."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from preproc import PreprocError, diagnose_model
from preproc.diagnosis.models.answer import NARROWED, NOT_IDENTIFIED
from preproc.diagnosis.models.beside import room_of
from preproc.diagnosis.models.likelihoods import Likelihoods, lowest
from preproc.oracle import reference
from tests.diagnosis.models.networks import WAYS, as_onnx, trained

COLORS = {"brown": (150, 110, 80), "cyan": (110, 150, 155), "grey": (130, 130, 130), "rose": (160, 120, 135)}


def draw(count, *, seed):
    """(count, 8, 8, 3) uint8 pictures of each of the COLORS, noisy."""
    rng = np.random.default_rng(seed)
    whole = {
        name: np.array(color) + rng.normal(0, 8, (count, 1, 1, 3)) + rng.normal(0, 9, (count, 8, 8, 3)) for name, color in COLORS.items()
    }
    return {name: np.clip(np.rint(values), 0, 255).astype(np.uint8) for name, values in whole.items()}


def save(place, count):
    for name, pictures in draw(count, seed=2).items():
        (place / name).mkdir()
        for number, picture in enumerate(pictures):
            Image.fromarray(picture).save(place / name / f"{number}.png")
    return place


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save(tmp_path_factory.mktemp("classes"), 30)


@pytest.fixture(scope="module")
def net():
    """Linear discriminants of the mean colours of other pictures, prepared in one way."""
    drawn = [reference.apply(WAYS["imagenet, RGB"].steps, pictures).mean(axis=(2, 3)) for pictures in draw(200, seed=1).values()]
    centers, inverse = [each.mean(axis=0) for each in drawn], np.linalg.inv(np.mean([np.cov(each.T) for each in drawn], axis=0))
    made = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4))
    with torch.no_grad():
        made[2].weight.copy_(torch.tensor(np.stack([inverse @ center for center in centers])))
        made[2].bias.copy_(torch.tensor([-0.5 * center @ inverse @ center for center in centers]))
    return made.eval()


@pytest.fixture(scope="module")
def found(net, folder):
    return diagnose_model(net, labels=folder)


def test_the_way_that_was_is_left_and_those_that_answer_worse_are_not(found):
    left = [each.name for each in found.fits]
    assert "imagenet, RGB" in left
    assert not any("BGR" in name or "caffe" in name or "not rescaled" in name for name in left)
    best, last = found.candidates[0], found.candidates[-1]
    assert best.measured["accuracy"] > 0.9
    assert last.measured["points lost"][0] > 0
    assert last.measured["lost"][0] > 0


def test_five_answers_that_are_all_right_show_nothing(net, tmp_path):
    """Two of them of one class: who always says that one has 0.4, and five right in one of a hundred times."""
    for name, drawn in draw(2, seed=2).items():
        (tmp_path / name).mkdir()
        for number, picture in enumerate(drawn[: 2 if name == "cyan" else 1]):
            Image.fromarray(picture).save(tmp_path / name / f"{number}.png")
    found = diagnose_model(net, labels=tmp_path)
    assert found.candidates[0].measured["accuracy"] == 1.0
    assert found.verdict == NOT_IDENTIFIED
    assert "no candidate is shown to be right more often than who always says the same, 40%" in found.reason


def test_differences_of_few_pictures_have_students_interval():
    """By hand: mean 3, standard error 0.7071, t of 4 degrees of freedom 2.776 and 8.610 (Abramowitz and Stegun, table 26.10)."""
    assert lowest(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), 0.95) == pytest.approx(3 - 2.776 * 0.70711, abs=1e-3)
    assert lowest(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), 0.999) == pytest.approx(3 - 8.610 * 0.70711, abs=1e-3)


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_constants_of_these_pictures_are_a_candidate_in_both_orders(found, order):
    (own,) = [each for each in found.candidates if each.name == f"z-score of these pictures, {order}"]
    flat = np.concatenate([picture.reshape(-1, 3) for pictures in draw(30, seed=2).values() for picture in pictures])
    assert own.steps[0].to == order
    assert own.steps[-1].mean == pytest.approx(flat.mean(axis=0)[:: 1 if order == "RGB" else -1])


def test_another_preprocessing_than_all_candidates_is_not_called_one_of_them(net, folder):
    other = nn.Sequential(nn.BatchNorm2d(3, affine=False, eps=1e-12), *net).eval()
    other[0].running_mean += torch.tensor([-0.9, -0.5, 0.4])
    found = diagnose_model(other, labels=folder)
    assert found.verdict == NOT_IDENTIFIED or (
        found.verdict == NARROWED and "z-score of these pictures, RGB" in [each.name for each in found.fits]
    )


def test_classes_in_a_wrong_order_identify_nothing(net, folder, tmp_path):
    for old, new in zip(sorted(COLORS), ["c", "d", "a", "b"], strict=True):
        (tmp_path / new).symlink_to(folder / old)
    found = diagnose_model(net, labels=tmp_path)
    assert found.verdict == NOT_IDENTIFIED
    assert "another order" in found.reason


def test_a_file_is_asked_as_a_module_is(tmp_path_factory, tmp_path):
    folder = save(tmp_path_factory.mktemp("few"), 3)
    model = trained("imagenet, RGB")
    ours, theirs = (diagnose_model(each, labels=folder) for each in (model, as_onnx(model, tmp_path / "m.onnx")))
    for one in ours.candidates:
        (other,) = [each for each in theirs.candidates if each.name == one.name]
        assert other.measured["log-likelihood"] == pytest.approx(one.measured["log-likelihood"], abs=1e-3)


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3)), "no-classes"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 1)), "no-classes"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 7)), "labels-unfit"),
    ],
    ids=["maps", "one number", "other classes"],
)
def test_outputs_that_are_no_classes_are_refused(folder, made, name):
    with pytest.raises(PreprocError) as refused:
        diagnose_model(made, labels=folder)
    assert refused.value.name == name


def test_no_folder_per_class_is_refused(net, folder):
    with pytest.raises(PreprocError, match="expected a folder"):
        diagnose_model(net, labels=folder / "brown")


def test_what_is_beside_the_best_is_told_as_far_as_it_answers_as_well():
    """Eighty pictures, of which the likelihood falls where scale and shift are other than they were; the shifts to one side alone."""
    noise = np.random.default_rng(0).normal(0, 0.1, 80)
    asked = []

    def answers(step):
        scale, shift = float(step.matrix[0][0]), float(step.offset[0]) - 3 * (1 - float(step.matrix[0][0]))
        asked.append((scale, shift))
        worse = 10 * max(abs(np.log(scale)) - 0.15, 0) + max(-shift - 0.6, 0)
        return Likelihoods(np.ones(80), -1 - worse + np.roll(noise, len(asked)))

    room = room_of(answers, Likelihoods(np.ones(80), -1 + noise), np.array([3.0]), np.array([2.0]))
    assert len(set(asked)) == 16
    assert (room.scale, room.shift, room.better) == ((0.8, 1.25), (-0.5, None), None)
    assert str(room) == (
        "as good are scales between 0.8 and 1.25 times its own, and shifts between -0.5 and 1 or more deviations of the pictures"
    )
    assert room.to_json() == {"scale": [0.8, 1.25], "shift": [-0.5, None]}


def test_a_neighbour_that_answers_better_is_named():
    noise = np.random.default_rng(0).normal(0, 0.1, 80)
    best = Likelihoods(np.ones(80), noise + 1)
    found = room_of(lambda step: Likelihoods(np.ones(80), noise + float(step.matrix[0][0])), best, np.zeros(1), np.ones(1))
    assert found.better == "with 1.1 times its scale"
