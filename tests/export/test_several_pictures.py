"""Two pictures of one file: attached at once or one after the other, each verified by itself; what is wrong in one of them is noticed."""

import json

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from preproc import graph
from preproc.bundle.inspection import describe, lines
from preproc.cli import main
from preproc.errors import PreprocError, VerificationError
from preproc.export import attach, export_bundle, verify_bundle
from preproc.export.serving import package
from preproc.sources import PixelsSpec, parse_recipe
from preproc.steps import FromPixels, Letterbox, Normalize, Rescale, Resize
from preproc.verify import inputs
from tests.damage import edit_onnx
from tests.inputs_of_files import SHAPE, node, stereo
from tests.onnx_files import in_one_thread

STEPS = (Rescale(), Normalize.preset("imagenet"))
OTHERS = (Rescale(), Normalize(mean=(0.4, 0.5, 0.3), std=(0.2, 0.3, 0.25), unit="0-1"))
INCEPTION = (Rescale(), Normalize.preset("inception"))


def put(file, out, names, *, steps=STEPS, color="RGB", layout="NHWC", **options):
    spec = PixelsSpec(layout=layout, color=color, dtype="uint8", size=options.pop("size", None), channels=3)
    return attach(file, out, steps=steps, pixels=spec, input_name=names, **options)


def expected(file, left, right, steps=(STEPS, STEPS)):
    """By hand, in float64 up to the network."""
    ready = [(x / 255 - one[1].mean) / one[1].std for x, one in zip((left, right), steps, strict=True)]
    feeds = {name: np.moveaxis(x, 3, 1).astype(np.float32) for name, x in zip(("left", "right"), ready, strict=True)}
    return in_one_thread(file).run(None, feeds)[0]


def answer(file, **feeds):
    return in_one_thread(file).run(None, feeds)[0]


def check(bundle, file, steps=(STEPS, STEPS)):
    """That the file computes what is said by hand, that all pictures are in the golden samples, and that it can be verified and looked
    at."""
    assert bundle.report.ok, [result.reason for result in bundle.report.results]
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 256, (2, 2, 10, 12, 3), dtype=np.uint8)
    got, by_hand = answer(bundle.folder / "model.onnx", pixels=left, pixels_right=right), expected(file, left, right, steps)
    np.testing.assert_allclose(got, by_hand, rtol=0, atol=1e-4 * np.abs(by_hand).max())
    for case in bundle.golden():
        assert case.pixels.dtype == case.others["pixels_right"].dtype == np.uint8
        assert not np.array_equal(case.pixels, case.others["pixels_right"])
    assert describe(bundle.folder / "model.onnx")["agreement"] == {"agrees": True, "wrong": [], "not_compared": []}
    assert verify_bundle(bundle.folder, runtimes=["ort-cpu"]).ok


@pytest.mark.parametrize("apart", [False, True])
def test_two_pictures_get_the_same_steps_in_one_go(tmp_path, apart):
    file = stereo(tmp_path, apart=apart)
    bundle = put(file, tmp_path / "out", ["left", "right"])
    check(bundle, file)
    contract = bundle.contract
    (right,) = contract["pictures"]
    assert (contract["input"]["name"], contract["backbone"]["input"]) == ("pixels", "left")
    assert (right["name"], right["input"], right["shape"]) == ("pixels_right", "right", ["N", 10, 12, 3])
    assert right["fold"]["folded"]
    assert contract["other_inputs"] == [{"name": "pixels_right", "dtype": "uint8", "shape": ["N", 10, 12, 3]}]
    names = [control.name for control in bundle.report.power.controls]
    for picture in ("pixels", "pixels_right"):
        assert {f"{picture}: {mistake}" for mistake in ("mean shifted by one grey level", "channels swapped", "uncorrected border")} <= {
            *names
        }
    told = lines(describe(bundle.folder))
    assert [line for line in told if line.startswith("input")] == [
        "input    pixels: uint8 NHWC RGB ['N', 10, 12, 3]",
        "input    pixels_right: uint8 NHWC RGB ['N', 10, 12, 3]",
    ]
    assert len([line for line in told if line.startswith("fold")]) == 2
    assert verify_bundle(bundle.folder, recipe=file).ok


