"""preproc show: what each step does to a picture, as a picture."""

import numpy as np
import pytest
from PIL import Image

from preproc.cli.drawing import front_at, stages, write_picture
from preproc.errors import PreprocError
from preproc.oracle import reference
from preproc.sources import Front, PixelsSpec, load_recipe
from preproc.steps import YUV, CenterCrop, FromPixels, Rescale, Resize, layouts_of, output_size
from preproc.verify.inputs import one_picture
from tests.commands import run
from tests.conftest import ROOT

PHOTOGRAPH = ROOT / "preproc" / "verify" / "pictures" / "coffee.jpg"
RESNET18, RESNET50 = (ROOT / "models" / f"{name}.toml" for name in ("resnet18", "resnet50"))


def test_stages_are_the_references():
    recipe = load_recipe(RESNET18)
    found = stages(PHOTOGRAPH, front_at(RESNET18, None))
    assert [stage.title.split()[0] for stage in found] == ["pixels,", "resize", "center_crop", "rescale", "normalize"]
    with Image.open(PHOTOGRAPH) as image:
        assert np.array_equal(found[0].values, np.moveaxis(np.asarray(image.convert("RGB")), -1, 0))
        assert found[-1].values.shape[1:] == output_size(recipe.steps, image.size[::-1])
    assert found[2].values.max() > 1 >= found[3].values.max()


