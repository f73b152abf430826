"""TOML -> Recipe: every error names the file, the key, expected and got."""

import dataclasses
import tomllib

import pytest

from preproc.errors import RecipeError
from preproc.sources import load_front, load_recipe, parse_recipe, replace
from preproc.steps import FromPixels, Normalize, Rescale
from preproc.verify import sizes_of
from tests.conftest import ROOT

GOOD = """
name = "m"
[backbone]
source = "torchvision"
name = "resnet18"
weights = "random"
seed = 0
color = "RGB"
[pixels]
layout = "NHWC"
color = "BGR"
size = [64, 48]
[[steps]]
step = "rescale"
[[steps]]
step = "normalize"
preset = "imagenet"
"""


def load(tmp_path, text):
    file = tmp_path / "m.toml"
    file.write_text(text)
    return load_recipe(file)


def test_a_good_recipe(tmp_path):
    recipe = load(tmp_path, GOOD)
    assert recipe.steps == (FromPixels(layout="NHWC", color="BGR", to="RGB"), Rescale(), Normalize.preset("imagenet"))
    assert recipe.pixels.shape(2) == (2, 64, 48, 3)
    assert (recipe.export.formats, recipe.export.fold, recipe.export.opset) == (("onnx", "torchscript"), "auto", 18)
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.name = "x"


@pytest.mark.parametrize(
    ("said", "size"),
    [
        ('"dynamic"', (None, None)),
        ('[64, "dynamic"]', (64, None)),
        ('["dynamic", 48]', (None, 48)),
        ('["dynamic", "dynamic"]', (None, None)),
    ],
)
def test_sides_are_free_one_by_one(tmp_path, said, size):
    recipe = load(tmp_path, GOOD.replace("[64, 48]", said) + "[export]\nverify_sizes = [[64, 48], [64, 96]]")
    assert recipe.pixels.size == recipe.ready_size == size
    assert recipe.pixels.shape(2, (64, 48)) == (2, 64, 48, 3)
    assert sizes_of(recipe) == list(recipe.export.verify_sizes) == [(64, 48), (64, 96)]


