"""preproc attach: the nine topologies of the onnx wheel, hand-made files, and every wrong one. No torch on this path."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

from preproc import graph
from preproc.bundle.inspection import describe, lines
from preproc.errors import PreprocError, VerificationError
from preproc.export import exporter, verify_bundle
from preproc.graph import picture_input
from preproc.oracle import reference
from preproc.sources import PixelsSpec, parse_recipe, replace
from preproc.steps import FromPixels, Normalize, Rescale
from preproc.verify.runtimes import onnxruntime
from tests.commands import run
from tests.conftest import ROOT
from tests.onnx_files import STEPS, hand_made, put

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
LARGE = {"vgg19", "zfnet512"}
"""A minute, for what bvlc_alexnet shows."""
CUT = {"bvlc_alexnet": "Reshape"}
"""Before the first of these: behind it are 234 MB of matrices that attach does not look at."""
NAMES = sorted({file.stem.removeprefix("light_") for file in LIGHT.glob("*.onnx")} - LARGE)


def lively(name):
    """A topology whose constant weights have become seeded random ones, and whose last Softmax is gone: it reacts to its input."""
    proto, rng = onnx.load(LIGHT / f"light_{name}.onnx"), np.random.default_rng(3)
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    roles = {source: (node.op_type, index) for node in proto.graph.node for index, source in enumerate(node.input)}

    def random(shape, role):
        op, index = role
        if op == "Unsqueeze" or (
            op == "BatchNormalization" and index in (1, 4)
        ):  # scales (Caffe's Scale layers are unsqueezed) and variances
            return rng.uniform(0.5, 1.5, shape)
        return rng.normal(0, np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.1, shape)

    made = {node.output[0]: tuple(arrays[node.input[0]]) for node in proto.graph.node if node.op_type == "ConstantOfShape"}
    made |= {key: array.shape for key, array in arrays.items() if roles.get(key, ("", 0))[0] in ("BatchNormalization", "Unsqueeze")}
    nodes = [node for node in proto.graph.node if node.op_type != "ConstantOfShape"]
    if name in CUT:
        nodes = nodes[: [node.op_type for node in nodes].index(CUT[name])]
        proto.graph.output[0].name = nodes[-1].output[0]
        proto.graph.output[0].type.tensor_type.ClearField("shape")
    read = {source for node in nodes for source in node.input}
    kept = [tensor for tensor in proto.graph.initializer if tensor.name not in made]
    weights = [numpy_helper.from_array(random(shape, roles[key]).astype(np.float32), key) for key, shape in made.items() if key in read]
    if nodes[-1].op_type == "Softmax":
        proto.graph.output[0].name = nodes.pop().input[0]
        proto.graph.output[0].type.tensor_type.ClearField("shape")
    proto.graph.ClearField("initializer")
    proto.graph.ClearField("node")
    proto.graph.initializer.extend(kept + weights)
    proto.graph.node.extend(nodes)
    return proto


def load_lively(name, folder):
    """Through a file, as anybody loads one."""
    file = folder / f"{name}.onnx"
    if not file.exists():
        onnx.save(lively(name), file)
    return graph.load(file)


def runner(model, *more):
    """Runs the model and gives its outputs, and the values called `more`."""
    for name in more:
        made = next(value for node in model.graph for value in node.outputs if value.name == name)
        made.dtype = ir.DataType.FLOAT
        model.graph.outputs.append(made)
    session = onnxruntime().InferenceSession(graph.to_bytes(model), providers=["CPUExecutionProvider"])
    image = next(value.name for value in session.get_inputs())
    return lambda x: session.run(None, {image: x})


def first_convolution(model):
    return next(node.outputs[0].name for node in model.graph if node.op_type == "Conv")


def far(got, want):
    return max(float(np.abs(a.astype(np.float64) - b).max() / np.abs(b).max()) for a, b in zip(got, want, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_real_topologies_answer_as_before(name, rng, tmp_path):
    bare = load_lively(name, tmp_path)
    first = first_convolution(bare)
    original = runner(bare, first)
    for fold, layout, color in (("auto", "NHWC", "BGR"), ("off", "NCHW", "RGB")):
        steps = (FromPixels(layout=layout, color=color), *STEPS)
        model, spec = (
            load_lively(name, tmp_path),
            PixelsSpec(layout=layout, color=color, dtype="uint8", size=(224, 224), channels=3, batch=1),
        )
        done = graph.attach(model, steps, spec, fold=fold)
        assert done.folded == (fold == "auto"), done.reason
        run = runner(model, first)
        x = rng.integers(0, 255, spec.shape(1), dtype=np.uint8)
        want = original(reference.apply(steps, x).astype(np.float32))
        assert far(run(x), want) < 2e-5
        channels = -1 if layout == "NHWC" else 1
        swapped, shifted = run(np.flip(x, channels).copy()), run(x + 1)
        assert far(swapped[:1], want[:1]) > 2e-4
        assert far(shifted[:1], want[:1]) > 2e-4
        assert far(swapped[1:], want[1:]) > 2e-3
        assert far(shifted[1:], want[1:]) > 2e-4


NHWC = [helper.make_node("Transpose", ["image"], ["first"], perm=[0, 3, 1, 2])]


@pytest.mark.parametrize(
    ("options", "input_shape"),
    [
        ({}, ["N", 24, 20, 3]),
        ({"shape": (1, 3, 24, 20)}, [1, 24, 20, 3]),
        ({"shape": (3, 3, 24, 20)}, [3, 24, 20, 3]),
        ({"shape": ("batch", 24, 20, 3), "nodes": NHWC}, ["N", 24, 20, 3]),
        ({"shape": ("N", 3, "h", "w")}, ["N", "height", "width", 3]),
        ({"shape": (None, 3, None, None)}, ["N", "height", "width", 3]),
        ({"opset": 9, "ir_version": 3}, ["N", 24, 20, 3]),
        ({"opset": 13, "ir_version": 7}, ["N", 24, 20, 3]),
        ({"opset": 22, "ir_version": 10}, ["N", 24, 20, 3]),
    ],
    ids=str,
)
def test_the_inputs_own_shape_type_and_versions_are_kept(tmp_path, options, input_shape):
    file = hand_made(tmp_path, **options)
    before = file.read_bytes()
    bundle = put(file, tmp_path / "out")
    assert bundle.report.ok, [result.reason for result in bundle.report.results]
    assert bundle.contract["fold"]["onnx"]["form"] == "subtract"
    assert bundle.contract["input"]["shape"] == input_shape
    assert [output["name"] for output in bundle.contract["outputs"]] == ["scores/out:0"]
    assert file.read_bytes() == before
    old, new = ir.load(file), ir.load(bundle.folder / "model.onnx")
    assert (new.opset_imports, new.ir_version) == (old.opset_imports, old.ir_version)
    assert picture_input(old).batch == (input_shape[0] if isinstance(input_shape[0], int) else None)
    assert verify_bundle(bundle.folder, runtimes=["ort-cpu"]).ok


def test_what_is_not_touched_stays(tmp_path):
    file = hand_made(tmp_path, metadata={"author": "somebody", "license": "MIT"})
    old, new = ir.load(file), ir.load(put(file, tmp_path / "out").folder / "model.onnx")
    assert dict(old.metadata_props).items() <= dict(new.metadata_props).items()
    assert (old.producer_name, old.graph.name, old.graph.doc_string) == (new.producer_name, new.graph.name, new.graph.doc_string)
    theirs = [node for node in new.graph if not node.name.startswith("preproc/")]
    assert [
        (node.op_type, node.name, node.doc_string, [v.name for v in node.outputs], dict(node.attributes).keys()) for node in theirs
    ] == [(node.op_type, node.name, node.doc_string, [v.name for v in node.outputs], dict(node.attributes).keys()) for node in old.graph]
    assert np.array_equal(new.graph.initializers["h"].const_value.numpy(), old.graph.initializers["h"].const_value.numpy())
    assert not np.array_equal(new.graph.initializers["w"].const_value.numpy(), old.graph.initializers["w"].const_value.numpy())


def test_a_bare_file_may_replace_one_of_ours_and_its_weights(tmp_path):
    (tmp_path / "external").mkdir()
    proto = onnx.load(hand_made(tmp_path / "external"))
    onnx.save(proto, tmp_path / "external" / "m.onnx", save_as_external_data=True, size_threshold=0)
    put(tmp_path / "external" / "m.onnx", tmp_path / "new" / "o.onnx")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["o.onnx", "o.onnx.data"]
    put(hand_made(tmp_path), tmp_path / "new" / "o.onnx")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["o.onnx"]


def test_raw_pixels_in_front_of_a_network_that_normalizes_itself(tmp_path):
    """The everyday case of a torchvision Normalize inside the file: steps that end in 0..1."""
    bundle = put(hand_made(tmp_path, nodes=TWICE), tmp_path / "out", steps=[Rescale()])
    assert bundle.report.ok
    assert bundle.contract["notes"] == [
        "the network normalizes its input itself, (x - 0.5) / 0.5, which is inception or siglip, of values in 0-1"
    ]


def test_upper_and_lower_case_are_the_same(tmp_path):
    hand_made(tmp_path)
    cli("m.onnx", "-o", "a.onnx", "--preset", "imagenet", "--color", "bgr", "--layout", "nhwc", "--no-verify", cwd=tmp_path)
    cli("m.onnx", "-o", "b/a.onnx", "--preset", "imagenet", "--color", "BGR", "--layout", "NHWC", "--no-verify", cwd=tmp_path)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b" / "a.onnx").read_bytes()


def test_a_bare_file_is_the_one_that_was_verified(tmp_path):
    file = hand_made(tmp_path)
    bundle = put(file, tmp_path / "bundle")
    assert put(file, tmp_path / "bundle.onnx").ok
    assert (tmp_path / "bundle.onnx").read_bytes() == (bundle.folder / "model.onnx").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "bundle.onnx", "m.onnx"]


@pytest.mark.parametrize("mistake", ["swapped", "shifted"])
def test_a_wrong_file_is_not_written(tmp_path, monkeypatch, mistake):
    real = graph.attach
    wrong = {
        "swapped": lambda steps: [FromPixels(layout="NHWC", color="RGB"), *steps[1:]],
        "shifted": lambda steps: [*steps[:2], Normalize(mean=[m + 1 / 255 for m in steps[2].mean], std=steps[2].std, unit="0-1")],
    }[mistake]
    monkeypatch.setattr(graph, "attach", lambda model, steps, *rest, **options: real(model, wrong(steps), *rest, **options))
    for out in ("out", "out.onnx"):
        with pytest.raises(VerificationError, match=r"ort-cpu: error .*tolerance"):
            put(hand_made(tmp_path), tmp_path / out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx"]


SECOND = helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["N", 1, 24, 20])
TWICE = [
    helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(np.float32([0.5]))),
    helper.make_node("Sub", ["image", "k"], ["s"]),
]
TWICE += [helper.make_node("Div", ["s", "k"], ["first"])]
BYTES = [helper.make_node("Cast", ["image"], ["bytes"], to=TensorProto.UINT8), helper.make_node("Cast", ["bytes"], ["first"], to=1)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": TensorProto.FLOAT16}, "expected a model in float32 or float64, got image in FLOAT16"),
        ({"dtype": TensorProto.DOUBLE}, "expected a model that ONNX Runtime can run, got: .*Could not find an implementation for Conv"),
        ({"shape": (3, 24, 20)}, r"a float picture \(N, C, H, W\), got: image"),
        ({"extra": [SECOND]}, "expected one input that takes a picture, got 2: .*; choose with --input NAME"),
        ({"shape": ("N", 1, 24, 20)}, "takes 3 channels, as the steps make, got 1 in image"),
        ({"nodes": TWICE}, r"the network normalizes its input itself, \(x - 0\.5\) / 0\.5, which is inception or siglip, of values in 0-1"),
        ({"nodes": BYTES}, "the network casts its input to raw pixels of 0-255, and the steps hand it values in -2.1"),
        ({"metadata": {"preproc.contract": "{}"}}, "whose input is not that contract's any more; --force"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_models_that_do_not_fit_are_refused(tmp_path, options, message):
    file = hand_made(tmp_path, **options)
    with pytest.raises(PreprocError, match=message) as caught:
        put(file, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_force_attaches_all_the_same_and_the_contract_says_so(tmp_path):
    bundle = put(hand_made(tmp_path, nodes=TWICE), tmp_path / "out", force=True)
    assert bundle.report.ok
    assert bundle.contract["backbone"]["override"] == "--force"


def test_a_second_attach_is_refused(tmp_path):
    bundle = put(hand_made(tmp_path), tmp_path / "out")
    with pytest.raises(PreprocError, match=r"takes raw pixels already: .*; it was made by preproc: attach to the original instead"):
        put(bundle.folder / "model.onnx", tmp_path / "again")


def cli(*arguments, cwd, check=0):
    return run("attach", *arguments, cwd=cwd, check=check)


ENVIRONMENT = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "ORT_DISABLE_TELEMETRY": "1"}
IMAGENET = ["--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225", "--units", "0-1"]


def test_the_command_line(tmp_path):
    hand_made(tmp_path)
    preset = cli("m.onnx", "-o", "a", "--preset", "imagenet", "--color", "BGR", cwd=tmp_path)
    assert "ort-cpu" in preset.stdout
    assert "a: published" in preset.stdout
    document = json.loads(cli("m.onnx", "-o", "b.onnx", *IMAGENET, "--color", "BGR", "--json", cwd=tmp_path).stdout)
    assert document["written"] == "b.onnx"
    recipe = f'name = "x"\n[backbone]\nsource = "onnx"\nweights = "{tmp_path}/m.onnx"\ncolor = "RGB"\n[pixels]\nlayout = "NHWC"\n'
    recipe += 'color = "BGR"\nsize = [24, 20]\n[[steps]]\nstep = "rescale"\n[[steps]]\nstep = "normalize"\npreset = "imagenet"\n'
    (tmp_path / "r.toml").write_text(recipe)
    cli("m.onnx", "-o", "c.onnx", "--recipe", "r.toml", cwd=tmp_path)
    weights = [ir.load(tmp_path / file).graph.initializers["w"].const_value.numpy() for file in ("a/model.onnx", "b.onnx", "c.onnx")]
    assert np.array_equal(weights[0], weights[1])
    assert np.array_equal(weights[0], weights[2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["m.onnx", "-o", "a"],
            "expected one of --preset, --mean with --std and --units, --huggingface, --timm, --torchvision or --recipe, got none",
        ),
        (
            ["m.onnx", "-o", "a", "--preset", "imagenet", *IMAGENET],
            "expected --preset without --mean and --std and --units, which it says itself, got both",
        ),
        (["m.onnx", "-o", "a", "--preset", "imagnet"], "did you mean 'imagenet'"),
        (["m.onnx", "-o", "a", *IMAGENET[:4]], "expected --mean, --std and --units together"),
        (["m.onnx", "-o", "a", *IMAGENET[:5], "0-2"], "expected --units to be one of 0-1, 0-255"),
        (["m.onnx", "-o", "a", "--mean", "a,b", *IMAGENET[2:]], "expected --mean to be numbers"),
        (["m.onnx", "-o", "a", *IMAGENET[:3], "1,1", *IMAGENET[4:]], "expected a std for each mean, got 3 means and 2 stds"),
        (["m.onnx", "-o", "a", "--preset", "caffe", "--dtype", "uint16"], "expected uint16 pixels for constants in 0-1"),
        (["m.onnx", "-o", "a", "--preset", "imagenet", "--color", "RBG"], "expected --color to be one of"),
        (["m.onnx", "-o", "a b", "--preset", "imagenet"], "expected letters, digits"),
        (["m.onnx", "-o", "a", "--preset", "imagenet", "--units", "0-1"], "expected --preset without --units"),
        (["m.onnx", "-o", "a", "--recipe", "r.toml", "--color", "RGBA"], "expected --recipe without --color, which it says itself"),
        (["m.onnx", "-o", "a", "--preset", "imagenet", "--fold", "never"], "expected fold to be one of auto, off, require"),
        (["m.onnx", "-o", "a", "--preset", "imagenet", "--model-color", "XYZ"], "expected --model-color to be one of"),
        (["m.onnx", "-o", "a", *IMAGENET[:5], "0-255"], "they are numbers of the unit 0-1"),
        (["m.onnx", "-o", "a", "--preset", "mnist"], "expected one number per channel, 3 for RGB pixels, got 1 from preset mnist"),
        (["m.onnx", "-o", "other.onnx", "--preset", "imagenet"], "other.onnx: expected a free name, or a file that preproc has made"),
        (["m.onnx", "-o", "full", "--preset", "imagenet"], "full: expected a bundle to replace or nothing"),
        (["no.onnx", "-o", "a", "--preset", "imagenet"], "got nothing there"),
        (["text.onnx", "-o", "a", "--preset", "imagenet"], "expected an ONNX file"),
        (["empty.onnx", "-o", "a", "--preset", "imagenet"], "expected an ONNX file"),
        (["cut.onnx", "-o", "a", "--preset", "imagenet"], "expected an ONNX file"),
    ],
)
def test_a_users_mistake_is_one_line_and_nothing_is_written(tmp_path, arguments, message):
    file = hand_made(tmp_path)
    shutil.copy(file, tmp_path / "other.onnx")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    (tmp_path / "text.onnx").write_text("not a model")
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "cut.onnx").write_bytes(file.read_bytes()[:-100])
    before = sorted(tmp_path.iterdir())
    done = cli(*arguments, cwd=tmp_path, check=1)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if "error" in line]) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_no_torch_on_this_path(tmp_path):
    hand_made(tmp_path)
    code = "import sys; from preproc.cli.app import app; "
    code += "app(['attach', 'm.onnx', '-o', 'o.onnx', '--preset', 'imagenet'], standalone_mode=False); "
    code += "bad = {'torch', 'torchvision', 'timm'} & set(sys.modules); assert not bad, bad"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=ENVIRONMENT, check=True, capture_output=True)


@pytest.mark.parametrize("location", ["../secret.bin", "/secret.bin", "none.bin", "link.bin"])
def test_weights_outside_of_the_models_folder_are_not_read(tmp_path, location):
    folder = tmp_path / "sub"
    folder.mkdir()
    file, secret = hand_made(folder), tmp_path / "secret.bin"
    secret.write_bytes(bytes(864))
    (folder / "link.bin").symlink_to(secret)
    proto = onnx.load(file)
    tensor = proto.graph.initializer[0]
    set_external_data(
        tensor, location=location.replace("/secret.bin", str(secret)) if location[0] == "/" else location, offset=0, length=864
    )
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    file.write_bytes(proto.SerializeToString())
    with pytest.raises(PreprocError, match=r"m\.onnx: expected its weights in the files that it names") as caught:
        put(file, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_inspect_tells_what_a_bare_file_does_to_its_picture(tmp_path):
    told = "\n".join(lines(describe(hand_made(tmp_path))))
    assert "picture  image, NCHW\nreads    Identity first\nreads    Conv conv" in told
    assert "does not normalize raw pixels itself" in told
    assert "can be folded into its first convolution" in told
    twice = describe(hand_made(tmp_path, nodes=TWICE))
    assert twice["picture"]["normalizes"]
    assert "does     (x - 0.5) / 0.5, which is inception or siglip, of values in 0-1" in lines(twice)
    relu = describe(hand_made(tmp_path, nodes=[helper.make_node("Relu", ["image"], ["first"])]))
    assert "cannot be folded: Relu reads the input" in "\n".join(lines(relu))
    assert "no input takes a picture" in "\n".join(lines(describe(hand_made(tmp_path, shape=(3, 24, 20)))))


def two_outputs(tmp_path):
    proto = onnx.load(hand_made(tmp_path))
    proto.graph.output.append(helper.make_tensor_value_info("r", TensorProto.FLOAT, ["N", 8, 12, 10]))
    onnx.save(proto, tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def test_outputs_are_chosen_by_their_own_names(tmp_path):
    """Never renamed by position: a recipe that lists them in another order must not swap them."""
    file = two_outputs(tmp_path)
    recipe = parse_recipe(
        {
            "name": "m",
            "backbone": {"source": "onnx", "weights": "m.onnx", "color": "RGB", "outputs": ["r"]},
            "pixels": {"layout": "NHWC", "color": "RGB", "size": [24, 20]},
            "steps": [{"step": "rescale"}, {"step": "normalize", "preset": "imagenet"}],
            "export": {"formats": ["onnx"]},
        },
        folder=tmp_path,
    )
    bundle = exporter.export_bundle(recipe, tmp_path / "one")
    assert bundle.report.ok
    assert [output["shape"] for output in bundle.contract["outputs"]] == [["N", 8, 12, 10]]
    both = put(file, tmp_path / "both")
    assert [output["name"] for output in both.contract["outputs"]] == ["scores/out:0", "r"]
    with pytest.raises(PreprocError, match="expected some of scores/out:0, r, which the file has, got 'logits'"):
        exporter.export_bundle(replace(recipe, backbone={"outputs": ("logits",)}), tmp_path / "renamed")


def test_a_weight_made_by_broken_nodes_is_a_reason_not_a_traceback(tmp_path):
    file = hand_made(tmp_path)
    proto = onnx.load(file)
    proto.graph.initializer.append(numpy_helper.from_array(np.array([8, 3, 3, 2]), "wrong shape"))
    proto.graph.node.insert(0, helper.make_node("Reshape", ["w", "wrong shape"], ["bad"]))
    next(node for node in proto.graph.node if node.op_type == "Conv").input[1] = "bad"
    onnx.save(proto, file)
    with pytest.raises(PreprocError) as caught:
        put(file, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_value_called_pixels_is_in_the_way(tmp_path):
    nodes = [helper.make_node("Identity", ["image"], ["pixels"]), helper.make_node("Identity", ["pixels"], ["first"])]
    with pytest.raises(PreprocError, match="expected a model without a value named 'pixels'"):
        put(hand_made(tmp_path, nodes=nodes), tmp_path / "out")
