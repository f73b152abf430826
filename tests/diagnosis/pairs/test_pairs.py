"""Pairs as they are given: read, or refused in a line."""

import numpy as np
import pytest
from PIL import Image

from preproc.diagnosis import find, read_pairs
from preproc.errors import PreprocError
from tests.commands import run
from tests.diagnosis.pipelines import Pipeline, picture

USUAL = Pipeline("shorter and crop", "Pillow bilinear", "imagenet", (24, 24), 4, True, "float32")
SIZES = [(40, 57), (61, 44), (50, 47)]


def written(folder, *, layout="NCHW", batch=True, make=USUAL):
    for number, size in enumerate(SIZES):
        x = picture(size, number)
        Image.fromarray(x).save(folder / f"{number}.png")
        tensor = make(x) if layout == "NCHW" else make(x).transpose(1, 2, 0)
        np.save(folder / f"{number}.npy", tensor[None] if batch else tensor)
    return folder


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("batch", [False, True])
def test_a_folder_is_read_in_either_layout(tmp_path, layout, batch):
    pairs = read_pairs(written(tmp_path, layout=layout, batch=batch))
    assert (pairs.layout, pairs.dtype, [pair.name for pair in pairs.pairs]) == (layout, "float32", ["0", "1", "2"])
    np.testing.assert_array_equal(pairs.pairs[1].tensor, USUAL(picture(SIZES[1], 1)))


def test_of_many_pairs_some_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("preproc.diagnosis.pairs.pairs.MOST", 2)
    pairs = read_pairs(written(tmp_path))
    assert ([pair.name for pair in pairs.pairs], pairs.notes) == (["0", "1"], ("2 of 3 pairs were taken, evenly",))


def test_an_npz_file_is_read(tmp_path):
    pictures = np.stack([picture((40, 50), number) for number in range(3)])
    tensors = np.stack([USUAL(each) for each in pictures])
    np.savez(tmp_path / "a.npz", pictures=pictures, tensors=tensors)
    np.savez(tmp_path / "b.npz", **{"x.picture": pictures[0], "x.tensor": tensors[0]})
    np.testing.assert_array_equal(read_pairs(tmp_path / "a.npz").pairs[2].tensor, tensors[2])
    np.testing.assert_array_equal(read_pairs(tmp_path / "b.npz").pairs[0].picture, pictures[0])


def test_a_function_gets_an_image_or_an_array(tmp_path):
    for number, size in enumerate(SIZES):
        Image.fromarray(picture(size, number)).save(tmp_path / f"{number}.png")
    by_image = read_pairs(lambda image: USUAL(np.asarray(image.convert("RGB"))), images=tmp_path)
    by_array = read_pairs(lambda array: USUAL(array[:, :, ::1]), images=tmp_path)
    assert [note.rpartition(" got ")[2] for note in (*by_image.notes, *by_array.notes)] == ["PIL images", "arrays (H, W, 3) uint8 RGB"]
    for one, other in zip(by_image.pairs, by_array.pairs, strict=True):
        np.testing.assert_array_equal(one.tensor, other.tensor)


def raising(_):
    raise KeyError("no such preset")


