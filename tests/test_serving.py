"""Packages for servers, and the check of a server, without one; tests/serving/ has the real ones."""

import json
import shutil
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType

import numpy as np
import onnx
import pytest

from preproc.bundle import hashes, open_bundle
from preproc.errors import BundleError, PreprocError
from preproc.export.attaching import attach
from preproc.recipe import PixelsSpec
from preproc.runtimes import OrtCpu
from preproc.serving import triton
from preproc.serving.check import serve_check
from preproc.serving.client import Address
from preproc.serving.packaging import package
from preproc.steps import Resize
from tests.conftest import ROOT
from tests.onnx_files import STEPS, hand_made, put, single
from tests.test_attach_grid import several
from tests.test_cli import run

DIGITS = ROOT / "export" / "digits"
TENSORRT = 'optimization { execution_accelerators { gpu_execution_accelerator { name: "tensorrt" } } }'


def config_of(version):
    return triton.parse((version.parent / "config.pbtxt").read_text())


def test_a_repository_is_what_triton_documents(tmp_path):
    version = package(DIGITS, tmp_path / "repo")
    assert version == tmp_path / "repo" / "digits" / "1"
    assert sorted(hashes(tmp_path / "repo")) == ["digits/1/model.onnx", "digits/config.pbtxt", "digits/labels.txt", "digits/warmup/pixels"]
    assert (version / "model.onnx").read_bytes() == (DIGITS / "model.onnx").read_bytes()
    assert (version.parent / "labels.txt").read_text().split() == list("0123456789")
    config = config_of(version)
    (pixels,), (logits,) = config.input, config.output
    assert (config.name, config.backend, config.platform, config.max_batch_size) == ("digits", "onnxruntime", "onnxruntime_onnx", 8)
    assert (pixels.name, triton._schema().DataType.Name(pixels.data_type), list(pixels.dims)) == ("pixels", "TYPE_UINT8", [32, 32, 3])
    assert (logits.name, triton._schema().DataType.Name(logits.data_type), list(logits.dims)) == ("logits", "TYPE_FP32", [10])
    assert logits.label_filename == "labels.txt"
    assert list(config.dynamic_batching.preferred_batch_size) == [4, 8]
    assert [triton._schema().ModelInstanceGroup.Kind.Name(group.kind) for group in config.instance_group] == ["KIND_AUTO"]
    (warmup,) = config.model_warmup
    case = open_bundle(DIGITS).golden()[0]
    assert (warmup.batch_size, list(warmup.inputs["pixels"].dims)) == (1, [32, 32, 3])
    assert (version.parent / "warmup" / warmup.inputs["pixels"].input_data_file).read_bytes() == case.pixels.tobytes()


def test_torchscript_has_the_names_that_the_backend_demands(tmp_path):
    version = package(DIGITS, tmp_path, backend="pytorch", name="torch-digits", kind="cpu", max_batch=1)
    config = config_of(version)
    assert (config.name, config.platform, config.output[0].name, config.input[0].name) == (
        "torch-digits",
        "pytorch_libtorch",
        "logits__0",
        "pixels",
    )
    assert config.max_batch_size == 1
    assert not config.HasField("dynamic_batching")
    assert (version / "model.pt").exists()


def test_free_sides_and_fixed_batches(tmp_path):
    free_size = PixelsSpec(layout="NHWC", color="RGB", dtype="uint8", size=None, channels=3)
    free = attach(hand_made(tmp_path), tmp_path / "free", steps=[Resize(size=(24, 20)), *STEPS], pixels=free_size)
    config = config_of(package(free.folder, tmp_path / "repo"))
    assert list(config.input[0].dims) == [-1, -1, 3]
    assert -1 not in config.model_warmup[0].inputs["pixels"].dims
    fixed = put(hand_made(tmp_path, shape=(2, 3, 24, 20)), tmp_path / "fixed")
    config = config_of(package(fixed.folder, tmp_path / "repo"))
    assert (config.max_batch_size, list(config.input[0].dims)) == (0, [2, 24, 20, 3])
    assert not config.HasField("dynamic_batching")
    assert (config.model_warmup[0].batch_size, list(config.model_warmup[0].inputs["pixels"].dims)) == (0, [2, 24, 20, 3])


def test_one_number_per_picture(tmp_path):
    """Triton knows no empty dims."""
    config = config_of(package(put(single(tmp_path), tmp_path / "out").folder, tmp_path / "repo"))
    (most,) = config.output
    assert (list(most.dims), most.HasField("reshape"), list(most.reshape.shape)) == ([1], True, [])


