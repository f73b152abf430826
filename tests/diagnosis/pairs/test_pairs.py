"""Pairs as they are given: read, or refused in a line."""

import inspect
import json

import numpy as np
import pytest
import torch
from PIL import Image

from preproc.diagnosis import Pair, find, read_pairs
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


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "uint8"])
def test_tensors_of_torch_are_read(tmp_path, dtype):
    x = picture((40, 50), 0)
    tensor = torch.from_numpy(USUAL(x)).abs().to(getattr(torch, dtype)).requires_grad_(dtype != "uint8")
    Image.fromarray(x).save(tmp_path / "0.png")
    torch.save(tensor[None], tmp_path / "0.pt")
    np.testing.assert_array_equal(read_pairs(tmp_path).pairs[0].tensor, tensor.detach().double().numpy())


@pytest.mark.parametrize("shape", [(24, 22), (1, 24, 22), (24, 22, 1), (1, 1, 24, 22), (1, 24, 22, 1)])
def test_tensors_of_one_channel_are_read(tmp_path, shape):
    x, tensor = picture((40, 50), 0), np.arange(24 * 22.0).reshape(24, 22)
    np.savez(tmp_path / "a.npz", **{"x.picture": x, "x.tensor": tensor.reshape(shape)})
    np.testing.assert_array_equal(read_pairs(tmp_path / "a.npz").pairs[0].tensor, tensor[None])


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


def raising_below(x):
    return np.reshape(raising_inside(x), (2, 2))


def raising_inside(x):
    return int("a word" if isinstance(x, np.ndarray) else "an image")


def line_of(function, text):
    """Of this file, where the function has that text."""
    lines, first = inspect.getsourcelines(function)
    return next(first + place for place, line in enumerate(lines) if text in line)


def returning_nothing(image):
    USUAL(np.asarray(image))


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
        case "other names":
            (folder / "0.npy").rename(folder / "b.npy")
            np.save(folder / "c.npy", USUAL(x))
        case "rank":
            np.save(folder / "0.npy", np.zeros((2, 3, 24, 24)))
        case "mixed":
            Image.fromarray(x).save(folder / "1.png")
            np.save(folder / "1.npy", np.zeros((24, 24)))
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
            (folder / "0.npy").unlink()
        case "no picture":
            (folder / "0.png").unlink()
        case "a dict" | "a pickle":
            (folder / "0.npy").unlink()
            torch.save({"x": torch.zeros(3)} if what == "a dict" else Pair("0", x, USUAL(x)), folder / "0.pt")
        case "two":
            Image.fromarray(x).save(folder / "0.bmp")
    return folder


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (
            "a picture alone",
            r"no tensor for 1.png: a picture and its tensor have one name, a.png and a.npy or a.pt \[pairs-unmatched\]",
        ),
        ("a tensor alone", r"got no picture for 1.npy: a picture and its tensor have one name, .* \[pairs-unmatched\]"),
        ("other names", r"got no tensor for 0.png and no picture for b.npy and 1 more: .* \[pairs-unmatched\]"),
        ("rank", r"tried as NCHW and as NHWC, got \(2, 3, 24, 24\)"),
        ("channels", r"expected a tensor \(C, H, W\) or \(H, W, C\) of 3 channels or 1.* got \(4, 24, 24\)"),
        ("layout", r"all \(H, W, C\), of 3 channels or 1, got \(3, 24, 3\): both fit"),
        ("mixed", r"got \(24, 24\) and \(3, 24, 24\): some of each"),
        ("nan", "expected finite numbers, got a NaN"),
        ("objects", "expected a .npy file with an array of numbers"),
        ("words", "expected a tensor of numbers, got <U1"),
        ("unreadable", "0.png: expected an image"),
        ("depth", "expected a picture of 8 bits"),
        ("empty", r"got neither: .* \[no-pictures\]"),
        ("no picture", "got no picture for 0.npy"),
        ("a dict", "0.pt: expected one tensor, as torch.save.* got a dict: write the tensor alone"),
        (
            "a pickle",
            "0.pt: expected one tensor, .*weights_only=True. does not take: write the tensor alone, or numpy.save",
        ),
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
    where = rf"\(.*test_pairs.py, line {line_of(raising, 'KeyError')}\)"
    with pytest.raises(PreprocError, match=rf"0.png: expected raising to make a tensor of it, got KeyError: 'no such preset' {where}"):
        read_pairs(raising, images=tmp_path)
    where = rf"\(.*test_pairs.py, line {line_of(raising_inside, 'int')}\)"
    with pytest.raises(
        PreprocError, match=rf"'an image' {where}, with a PIL image, and ValueError.* 'a word' {where}, with an array \(H, W"
    ):
        read_pairs(raising_below, images=tmp_path)
    with pytest.raises(PreprocError, match=r"to make a tensor of it, got None: does it return what it makes\?\n") as caught:
        read_pairs(returning_nothing, images=tmp_path)
    assert caught.value.name == "function-failed"
    with pytest.raises(PreprocError, match="got a dict, which is no array of numbers"):
        read_pairs(lambda image: {"pixel_values": image}, images=tmp_path)
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


def test_what_is_not_identified_ends_in_1(tmp_path):
    folder = written(tmp_path, make=lambda x: np.random.default_rng(len(x)).normal(size=(3, 24, 24)).astype(np.float32))
    done = run("diagnose", "--pairs", folder, "--json", check=1)
    assert json.loads(done.stdout)["verdict"] == "not identified"
    assert "error" not in done.stderr


def test_what_no_recipe_says_is_told_and_none_is_written(tmp_path):
    folder, recipe = tmp_path / "pairs", tmp_path / "found.toml"
    folder.mkdir()
    written(folder, make=Pipeline("squash", "OpenCV area", "half", (20, 24), 0, False, "float32"))
    done = run("diagnose", "--pairs", folder, "-o", recipe, check=1)
    assert done.stdout.startswith("identified, from 3 pictures")
    assert "OpenCV INTER_AREA" in done.stdout
    assert done.stderr.splitlines()[-1].endswith("which no recipe says; nothing is written [steps-cannot-say]")
    assert not recipe.exists()
