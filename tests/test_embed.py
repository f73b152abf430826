"""The programs in export/embed/ that load a bundle without preproc: built, run on golden samples, and seen to notice wrong ones."""

import base64
import functools
import json
import shutil
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from preproc.bundle import open_bundle
from preproc.export.exporter import export_bundle
from preproc.recipe import load_recipe
from preproc.runtimes import OrtCpu
from tests.conftest import ROOT
from tests.embed.programs import CHROMIUM, EMBED, JAVASCRIPT, NODE, PACKAGES, PROGRAMS, missing, skip_without

DIGITS = ROOT / "export" / "digits"


@pytest.fixture(scope="module")
def node():
    return [NODE, EMBED / "node" / "classify.mjs"]


def run(program, *arguments):
    return subprocess.run([*program, *arguments], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_answers_the_golden_samples(program, request, tmp_path):
    program = request.getfixturevalue(program)
    done = run(program, DIGITS)
    assert done.returncode == 0, done.stderr
    *samples, total = done.stdout.splitlines()
    cases = {case.name: int(case.expected["logits"].argmax()) for case in open_bundle(DIGITS).golden()}
    assert {line.split()[0]: int(line.split()[2].rstrip(",")) for line in samples} == cases
    assert total.startswith(f"{len(cases)} golden samples: error ")
    assert 0 < float(total.split("error ")[1].split(",")[0]) < float(total.split("tolerance ")[1])

    wrong = shutil.copytree(DIGITS, tmp_path / "wrong")
    file = wrong / "golden" / "noise" / "logits.npy"
    np.save(file, np.load(file) + np.float32(0.001))
    assert run(program, wrong).returncode == 1
    pixels = wrong / "golden" / "noise" / "pixels.npy"
    pixels.write_bytes(pixels.read_bytes()[:-1])
    for bad, message in ((wrong, "as many"), (tmp_path / "nothing", "")):
        done = run(program, bad)
        assert (done.returncode, done.stderr.startswith("error: ")) == (1, True)
        assert message in done.stderr
    assert run(program).returncode == 2


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The URL of the page, with a fresh bundle beside it, as `make web` serves them."""
    root = tmp_path_factory.mktemp("export")
    bundle = export_bundle(load_recipe(ROOT / "models" / "digits-web.toml"), root / "digits-web")
    assert bundle.report.ok
    (root / "embed").symlink_to(EMBED)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=root))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/embed/web/", bundle.folder
    server.shutdown()
    server.server_close()


STROKES = {  # on a canvas of 320 x 320
    "2": [(105, 110), (130, 75), (180, 70), (210, 105), (195, 150), (150, 195), (105, 250), (220, 250)],
    "6": [(195, 70), (140, 110), (112, 170), (115, 225), (160, 252), (205, 225), (200, 180), (155, 165), (118, 195)],
    "7": [(105, 75), (215, 75), (180, 150), (150, 250)],
}


def drive(url, tmp_path, **plan):
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    command = [NODE, ROOT / "tests" / "embed" / "drive_web.mjs", url, CHROMIUM, PACKAGES / "playwright-core" / "index.mjs"]
    done = subprocess.run([*command, tmp_path / "plan.json"], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@skip_without(*JAVASCRIPT, *missing(chromium=CHROMIUM))
def test_the_page(page, tmp_path):
    """Draws, types and opens a picture in headless Chromium; its answers are ONNX Runtime's to the same bytes, in Python."""
    url, bundle = page
    runtime = OrtCpu()
    runtime.open(bundle / "model.onnx")
    picture = ROOT / "models" / "digits.images" / "7.png"
    found = drive(url, tmp_path, strokes=list(STROKES.values()), picture=str(picture), keys=[" ", *["ArrowDown"] * 18])
    assert found["problems"] == []
    assert all(asked.startswith(("http://127.0.0.1:", "data:")) for asked in found["asked"])
    assert found["first"]["parity"].startswith("passed: 7 samples, error ")
    assert found["first"]["answer"] == "–"
    assert [drawn["answer"] for drawn in found["drawn"]] == list(STROKES)
    assert (found["typed"]["answer"], found["typed"]["focused"], found["opened"]["answer"]) == ("1", "canvas", "7")
    for state in (*found["drawn"], found["typed"], found["opened"]):
        pixels = np.frombuffer(base64.b64decode(state["bytes"]), np.uint8).reshape(1, *state["shape"], 4)
        expected = runtime.run(pixels)["logits"][0]
        assert np.abs(state["logits"] - expected).max() < 1e-5 * np.abs(expected).max()
        assert len(state["bars"]) == 10
    with Image.open(picture) as image:
        assert np.array_equal(pixels[0, ..., :3], np.asarray(image.convert("RGB")))


@skip_without(*JAVASCRIPT, *missing(chromium=CHROMIUM))
def test_the_page_notices_a_wrong_bundle(page, tmp_path):
    url, bundle = page
    wrong = shutil.copytree(bundle, bundle.parent / "wrong")
    file = wrong / "golden" / "noise" / "logits.npy"
    np.save(file, np.load(file) + np.float32(0.01))
    assert drive(f"{url}?bundle=../../wrong/", tmp_path)["first"]["parity"].startswith("failed: 7 samples")
    nothing = drive(f"{url}?bundle=../../nothing/", tmp_path)
    assert nothing["first"]["parity"] == "not checked"
    assert "404" in nothing["first"]["model"]
