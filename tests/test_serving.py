"""Packages for servers, and the check of a server, without one; tests/serving/ has the real ones."""

import contextlib
import errno
import json
import os
import re
import shutil
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from preproc.bundle import hashes, open_bundle
from preproc.errors import BundleError, PreprocError
from preproc.export.attaching import attach
from preproc.export.exporter import export_bundle
from preproc.layers import FromPixels, Rescale
from preproc.pipeline import Pipeline, prepend
from preproc.recipe import PixelsSpec
from preproc.runtimes import OrtCpu
from preproc.serving import triton
from preproc.serving.check import in_one_request, serve_check
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
    return triton.parse((version.parent / "config.pbtxt").read_text(), "config.pbtxt")


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
    assert (config.model_warmup[0].batch_size, list(config.model_warmup[0].inputs["pixels"].dims)) == (1, [2, 24, 20, 3])


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
    told = []
    config = config_of(package(put(file, tmp_path / "out").folder, tmp_path / "repo", progress=told.append))
    assert told == ["note: requests are not put together: boxes has 2 rows for 1 picture"]
    assert (config.max_batch_size, list(config.output[0].dims)) == (0, [-1, 2])
    assert not config.HasField("dynamic_batching")


def test_an_input_that_is_not_given_per_picture_keeps_requests_apart(tmp_path):
    """Its first side is free, too, and 1 in the golden samples: Triton would put the boxes of several requests together."""
    boxes = helper.make_tensor_value_info("boxes", onnx.TensorProto.FLOAT, ["M", 4])
    model = onnx.load(hand_made(tmp_path, opset=18, extra=[boxes]))
    model.graph.node[-1].output[0] = "bare"
    model.graph.node.append(helper.make_node("ReduceSum", ["boxes"], ["sum"], keepdims=0))
    model.graph.node.append(helper.make_node("Mul", ["bare", "sum"], ["scores/out:0"]))
    onnx.save(model, tmp_path / "m.onnx")
    bundle = put(tmp_path / "m.onnx", tmp_path / "out", input_name="image")
    told = []
    assert config_of(package(bundle.folder, tmp_path / "repo", progress=told.append)).max_batch_size == 0
    assert told == ["note: requests are not put together: boxes is not given per picture, its shape is ['M', 4]"]
    assert in_one_request(bundle) == []


@pytest.mark.parametrize("sides", [("batch_in", "batch_out"), (None, None), ("unk__1", "unk__2")], ids=str)
def test_whatever_the_batch_is_called(tmp_path, sides):
    model = onnx.load(hand_made(tmp_path))
    for value, side in zip((model.graph.input[0], model.graph.output[0]), sides, strict=True):
        dim = value.type.tensor_type.shape.dim[0]
        dim.Clear()
        if side:
            dim.dim_param = side
    onnx.save(model, tmp_path / "m.onnx")
    config = config_of(package(put(tmp_path / "m.onnx", tmp_path / "out").folder, tmp_path / "repo"))
    assert (config.max_batch_size, list(config.output[0].dims)) == (8, [4])


def test_shapes_are_those_that_onnx_runtime_infers(tmp_path):
    """Not those that the file declares: the backend compares with the session."""
    model = onnx.load(hand_made(tmp_path))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "classes"
    onnx.save(model, tmp_path / "m.onnx")
    config = config_of(package(put(tmp_path / "m.onnx", tmp_path / "out").folder, tmp_path / "repo"))
    assert list(config.output[0].dims) == [4]


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


def test_a_single_number_as_an_input(tmp_path):
    """Its dims are [1] and it is not reshaped: the backend knows."""
    told = []
    bundle = put(several(tmp_path), tmp_path / "several", input_name="image")
    config = config_of(package(bundle.folder, tmp_path / "repo", progress=told.append))
    (count,) = [value for value in config.input if value.name == "count"]
    assert (list(count.dims), count.HasField("reshape"), config.max_batch_size) == ([1], False, 0)
    assert told == ["note: requests are not put together: count is not given per picture, its shape is []"]
    assert list(config.model_warmup[0].inputs["count"].dims) == [1]
    with pytest.raises(PreprocError, match="a model that takes batches for --max-batch 4, got one that does not: count is not given"):
        package(bundle.folder, tmp_path / "repo", max_batch=4)


