"""Experiments with a network whose answers are known."""

import functools
import importlib
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from preproc.diagnosis.experiment import ENDING, compare, experiment, page
from preproc.diagnosis.experiment.running import begun
from preproc.errors import PreprocError
from preproc.host.engines import local
from tests.diagnosis.experiment.conftest import save


@pytest.fixture(scope="module")
def compared(recipe, pictures):
    return compare(recipe, pictures)


def numbers(compared):
    """All of an experiment but its times."""
    told = compared.to_json()
    for row in told["variants"]:
        del row["prepare_ms"], row["total_ms"], row["total_ms_within"]
    return told


def row(compared, name):
    (found,) = [each for each in compared.rows if each.name == name]
    return found


def test_accuracies_are_those_that_the_network_was_made_for(compared):
    assert compared.rows[0].name == "recipe"
    own, swapped = row(compared, "recipe").accuracy, row(compared, "0-1, BGR").accuracy
    assert (own.right, own.share) == (9, 0.9)  # all but the red picture that is called blue
    assert (swapped.right, swapped.lost, swapped.gained) == (4, 6, 1)  # red and blue change places, also there
    assert swapped.difference == pytest.approx(-0.5)
    assert row(compared, "0-1, BGR").changed == 7
    assert row(compared, "0-255, RGB").accuracy.right == 9  # the same channel is the brightest
    assert row(compared, "per picture and channel, RGB").accuracy.right <= 9


def test_what_changed_is_named_with_both_answers(compared):
    (swapped,) = [each for each in compared.to_json()["variants"] if each["name"] == "0-1, BGR"]
    assert {(each["class"], each["first"], each["answer"]) for each in swapped["changed"]} == {
        ("red", "red", "blue"),
        ("blue", "blue", "red"),
        ("blue", "red", "blue"),
    }
    assert len(swapped["changed"]) == swapped["lost"] + swapped["gained"] == 7


def test_the_answer_is_what_was_counted(compared):
    assert compared.answer.startswith("These 10 pictures do not show that it matters: with 'recipe' the model reads 9 of 10 right, 90.0%")
    most = max(-each.accuracy.difference_interval[0] for each in compared.rows)
    assert compared.answer.endswith(f"their intervals, of 95 % each, leave room for a loss of up to {100 * most:.1f} points.")


def test_bytes_and_calibration(compared):
    assert row(compared, "recipe").cost.sent == 8 * 10 * 3
    assert row(compared, "JPEG of quality 75").cost.sent != 8 * 10 * 3
    assert all(each.cost.took.total >= each.cost.took.prepare >= 0 for each in compared.rows)
    labels = {"red": 0, "green": 1, "blue": 2}
    losses = []
    for picture in compared.pictures:
        means = np.asarray(Image.open(picture.name), np.float64).mean(axis=(0, 1)) / 255
        powers = np.exp(means)
        assert labels[picture.name.split("/")[-2]] == picture.label
        losses.append(-np.log(powers[picture.label] / powers.sum()))
    assert row(compared, "recipe").loss == pytest.approx(np.mean(losses), rel=1e-4)


def test_it_matters_where_it_does(recipe, tmp_path):
    for number in range(12):
        save(tmp_path / "red", "red", number)
        save(tmp_path / "blue", "blue", 100 + number)
    found = compare(recipe, tmp_path)
    assert found.answer.startswith("It matters: with 'recipe' the model reads 24 of 24 right")
    assert re.search(r"other variants read fewer, '[^']*, BGR' by 100.0 points", found.answer)
    assert row(found, "0-1, BGR").accuracy.differs
    assert not row(found, "0-255, RGB").accuracy.differs


def test_another_process_finds_the_same(compared, recipe, pictures):
    assert numbers(compare(recipe, pictures, workers=1)) == numbers(compared)


def test_a_process_that_reads_another_model_is_told(recipe):
    options = {"model": str(recipe), "variants": None, "resized": False, "kinds": ["logits"], "fingerprint": "of another file"}
    with pytest.raises(PreprocError, match="expected the same model and variants in every process, got other ones") as caught:
        begun(options)
    assert caught.value.name == "recipe-changed"


class StoppedError(Exception):
    pass


