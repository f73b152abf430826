"""python -m tests.survey_graphs COUNT [FIRST]: the fold on random graphs, in float64 by onnx's reference implementation.

Each seed is a network of one to three first layers, a convolution or a product with a matrix, each behind a chain of what stands in front
of such layers: borders, pools, resizes, cuts, maps of channels, space-to-depth by slices or by its operator, patches; at times something
that no fold can follow. The seeds FIRST.. are attached with random steps; the first answer that differs from that of the network as it was,
fed with what float64 steps make of the pixels, ends it. Every
second one is fed with NV12 or UYVY. Prints how many folded, in which form, and how many were refused, and why.
"""

import collections
import re
import sys

import numpy as np
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from preproc import graph
from preproc.folding import FOLDED
from preproc.oracle import reference
from preproc.sources import PixelsSpec
from preproc.steps import FromPixels, Normalize, Rescale, layouts_of

CHANNELS = {"RGB": 3, "BGR": 3, "RGBA": 4, "GRAY": 1}
STEPS = {
    "imagenet": [Rescale(), Normalize.preset("imagenet")],
    "one to one": [Rescale(scale=2 / 255, offset=-1.0)],
    "negated": [Rescale(scale=-1 / 255, offset=0.5)],
    "shifted": [Normalize(mean=(123.0, 117.0, 104.0), std=(1.0, 1.0, 1.0), unit="0-255")],
}
SIZE = (12, 10)
CAMERAS = {1: "NV12", 3: "UYVY"}
"""Every second seed has pixels of Y, U and V."""


class Network:
    """Nodes and constants that are added one by one. shape: of the value that was made last."""

    def __init__(self, rng):
        self.rng, self.nodes, self.constants, self.outputs = rng, [], {}, []
        self.shape = [2, 3, *SIZE]

    def constant(self, array):
        self.constants[name := f"k{len(self.constants)}"] = np.asarray(array)
        return name

    def add(self, op, *inputs, **attributes):
        given = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        self.nodes.append(helper.make_node(op, given, [name := f"v{len(self.nodes)}"], name=f"n{len(self.nodes)}", **attributes))
        return name

    def pick(self, *values):
        return values[self.rng.integers(len(values))]

    def side(self, low, high):
        return [int(number) for number in self.rng.integers(low, high + 1, 2)]

    def model(self):
        made = helper.make_graph(
            self.nodes,
            "random",
            [helper.make_tensor_value_info("x", TensorProto.DOUBLE, ["N", 3, *SIZE])],
            [helper.make_tensor_value_info(name, TensorProto.DOUBLE, None) for name in self.outputs],
            [numpy_helper.from_array(array, name) for name, array in self.constants.items()],
        )
        return ir.from_proto(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10))


def border(net, x):
    before, behind = net.side(0, 2), net.side(0, 2)
    net.shape[2:] = [side + one + other for side, one, other in zip(net.shape[2:], before, behind, strict=True)]
    value, mode = np.array(net.pick(0.0, 0.0, 0.5, -1.0)), net.pick("constant", "constant", "edge", "reflect")
    return net.add("Pad", x, np.array([0, 0, *before, 0, 0, *behind]), value, mode=mode)