def test_rows_that_are_no_pictures_are_not_batched(tmp_path):
    """Two rows per picture: Triton would cut the answers of several requests apart in the wrong places."""
    file = hand_made(tmp_path)
    model = onnx.load(file)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([-1, 2], np.int64), "sides"))
    model.graph.node.append(onnx.helper.make_node("Reshape", ["scores/out:0", "sides"], ["boxes"]))
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info("boxes", onnx.TensorProto.FLOAT, ["D", 2]))
    onnx.save(model, file)
    config = config_of(package(put(file, tmp_path / "out").folder, tmp_path / "repo"))
    assert (config.max_batch_size, list(config.output[0].dims)) == (0, [-1, 2])
    assert not config.HasField("dynamic_batching")


def test_several_inputs(tmp_path):
    bundle = put(several(tmp_path, number=False), tmp_path / "out", input_name="image")
    version = package(bundle.folder, tmp_path / "repo")
    config = config_of(version)
    assert [(value.name, list(value.dims)) for value in config.input] == [
        ("pixels", [24, 20, 3]),
        ("mask", [1, 24, 20]),
        ("info/row", [4]),
        ("count", [1]),
    ]
    case = bundle.golden()[0]
    for key, feed in config.model_warmup[0].inputs.items():
        data = (version.parent / "warmup" / feed.input_data_file).read_bytes()
        assert data == (case.pixels if key == "pixels" else case.others[key]).tobytes()
    alone = put(several(tmp_path), tmp_path / "alone", input_name="image")
    with pytest.raises(PreprocError, match="got count, a single number, which Triton cannot pass to a model"):
        package(alone.folder, tmp_path / "repo")


def test_a_new_version_leaves_what_is_served_as_it_is(tmp_path):
    first = package(DIGITS, tmp_path)
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in hashes(tmp_path)}
    assert package(DIGITS, tmp_path) == first.parent / "2"
    (first.parent / "7").mkdir()
    assert package(DIGITS, tmp_path) == first.parent / "8"
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in before} == before
    assert not list(tmp_path.parent.glob(f".{tmp_path.name}.new-*"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: (model / "labels.txt").write_text("a\n"), "labels.txt of those that are served"),
        (lambda model: (model / "config.pbtxt").write_text('name: "digits"'), "config.pbtxt of those that are served"),
        (lambda model: (model / "config.pbtxt").write_text("nonsense"), "text of Triton's model configuration"),
        (lambda model: (model / "config.pbtxt").unlink(), "expected a text file, got: No such file"),
        (lambda model: (model / "warmup" / "pixels").unlink(), "what config.pbtxt names"),
    ],
)
def test_a_version_that_would_change_what_is_served_is_refused(tmp_path, change, message):
    model = package(DIGITS, tmp_path).parent
    change(model)
    before = hashes(tmp_path)
    with pytest.raises(PreprocError, match=message):
        package(DIGITS, tmp_path)
    assert hashes(tmp_path) == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("dynamic_batching { preferred_batch_size: 9 }", "preferred_batch_size up to max_batch_size 8, got 9"),
        (TENSORRT, None),
        (
            f"{TENSORRT} instance_group {{ kind: KIND_CPU count: 1 }}",
            "the accelerator tensorrt with instances on GPUs only, got KIND_CPU",
        ),
        (
            'optimization { execution_accelerators { cpu_execution_accelerator { name: "openvino" } } }',
            "the accelerator openvino with instances on CPUs only, got KIND_AUTO",
        ),
        ("instance_group { kind: KIND_CPU count: -1 }", "no negative number of instances"),
        ("dynamic_batching { } sequence_batching { }", "text of Triton's model configuration"),
        ("max_batch_size: 4", "beside what the bundle says itself, got max_batch_size"),
        ("dynamic_baching { }", "text of Triton's model configuration"),
        ("instance_group { kind: KIND_TPU }", "text of Triton's model configuration"),
    ],
)
def test_settings_that_no_server_notices_are_refused(tmp_path, settings, message):
    (tmp_path / "more.pbtxt").write_text(settings)
    if message is None:
        config = config_of(package(DIGITS, tmp_path / "repo", settings=tmp_path / "more.pbtxt"))
        assert config.optimization.execution_accelerators.gpu_execution_accelerator[0].name == "tensorrt"
        return
    with pytest.raises(PreprocError, match=message):
        package(DIGITS, tmp_path / "repo", settings=tmp_path / "more.pbtxt")
    assert not (tmp_path / "repo").exists()