def test_pictures_that_want_other_steps_are_attached_one_after_the_other(tmp_path):
    """The second time against the file of the first, which takes real pictures where it has them."""
    file = stereo(tmp_path)
    assert put(file, tmp_path / "one.onnx", "left").ok
    bundle = put(tmp_path / "one.onnx", tmp_path / "two", "right", steps=INCEPTION)
    check(bundle, file, (STEPS, INCEPTION))
    contract = bundle.contract
    assert contract["given"] == ["pixels"]
    assert [step["step"] for step in contract["steps"]] == ["from_pixels", "rescale", "normalize"]
    assert contract["steps"][2]["origin"] == "preset imagenet"
    assert contract["pictures"][0]["steps"][2]["origin"] == "preset inception"
    names = [control.name for control in bundle.report.power.controls]
    assert all(name.startswith("pixels_right: ") for name in names)
    assert verify_bundle(bundle.folder, recipe=tmp_path / "one.onnx").ok
    told = "\n".join(lines(describe(bundle.folder / "model.onnx")))
    assert "note     pixels: taken as pixels by the file that it was made from, too" in told
    with pytest.raises(PreprocError, match=r"expected the name of an input, got 'left'"):
        put(bundle.folder / "model.onnx", tmp_path / "three.onnx", "left")
    with pytest.raises(PreprocError, match="takes raw pixels already"):
        put(bundle.folder / "model.onnx", tmp_path / "three.onnx", "pixels_right")


def test_a_file_that_does_not_do_what_its_contract_says_is_attached_to_by_force_only(tmp_path):
    file = stereo(tmp_path, apart=True)
    put(file, tmp_path / "one.onnx", "left")
    proto = onnx.load(tmp_path / "one.onnx")
    weight = next(tensor for tensor in proto.graph.initializer if tensor.name == "w")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * 2, "w"))
    onnx.save(proto, tmp_path / "one.onnx")
    with pytest.raises(PreprocError, match="whose input is not that contract's any more; --force"):
        put(tmp_path / "one.onnx", tmp_path / "two.onnx", "right")


@pytest.mark.parametrize("mistake", ["constants swapped", "colours of one"])
def test_what_is_wrong_in_one_picture_is_noticed(tmp_path, mistake):
    file = stereo(tmp_path)
    put(file, tmp_path / "one.onnx", "left", fold="off")
    bundle = put(tmp_path / "one.onnx", tmp_path / "two", "right", steps=OTHERS, fold="off")

    def change(model):
        ours = [each for each in model.graph if each.name.startswith("preproc/") and each.op_type in ("Mul", "Div", "Add", "Sub")]
        right = [each for each in ours if each.name.startswith("preproc/pixels_right/")]
        pairs = list(zip([each for each in ours if each not in right], right, strict=False))
        assert pairs
        for one, other in pairs if mistake == "constants swapped" else ():
            left, right = one.inputs[1], other.inputs[1]
            one.replace_input_with(1, right)
            other.replace_input_with(1, left)
        if mistake == "colours of one":
            value = pairs[0][1].inputs[0]
            cast = value.producer()
            turned = graph_node("Gather", [cast.outputs[0], index(model)], axis=1)
            model.graph.insert_after(cast, turned)
            pairs[0][1].replace_input_with(0, turned.outputs[0])

    edit_onnx(bundle.folder, change)
    assert not verify_bundle(bundle.folder, runtimes=["ort-cpu"]).ok
    agreement = describe(bundle.folder / "model.onnx")["agreement"]
    assert any(text.startswith("pixels_right: ") for text in agreement["wrong"])


def graph_node(op, inputs, **attributes):
    import onnx_ir as ir

    return ir.node(op, inputs=inputs, attributes=attributes, outputs=[ir.Value(name=f"damage/{op}")], name=f"damage/{op}")