@pytest.mark.parametrize("color", YUV)
def test_of_a_camera_the_planes_are_drawn_as_they_lie(tmp_path, color):
    """Y above; of a red picture V is red, and U yellow, each on the side that its letter has."""
    Image.new("RGB", (24, 16), (200, 10, 10)).save(tmp_path / "red.png")
    first = FromPixels(layout=layouts_of(color)[0], color=color, matrix="bt709", range="limited")
    pixels = PixelsSpec.of(first, size=(16, 24), channels=3)
    found = stages(tmp_path / "red.png", Front(pixels, (first, Rescale()), "RGB", None))
    assert [stage.title.split(",")[0] for stage in found] == [f"{color}: Y", "pixels", "rescale"]
    planes, picture, _ = found
    rows, columns = YUV[color].block
    assert [plane.shape for plane in planes.values] == [(16, 24), *[(16 // rows, 24 // columns)] * 2]
    assert planes.values[1].max() < 128 < planes.values[2].min()
    assert np.abs(np.asarray(picture.values).mean(axis=(1, 2)) - [200, 10, 10]).max() < 3
    drawn = planes.drawn
    assert drawn.shape == (16 * 2 // rows // columns + 16 if columns == 1 else 16 // rows + 16, 24, 3)
    assert np.ptp(drawn[:16], axis=2).max() < 0.01
    first_below, last_below = drawn[17, 1], drawn[-1, -1]
    u, v = (first_below, last_below) if planes.title.endswith("U and V") else (last_below, first_below)
    assert v[0] > 0.8 > 0.5 > v[1]
    assert u[2] < u[0]


def test_planes_that_are_resized_are_drawn_as_they_are_converted():
    first = FromPixels(layout="NHW", color="NV12", matrix="bt709", range="limited")
    steps = (first, Resize(size=(64, 80)), CenterCrop(size=56), Rescale())
    taken = PixelsSpec.of(first, size=(96, 128), channels=3)
    found = stages(PHOTOGRAPH, Front(taken, steps, "RGB", None))
    assert [stage.title.split()[0] for stage in found] == ["NV12:", "pixels,", "resize", "center_crop", "rescale"]
    for at, stage in enumerate(found[1:], start=1):
        assert np.array_equal(stage.values, reference.apply(steps[:at], one_picture(PHOTOGRAPH, taken))[0])


def test_a_camera_beside_another(tmp_path):
    text = (ROOT / "models" / "digits.toml").read_text(encoding="utf-8").replace('= "digits.', f'= "{(ROOT / "models").as_posix()}/digits.')
    files = []
    for matrix in ("bt601", "bt709"):
        said = f'layout = "NHW"\ncolor = "NV12"\nmatrix = "{matrix}"\nrange = "limited"'
        files.append(tmp_path / f"{matrix}.toml")
        files[-1].write_text(text.replace('layout = "NHWC"\ncolor = "RGB"', said), encoding="utf-8")
    told = write_picture(PHOTOGRAPH, files[0], tmp_path / "a.png", against=files[1])
    assert told.startswith("model-ready values differ by up to 0.")
    with Image.open(tmp_path / "a.png") as image:
        assert image.width > 700  # four columns: planes, picture, two steps


def test_two_recipes_side_by_side(tmp_path):
    told = write_picture(PHOTOGRAPH, RESNET18, tmp_path / "a.png", against=RESNET50)
    assert "model-ready values differ by up to" in told
    assert write_picture(PHOTOGRAPH, RESNET18, tmp_path / "b.png", against=RESNET18).startswith("model-ready values differ by up to 0,")
    assert write_picture(PHOTOGRAPH, RESNET18, tmp_path / "c.png") is None
    shapes = write_picture(PHOTOGRAPH, RESNET18, tmp_path / "d.png", against=ROOT / "export" / "digits")
    assert "different shapes: (3, 224, 224) and (3, 32, 32)" in shapes
    sizes = []
    for name in "abcd":
        with Image.open(tmp_path / f"{name}.png") as image:
            sizes.append(image.size)
            assert np.asarray(image.convert("L")).std() > 20
    assert sizes[0][1] > sizes[2][1]


def test_the_readmes_picture_is_what_its_command_writes(tmp_path):
    write_picture(PHOTOGRAPH, RESNET18, tmp_path / "show.png", against=RESNET50)
    with Image.open(tmp_path / "show.png") as made, Image.open(ROOT / "models" / "show.png") as tracked:
        assert made.size == tracked.size
        difference = np.abs(np.asarray(made.convert("RGB")).astype(int) - np.asarray(tracked.convert("RGB")))
    assert difference.mean() < 3  # fonts differ a little from machine to machine, spaces from matplotlib 3.9 to 3.11


def test_on_the_command_line(tmp_path):
    done = run("show", PHOTOGRAPH, RESNET18, "--against", RESNET50, "-o", tmp_path / "out.png", check=0)
    assert "model-ready values differ by up to" in done.stdout
    for image, source, out, message in (
        (tmp_path / "none.jpg", RESNET18, "x.png", "No such file"),
        (RESNET18, RESNET18, "x.png", "expected an image"),
        (PHOTOGRAPH, PHOTOGRAPH, "x.png", "expected a recipe, which is TOML"),
        (PHOTOGRAPH, tmp_path, "x.png", "manifest"),
        (PHOTOGRAPH, RESNET18, "x.gif", "expected a name that ends in .png"),
        (PHOTOGRAPH, RESNET18, "no/x.png", "expected a file's name in a folder that exists"),
    ):
        assert message in run("show", image, source, "-o", tmp_path / out, check=1).stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out.png"]


def test_what_is_drawn_is_read_whole(tmp_path):
    recipe = load_recipe(RESNET18)
    deep = np.full((300, 300), 4080, np.uint16)
    deep[:9] = 48
    Image.fromarray(deep).save(tmp_path / "deep.png")
    with pytest.raises(PreprocError, match=r"deep\.png: expected pictures of uint8, .* got GRAY 16 bit"):
        stages(tmp_path / "deep.png", recipe)
    exif = Image.Exif()
    exif[274] = 8
    with Image.open(PHOTOGRAPH) as image:
        image.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    done = run("show", tmp_path / "turned.jpg", RESNET18, "-o", tmp_path / "out.png", check=0)
    assert "preproc: turned.jpg: its EXIF orientation, 8, is not applied" in done.stderr


def test_without_matplotlib(monkeypatch, tmp_path):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr("preproc.cli.drawing.importlib.import_module", absent)
    with pytest.raises(PreprocError, match="expected matplotlib for preproc show"):
        write_picture(PHOTOGRAPH, RESNET18, tmp_path / "a.png")