def test_another_scheduler_takes_the_place_of_ours(tmp_path):
    (tmp_path / "more.pbtxt").write_text("sequence_batching { max_sequence_idle_microseconds: 5 }")
    config = config_of(package(DIGITS, tmp_path / "repo", settings=tmp_path / "more.pbtxt"))
    assert config.WhichOneof("scheduling_choice") == "sequence_batching"


def test_batching_without_batches_is_refused(tmp_path):
    (tmp_path / "more.pbtxt").write_text("dynamic_batching { }")
    with pytest.raises(PreprocError, match="dynamic_batching with max_batch_size of 1 or more only, got 0"):
        package(DIGITS, tmp_path / "repo", max_batch=0, settings=tmp_path / "more.pbtxt")


def test_bad_packages_are_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    for arguments, message in (
        (["export/nothing", "-o", tmp_path / "r"], "expected a bundle"),
        ([DIGITS, "-o", tmp_path / "file"], "the model repository, got a file"),
        ([DIGITS, "-o", tmp_path / "r", "--target", "tritn"], "did you mean 'triton'"),
        ([DIGITS, "-o", tmp_path / "r", "--backend", "onnx"], "expected backend"),
        ([DIGITS, "-o", tmp_path / "r", "--name", "../x"], "name"),
        ([DIGITS, "-o", tmp_path / "r", "--max-batch", "-1"], "a number of pictures"),
        ([DIGITS, "-o", tmp_path / "r", "--settings", tmp_path / "none"], "expected a text file"),
    ):
        done = run("package", *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "r").exists()
    done = run("package", DIGITS, "-o", tmp_path / "r")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'r' / 'digits' / '1'}: written\n")


