"""Bundles behind real servers: Triton's own core and protocols, strict about config.pbtxt, and KServe's. Every answer is compared.

Triton's onnxruntime and pytorch backends are C++ and on no package index: backends/ stands in for them, through Triton's Python backend.
What is tested is the repository, the configuration, batching and the protocols with our files, not NVIDIA's backends.
"""

import contextlib
import json
import shutil
import socket
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from preproc import graph
from preproc.bundle import open_bundle
from preproc.errors import PreprocError
from preproc.export import export_bundle
from preproc.export.formats import export_backbone
from preproc.export.serving import package, serve_check
from preproc.export.serving.batches import in_one_request
from preproc.export.serving.client import Served
from preproc.oracle import reference
from preproc.sources import load_recipe
from preproc.sources.backbones import load_backbone
from preproc.verify import judge
from preproc.verify.runtimes import OrtCpu
from tests.conftest import ROOT
from tests.export.test_attach_grid import several
from tests.onnx_files import hand_made, put, single
from tests.serving.servers import KServe, Triton, why_not

pytestmark = [pytest.mark.serve, pytest.mark.skipif(why_not() is not None, reason=str(why_not()))]

DIGITS = ROOT / "export" / "digits"
BUNDLE = open_bundle(DIGITS)
CASES = BUNDLE.golden()
POWER = BUNDLE.report.power
PIXELS = np.concatenate([case.pixels for case in CASES])
LOGITS = np.concatenate([case.expected["logits"] for case in CASES])
CLIENTS = 4
PROTOCOLS = [("http", True), ("http", False), ("grpc", True)]
NAMES = {("http", True): "HTTP binary", ("http", False): "HTTP JSON", ("grpc", True): "gRPC"}


READY = {"name": "preproc_ready", "dtype": "float32", "shape": ["N", 3, 32, 32]}
"""What the bare network takes."""


@pytest.fixture(scope="module")
def triton(tmp_path_factory):
    """Both backends' packages, as `preproc package` writes them; and the bare network, as people serve it without preproc."""
    folder = tmp_path_factory.mktemp("triton")
    version = package(DIGITS, folder / "repo")
    package(DIGITS, folder / "repo", backend="pytorch", name="digits-torch")
    config = (version.parent / "config.pbtxt").read_text()
    config = config[: config.index("model_warmup")] + 'backend: "onnxruntime"'
    for old, new in (
        ('name: "digits"', 'name: "bare"'),
        ('"pixels"', '"preproc_ready"'),
        ("TYPE_UINT8", "TYPE_FP32"),
        ("dims: 32\n  dims: 32\n  dims: 3", "dims: [3, 32, 32]"),
        ('label_filename: "labels.txt"', ""),
    ):
        assert old in config
        config = config.replace(old, new)
    (folder / "repo" / "bare" / "1").mkdir(parents=True)
    (folder / "repo" / "bare" / "config.pbtxt").write_text(config)
    backbone = load_backbone(load_recipe(ROOT / "models" / "digits.toml")).module
    bare = export_backbone(backbone, torch.zeros(2, 3, 32, 32), outputs=["logits"], opset=18, dynamic_size=False)
    (folder / "repo" / "bare" / "1" / "model.onnx").write_bytes(graph.to_bytes(bare))
    with Triton(folder / "repo", folder) as server:
        yield server


def prepared(pixels):
    """What a client of the bare network computes itself."""
    return reference.apply(load_recipe(ROOT / "models" / "digits.toml").steps, pixels).astype(np.float32)


@contextlib.contextmanager
def connected(server, protocol, *, binary=True, model="digits"):
    contract = BUNDLE.contract | ({"input": READY} if model == "bare" else {})
    served = Served(server.urls[protocol], contract, model=model, binary=binary)
    try:
        served.open(DIGITS)
        yield served
    finally:
        served.close()


def wrong(logits, expected):
    """Whether an answer is off by more than the bundle's tolerance."""
    return logits.shape != expected.shape or np.abs(logits - expected).max() / POWER.scale["logits"] > POWER.tolerance


@pytest.mark.parametrize("model", ["digits", "digits-torch"])
@pytest.mark.parametrize(("protocol", "binary"), PROTOCOLS, ids=NAMES.get)
def test_golden_samples(triton, protocol, binary, model, capsys):
    with connected(triton, protocol, binary=binary, model=model) as served:
        result = judge_golden(served)
        assert served.served == "1"
        together = served.run(PIXELS)["logits"]
        assert not wrong(together, LOGITS)
        assert wrong(together[::-1], LOGITS)
        assert wrong(served.run(PIXELS[..., ::-1])["logits"], LOGITS)
        served.seconds.clear()
        for _ in range(40):
            served.run(PIXELS[:1])
        p50 = np.median(served.seconds) * 1e3
    with capsys.disabled():
        print(f"\n  {triton.name}, {model}, {NAMES[protocol, binary]}: error {result.error:.1e}, p50 {p50:.1f} ms", end="")