def index(model):
    import onnx_ir as ir

    value = ir.Value(name="damage/index", const_value=ir.tensor(np.array([2, 1, 0]), name="damage/index"))
    model.graph.register_initializer(value)
    return value


@pytest.mark.parametrize("wrong", ["left", "right"])
def test_a_wrong_file_is_not_written(tmp_path, monkeypatch, wrong):
    real = graph.attach

    def attached(model, steps, *rest, **options):
        steps = [FromPixels(layout="NHWC", color="BGR"), *steps[1:]] if options["old"] == wrong else steps
        return real(model, steps, *rest, **options)

    monkeypatch.setattr(graph, "attach", attached)
    with pytest.raises(VerificationError, match=r"ort-cpu: error .*tolerance"):
        put(stereo(tmp_path), tmp_path / "out", ["left", "right"])
    assert not (tmp_path / "out").exists()


def test_the_verdict_says_in_which_picture_a_mistake_would_not_show(tmp_path):
    report = put(stereo(tmp_path, blind=True), tmp_path / "o.onnx", ["left", "right"])
    assert not report.ok
    reason = report.results[-2].reason or report.results[0].reason
    assert "these mistakes would move the outputs by less than" in reason
    assert "pixels_right: channels swapped" in reason
    assert "pixels: channels swapped" not in reason


@pytest.mark.parametrize(
    ("shapes", "steps"),
    [
        ((["N", 3, "h", "w"], ["N", 3, "h", "w"]), STEPS),
        (([3, 10, 12], [3, 10, 12]), STEPS),
        (([2, 3, 10, 12], [2, 3, 10, 12]), STEPS),
        ((SHAPE, SHAPE), (Letterbox(size=(10, 12), interpolation="bilinear"), *STEPS)),
        ((SHAPE, ["N", 3, 8, 6]), STEPS),
        ((SHAPE, [1, 3, 8, 6]), (Resize(size=(10, 12)), *STEPS)),
    ],
    ids=["free sides", "no batch", "fixed batch", "letterboxed", "another size", "does not fit"],
)
def test_pictures_of_every_shape(tmp_path, shapes, steps):
    file = stereo(tmp_path, shapes, opset=18)
    if shapes[0] == [3, 10, 12]:
        proto = onnx.load(file)
        proto.graph.initializer.append(numpy_helper.from_array(np.array([0]), "zero"))
        for position, name in enumerate(("left", "right")):
            proto.graph.node.insert(position, node("Unsqueeze", [name, "zero"], [f"{name}4"]))
            next(each for each in proto.graph.node if each.op_type == "Conv" and name in each.input).input[0] = f"{name}4"
        onnx.save(proto, file)
    if shapes[1] == [1, 3, 8, 6]:
        with pytest.raises(PreprocError, match="expected height 8, which the model's input right has, got 10"):
            put(file, tmp_path / "out", ["left", "right"], steps=steps)
        return
    sizes = [(10, 12), (14, 9)] if shapes[0][2] == "h" else ()
    bundle = put(file, tmp_path / "out", ["left", "right"], steps=steps, verify_sizes=sizes)
    assert bundle.report.ok, [result.reason for result in bundle.report.results]
    assert describe(bundle.folder)["agreement"]["agrees"]
    assert verify_bundle(bundle.folder, recipe=file).ok


@pytest.mark.parametrize("free", [0, 1])
def test_sizes_to_verify_with_are_those_of_the_picture_that_is_free(tmp_path, free):
    shapes = [["N", 3, "h", "w"], ["N", 3, 10, 12]]
    file = stereo(tmp_path, shapes if free == 0 else shapes[::-1])
    bundle = put(file, tmp_path / "out", ["left", "right"], verify_sizes=[(14, 9), (20, 31)])
    assert bundle.report.ok, [result.reason for result in bundle.report.results]
    assert bundle.contract["verified_sizes"] == [[14, 9], [20, 31]]
    own, other = ("pixels", "pixels_right")[:: 1 if free == 0 else -1]
    shapes = [({"pixels": case.pixels} | dict(case.others)) for case in bundle.golden()]
    assert {case[own].shape[1:3] for case in shapes} >= {(14, 9), (20, 31)}
    assert {case[other].shape[1:3] for case in shapes} == {(10, 12)}
    assert verify_bundle(bundle.folder, recipe=file, runtimes=["ort-cpu"]).ok