def test_a_new_version_leaves_what_is_served_as_it_is(tmp_path):
    first = package(DIGITS, tmp_path)
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in hashes(tmp_path)}
    assert package(DIGITS, tmp_path) == first.parent / "2"
    for folder in ("7", "²", "x9", "-3"):
        (first.parent / folder).mkdir()
    assert package(DIGITS, tmp_path) == first.parent / "8"
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in before} == before
    assert not list(tmp_path.parent.glob(f".{tmp_path.name}.new-*"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: (model / "labels.txt").write_text("a\n"), "labels.txt of those that are served"),
        (
            lambda model: (model / "config.pbtxt").write_text((model / "config.pbtxt").read_text().replace("count: 1", "count: 2")),
            "config.pbtxt of those that are served, got another instance_group;",
        ),
        (lambda model: (model / "config.pbtxt").write_text("nonsense"), "text of Triton's model configuration"),
        (lambda model: (model / "config.pbtxt").unlink(), "expected a text file, got: No such file"),
        (lambda model: (model / "warmup" / "pixels").unlink(), "bytes that config.pbtxt tells, got nothing there"),
        (lambda model: (model / "warmup" / "pixels").write_bytes(b"x"), "bytes that config.pbtxt tells, got 1"),
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
        ("dynamic_batching { preferred_batch_size: 9 }", "preferred_batch_size of 1 to max_batch_size 8, got [9]"),
        ("dynamic_batching { preferred_batch_size: [0, 4] }", "preferred_batch_size of 1 to max_batch_size 8, got [0, 4]"),
        ("version_policy { specific { versions: [2, 3] } }", "a version_policy that serves the new version 1, got specific [2, 3]"),
        ("version_policy { latest { num_versions: 0 } }", "a version_policy that serves the new version 1, got latest 0"),
        (TENSORRT, None),
        (
            f"{TENSORRT} instance_group {{ kind: KIND_CPU count: 1 }}",
            "the accelerator tensorrt with instances on GPUs only, got KIND_CPU",
        ),
        (
            'optimization { execution_accelerators { cpu_execution_accelerator { name: "openvino" } } }',
            "the accelerator openvino with instances on CPUs only (--kind cpu), got KIND_AUTO",
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
    with pytest.raises(PreprocError, match=re.escape(message)):
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


def test_what_killed_runs_left_goes_and_what_others_write_stays(tmp_path):
    repository = tmp_path / "repo"
    model = package(DIGITS, repository).parent
    here = f".repo.digits.new-{socket.gethostname()}"
    gone = [place / f"{here}-99999999-0" for place in (tmp_path, repository, model)]
    others = [tmp_path / f"{here}-{os.getppid()}-0", tmp_path / ".repo.digits.new-another-host-1-0", tmp_path / ".repo.other.new-x-1-0"]
    old = tmp_path / ".repo.digits.new-another-host-2-0"
    for folder in (*gone, *others, old):
        (folder / "digits").mkdir(parents=True)
    os.utime(old, (0, 0))
    package(DIGITS, repository)
    assert not any(folder.exists() for folder in (*gone, old))
    assert all(folder.exists() for folder in others)


def test_many_at_once_in_one_process(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: package(DIGITS, tmp_path / "repo", name=f"digits-{number}"), range(12)))
    assert all((version / "model.onnx").read_bytes() == (DIGITS / "model.onnx").read_bytes() for version in found)
    assert [file.name for file in tmp_path.iterdir()] == ["repo"]


@pytest.mark.parametrize("there", [False, True], ids=["a new model", "a new version"])
@pytest.mark.parametrize("error", [errno.EXDEV, errno.EACCES])
def test_a_repository_that_is_mounted_or_below_a_folder_of_others(tmp_path, monkeypatch, there, error):
    """Nothing can be renamed in from beside it: then it is written in it, aside."""
    repository = tmp_path / "repo"
    repository.mkdir()
    if there:
        package(DIGITS, repository)
    rename, mkdir = Path.rename, Path.mkdir

    def within(path, target):
        if Path(path).is_relative_to(repository) != Path(target).is_relative_to(repository):
            raise OSError(error, os.strerror(error))
        return rename(path, target)

    def only_inside(path, *arguments, **options):
        if error == errno.EACCES and not path.is_relative_to(repository):
            raise OSError(error, os.strerror(error))
        return mkdir(path, *arguments, **options)

    monkeypatch.setattr(Path, "rename", within)
    monkeypatch.setattr(Path, "mkdir", only_inside)
    version = package(DIGITS, repository)
    assert (version / "model.onnx").read_bytes() == (DIGITS / "model.onnx").read_bytes()
    assert sorted(file.name for file in repository.iterdir()) == ["digits"]
    assert sorted(file.name for file in version.parent.iterdir()) == [*["1", "2"][: 1 + there], "config.pbtxt", "labels.txt", "warmup"]
    assert [file.name for file in tmp_path.iterdir()] == ["repo"]


def test_what_is_not_the_verified_file_is_not_packaged(tmp_path, bundle, monkeypatch):
    def copied(source, target):
        target.write_bytes(source.read_bytes()[:-1] + b"x")

    monkeypatch.setattr(shutil, "copyfile", copied)
    with pytest.raises(PreprocError, match="expected the verified file, got changed bytes"):
        package(bundle, tmp_path / "repo")
    assert list((tmp_path / "repo").iterdir()) == []


def test_a_bundle_that_failed_or_lacks_the_file_is_refused(tmp_path, bundle):
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["report"]["results"][0]["verdict"] = "failed"
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(PreprocError, match="a bundle that did not fail its verification"):
        package(bundle, tmp_path / "repo")
    only_onnx = put(hand_made(tmp_path), tmp_path / "only")
    with pytest.raises(PreprocError, match=r"expected model\.pt for pytorch, got a bundle without it"):
        package(only_onnx.folder, tmp_path / "repo", backend="pytorch")
    manifest["golden"] = []
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="expected golden samples, got none"):
        package(bundle, tmp_path / "repo")
    assert not (tmp_path / "repo").exists()


