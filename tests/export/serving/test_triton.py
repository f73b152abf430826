"""What config.pbtxt says to Triton of a bundle: shapes, batches, settings. Without a server."""

import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from preproc.bundle import hashes, open_bundle
from preproc.errors import PreprocError
from preproc.export import attach, export_bundle
from preproc.export.serving import package, triton
from preproc.export.serving.batches import in_one_request
from preproc.layers import FromPixels, Pipeline, Rescale, prepend
from preproc.sources import PixelsSpec
from preproc.steps import Resize
from tests.damage import recompiled
from tests.export.serving.repositories import DIGITS, config_of
from tests.onnx_files import STEPS, hand_made, put, several, single

TENSORRT = 'optimization { execution_accelerators { gpu_execution_accelerator { name: "tensorrt" } } }'


def test_a_repository_is_what_triton_documents(tmp_path):
    version = package(DIGITS, tmp_path / "repo")
    assert version == tmp_path / "repo" / "digits" / "1"
    assert sorted(hashes(tmp_path / "repo")) == ["digits/1/model.onnx", "digits/config.pbtxt", "digits/labels.txt", "digits/warmup/pixels"]
    assert (version / "model.onnx").read_bytes() == (DIGITS / "model.onnx").read_bytes()
    assert (version.parent / "labels.txt").read_text().split() == list("0123456789")
    config = config_of(version)
    (pixels,), (logits,) = config.input, config.output
    assert (config.name, config.backend, config.platform, config.max_batch_size) == ("digits", "onnxruntime", "onnxruntime_onnx", 8)
    assert (pixels.name, triton.schema_of().DataType.Name(pixels.data_type), list(pixels.dims)) == ("pixels", "TYPE_UINT8", [32, 32, 3])
    assert (logits.name, triton.schema_of().DataType.Name(logits.data_type), list(logits.dims)) == ("logits", "TYPE_FP32", [10])
    assert logits.label_filename == "labels.txt"
    assert list(config.dynamic_batching.preferred_batch_size) == [4, 8]
    assert [triton.schema_of().ModelInstanceGroup.Kind.Name(group.kind) for group in config.instance_group] == ["KIND_AUTO"]
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


def test_an_aotinductor_package_is_what_triton_documents(tmp_path, packaged):
    told = []
    version = package(packaged, tmp_path / "repo", backend="aoti", name="compiled", progress=told.append)
    assert sorted(hashes(version.parent)) == ["1/model.pt2", "config.pbtxt", "labels.txt", "warmup/pixels"]
    assert (version / "model.pt2").read_bytes() == (packaged / "model.aoti.pt2").read_bytes()
    config = config_of(version)
    (pixels,), (logits,), (warmup,) = config.input, config.output, config.model_warmup
    assert (config.name, config.backend, config.platform, config.default_model_filename, config.max_batch_size) == (
        "compiled",
        "pytorch",
        "torch_aoti",
        "model.pt2",
        8,
    )
    assert (pixels.name, triton.schema_of().DataType.Name(pixels.data_type), list(pixels.dims)) == ("INPUT__0", "TYPE_UINT8", [32, 32, 3])
    assert (logits.name, list(logits.dims), logits.label_filename) == ("OUTPUT__0", [10], "labels.txt")
    assert warmup.inputs.keys() == {"INPUT__0"}
    assert [triton.schema_of().ModelInstanceGroup.Kind.Name(group.kind) for group in config.instance_group] == ["KIND_CPU"]
    (note,) = told
    by = f"compiled by torch {torch.__version__.partition('+')[0]} for cpu, x86-64-v3"
    assert note.startswith(f"note: {by}: a Triton with that torch, or a newer one, loads it")


@pytest.mark.parametrize(
    ("device", "kind", "settings", "got"),
    [
        ("cpu", "gpu", "", "KIND_GPU"),
        ("cuda", "cpu", "", "KIND_CPU"),
        ("cpu", "auto", "instance_group { kind: KIND_AUTO count: 1 }", "KIND_AUTO"),
        ("cuda", "auto", "instance_group [{ kind: KIND_GPU count: 1 }, { kind: KIND_CPU count: 1 }]", "KIND_CPU, KIND_GPU"),
        ("cuda", "auto", "", None),
        ("cuda", "gpu", "instance_group { kind: KIND_GPU count: 2 gpus: 0 }", None),
    ],
)
def test_machine_code_is_served_on_its_device_alone(tmp_path, packaged, device, kind, settings, got):
    bundle = recompiled(Path(shutil.copytree(packaged, tmp_path / "bundle")), device=device)
    (tmp_path / "more.pbtxt").write_text(settings)
    given = {"backend": "aoti", "kind": kind, "settings": tmp_path / "more.pbtxt"}
    if got is None:
        (group,) = config_of(package(bundle, tmp_path / "repo", **given)).instance_group
        assert triton.schema_of().ModelInstanceGroup.Kind.Name(group.kind) == "KIND_GPU"
        return
    with pytest.raises(PreprocError, match=f"alone for a package that is compiled for {device}, which loads on nothing else, got {got};"):
        package(bundle, tmp_path / "repo", **given)
    assert not (tmp_path / "repo").exists()


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
    assert in_one_request(bundle.contract, bundle.golden()) == []


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


def test_sixteen_bits_are_not_for_the_pytorch_backend(tmp_path):
    torch.manual_seed(0)
    pipeline = Pipeline(FromPixels(layout="NCHW", pixel_dtype="uint16"), Rescale(scale=1 / 65535))
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4 * 64, 5))
    bundle = export_bundle(prepend(pipeline, net), tmp_path / "deep", example=torch.zeros(2, 3, 8, 8, dtype=torch.uint16))
    assert config_of(package(bundle.folder, tmp_path / "repo")).input[0].data_type == triton.schema_of().DataType.Value("TYPE_UINT16")
    with pytest.raises(PreprocError, match="pixels that Triton's pytorch backend takes, uint8, got uint16"):
        package(bundle.folder, tmp_path / "repo", backend="pytorch")