def pool(net, x):
    kernel, strides, pads = net.side(2, 3), net.side(1, 2), net.side(0, 1)
    net.shape[2:] = [(side + 2 * p - k) // s + 1 for side, k, s, p in zip(net.shape[2:], kernel, strides, pads, strict=True)]
    op = net.pick("AveragePool", "AveragePool", "MaxPool")
    options = {} if op == "MaxPool" else {"count_include_pad": net.pick(0, 1)}
    return net.add(op, x, kernel_shape=kernel, strides=strides, pads=pads * 2, **options)


def resize(net, x):
    sizes, crop = net.side(6, 14), net.rng.random() < 0.2
    net.shape[2:] = sizes
    how = "tf_crop_and_resize" if crop else net.pick("half_pixel", "asymmetric", "align_corners")
    options = {"mode": net.pick("nearest", "linear"), "coordinate_transformation_mode": how, "axes": [2, 3]}
    roi = np.array([0.1, -0.2, 1.2, 0.9]) if crop else np.zeros(0)
    return net.add("Resize", x, roi, "", np.array(sizes), **options, extrapolation_value=net.pick(0.0, 7.0))


def cut(net, x):
    axis, step = net.pick(2, 3), net.pick(1, 2)
    side = net.shape[axis] - 1
    net.shape[axis] = len(range(side)[1::step])
    return net.add("Slice", x, np.array([1]), np.array([side]), np.array([axis]), np.array([step]))


def scale(net, x):
    shape = net.pick((1, net.shape[1], 1, 1), (1, 1, 1, 1))
    values = net.rng.uniform(0.5, 2, shape) * net.pick(1, 1, -1)
    return net.add(net.pick("Mul", "Div"), x, values) if net.rng.random() < 0.5 else net.add("Add", x, values)


def reorder(net, x):
    return net.add("Gather", x, net.rng.permutation(net.shape[1]), axis=1)


def turned(net, x):
    there = net.add("Transpose", x, perm=[0, 2, 3, 1])
    return net.add("Transpose", net.add("Mul", there, np.array(net.pick(1.0, 0.5))), perm=[0, 3, 1, 2])


def nonlinear(net, x):
    return net.add(net.pick("Relu", "Tanh", "Abs"), x)


def operator(net, x):
    """What is spelt otherwise: signs, sums, copies."""
    net.shape = list(net.shape)
    match net.rng.integers(6):
        case 0:
            return net.add("Neg", x)
        case 1:
            return net.add("Sum", x, net.rng.normal(size=(1, net.shape[1], 1, 1)), net.add("Mul", x, np.array(net.pick(0.5, 2.0))))
        case 2:
            mean = net.add("ReduceMean", x, np.array([2, 3]))
            return net.add("Sub", x, mean)
        case 3:
            net.shape[2] *= 2
            return net.add("Tile", x, np.array([1, 1, 2, 1]))
        case 4:
            net.shape[3] = 1
            summed = net.add(net.pick("ReduceSum", "ReduceMin"), x, np.array([3]))
            net.shape[3] = 5
            return net.add("Expand", summed, np.array([1, 1, 1, 5]))
        case _:
            later, axis = net.shape[2] - 1, np.array([2])
            net.shape[2] -= 1
            ends = (np.array([0]), np.array([later])), (np.array([1]), np.array([later + 1]))
            one, other = (net.add("Slice", x, start, end, axis) for start, end in ends)
            return net.add(net.pick("Add", "Sub"), one, other)


def focus(net, x):
    """YOLO's: four slices, one behind the other; or the operator."""
    height, width = (side // 2 * 2 for side in net.shape[2:])
    x = net.add("Slice", x, np.array([0, 0]), np.array([height, width]), np.array([2, 3]))
    net.shape = [net.shape[0], net.shape[1] * 4, height // 2, width // 2]
    if net.rng.random() < 0.4:
        return net.add("SpaceToDepth", x, blocksize=2)
    parts = [
        net.add("Slice", x, np.array(start), np.array([99, 99]), np.array([2, 3]), np.array([2, 2]))
        for start in ([0, 0], [1, 0], [0, 1], [1, 1])
    ]
    return net.add("Concat", *parts, axis=1)


CHAIN = [border, pool, resize, cut, scale, reorder, turned, operator, operator]


def first_layer(net, x):
    if net.rng.random() < 0.2:
        _, channels, height, width = net.shape
        x = net.add("Slice", x, np.array([0, 0]), np.array([height // 2 * 2, width // 2 * 2]), np.array([2, 3]))
        split = net.add("Reshape", x, np.array([0, channels, height // 2, 2, width // 2, 2]))
        flat = net.add("Transpose", split, perm=[0, 2, 4, *net.pick([1, 3, 5], [3, 5, 1])])
        tokens = net.add("Reshape", flat, np.array([0, (height // 2) * (width // 2), channels * 4]))
        made = net.add("MatMul", tokens, net.rng.normal(size=(channels * 4, 5)))
        return net.add("Add", made, net.rng.normal(size=5)) if net.rng.random() < 0.7 else made
    if net.rng.random() < 0.15:
        letters = net.pick("nchw,oc->nohw", "nchw,co->nhwo", "oc,nchw->nohw")
        weight = net.rng.normal(size=(5, net.shape[1]) if "oc" in letters else (net.shape[1], 5))
        return net.add("Einsum", *([weight, x] if letters.startswith("oc") else [x, weight]), equation=letters)
    kernel, pads = net.side(1, 3), net.side(0, 1)
    if net.rng.random() < 0.2:
        strides = net.side(1, 2)
        more = {"output_padding": [net.pick(0, stride - 1) for stride in strides], "pads": net.pick([0] * 4, [0, 0, 1, 0])}
        return net.add("ConvTranspose", x, net.rng.normal(size=(net.shape[1], 4, *kernel)), strides=strides, **more)
    group = net.shape[1] if net.rng.random() < 0.2 else 1
    weight = net.rng.normal(size=(4 * group, net.shape[1] // group, *kernel))
    name = net.constant(weight)
    if net.rng.random() < 0.3:
        name = net.add(net.pick("Mul", "Add"), name, net.rng.uniform(0.5, 2, (len(weight), 1, 1, 1)))
    bias = [net.rng.normal(size=len(weight))] if net.rng.random() < 0.5 else []
    return net.add("Conv", x, name, *bias, pads=pads * 2, strides=net.side(1, 2), group=group)


def random_network(rng):
    net = Network(rng)
    for _ in range(rng.integers(1, 4)):
        net.shape, x = [2, 3, *SIZE], "x"
        for _ in range(rng.integers(0, 4)):
            if min(net.shape[2:]) >= 5:
                x = (nonlinear if rng.random() < 0.04 else CHAIN[rng.integers(len(CHAIN))])(net, x)
        if rng.random() < 0.25 and min(net.shape[2:]) >= 6:
            x = focus(net, x)
        net.outputs.append(first_layer(net, x))
    return net


def one(seed, camera=None):
    """What came of a seed, and the largest error of a fold. camera: a colour of Y, U and V that its pixels have."""
    rng = np.random.default_rng(seed)
    net, name = random_network(rng), sorted(STEPS)[rng.integers(len(STEPS))]
    color = sorted(CHANNELS)[rng.integers(len(CHANNELS))] if name != "shifted" else "BGR"
    said = {"layout": "NHWC", "color": color}
    if camera is not None:
        said = {"layout": layouts_of(camera)[0], "color": camera, "matrix": "bt709", "range": "limited"}
    steps = [FromPixels(**said, to="RGB"), *STEPS[name]]
    spec = PixelsSpec.of(steps[0], size=SIZE, channels=CHANNELS.get(said["color"], 3))
    x = rng.integers(0, 256, spec.shape(2), dtype=np.uint8)
    try:
        want = ReferenceEvaluator(ir.to_proto(net.model())).run(None, {"x": reference.apply(steps, x)})
    except (RuntimeError, TypeError, ValueError):  # a pool whose size the reference rounds otherwise than is drawn here
        return "not run", 0.0
    if not all(each.size for each in want):
        return "not run", 0.0
    made = net.model()
    done = graph.attach(made, steps, spec)
    got = ReferenceEvaluator(ir.to_proto(made)).run(None, {"pixels": x})
    error = max(np.abs(a - b).max() / max(np.abs(b).max(), 1e-3) for a, b in zip(got, want, strict=True))
    if not error <= 1e-9:
        raise AssertionError(f"seed {seed}: {done.form or done.reason}, error {error:.1e}")
    if done.chroma == FOLDED:
        return f"planes, {done.form}", error
    return done.form or f"refused: {re.sub(r' [(]at .*|[0-9.-]+(, [0-9.-]+)*', '', str(done.reason))[:110]}", error


def main(count, first=0):
    answers, worst = collections.Counter[str](), 0.0
    for seed in range(first, first + count):
        print(seed, end="\r", file=sys.stderr)
        answer, error = one(seed, CAMERAS.get(seed % 4))
        answers[answer], worst = answers[answer] + 1, max(worst, error)
    refused = sum(number for word, number in answers.items() if word.startswith("refused"))
    folded = sum(answers.values()) - refused - answers["not run"]
    print(f"{count} graphs: {folded} folded, {refused} refused, 0 wrong; the largest error {worst:.1e}")
    for word, number in answers.most_common():
        print(f"{number:6} {word}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