def test_sixteen_bits_are_not_for_the_pytorch_backend(tmp_path):
    torch.manual_seed(0)
    pipeline = Pipeline(FromPixels(layout="NCHW", pixel_dtype="uint16"), Rescale(scale=1 / 65535))
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4 * 64, 5))
    bundle = export_bundle(prepend(pipeline, net), tmp_path / "deep", example=torch.zeros(2, 3, 8, 8, dtype=torch.uint16))
    assert config_of(package(bundle.folder, tmp_path / "repo")).input[0].data_type == triton._schema().DataType.Value("TYPE_UINT16")
    with pytest.raises(PreprocError, match="pixels that Triton's pytorch backend takes, uint8, got uint16"):
        package(bundle.folder, tmp_path / "repo", backend="pytorch")


def test_weights_in_a_file_of_their_own_come_along(tmp_path):
    onnx.save(onnx.load(hand_made(tmp_path)), tmp_path / "m.onnx", save_as_external_data=True, location="w.data", size_threshold=0)
    bundle = put(tmp_path / "m.onnx", tmp_path / "out")
    version = package(bundle.folder, tmp_path / "repo")
    assert sorted(file.name for file in version.iterdir()) == ["model.onnx", "model.onnx.data"]
    case = bundle.golden()[0]
    runtime = OrtCpu()
    runtime.open(version / "model.onnx")
    found = runtime.run(case.pixels)["scores/out:0"]
    np.testing.assert_allclose(found, case.expected["scores/out:0"], rtol=1e-4)