@pytest.mark.parametrize("file", sorted((ROOT / "models").glob("*.toml")), ids=lambda file: file.stem)
def test_shipped_recipes_load(file):
    assert load_recipe(file).name == file.stem


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "m"', 'name = "a/b"', "name: expected letters"),
        ('name = "m"', "", "name: expected a value, got nothing"),
        ('name = "m"', "name = 3", "name: expected a string, got 3"),
        ('name = "m"', 'nmae = "m"', "name: expected a value, got nothing; did you mean it by 'nmae'?"),
        ("[[steps]]", "[[stpes]]", r"\[\[steps\]\]: expected the preprocessing steps, got nothing; did you mean it by 'stpes'?"),
        ('[[steps]]\nstep = "rescale"', '[exprot]\n[[steps]]\nstep = "rescale"', "exprot: expected one of .*; did you mean 'export'?"),
        ('name = "m"', 'name = "m"\nextra = 1', "extra: expected one of .*, got an unknown key"),
        ('name = "m"', 'name = "m"\nlabels = "no.txt"', "labels: expected a text file"),
        ('name = "m"', 'name = "m"\nlabels = [1]', "labels: expected a file name or a list of strings"),
        ('source = "torchvision"', 'source = "torchvison"', r"\[backbone\] source: expected one of .*did you mean 'torchvision'"),
        ("seed = 0", "", r"\[backbone\] seed: expected with weights = \"random\""),
        ('weights = "random"\nseed = 0', "", r"\[backbone\] weights: expected a weights name"),
        ('weights = "random"', 'weight = "random"', r"\[backbone\] weight: expected one of .*did you mean 'weights'"),
        ('color = "RGB"', 'color = "rgb"', r"\[backbone\] color: .*did you mean 'RGB'"),
        ('layout = "NHWC"', 'layout = "NWHC"', r"\[pixels\] layout: .*did you mean 'NHWC'"),
        ("[64, 48]", "[64]", r"\[pixels\] size: expected \[height, width\]"),
        ("[64, 48]", "[64, 0]", r"\[pixels\] size: expected"),
        ("[64, 48]", '"dynamc"', r"\[pixels\] size: expected"),
        ("[64, 48]", '[64, "dynamc"]', r"\[pixels\] size: expected"),
        ("[64, 48]", '["dynamic"]', r"\[pixels\] size: expected"),
        ("[64, 48]", '"dynamic"\n[export]\nverify_sizes = []', r"\[export\] verify_sizes: expected a list of \[height, width\]"),
        ("[64, 48]", '"dynamic"\n[export]\nverify_sizes = [320, 480]', r"\[export\] verify_sizes: expected a list of \[height, width\]"),
        ("[64, 48]", '"dynamic"\n[export]\nverify_sizes = [[320, "dynamic"]]', r"\[export\] verify_sizes: expected a list"),
        ("[64, 48]", "[64, 48]\nchannels = 4", r"\[pixels\] channels: expected 3"),
        ('color = "BGR"', 'color = "ANY"', r"set both to ANY"),
        ('step = "rescale"', 'step = "rescal"', r"\[\[steps\]\] number 1: .*did you mean 'rescale'"),
        ('step = "rescale"', 'step = "rescale"\nscale = "x"', r"\[\[steps\]\] number 1: rescale: expected scale to be a finite number"),
        ('[[steps]]\nstep = "rescale"\n', "", r"\[\[steps\]\]: step 2 \(normalize\).*put a rescale step"),
        ('preset = "imagenet"', "", "nothing defaults to ImageNet"),
        ('preset = "imagenet"', 'preset = "imagnet"', "did you mean 'imagenet'"),
        ('preset = "imagenet"', 'preset = ["imagenet"]', "expected preset to be a string"),
        ('color = "RGB"', 'color = "RGB"\noutputs = ["pixels"]', "and not 'pixels'"),
        ('color = "RGB"', 'color = "RGB"\noutputs = ["a/b"]', r"\[backbone\] outputs: expected letters"),
        ('preset = "imagenet"', 'preset = "imagenet"\nstd = [1, 1, 1]', "expected nothing beside preset, got 'std'"),
        ('preset = "imagenet"', "mean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]", "expected unit = '0-1' or '0-255'"),
        ('preset = "imagenet"', 'stats = "no.json"', r"no\.json: expected a stats\.json"),
        (
            'preset = "imagenet"',
            'preset = "imagenet"\n[[steps]]\nstep = "normalize"\npreset = "imagenet"',
            "normalized or rescaled already",
        ),
        ('preset = "imagenet"', 'preset = "imagenet"\n[[steps]]\nstep = "rescale"', "remove one of the two"),
        ('preset = "imagenet"', 'preset = "imagenet"\n[[steps]]\nstep = "from_pixels"', r"expected the \[pixels\] table instead"),
        ('preset = "imagenet"', 'preset = "imagenet"\n[export]\nformats = ["onx"]', "did you mean 'onnx'"),
        ('preset = "imagenet"', 'preset = "imagenet"\n[export]\nfold = "on"', r"\[export\] fold: expected one of auto, off, require"),
        ('preset = "imagenet"', 'preset = "imagenet"\n[export]\nopset = 11', r"\[export\] opset: expected 18 or newer"),
        (
            'preset = "imagenet"',
            'preset = "imagenet"\n[export]\ntf32 = true',
            r'\[export\] tf32: expected precision = "tf32", which has taken its place',
        ),
        ('preset = "imagenet"', 'preset = "imagenet"\n[export]\nprecision = "fp16"', "did you mean 'float16'"),
        (
            'preset = "imagenet"',
            'preset = "imagenet"\n[export]\nprecision = "int8"',
            r"expected one of float32, tf32, float16, bfloat16, got 'int8'; `preproc quantize`",
        ),
        ('preset = "imagenet"', 'preset = "imagenet"\n[export]\nprecision = 16', r"\[export\] precision: expected one of float32"),
        (
            'preset = "imagenet"',
            'preset = "imagenet"\n[export]\noutputs_precision = "float16"',
            r'\[export\] outputs_precision: expected float32 for precision = "float32"',
        ),
        (
            'preset = "imagenet"',
            'preset = "imagenet"\n[export]\nprecision = "float16"\noutputs_precision = "bfloat16"',
            "expected float32 or float16 for precision",
        ),
        ("[[steps]]", "[[step]]", r"\[\[steps\]\]: expected the preprocessing steps"),
        ('name = "m"', "name = ", "expected a recipe, which is TOML"),
    ],
)
def test_errors_name_the_file_the_key_expected_and_got(tmp_path, old, new, message):
    assert old in GOOD
    with pytest.raises(RecipeError, match=message) as caught:
        load(tmp_path, GOOD.replace(old, new))
    assert str(caught.value).startswith(f"{tmp_path / 'm.toml'}: ")
    assert "\n" not in str(caught.value)


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(RecipeError, match="expected a recipe, got No such file"):
        load_recipe(tmp_path / "no.toml")
    (tmp_path / "bin.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="expected a recipe, which is TOML"):
        load_recipe(tmp_path / "bin.toml")


def test_any_channel_count():
    text = GOOD.replace('color = "RGB"', 'color = "ANY"').replace('color = "BGR"', 'color = "ANY"')
    six = text.replace('preset = "imagenet"', f"mean = {[0.5] * 6}\nstd = {[0.2] * 6}\nunit = '0-1'")
    assert parse_recipe(tomllib.loads(six), folder=ROOT).pixels.channels == 6
    unknown = text.replace('[[steps]]\nstep = "normalize"\npreset = "imagenet"', "")
    with pytest.raises(RecipeError, match="expected the number of channels"):
        parse_recipe(tomllib.loads(unknown), folder=ROOT)


def test_a_network_that_takes_grey_levels_says_so():
    head = GOOD.split("[[steps]]")[0]
    recipe = parse_recipe(tomllib.loads("steps = []\n" + head), folder=ROOT)
    assert [step.name for step in recipe.steps] == ["from_pixels"]


def test_replace(tmp_path):
    recipe = replace(load(tmp_path, GOOD), name="n", backbone={"seed": 1})
    assert (recipe.name, recipe.backbone.seed, recipe.backbone.name) == ("n", 1, "resnet18")


FRONT = """[pixels]
layout = "NHWC"
color = "BGR"
size = "dynamic"
[[steps]]
step = "rescale"
"""


def test_pixels_and_steps_alone_for_a_network_that_is_known_otherwise(tmp_path):
    file = tmp_path / "front.toml"
    file.write_text(FRONT)
    front = load_front(file, model_color="RGB")
    assert (front.pixels.color, front.pixels.size, front.color) == ("BGR", (None, None), "RGB")
    assert front.steps == (FromPixels(layout="NHWC", color="BGR", to="RGB"), Rescale())
    file.write_text(f'{FRONT}[backbone]\ncolor = "GRAY"\n')
    with pytest.raises(RecipeError, match="color: expected RGB, as --model-color says, got GRAY"):
        load_front(file, model_color="RGB")
    whole = ROOT / "models" / "digits.toml"
    assert load_front(whole).steps == load_recipe(whole).steps


READ = ('color = "RGB"', 'layout = "NHWC"', 'color = "BGR"', 'step = "rescale"', 'step = "normalize"', 'preset = "imagenet"')
"""Of GOOD, for a network that is known otherwise."""


@pytest.mark.parametrize("line", [line for line in GOOD.splitlines() if "=" in line])
def test_nothing_is_demanded_that_is_not_read(tmp_path, line):
    file = tmp_path / "front.toml"
    file.write_text(GOOD.replace(f"{line}\n", ""))
    if line in READ:
        with pytest.raises(RecipeError):
            load_front(file)
        return
    front, whole = load_front(file), load(tmp_path, GOOD)
    assert (front.steps, front.color) == (whole.steps, "RGB")
    assert front.pixels == (dataclasses.replace(whole.pixels, size=None) if line.startswith("size") else whole.pixels)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FRONT, "color: expected what the model was trained on, there or as --model-color, got nothing"),
        (FRONT + '[backbone]\ncolor = "RGB"\nweigths = "x"\n', "did you mean 'weights'"),
        ('nmae = "x"\n[backbone]\ncolor = "RGB"\n' + FRONT, "did you mean 'name'"),
        ('[backbone]\ncolor = "RGB"\n' + FRONT.replace("rescale", "rescael"), "did you mean 'rescale'"),
        (
            'steps_from = "weights"\n[backbone]\ncolor = "RGB"\n' + FRONT.partition("[[")[0],
            "whose weights say how they were trained, got 'none'",
        ),
    ],
)
def test_wrong_pixels_and_steps_alone(tmp_path, text, message):
    (tmp_path / "front.toml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_front(tmp_path / "front.toml")
