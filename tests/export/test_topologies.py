"""preproc attach on the nine topologies of the onnx wheel: they answer as before."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from preproc import graph
from preproc.oracle import reference
from preproc.sources import PixelsSpec
from preproc.steps import FromPixels
from tests.onnx_files import STEPS, in_one_thread

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
    session = in_one_thread(graph.to_bytes(model))
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