@pytest.mark.parametrize("sides", [("h", "w"), (None, None)])
def test_an_input_that_is_no_picture_yet_has_the_sides_of_the_one_that_is(tmp_path, sides):
    """A network that compares two pictures wants them of one size, whatever that is."""
    file = stereo(tmp_path, (["N", 3, *sides], ["N", 3, *sides]))
    proto = onnx.load(file)
    proto.graph.node.insert(0, node("Sub", ["left", "right"], ["apart"]))
    next(each for each in proto.graph.node if each.op_type == "Conv").input[0] = "apart"
    onnx.save(proto, file)
    sizes = [(10, 12), (14, 9)]
    assert put(file, tmp_path / "one.onnx", "left", verify_sizes=sizes).ok
    bundle = put(tmp_path / "one.onnx", tmp_path / "two", None, verify_sizes=sizes)  # no other takes floats
    assert bundle.report.ok
    assert {case.pixels.shape == case.others["pixels_right"].shape for case in bundle.golden()} == {True}


def test_a_recipe_says_several_inputs(tmp_path):
    stereo(tmp_path)
    recipe = {
        "name": "stereo",
        "backbone": {"source": "onnx", "weights": "m.onnx", "color": "RGB", "input": ["left", "right"]},
        "pixels": {"layout": "NHWC", "color": "RGB", "size": [10, 12]},
        "steps": [{"step": "rescale"}, {"step": "normalize", "preset": "imagenet"}],
        "export": {"formats": ["onnx"]},
    }
    bundle = export_bundle(parse_recipe(recipe, folder=tmp_path), tmp_path / "stereo")
    check(bundle, tmp_path / "m.onnx")
    for wrong in ([], ["left", "left"], ["left", 2], 3):
        with pytest.raises(PreprocError, match=r"\[backbone\] input: expected"):
            parse_recipe(recipe | {"backbone": recipe["backbone"] | {"input": wrong}}, folder=tmp_path)


def test_the_command_line_takes_input_twice(tmp_path, monkeypatch, capsys):
    file = stereo(tmp_path)

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["preproc", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code

    assert run("attach", file, "-o", tmp_path / "o.onnx", "--preset", "imagenet", "--input", "left", "--input", "right", "--no-verify") == 0
    assert run("attach", file, "-o", tmp_path / "p.onnx", "--preset", "imagenet", "--input", "left", "--input", "left") == 1
    assert "expected different inputs, got left, left" in capsys.readouterr().err
    astronaut, told = inputs.PHOTOGRAPHS / "astronaut.jpg", tmp_path / "o.png"
    assert run("show", astronaut, tmp_path / "o.onnx", "-o", told, "--input", "pixels_right", "--against", tmp_path / "o.onnx") == 0
    assert "differ by up to 0" in capsys.readouterr().out
    assert run("show", astronaut, tmp_path / "o.onnx", "-o", told, "--input", "left") == 1
    assert "expected --input to be one of pixels, pixels_right, got 'left'" in capsys.readouterr().err
    assert run("inspect", tmp_path / "o.onnx", "--json") == 0
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)["contract"]["pictures"]] == ["pixels_right"]


def test_a_server_is_told_of_both(tmp_path):
    pytest.importorskip("tritonclient.grpc", reason="Triton's schema is the extra serve")
    bundle = put(stereo(tmp_path), tmp_path / "out", ["left", "right"])
    told = []
    version = package(bundle.folder, tmp_path / "repository", progress=told.append)
    assert told == []
    config = (version.parent / "config.pbtxt").read_text()
    assert config.count("TYPE_UINT8") == 4  # two inputs, and their warm-up
    assert "max_batch_size: 8" in config
