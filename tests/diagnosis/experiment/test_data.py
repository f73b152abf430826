"""Pictures with classes: what is read, and what is refused."""

import pytest

from preproc.diagnosis.experiment.data import FOLDERS, Data, classes_of, read_data
from preproc.errors import PreprocError
from tests.diagnosis.experiment.conftest import save


def test_a_list_says_what_folders_say(pictures, tmp_path):
    folders = read_data(pictures)
    assert (len(folders.pictures), folders.classes) == (10, ("blue", "green", "red"))
    lines = [f"{path},{label}" for path, label in folders.pictures]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *lines, ""]))
    assert read_data(tmp_path / "list.csv").pictures == folders.pictures


@pytest.mark.parametrize(
    ("text", "told", "name"),
    [
        ("", "got no line", "no-pictures"),
        ("path,label\n", "got no line", "no-pictures"),
        ("a.png\n", r"line 1: expected path,label, got a\.png", "malformed-file"),
        ("1.png,x\nnone.png,y\n", r"line 2: expected a picture, got nothing at .*none\.png", "nothing-there"),
        ("1.png,x\n1.png,y\n", r"each picture once, got .*1\.png again", "counted-twice"),
    ],
)
def test_lists_that_are_refused(tmp_path, text, told, name):
    save(tmp_path, "red", 1)
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(PreprocError, match=told) as caught:
        read_data(tmp_path / "list.csv")
    assert caught.value.name == name


def test_folders_that_are_refused(tmp_path):
    with pytest.raises(PreprocError, match="got nothing there"):
        read_data(tmp_path / "nowhere")
    with pytest.raises(PreprocError, match="expected a folder for each class, got none"):
        read_data(tmp_path)
    save(tmp_path / "red", "red", 1)
    (tmp_path / "blue").mkdir()
    (tmp_path / "blue" / "notes.md").write_text("no picture")
    with pytest.raises(PreprocError, match=r"blue: expected pictures of the class blue, got none \(1 \.md\)"):
        read_data(tmp_path)


def data(*classes):
    return Data("data", tuple((f"{name}.png", name) for name in classes), tuple(sorted(classes)))


def test_classes_by_label_by_number_and_by_order():
    assert classes_of(data("b", "a"), ("x", "a", "b"), 3).number_of == {"a": 1, "b": 2}
    assert classes_of(data("2", "10"), (), 11).number_of == {"2": 2, "10": 10}
    assert classes_of(data("2", "1"), ("2", "0", "1"), 3).number_of == {"2": 0, "1": 2}  # labels are nearer than numbers
    ordered = classes_of(data("b", "a"), (), 2)
    assert (ordered.number_of, ordered.how, ordered.name(1), ordered.name(-1)) == ({"a": 0, "b": 1}, FOLDERS, "b", "no finite answer")


@pytest.mark.parametrize(
    ("classes", "labels", "outputs", "told"),
    [
        (("rad", "blue"), ("red", "blue"), 2, "got rad; did you mean 'red'"),
        (("3", "1"), ("red", "blue"), 2, "numbers below 2 as classes, got 1 and 1 more"),
        (("a", "b"), (), 3, "expected 3 classes, .* got 2: a, b"),
        (("a", "b"), ("a", "b", "a"), 3, "got a, which several outputs are called"),
    ],
)
def test_classes_that_the_model_does_not_have(classes, labels, outputs, told):
    with pytest.raises(PreprocError, match=told) as caught:
        classes_of(data(*classes), labels, outputs)
    assert caught.value.name == "labels-unfit"