def stop_after(most, monkeypatch):
    """A run that is killed when so many pictures are kept."""
    from preproc.diagnosis.experiment import state

    real, kept = state.State.add, []

    def add(self, line):
        real(self, line)
        kept.append(line)
        if len(kept) > most:
            raise StoppedError

    monkeypatch.setattr(state.State, "add", add)
    return kept


def test_what_was_found_stays_until_the_page_is_there(recipe, pictures, tmp_path):
    report = tmp_path / "r.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "page", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            compare(recipe, pictures, report=report)
    assert (tmp_path / f"r.html{ENDING}").exists()
    told = []
    compare(recipe, pictures, report=report, progress=told.append)
    assert "10 pictures are known from before, 0 are left" in told
    assert report.exists()


def test_answers_of_a_function_that_was_edited_since_are_none(tmp_path, monkeypatch):
    (tmp_path / "mine_to_edit.py").write_text("def train(prepare):\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    function = importlib.import_module("mine_to_edit").train
    first = experiment._source(function)
    (tmp_path / "mine_to_edit.py").write_text("def train(prepare):\n    return 2\n")
    assert first != experiment._source(function)
    assert experiment._source(functools.partial(function, 1)) is None


def test_a_run_that_was_killed_goes_on_and_finds_the_same(compared, recipe, pictures, tmp_path):
    report = tmp_path / "r.html"
    with pytest.MonkeyPatch.context() as patch:
        stop_after(4, patch)
        with pytest.raises(StoppedError):
            compare(recipe, pictures, report=report)
    state = tmp_path / f"r.html{ENDING}"
    with state.open("ab") as file:
        file.write(b'01234567 {"pict')  # killed as it wrote
    told = []
    with pytest.MonkeyPatch.context() as patch:
        more = stop_after(99, patch)
        again = compare(recipe, pictures, report=report, progress=told.append)
    assert "4 pictures are known from before, 6 are left" in told
    assert len(more) == 6
    assert numbers(again) == numbers(compared)
    assert not state.exists()


def test_a_picture_that_changed_since_is_looked_at_again(recipe, pictures, tmp_path):
    place, report = tmp_path / "p", tmp_path / "r.html"
    shutil.copytree(pictures, place)
    with pytest.MonkeyPatch.context() as patch:
        stop_after(10, patch)
        with pytest.raises(StoppedError):
            compare(recipe, place, report=report)
    save(place / "blue", "blue", 30)  # was red
    assert row(compare(recipe, place, report=report), "recipe").accuracy.right == 10


def test_the_state_of_another_experiment_is_refused(recipe, recipe_of, pictures, tmp_path):
    report = tmp_path / "r.html"
    with pytest.MonkeyPatch.context() as patch:
        stop_after(2, patch)
        with pytest.raises(StoppedError):
            compare(recipe, pictures, report=report)
    with pytest.raises(PreprocError, match="got that of another model, other variants or other versions") as caught:
        compare(recipe_of("Sure"), pictures, report=report)
    assert caught.value.name == "state-unfit"


def test_a_picture_that_cannot_be_read_is_named(recipe, pictures, tmp_path):
    shutil.copytree(pictures, tmp_path / "p")
    (tmp_path / "p" / "red" / "broken.png").write_bytes(b"no picture")
    with pytest.raises(PreprocError, match=r"red/broken\.png: expected an image, got") as caught:
        compare(recipe, tmp_path / "p")
    assert caught.value.name == "unreadable-picture"
    whole = (tmp_path / "p" / "red" / "0.png").read_bytes()
    (tmp_path / "p" / "red" / "broken.png").write_bytes(whole[:-60])  # its head is whole
    with pytest.raises(PreprocError, match=r"red/broken\.png: expected an image, got"):
        compare(recipe, tmp_path / "p")


@pytest.mark.parametrize(
    ("net", "told"),
    [("Map", r"expected one output with a score for each class, \(pictures, classes\), got none"), ("Two", "got several in a .*b ")],
)
def test_outputs_that_are_no_classes(recipe_of, pictures, net, told):
    with pytest.raises(PreprocError, match=told) as caught:
        compare(recipe_of(net), pictures)
    assert caught.value.name == "no-classes"


def test_an_output_is_chosen_by_its_name(recipe_of, pictures):
    file = recipe_of("Two", named=('color = "RGB"\n[pixels]', 'color = "RGB"\noutputs = ["a"]\n[pixels]'))
    assert row(compare(file, pictures), "recipe").accuracy.right == 9


def test_probabilities_are_read_as_such(recipe_of, pictures):
    found = compare(recipe_of("Sure"), pictures)
    assert found.kind == "probabilities"
    assert row(found, "recipe").calibration_error < 0.35


def test_pictures_of_another_size_are_resized_and_told(recipe, tmp_path):
    for number, label in enumerate(("red", "green", "blue")):
        save(tmp_path / label, label, number, size=(16, 20))
    found = compare(recipe, tmp_path)
    names = [each.name for each in found.rows if each.name.startswith("resized: ")]
    assert names == ["resized: bilinear", "resized: bilinear without antialias, as OpenCV's", "resized: lanczos", "resized: nearest"]
    assert found.notes == (
        "The model takes 10x8; the pictures (20x16) are brought to that with Pillow's bicubic in front of it, as `preproc verify --images` "
        "does, and otherwise in the variants that say so.",
    )
    assert row(found, "recipe").cost.sent == 8 * 10 * 3


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Two red ones and a blue one."""
    place = tmp_path_factory.mktemp("few")
    for color, number in (("red", 0), ("red", 1), ("blue", 2)):
        save(place / color, color, number)
    return place


def test_pictures_on_which_nothing_is_read_show_nothing(recipe, few, tmp_path):
    shutil.copytree(few / "red", tmp_path / "blue")
    shutil.copytree(few / "blue", tmp_path / "green")
    answer = compare(recipe, tmp_path).answer
    assert answer.startswith("These 3 pictures show nothing: with 'recipe' the model reads 0 of 3 right")
    assert answer.endswith("the commonest class, 2 of them; look whether the classes are the model's, or give more pictures.")


def test_random_weights_show_nothing(recipe_of, few):
    random = 'source = "embedded"\nweights = "random"\nseed = 0'
    file = recipe_of("Brightest", random=('source = "import"', random), name=("brightest_of_tests:Brightest", "digits"))
    compared = compare(file, few)
    assert compared.answer.startswith("This shows nothing, for the model's weights are random, made with no preprocessing: with 'recipe'")


def test_workers_that_cannot_begin_end_it(recipe, few, monkeypatch):
    monkeypatch.setattr(local, "PROGRAM", "import os; os._exit(9)")
    with pytest.raises(PreprocError, match="got one that ended with code 9 before it had, 2 times on end") as caught:
        compare(recipe, few, workers=1)
    assert caught.value.name == "worker-failed"


def test_a_column_of_networks_that_were_trained_with_each(network, recipe, few, monkeypatch):
    monkeypatch.chdir(network)
    found = compare(recipe, few, train="brightest_of_tests:reading_red")
    assert row(found, "recipe").trained.right == 2  # it answers red, whatever comes
    assert row(found, "recipe").accuracy.right == 3
    assert row(found, "JPEG of quality 75").trained is None
    assert row(found, "recipe, rescaled twice").trained is None  # nobody trains with a mistake
    assert "trained and served with it" in page(found)


def test_trained_networks_are_not_trained_again(network, recipe, few, monkeypatch, tmp_path):
    monkeypatch.chdir(network)
    report = tmp_path / "r.html"
    with pytest.MonkeyPatch.context() as patch:
        stop_after(5, patch)
        with pytest.raises(StoppedError):
            compare(recipe, few, report=report, train="brightest_of_tests:counting")
    import brightest_of_tests

    (calls,) = brightest_of_tests.counting.__defaults__
    assert len(calls) == 2
    found = compare(recipe, few, report=report, train="brightest_of_tests:counting")
    assert len(calls) == sum(each.trained is not None for each in found.rows)


@pytest.mark.parametrize(
    ("function", "told"),
    [
        ("raising", "expected it to train with 'recipe', got RuntimeError: no data at hand"),
        ("nothing", "expected a function of one argument, `prepare`, that returns the trained network, got int returned"),
        ("absent", "expected absent in brightest_of_tests, got nothing there"),
    ],
)
def test_functions_of_the_users_that_fail(network, recipe, few, monkeypatch, function, told):
    monkeypatch.chdir(network)
    with pytest.raises(PreprocError, match=told) as caught:
        compare(recipe, few, train=f"brightest_of_tests:{function}")
    assert caught.value.name == "function-failed"