def spoilt(folder, what):
    """Where the pairs are, and the function, if one is asked for."""
    x = picture((40, 50), 0)
    np.save(folder / "0.npy", USUAL(x))
    Image.fromarray(x).save(folder / "0.png")
    match what:
        case "a picture alone":
            Image.fromarray(x).save(folder / "1.png")
        case "a tensor alone":
            np.save(folder / "1.npy", USUAL(x))
        case "rank":
            np.save(folder / "0.npy", np.zeros((24, 24)))
        case "channels":
            np.save(folder / "0.npy", np.zeros((4, 24, 24)))
        case "layout":
            np.save(folder / "0.npy", np.zeros((3, 24, 3)))
        case "nan":
            np.save(folder / "0.npy", np.full((3, 24, 24), np.nan))
        case "objects":
            np.save(folder / "0.npy", np.array([{}]), allow_pickle=True)
        case "words":
            np.save(folder / "0.npy", np.full((3, 24, 24), "a"))
        case "unreadable":
            (folder / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
        case "depth":
            Image.fromarray(x[..., 0].astype(np.uint16)).save(folder / "0.png")
        case "empty":
            (folder / "0.png").unlink()
        case "two":
            Image.fromarray(x).save(folder / "0.bmp")
    return folder


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("a picture alone", "expected a tensor for each picture, got none for 1"),
        ("a tensor alone", "expected a picture for each tensor, got none for 1"),
        ("rank", r"tried as NCHW and as NHWC, got \(24, 24\)"),
        ("channels", r"expected a tensor \(3, H, W\) or \(H, W, 3\).* got \(4, 24, 24\)"),
        ("layout", r"all \(H, W, 3\), got \(3, 24, 3\): both fit"),
        ("nan", "expected finite numbers, got a NaN"),
        ("objects", "expected a .npy file with an array of numbers"),
        ("words", "expected a tensor of numbers, got <U1"),
        ("unreadable", "0.png: expected an image"),
        ("depth", "expected a picture of 8 bits"),
        ("empty", "got no picture"),
        ("two", "expected one file for each name"),
    ],
)
def test_what_is_no_pair_is_refused_in_a_line(tmp_path, what, told):
    done = run("diagnose", "--pairs", spoilt(tmp_path, what), "-o", tmp_path / "found.toml", check=1)
    assert done.stderr.count("error:") == 1
    with pytest.raises(AssertionError, match=told):
        raise AssertionError(done.stderr.replace("\n", " "))
    assert not (tmp_path / "found.toml").exists()


def test_a_function_that_fails_is_told_in_its_own_words(tmp_path):
    Image.fromarray(picture((40, 50), 0)).save(tmp_path / "0.png")
    with pytest.raises(PreprocError, match=r"0.png: expected raising to make a tensor of it, got KeyError: 'no such preset'"):
        read_pairs(raising, images=tmp_path)
    with pytest.raises(PreprocError, match="expected a folder of pictures for raising"):
        read_pairs(raising)
    with pytest.raises(PreprocError, match=r"expected ready in json, got nothing there"):
        find("json:ready")
    with pytest.raises(PreprocError, match="expected a function, got a str"):
        find("json:__name__")


def test_the_command_writes_a_recipe_once(tmp_path):
    folder, recipe = tmp_path / "pairs", tmp_path / "found.toml"
    folder.mkdir()
    done = run("diagnose", "--pairs", written(folder), "-o", recipe, check=0)
    assert done.stdout.startswith("identified, from 3 pictures")
    assert 'color = "BGR"' in recipe.read_text()
    assert recipe.read_text().startswith("".join(f"# {line}\n" for line in done.stdout.splitlines()))
    before = recipe.read_bytes()
    again = run("diagnose", "--pairs", folder, "--against", recipe, check=0)  # which names no network yet
    assert again.stdout.startswith("identified: no mistake")
    assert "a file that is there and stays as it is" in run("diagnose", "--pairs", folder, "-o", recipe, check=1).stderr
    assert recipe.read_bytes() == before


def test_what_no_recipe_says_is_told_and_none_is_written(tmp_path):
    folder, recipe = tmp_path / "pairs", tmp_path / "found.toml"
    folder.mkdir()
    written(folder, make=Pipeline("squash", "OpenCV area", "half", (20, 24), 0, False, "float32"))
    done = run("diagnose", "--pairs", folder, "-o", recipe, check=1)
    assert done.stdout.startswith("identified, from 3 pictures")
    assert "OpenCV INTER_AREA" in done.stdout
    assert done.stderr.splitlines()[-1].endswith("which no recipe says; nothing is written [steps-cannot-say]")
    assert not recipe.exists()