def judge_golden(served):
    result = judge(served, DIGITS, CASES, POWER)
    assert result.verdict == "passed", result.reason
    assert result.pictures == len(CASES)
    return result


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Models of other shapes: photographs of any size, batches of two only, several inputs, a single number among them, one number per
    picture."""
    folder = tmp_path_factory.mktemp("others")
    free = export_bundle(load_recipe(ROOT / "models" / "digits-web.toml"), folder / "free")
    fixed = put(hand_made(folder, shape=(2, 3, 24, 20)), folder / "fixed")
    bundles = [
        free,
        fixed,
        put(several(folder, number=False), folder / "several", input_name="image"),
        put(several(folder), folder / "number", input_name="image"),
        put(single(folder), folder / "single"),
    ]
    for bundle in bundles:
        package(bundle.folder, folder / "repo", name=bundle.folder.name)
    with Triton(folder / "repo", folder) as server:
        yield server, {bundle.folder.name: bundle.folder for bundle in bundles}


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("name", ["free", "fixed", "several", "number", "single"])
def test_models_of_other_shapes(others, name, protocol):
    server, folders = others
    report, latency = serve_check(server.urls[protocol], folders[name], model=name, requests=3)
    (result,) = report.results
    bundle = open_bundle(folders[name])
    golden = bundle.golden()
    cases = [*golden, *in_one_request(bundle.contract, golden), *golden[:3]]
    assert result.verdict == "passed", result
    assert len(cases) == len(golden) + 3 + (name in ("free", "several", "single"))
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


def test_labels(triton):
    """Triton's classification extension reads the label file."""
    import tritonclient.http as api

    client = api.InferenceServerClient(triton.urls["http"].removeprefix("http://"))
    pixels = api.InferInput("pixels", PIXELS[:3].shape, "UINT8")
    pixels.set_data_from_numpy(PIXELS[:3])
    answer = client.infer("digits", [pixels], outputs=[api.InferRequestedOutput("logits", class_count=1)])
    found = [row[0].decode().split(":")[-1] for row in answer.as_numpy("logits")]
    client.close()
    assert found == [BUNDLE.contract["labels"][row.argmax()] for row in LOGITS[:3]]


def statistics(server, model="digits"):
    with urllib.request.urlopen(f"{server.urls['http']}/v2/models/{model}/stats", timeout=10) as response:
        (told,) = json.load(response)["model_stats"]
    return int(told["inference_count"]), int(told["execution_count"])


def many(server, protocol, requests, sizes, *, model="digits", binary=True):
    """Requests from CLIENTS clients at once, of mixed batch sizes; how many answers were right, wrong or missing, the latencies, and the
    time that all took."""
    pixels = prepared(PIXELS) if model == "bare" else PIXELS
    outcomes, seconds, lock = {"right": 0, "wrong": 0, "lost": 0}, [], threading.Lock()

    def client(number):
        rng = np.random.default_rng(number)
        with connected(server, protocol, model=model, binary=binary) as served:
            for _ in range(requests // CLIENTS):
                chosen = rng.integers(0, len(PIXELS), rng.choice(sizes))
                try:
                    outcome = "wrong" if wrong(served.run(pixels[chosen])["logits"], LOGITS[chosen]) else "right"
                except PreprocError:
                    outcome = "lost"
                with lock:
                    outcomes[outcome] += 1
            with lock:
                seconds.extend(served.seconds)

    start = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS)))
    return outcomes, seconds, time.perf_counter() - start


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("model", ["digits", "bare"])
def test_four_clients_at_once_are_batched_and_right(triton, protocol, model, capsys):
    """Raw uint8 pixels against the prepared float32 that the bare network takes."""
    before = statistics(triton, model)
    outcomes, seconds, wall = many(triton, protocol, 2000, sizes=(1, 1, 1, 2, 3, 8), model=model)
    inferences, executions = (now - then for now, then in zip(statistics(triton, model), before, strict=True))
    assert outcomes == {"right": 2000, "wrong": 0, "lost": 0}
    assert executions < 2000, "no two requests were ever put together"
    p50, p95 = np.percentile(seconds, (50, 95)) * 1e3
    one = PIXELS[:1] if model == "digits" else prepared(PIXELS[:1])
    with capsys.disabled():
        told = f"p50 {p50:.1f} ms, p95 {p95:.1f} ms, {2000 / wall:.0f} requests/s, {inferences / wall:.0f} pictures/s"
        title = f"{triton.name}, {protocol}, {model} in {one.dtype}, {inferences * one.nbytes / 2000:,.0f} bytes a request"
        print(f"\n  {title}, 2,000 requests from {CLIENTS} clients: {told}, {executions} executions", end="")


