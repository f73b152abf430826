"""Bundles behind a real server: Triton's own core and protocols, strict about config.pbtxt. Every answer is compared.

Triton's onnxruntime and pytorch backends are C++ and on no package index: backends/ stands in for them, through Triton's Python backend;
for torch_aoti, which this Triton is too old for, under another backend's name.
What is tested is the repository, the configuration, batching and the protocols with our files, not NVIDIA's backends.
"""

import json
import socket
import urllib.request

import numpy as np
import pytest
import torch

from preproc import graph
from preproc.export.formats import export_backbone
from preproc.export.serving import package, serve_check
from preproc.sources import load_recipe
from preproc.sources.backbones import load_backbone
from tests.conftest import ROOT
from tests.embed.programs import COMPILER, skip_without
from tests.serving.asking import BUNDLE, CLIENTS, DIGITS, LOGITS, PIXELS, connected, judge_golden, many, prepared, wrong
from tests.serving.servers import Triton, for_this_core, why_not

pytestmark = [pytest.mark.serve, pytest.mark.skipif(why_not() is not None, reason=str(why_not()))]
PROTOCOLS = [("http", True), ("http", False), ("grpc", True)]
NAMES = {("http", True): "HTTP binary", ("http", False): "HTTP JSON", ("grpc", True): "gRPC"}


AOTI = pytest.param("digits-aoti", marks=skip_without(*COMPILER))


@pytest.fixture(scope="module")
def triton(tmp_path_factory, request):
    """All backends' packages, as `preproc package` writes them; and the bare network, as people serve it without preproc."""
    folder = tmp_path_factory.mktemp("triton")
    version = package(DIGITS, folder / "repo")
    package(DIGITS, folder / "repo", backend="pytorch", name="digits-torch")
    if not COMPILER:
        compiled = package(request.getfixturevalue("packaged"), folder / "repo", backend="aoti", name="digits-aoti")
        for_this_core(compiled.parent / "config.pbtxt")
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
    bare = export_backbone(backbone, torch.zeros(2, 3, 32, 32), outputs=["logits"], opset=18, size=(32, 32))
    (folder / "repo" / "bare" / "1" / "model.onnx").write_bytes(graph.to_bytes(bare))
    with Triton(folder / "repo", folder) as server:
        yield server


@pytest.mark.parametrize("model", ["digits", "digits-torch", AOTI])
@pytest.mark.parametrize(("protocol", "binary"), PROTOCOLS, ids=NAMES.get)
def test_golden_samples(triton, protocol, binary, model, capsys):
    result = judge_golden(triton, protocol, binary=binary, model=model)
    with connected(triton, protocol, binary=binary, model=model) as served:
        together = served.run(PIXELS)["logits"]
        assert served.served == "1"
        assert not wrong(together, LOGITS)
        assert wrong(together[::-1], LOGITS)
        assert wrong(served.run(PIXELS[..., ::-1])["logits"], LOGITS)
        served.seconds.clear()
        for _ in range(40):
            served.run(PIXELS[:1])
        p50 = np.median(served.seconds) * 1e3
    with capsys.disabled():
        print(f"\n  {triton.name}, {model}, {NAMES[protocol, binary]}: error {result.error:.1e}, p50 {p50:.1f} ms", end="")


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
@pytest.mark.parametrize("model", ["digits", "digits-torch", AOTI])
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
