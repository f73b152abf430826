"""The page in export/embed/web/: what is drawn, typed or opened is answered, in a browser without a window."""

import base64
import json
import runpy
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from preproc.export import export_bundle
from preproc.sources import load_recipe
from preproc.verify.runtimes import OrtCpu
from tests.conftest import ROOT
from tests.embed.programs import CHROMIUM, EMBED, JAVASCRIPT, NODE, PACKAGES, missing, skip_without

DIGITS = ROOT / "export" / "digits"


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
