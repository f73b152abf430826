"""The programs in export/embed/ that load a bundle without preproc: built, run on golden samples, and seen to notice wrong ones."""

import base64
import json
import runpy
import shutil
import subprocess
import sys
import threading

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from preproc.bundle import open_bundle
from preproc.export import export_bundle
from preproc.layers import FromPixels, Normalize, Pipeline, Rescale, prepend
from preproc.sources import load_recipe
from preproc.verify.runtimes import OrtCpu
from tests.conftest import ROOT
from tests.embed.programs import CHROMIUM, EMBED, JAVASCRIPT, NODE, PACKAGES, PROGRAMS, each_with, missing, skip_without
from tests.onnx_files import hand_made, put, several

DIGITS = ROOT / "export" / "digits"


def run(program, *arguments):
    return subprocess.run([*program, *arguments], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_answers_the_golden_samples(program, request):
    done = run(request.getfixturevalue(program), DIGITS)
    assert done.returncode == 0, done.stderr
    *samples, total = done.stdout.splitlines()
    cases = {case.name: int(case.expected["logits"].argmax()) for case in open_bundle(DIGITS).golden()}
    assert {line.split()[0]: int(line.split()[2].rstrip(",")) for line in samples} == cases
    assert total.startswith(f"{len(cases)} golden samples: error ")
    assert 0 < float(total.split("error ")[1].split(",")[0]) < float(total.split("tolerance ")[1])
    assert run(request.getfixturevalue(program)).returncode == 2


def of_the_manifest(change):
    """Something spoilt in a bundle's manifest."""

    def spoil(bundle):
        manifest = json.loads((bundle / "manifest.json").read_text())
        change(manifest)
        (bundle / "manifest.json").write_text(json.dumps(manifest))

    return spoil


def of_an_array(change, name="logits"):
    def spoil(bundle):
        file = bundle / "golden" / "noise" / f"{name}.npy"
        np.save(file, change(np.load(file)))

    return spoil


def of_the_bytes(change):
    def spoil(bundle):
        file = bundle / "golden" / "noise" / "pixels.npy"
        file.write_bytes(change(file.read_bytes()))

    return spoil


SPOILT = {
    "a value": of_an_array(lambda logits: logits + np.float32(0.001)),
    "no number": of_an_array(lambda logits: logits * np.float32("nan")),
    "the shape": of_an_array(lambda logits: logits.T),
    "nothing": of_an_array(lambda logits: logits[:0]),
    "objects": of_an_array(lambda logits: np.full(logits.shape, "x")),
    "swapped channels": of_an_array(lambda pixels: pixels[..., ::-1], "pixels"),
    "the dtype": of_an_array(lambda pixels: pixels.astype(np.float32), "pixels"),
    "cut": of_the_bytes(lambda data: data[:-1]),
    "a long header": of_the_bytes(lambda data: data[:8] + b"\xff\xff" + b"(" * 65535 + data[128:]),
    "a long shape": of_the_bytes(lambda data: data.replace(b"(1, 32, 32, 3)", b"(99999999, 32, 32, 3, 9999999999999999999999)")),
    "a negative shape": of_the_bytes(lambda data: data.replace(b"(1, 32, 32, 3)", b"(-1, 32, 32, -3)")),
    "a sample": lambda bundle: shutil.rmtree(bundle / "golden" / "noise"),
    "the model": lambda bundle: [(bundle / file).write_bytes(b"x") for file in ("model.pt", "model.onnx")],
    "all": lambda bundle: [file.unlink() for file in bundle.glob("m*")],
    "no samples": of_the_manifest(lambda manifest: manifest.update(golden=[])),
    "another sample": of_the_manifest(lambda manifest: manifest["golden"].append("other")),
    "the scale": of_the_manifest(lambda manifest: manifest["report"]["power"]["scale"].update(logits=-1.0)),
    "the tolerance": of_the_manifest(lambda manifest: manifest["report"]["power"].update(tolerance=None)),
    "the outputs": of_the_manifest(lambda manifest: manifest["contract"].update(outputs=[])),
    "a deep manifest": lambda bundle: (bundle / "manifest.json").write_text("[" * 100_000),
}


@pytest.mark.parametrize("program", [*PROGRAMS, "python"])
def test_a_file_beside_the_samples_is_none(program, request, tmp_path):
    right = shutil.copytree(DIGITS, tmp_path / "right")
    (right / "golden" / ".DS_Store").write_text("")
    done = run(request.getfixturevalue(program), right)
    assert done.returncode == 0, done.stderr


OF_THE_MODEL = ["a value", "no number", "swapped channels", "the dtype", "the model", "all"]


@pytest.mark.parametrize(("program", "spoilt"), [*each_with(SPOILT, OF_THE_MODEL), *(("python", spoilt) for spoilt in SPOILT)])
def test_a_program_notices_a_wrong_bundle(program, spoilt, request, tmp_path):
    wrong = shutil.copytree(DIGITS, tmp_path / "wrong")
    SPOILT[spoilt](wrong)
    done = run(request.getfixturevalue(program), wrong)
    assert done.returncode == 1, done.stdout
    assert " golden samples: error " in done.stdout or done.stderr.splitlines()[-1].startswith("error: ")


@pytest.fixture
def python():
    """The service in Python: as the others, behind a picture's label, which it prints of a bundle that is right only."""
    picture = ROOT / "models" / "digits.images" / "7.png"
    code = (
        "import runpy, sys; sys.modules['preproc'] = None; sys.argv[:] = [sys.argv[1], *sys.argv[3:], sys.argv[2]]; "
        "runpy.run_path(sys.argv[0], {}, '__main__')"
    )
    return [sys.executable, "-c", code, EMBED / "python" / "service.py", picture]


def test_the_python_service_needs_no_preproc(python):
    done = run(python, DIGITS)
    assert (done.returncode, done.stdout) == (0, "7\n")
    assert float(done.stderr.rpartition(" ")[2]) < 1e-5


class Two(torch.nn.Module):
    """Two outputs of other shapes."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.stem = torch.nn.Conv2d(3, 4, 3, stride=2, padding=1)

    def forward(self, x):
        x = self.stem(x).relu() ** 2
        return x, x.mean((1, 2, 3))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Pixels in uint16, a map and a number per picture."""
    pipeline = Pipeline(FromPixels(layout="NCHW", pixel_dtype="uint16"), Rescale(scale=1 / 65535), Normalize.preset("imagenet"))
    example = torch.zeros(2, 3, 24, 20, dtype=torch.uint16)
    folder = tmp_path_factory.mktemp("two") / "two"
    return export_bundle(prepend(pipeline, Two()), folder, example=example, outputs=["map", "mean"]).folder


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_output_of_any_bundle_is_compared(program, two, request, tmp_path):
    command = request.getfixturevalue(program)
    done = run(command, two)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = shutil.copytree(two, tmp_path / "wrong")
    file = next((wrong / "golden").glob("*/mean.npy"))
    np.save(file, np.load(file) + np.float32(0.01))
    assert run(command, wrong).returncode == 1


@pytest.mark.parametrize("program", [program for program in PROGRAMS if program.values != ("libtorch",)])
def test_names_that_no_file_has_and_further_inputs(program, request, tmp_path):
    command = request.getfixturevalue(program)
    model = onnx.load(hand_made(tmp_path))
    model.graph.node[-1].output[0] = model.graph.output[0].name = 'a"b\\klässe/😀:0'
    onnx.save(model, tmp_path / "named.onnx")
    done = run(command, put(tmp_path / "named.onnx", tmp_path / "ü and spaces" / "named").folder)
    assert done.returncode == 0, done.stderr
    bundle = put(several(tmp_path), tmp_path / "several", input_name="image")
    done = run(command, bundle.folder)
    assert (done.returncode, done.stderr) == (1, "error: expected a model that takes pixels alone, got one that takes mask, too\n")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The URL of the page, with a fresh bundle beside it, as `make web` serves them."""
    root = tmp_path_factory.mktemp("export")
    bundle = export_bundle(load_recipe(ROOT / "models" / "digits-web.toml"), root / "digits-web")
    assert bundle.report.ok
    (root / "embed").symlink_to(EMBED)
    shutil.copytree(DIGITS, root / "digits")
    server = runpy.run_path(str(EMBED / "web" / "serve.py"))["serve"](str(root), 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/embed/web/", bundle.folder
    server.shutdown()
    server.server_close()


STROKES = {  # on a canvas of 320 x 320
    "2": [(105, 110), (130, 75), (180, 70), (210, 105), (195, 150), (150, 195), (105, 250), (220, 250)],
    "6": [(195, 70), (140, 110), (112, 170), (115, 225), (160, 252), (205, 225), (200, 180), (155, 165), (118, 195)],
    "7": [(105, 75), (215, 75), (180, 150), (150, 250)],
}
SEVEN = ROOT / "models" / "digits.images" / "7.png"


def drive(url, tmp_path, *actions, **viewport):
    """The page's state after each action, [what, with]."""
    (tmp_path / "plan.json").write_text(json.dumps({"actions": actions or [["look", None]]} | viewport, default=str))
    command = [NODE, ROOT / "tests" / "embed" / "drive_web.mjs", url, CHROMIUM, PACKAGES / "playwright-core" / "index.mjs"]
    done = subprocess.run([*command, tmp_path / "plan.json"], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert all(asked.startswith(("http://127.0.0.1:", "data:", "blob:")) for asked in found["asked"])
    return found["states"], found["problems"]


def pixels_of(state):
    return np.frombuffer(base64.b64decode(state["bytes"]), np.uint8).reshape(1, *state["shape"], 4)


in_a_browser = skip_without(*JAVASCRIPT, *missing(chromium=CHROMIUM))


@in_a_browser
@pytest.mark.parametrize("viewport", [(900, 720), (600, 800)], ids=str)
def test_what_is_drawn_typed_or_opened_is_answered(page, tmp_path, viewport):
    """The page's answers are ONNX Runtime's to the same bytes, in Python."""
    url, bundle = page
    runtime = OrtCpu()
    runtime.open(bundle / "model.onnx")
    drawn = [action for path in STROKES.values() for action in (["clear", None], ["draw", path])]
    used = [["type", ["Escape", " ", *["ArrowDown"] * 18]], ["open", SEVEN], ["draw", STROKES["2"]], ["drop", SEVEN]]
    (first, *states), problems = drive(url, tmp_path, ["look", None], *drawn, *used, width=viewport[0], height=viewport[1])
    assert problems == []
    assert first["parity"].startswith("passed: 7 samples, error ")
    assert (first["answer"], first["bars"]) == ("?", [str(digit) for digit in range(10)])
    cleared, answered = states[0:6:2], [*states[1:6:2], *states[6:]]
    assert all((state["answer"], state["input"], state["latency"]) == ("?", "–", "–") for state in cleared)
    assert [state["answer"] for state in answered] == [*STROKES, "1", "7", "2", "7"]
    assert answered[3]["focused"] == "canvas"
    for state in answered:
        expected = runtime.run(pixels_of(state))["logits"][0]
        assert np.abs(state["logits"] - expected).max() < 1e-5 * np.abs(expected).max()
        assert len(state["bars"]) == 10
        assert state["said"].startswith(f"{state['answer']}, ")
        assert state["input"] == "uint8, 1 × {} × {} × 4".format(*state["shape"])
        assert float(state["latency"].removesuffix(" ms")) > 0
        assert not state["overflows"]
    with Image.open(SEVEN) as image:
        assert np.array_equal(pixels_of(answered[-1])[0, ..., :3], np.asarray(image.convert("RGB")))


@in_a_browser
def test_pictures_of_other_kinds(page, tmp_path):
    """What is transparent shows the paper, to the model as to the eye; what is no picture leaves what is there."""
    with Image.open(SEVEN) as image:
        clear = Image.new("RGBA", (64, 32))
        clear.paste(image.convert("RGBA"), (0, 0))
    clear.save(tmp_path / "clear.png")
    (tmp_path / "text.png").write_text("no picture")
    Image.new("L", (1, 1), 7).save(tmp_path / "one.png")
    Image.new("L", (11000, 10000)).save(tmp_path / "giant.png")
    Image.new("L", (6000, 3)).save(tmp_path / "thin.png")
    names = ["clear.png", "text.png", "giant.png", "one.png", "thin.png", "clear.png"]
    keys = [["type", ["ArrowDown", "ArrowLeft"]], ["type", [" "]]]
    states, problems = drive(page[0], tmp_path, *(["drop", tmp_path / name] for name in names), *keys)
    clear, text, giant, one, thin, again, moved, down = states
    assert problems == []
    assert np.unique(pixels_of(clear)[0, :, 32:].reshape(-1, 4), axis=0).tolist() == [[184, 184, 184, 255]]
    assert [state["problem"] for state in (clear, text, giant)] == [
        "",
        "expected a picture, got text.png",
        "expected a picture of up to 100 megapixels, got 11000 x 10000",
    ]
    assert (down["shape"], down["logits"] != clear["logits"]) == ([320, 320], True)
    for state in (text, giant, again, moved):  # a pen that is up leaves a picture as it is
        assert all(state[key] == clear[key] for key in ("bytes", "answer", "logits", "shape"))
    assert (one["shape"], thin["shape"]) == ([1, 1], [3, 6000])
    assert one["problem"] == thin["problem"] == again["problem"] == ""


@in_a_browser
def test_the_page_notices_a_wrong_bundle(page, tmp_path):
    url, bundle = page
    wrong = shutil.copytree(bundle, bundle.parent / "wrong")
    file = wrong / "golden" / "noise" / "logits.npy"
    np.save(file, np.load(file) + np.float32(0.01))
    (found,), _ = drive(f"{url}?bundle=../../wrong", tmp_path)
    assert found["parity"].startswith("failed: 7 samples")
    for place, message in (("../../nothing", "404"), ("../../digits/", "got uint8 RGB N × 32 × 32 × 3"), ("http://", "not loaded")):
        (found,), _ = drive(f"{url}?bundle={place}", tmp_path, ["draw", STROKES["7"]])
        assert (found["parity"], found["answer"]) == ("not checked", "?")
        assert message in found["model"]


def test_a_taken_port_is_one_line(page):
    port = page[0].split(":")[2].split("/")[0]
    done = subprocess.run([sys.executable, EMBED / "web" / "serve.py", ROOT, port], capture_output=True, text=True, timeout=60)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert done.stderr.startswith(f"port {port}: expected a free one")