@pytest.mark.parametrize(("protocol", "binary"), PROTOCOLS, ids=NAMES.get)
@pytest.mark.parametrize("model", ["digits", "digits-torch"])
def test_four_clients_of_each_protocol_and_backend(triton, protocol, binary, model):
    before = statistics(triton, model)
    assert many(triton, protocol, 240, sizes=(1, 1, 2, 8), model=model, binary=binary)[0] == {"right": 240, "wrong": 0, "lost": 0}
    assert statistics(triton, model)[1] - before[1] < 240


def post(server, body, header=None):
    """Status and text of a raw request."""
    headers = {"Content-Type": "application/octet-stream"} | ({} if header is None else {"Inference-Header-Content-Length": str(header)})
    request = urllib.request.Request(f"{server.urls['http']}/v2/models/digits/infer", data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def in_json(name="pixels", datatype="UINT8", shape=(1, 32, 32, 3), values=None):
    data = np.zeros(shape).astype(int).ravel().tolist() if values is None else values
    return json.dumps({"inputs": [{"name": name, "datatype": datatype, "shape": list(shape), "data": data}]}).encode()


def in_bytes(data, size=3072, shape=(1, 32, 32, 3)):
    """With the length of its JSON part: the protocol's binary extension."""
    told = {"name": "pixels", "datatype": "UINT8", "shape": list(shape), "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [told]}).encode()
    return head + data, len(head)


FAULTS = {
    "dtype": (in_json(datatype="FP32"),),
    "shape": (in_json(shape=(1, 3, 32, 32)),),
    "rank": (in_json(shape=(32, 32, 3)),),
    "name": (in_json(name="image"),),
    "an empty batch": (in_json(shape=(0, 32, 32, 3)),),
    "an oversized batch": (in_json(shape=(9, 32, 32, 3)),),
    "too few values": (in_json(values=[1, 2, 3]),),
    "no JSON": (b"\x00\xffgarbage",),
    "no inputs": (b'{"inputs": []}',),
    "too few bytes": in_bytes(b"\0" * 100),
    "fewer bytes told": in_bytes(b"\0" * 3072, size=100),
    "more bytes told": in_bytes(b"\0" * 3072, size=1 << 40),
    "another shape of bytes": in_bytes(b"\0" * 3072, shape=(2, 32, 32, 3)),
    "the length of nothing": (in_bytes(b"\0" * 3072)[0], 1 << 40),
    "garbage with a length": (b"\x00\xffgarbage", 4),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_request_is_its_own_error(triton, fault):
    status, text = post(triton, *FAULTS[fault])
    with connected(triton, "http") as served:
        assert not wrong(served.run(PIXELS)["logits"], LOGITS)
    if fault == "an empty batch":  # Triton's core lets it through, and the stand-in answers as empty; NVIDIA's backends may do otherwise
        assert status != 200 or json.loads(text)["outputs"][0]["shape"][0] == 0
    else:
        assert status >= 400, text
        assert "error" in json.loads(text)


GRPC_FAULTS = {
    "dtype": np.zeros((1, 32, 32, 3), np.float32),
    "shape": np.zeros((1, 3, 32, 32), np.uint8),
    "rank": np.zeros((32, 32, 3), np.uint8),
    "an oversized batch": np.zeros((9, 32, 32, 3), np.uint8),
    "name": np.zeros((1, 32, 32, 3), np.uint8),
    "too few bytes": np.zeros((1, 32, 32, 3), np.uint8),
}


@pytest.mark.parametrize("fault", GRPC_FAULTS)
def test_a_wrong_request_over_grpc_is_its_own_error(triton, fault):
    import tritonclient.grpc as api

    pixels = GRPC_FAULTS[fault]
    client = api.InferenceServerClient(f"127.0.0.1:{triton.grpc}")
    value = api.InferInput("image" if fault == "name" else "pixels", pixels.shape, "FP32" if fault == "dtype" else "UINT8")
    value.set_data_from_numpy(pixels)
    if fault == "too few bytes":
        value._raw_content = value._raw_content[:-1]
    with pytest.raises(api.InferenceServerException):
        client.infer("digits", [value], client_timeout=20)
    client.close()
    with connected(triton, "grpc") as served:
        assert not wrong(served.run(PIXELS)["logits"], LOGITS)


def test_clients_that_hang_up(triton):
    body = in_json()
    for cut in (10, len(body) // 2, len(body)):
        with socket.create_connection(("127.0.0.1", triton.http)) as line:
            line.sendall(f"POST /v2/models/digits/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[:cut])
    with socket.create_connection(("127.0.0.1", triton.grpc)) as line:
        line.sendall(b"\x00" * 100)
    for protocol in ("http", "grpc"):
        with connected(triton, protocol) as served:
            assert not wrong(served.run(PIXELS)["logits"], LOGITS)


def test_wrong_gets_are_errors(triton):
    for version in ("2", "x"):
        report, _ = serve_check(triton.urls["http"], DIGITS, version=version)
        assert report.results[0].verdict == "absent"


def test_a_new_version_under_load(tmp_path, monkeypatch):
    """Written slowly, and looked for every second: the version that is served is not loaded again."""
    package(DIGITS, tmp_path / "repo")
    copyfile = shutil.copyfile

    def slowly(source, target, **options):
        time.sleep(2.5)
        copyfile(source, target, **options)

    with Triton(tmp_path / "repo", tmp_path, poll=True) as server:
        stop, versions, faults = threading.Event(), [], []

        def client():
            with connected(server, "grpc") as served:
                while not stop.is_set():
                    try:
                        if wrong(served.run(PIXELS)["logits"], LOGITS):
                            faults.append("wrong")
                    except PreprocError as error:
                        faults.append(str(error))
                    versions.append(served.served)

        threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        monkeypatch.setattr(shutil, "copyfile", slowly)
        package(DIGITS, tmp_path / "repo")
        end = time.monotonic() + 40
        while time.monotonic() < end and versions[-CLIENTS:].count("2") < CLIENTS:
            time.sleep(0.2)
        stop.set()
        for thread in threads:
            thread.join()
    assert not faults, faults[:3]
    assert {"1", "2"} == set(versions)
    log = server.log.read_text()
    assert (log.count("loading: digits:1"), log.count("loading: digits:2"), "ignore" in log) == (1, 1, False)


def test_killed_and_restarted(tmp_path):
    package(DIGITS, tmp_path / "repo")
    server = Triton(tmp_path / "repo", tmp_path)
    with server, connected(server, "http") as served:
        assert not wrong(served.run(PIXELS)["logits"], LOGITS)
        server.kill()
        with pytest.raises(PreprocError, match="expected a server"):
            served.run(PIXELS)
        assert serve_check(server.urls["http"], DIGITS)[0].results[0].verdict == "absent"
        server.start()
        assert not wrong(served.run(PIXELS)["logits"], LOGITS)


@pytest.mark.parametrize("max_batch", [8, 0])
def test_the_model_is_warmed_up(tmp_path, max_batch):
    """With the golden sample: bytes that are none keep it from starting."""
    warmup = package(DIGITS, tmp_path / "repo", max_batch=max_batch).parent / "warmup" / "pixels"
    warmup.write_bytes(warmup.read_bytes()[:-1])
    server = Triton(tmp_path / "repo", tmp_path)
    with pytest.raises(RuntimeError, match="did not start"), server:
        pass
    assert "warmup" in server.log.read_text()


def test_what_a_killed_run_leaves_in_a_model_is_passed_over(tmp_path):
    (package(DIGITS, tmp_path / "repo").parent / ".digits.new-1-x" / "digits").mkdir(parents=True)
    with Triton(tmp_path / "repo", tmp_path) as server:
        assert serve_check(server.urls["http"], DIGITS)[0].ok


@pytest.mark.parametrize(
    ("old", "new"),
    [('name: "digits"', 'name: "other"'), ("TYPE_FP32", "TYPE_FP16"), ("dims: 10", "dims: 11"), ("max_batch_size: 8", "max_batch_size: 3")],
)
def test_the_server_is_strict_about_the_configuration(tmp_path, old, new):
    """What our own configuration passes, a wrong one does not."""
    config = package(DIGITS, tmp_path / "repo").parent / "config.pbtxt"
    text = config.read_text()
    assert text.count(old) == 1
    config.write_text(text.replace(old, new))
    server = Triton(tmp_path / "repo", tmp_path)
    with pytest.raises(RuntimeError, match="did not start"), server:
        pass


def test_kserve_answers_the_same(tmp_path, capsys):
    with KServe(DIGITS, tmp_path) as server:
        with connected(server, "grpc") as served:
            result = judge_golden(served)
        outcomes, _, wall = many(server, "grpc", 400, sizes=(1, 2, 5))
        assert outcomes == {"right": 400, "wrong": 0, "lost": 0}
        report, latency = serve_check(server.urls["grpc"], DIGITS)
        assert report.ok
    with capsys.disabled():
        p50 = f"p50 {latency.p50 * 1e3:.1f} ms, {400 / wall:.0f} requests/s from {CLIENTS} clients"
        print(f"\n  {server.name}, gRPC: error {result.error:.1e}, {p50}", end="")