def test_bad_packages_are_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "manifest.json").write_text('{"name": "of a web page"}')
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.pbtxt").write_text("")
    for arguments, message in (
        (["export/nothing", "-o", tmp_path / "r"], "expected a bundle"),
        ([DIGITS, "-o", tmp_path / "file"], "the model repository, got a file"),
        ([DIGITS, "-o", tmp_path / "r", "--target", "tritn"], "did you mean 'triton'"),
        ([DIGITS, "-o", tmp_path / "r", "--backend", "onnx"], "expected backend"),
        ([DIGITS, "-o", tmp_path / "r", "--name", "../x"], "name"),
        ([DIGITS, "-o", tmp_path / "r", "--name", "ümlaut"], "expected a name in ASCII"),
        ([DIGITS, "-o", DIGITS / "r"], f"got {DIGITS}, which is a bundle, or a folder in it"),
        ([DIGITS, "-o", ""], "got a file or no name"),
        ([DIGITS, "-o", tmp_path / "loop" / "r"], "expected a folder, the model repository, got: "),
        ([DIGITS, "-o", tmp_path / "model"], f"did you mean {tmp_path}?"),
        ([DIGITS, "-o", tmp_path / "model" / "1"], f"did you mean {tmp_path}?"),
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
    extensions = ("binary_tensor_data",)
    limit = None
    status = 200

    def log_message(self, *_):
        pass

    def do_GET(self):
        model = {"name": "digits", "versions": ["3"], "platform": "x"}
        model["inputs"] = [{"name": "pixels", "datatype": "UINT8", "shape": [-1, 32, 32, 3]}]
        model["outputs"] = [{"name": "logits", "datatype": "FP32", "shape": [-1, 10]}]
        if self.path == "/v2":
            self.answer({"name": "fake", "version": "1", "extensions": list(self.extensions)})
        elif self.path.endswith("/config") and self.limit is not None:
            self.answer({"name": "digits", "max_batch_size": self.limit})
        elif self.path.endswith("/config"):
            self.answer({"error": "no such extension"}, 404)
        elif self.path.startswith("/v2/models/digits"):
            self.answer(model | dict(self.metadata))
        else:
            self.answer({"error": "unknown model"}, 404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert ("Inference-Header-Content-Length" in self.headers) == ("binary_tensor_data" in self.extensions)
        length = int(self.headers.get("Inference-Header-Content-Length", len(body)))
        (told,) = json.loads(body[:length])["inputs"]
        pixels = np.array(told["data"], np.uint8) if "data" in told else np.frombuffer(body[length:], np.uint8)
        pixels = pixels.reshape(told["shape"])
        if self.limit is not None and len(pixels) > self.limit:
            self.answer({"error": f"expected at most {self.limit}"}, 400)
            return
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


@contextlib.contextmanager
def serving(**attributes):
    """Fake with these attributes; gives its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Spoilt", (Fake,), attributes))
    server.daemon_threads = True
    server.runtime = OrtCpu()
    server.runtime.open(DIGITS / "model.onnx")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def fake():
    """Starts Fake with attributes; answers its URL."""
    with contextlib.ExitStack() as started:
        yield lambda **attributes: started.enter_context(serving(**attributes))


def test_a_server_that_answers_right_passes(fake):
    report, latency = serve_check(fake(), DIGITS, requests=9)
    (result,) = report.results
    assert (report.ok, result.verdict, result.pictures, result.top1) == (True, "passed", 7 + 7 + 9, 1.0)
    assert result.ran == "fake 1, digits version 3, HTTP, binary"
    assert latency.requests == 9
    assert 0 < latency.p50 <= latency.p95


def spoilt(change):
    return {"spoil": staticmethod(change)}


def telling(name="pixels", datatype="UINT8", shape=(-1, 32, 32, 3)):
    return {"metadata": {"inputs": [{"name": name, "datatype": datatype, "shape": list(shape)}]}}


MORE = [{"name": "logits", "datatype": "FP32", "shape": [-1, 10]}, {"name": "more", "datatype": "FP32", "shape": [-1]}]
WRONG = {
    "a shift": (spoilt(lambda logits: logits + 0.001), "error"),
    "other classes": (spoilt(lambda logits: logits[:, ::-1]), "error"),
    "fewer classes": (spoilt(lambda logits: logits[:, :9]), "expected logits of shape"),
    "no numbers": (spoilt(lambda logits: logits * np.float32("nan")), "error inf"),
    "an error": ({"status": 500}, "on image-0"),
    "other rows": (spoilt(lambda logits: logits[::-1]), "on 7 samples together, tolerance"),
    "fewer rows": (spoilt(lambda logits: logits[:1]), "on 7 samples together: expected logits of shape"),
    "more outputs": ({"metadata": {"outputs": MORE}}, "expected logits on the server, got logits, more"),
    "no name": ({"metadata": {"outputs": [{}]}}, "expected metadata of the Open Inference Protocol"),
    "no table": ({"metadata": {"inputs": ["pixels"]}}, "expected metadata of the Open Inference Protocol"),
    "another dtype": (telling(datatype="FP32"), "in UINT8, got FP32"),
    "another shape": (telling(shape=(-1, 3, 32, 32)), "of shape"),
    "another name": (telling("image"), "expected pixels on the server, got image"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_server_that_answers_wrong_fails(fake, wrong):
    attributes, message = WRONG[wrong]
    report, latency = serve_check(fake(**attributes), DIGITS)
    (result,) = report.results
    assert (result.verdict, report.ok, latency) == ("failed", False, None)
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


@pytest.mark.parametrize("limit", [1, 3, 8, 0])
def test_no_more_pictures_at_once_than_the_server_takes(fake, limit):
    """As Triton tells it; 0 there is a model that takes what it is given."""
    sizes = []

    def seen(logits):
        sizes.append(len(logits))
        return logits

    attributes = {"limit": limit} if limit else {"limit": 1000, "metadata": {}}
    (result,) = serve_check(fake(spoil=staticmethod(seen), **attributes), DIGITS, requests=1)[0].results
    assert result.verdict == "passed", result
    assert sizes == [*[1] * 7, *{1: [1] * 7, 3: [3, 3, 1], 8: [7], 0: [7]}[limit], 1]
    assert f"up to {limit or 1000} picture{'' if limit == 1 else 's'} a request" in result.ran


def test_a_server_without_the_binary_extension_gets_json(fake):
    (result,) = serve_check(fake(extensions=()), DIGITS, requests=2)[0].results
    assert (result.verdict, result.ran) == ("passed", "fake 1, digits version 3, HTTP, JSON")


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
        ([url, "--bundle", DIGITS, "--model", "nothing"], "the model nothing on fake 1 (--model), got: unknown model (status 404)"),
        (["http://127.0.0.1:1", "--bundle", DIGITS], "Connection refused"),
        (["grpc://127.0.0.1:1", "--bundle", DIGITS], "absent: expected a server at grpc://127.0.0.1:1"),
        (["127.0.0.1:8000", "--bundle", DIGITS], "expected the URL of a server"),
        ([url, "--bundle", DIGITS / "golden"], "expected a bundle"),
        ([url, "--bundle", DIGITS, "--requests", "0"], "at least one request"),
        ([url, "--bundle", DIGITS, "--requests", "1000000000"], "100,000 at most"),
        ([url.replace("http", "grpc"), "--bundle", DIGITS], "is it its port for HTTP?"),
    ):
        done = run("serve-check", *arguments)
        assert done.returncode == 1
        assert message in done.stderr
        assert "Traceback" not in done.stderr
        assert (done.stdout, len(done.stderr.splitlines())) == ("", 1)


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
