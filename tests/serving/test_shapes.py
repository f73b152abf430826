"""Models of other shapes behind Triton: any size, fixed batches, several inputs."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from preproc.bundle import open_bundle
from preproc.export import attach, export_bundle
from preproc.export.serving import package, serve_check
from preproc.export.serving.batches import in_one_request
from preproc.export.serving.client import Served
from preproc.sources import load_recipe
from preproc.steps import FromPixels
from preproc.verify.runtimes import OrtCpu
from tests.conftest import ROOT
from tests.onnx_files import STEPS, hand_made, put, several, single
from tests.serving.asking import CLIENTS
from tests.serving.servers import Triton, why_not

pytestmark = [pytest.mark.serve, pytest.mark.skipif(why_not() is not None, reason=str(why_not()))]
NV12 = FromPixels(layout="NHW", color="NV12", matrix="bt709", range="limited")


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Models of other shapes: photographs of any size, batches of two only, several inputs, a single number among them, one number per
    picture, a camera's NV12."""
    folder = tmp_path_factory.mktemp("others")
    free = export_bundle(load_recipe(ROOT / "models" / "digits-web.toml"), folder / "free")
    fixed = put(hand_made(folder, shape=(2, 3, 24, 20)), folder / "fixed")
    bundles = [
        free,
        fixed,
        put(several(folder, number=False), folder / "several", input_name="image"),
        put(several(folder), folder / "number", input_name="image"),
        put(single(folder), folder / "single"),
        attach(hand_made(folder), folder / "nv12", steps=[NV12, *STEPS]),
    ]
    for bundle in bundles:
        package(bundle.folder, folder / "repo", name=bundle.folder.name)
    with Triton(folder / "repo", folder) as server:
        yield server, {bundle.folder.name: bundle.folder for bundle in bundles}


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("name", ["free", "fixed", "several", "number", "single", "nv12"])
def test_models_of_other_shapes(others, name, protocol):
    server, folders = others
    report, latency = serve_check(server.urls[protocol], folders[name], model=name, requests=3)
    (result,) = report.results
    bundle = open_bundle(folders[name])
    golden = bundle.golden()
    cases = [*golden, *in_one_request(bundle.contract, golden), *golden[:3]]
    assert result.verdict == "passed", result
    assert len(cases) == len(golden) + 3 + (name in ("free", "several", "single", "nv12"))
    assert (result.pictures, latency.requests) == (sum(len(case.pixels) for case in cases), 3)


def test_pictures_of_other_sizes_at_once(others):
    """Triton puts those of one size together only."""
    server, folders = others
    bundle = open_bundle(folders["free"])
    small = bundle.golden()[0].pixels
    pictures = [small, small.repeat(2, axis=1), small.repeat(3, axis=2)]
    runtime = OrtCpu()
    runtime.open(bundle.folder / "model.onnx")
    expected = [runtime.run(pixels)["logits"] for pixels in pictures]

    def client(number):
        served = Served(server.urls["http"], bundle.contract, model="free")
        served.open(bundle.folder)
        found = []
        for position in range(60):
            chosen = (position + number) % len(pictures)
            found.append(np.abs(served.run(pictures[chosen])["logits"] - expected[chosen]).max())
        served.close()
        return max(found)

    with ThreadPoolExecutor(CLIENTS) as pool:
        assert max(pool.map(client, range(CLIENTS))) < 1e-5 * np.abs(expected).max()
    assert np.abs(expected[0] - expected[1]).max() > 1e-3