class Fake(BaseHTTPRequestHandler):
    """The protocol's HTTP side around ONNX Runtime, with what a test spoils."""

    spoil = staticmethod(lambda logits: logits)
    metadata = MappingProxyType({})
    status = 200

    def log_message(self, *_):
        pass

    def do_GET(self):
        model = {"name": "digits", "versions": ["3"], "platform": "x"}
        model["inputs"] = [{"name": "pixels", "datatype": "UINT8", "shape": [-1, 32, 32, 3]}]
        model["outputs"] = [{"name": "logits", "datatype": "FP32", "shape": [-1, 10]}]
        if self.path == "/v2":
            self.answer({"name": "fake", "version": "1", "extensions": ["binary_tensor_data"]})
        elif self.path.startswith("/v2/models/digits"):
            self.answer(model | dict(self.metadata))
        else:
            self.answer({"error": "unknown model"}, 404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        length = int(self.headers["Inference-Header-Content-Length"])
        (told,) = json.loads(body[:length])["inputs"]
        pixels = np.frombuffer(body[length:], np.uint8).reshape(told["shape"])
        logits = self.spoil(self.server.runtime.run(pixels)["logits"])
        output = {"name": "logits", "datatype": "FP32", "shape": list(logits.shape), "data": logits.ravel().tolist()}
        self.answer({"model_name": "digits", "model_version": "3", "outputs": [output]}, self.status)

    def answer(self, document, status=200):
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def fake():
    """Starts Fake with attributes; answers its URL."""
    started = []

    def start(**attributes):
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Spoilt", (Fake,), attributes))
        server.daemon_threads = True
        server.runtime = OrtCpu()
        server.runtime.open(DIGITS / "model.onnx")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def test_a_server_that_answers_right_passes(fake):
    report, latency = serve_check(fake(), DIGITS, requests=9)
    (result,) = report.results
    assert (report.ok, result.verdict, result.pictures, result.top1) == (True, "passed", 7 + 9, 1.0)
    assert result.ran == "fake 1, digits version 3, HTTP, binary"
    assert latency.requests == 9
    assert 0 < latency.p50 <= latency.p95


@pytest.mark.parametrize(
    ("attributes", "verdict", "message"),
    [
        ({"spoil": staticmethod(lambda logits: logits + 0.001)}, "failed", "error"),
        ({"spoil": staticmethod(lambda logits: logits[:, ::-1])}, "failed", "error"),
        ({"spoil": staticmethod(lambda logits: logits[:, :9])}, "failed", "expected logits of shape"),
        ({"spoil": staticmethod(lambda logits: logits * np.float32("nan"))}, "failed", "error inf"),
        ({"status": 500}, "failed", "on image-0"),
        ({"metadata": {"outputs": [{}]}}, "failed", "expected metadata of the Open Inference Protocol"),
        ({"metadata": {"inputs": ["pixels"]}}, "failed", "expected metadata of the Open Inference Protocol"),
        ({"metadata": {"inputs": [{"name": "pixels", "datatype": "FP32", "shape": [-1, 32, 32, 3]}]}}, "failed", "in UINT8, got FP32"),
        ({"metadata": {"inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [-1, 3, 32, 32]}]}}, "failed", "of shape"),
        (
            {"metadata": {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1]}]}},
            "failed",
            "expected pixels on the server, got image",
        ),
    ],
    ids=str,
)
def test_a_server_that_answers_wrong_fails(fake, attributes, verdict, message):
    report, latency = serve_check(fake(**attributes), DIGITS)
    (result,) = report.results
    assert (result.verdict, report.ok, latency) == (verdict, False, None)
    assert message in result.reason


def test_an_answer_of_another_version_and_late_mistakes_fail(fake):
    report, _ = serve_check(fake(), DIGITS, version="7")
    assert "expected an answer of version 7, got one of version 3" in report.results[0].reason
    calls = []

    def late(logits):
        calls.append(1)
        return logits if len(calls) <= 9 else np.zeros_like(logits)

    report, latency = serve_check(fake(spoil=staticmethod(late)), DIGITS)
    assert (report.results[0].verdict, latency) == ("failed", None)


def test_a_server_that_tells_no_values_is_judged_by_its_answers(fake):
    assert serve_check(fake(metadata={"inputs": [], "outputs": []}), DIGITS)[0].ok


def test_the_command(fake):
    url = fake()
    done = run("serve-check", url, "--bundle", DIGITS, "--requests", "5")
    assert done.returncode == 0, done.stderr
    assert "latency of a golden sample: p50" in done.stdout
    told = json.loads(run("serve-check", url, "--bundle", DIGITS, "--json").stdout)
    assert (told["ok"], told["latency"]["requests"]) == (True, 50)
    for arguments, message in (
        ([url, "--bundle", DIGITS, "--model", "nothing"], "unknown model; give its name there with --model"),
        (["http://127.0.0.1:1", "--bundle", DIGITS], "Connection refused"),
        (["grpc://127.0.0.1:1", "--bundle", DIGITS], "absent: expected a server at grpc://127.0.0.1:1"),
        (["127.0.0.1:8000", "--bundle", DIGITS], "expected the URL of a server"),
        ([url, "--bundle", DIGITS / "golden"], "expected a bundle"),
        ([url, "--bundle", DIGITS, "--requests", "0"], "at least one request"),
    ):
        done = run("serve-check", *arguments)
        assert done.returncode == 1
        assert message in done.stderr
        assert "Traceback" not in done.stderr


REPLIES = {
    "garbage": b"garbage\r\n\r\n",
    "nothing": b"",
    "a page": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhtml",
    "not found": b"HTTP/1.1 404 Not Found\r\nContent-Length: 15\r\n\r\n<html>no</html>",
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
    "a part": b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\nhtml",
}


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("scheme", ["http", "https", "grpc", "grpcs"])
def test_what_is_no_server_of_the_protocol_is_absent(reply, scheme, capfd):
    with socket.create_server(("127.0.0.1", 0)) as line:

        def answer():
            while True:
                try:
                    client, _ = line.accept()
                    with client:
                        client.recv(65536)
                        client.sendall(REPLIES[reply])
                except OSError:
                    return

        threading.Thread(target=answer, daemon=True).start()
        url = f"{scheme}://127.0.0.1:{line.getsockname()[1]}"
        (result,) = serve_check(url, DIGITS)[0].results
        line.shutdown(socket.SHUT_RDWR)
    assert (result.verdict, url in result.reason) == ("absent", True), result
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "url", ["", "host:8000", "ftp://host", "http://", "grpc://host", "grpc://host:8001/x", "http://h:x", "http://u@h:1"]
)
def test_what_is_no_url(url):
    with pytest.raises(PreprocError, match=r"URL of a server|grpc://host:port"):
        Address.of(url)


def test_urls():
    assert Address.of("https://host/base/") == Address("http", "host/base", True)
    assert Address.of("grpc://host:8001") == Address("grpc", "host:8001", False)


def test_a_damaged_bundle_is_not_packaged(tmp_path, exported):
    shutil.copytree(exported.folder, tmp_path / "b")
    (tmp_path / "b" / "model.onnx").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"model\.onnx has 1 bytes"):
        package(tmp_path / "b", tmp_path / "repo")
