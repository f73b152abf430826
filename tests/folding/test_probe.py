"""A normalization inside a network is seen however it is spelt: in torch modules, in files of both of torch's exporters and of others."""

import warnings

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from torch import nn
from torch.nn import functional as F

from preproc import graph
from preproc.bundle.inspection import describe, effect, graph_effect
from preproc.folding import BRIGHTEST, Planes, guard
from preproc.folding.look import ways
from preproc.folding.modules import module_effect
from preproc.steps import Affine, ValueRange
from tests.onnx_files import hand_made, put

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
M, S = MEAN.view(1, 3, 1, 1), STD.view(1, 3, 1, 1)
NORMALIZED = ValueRange((-2.2,) * 3, (2.7,) * 3)
IMAGENET = Affine.diagonal((1 / STD.double()).numpy(), (-MEAN.double() / STD.double()).numpy())


def in_place(x):
    x = x.clone()
    x.sub_(M).div_(S)
    return x


def in_place_by_channel(x):
    x = x.clone()
    for i in range(3):
        x[:, i].sub_(MEAN[i]).div_(STD[i])
    return x


def into_a_batch(x):
    """As torchvision's detectors put pictures of different sizes together."""
    whole = x.new_full((len(x), 3, x.shape[2] + 2, x.shape[3] + 2), 0)
    for i, image in enumerate(x):
        whole[i, :, : x.shape[2], : x.shape[3]].copy_((image - M[0]) / S[0])
    return whole


SPELLINGS = {
    "plain": lambda x: (x - M) / S,
    "folded": lambda x: x * (1 / S) - M / S,
    "as kornia": lambda x: ((x.reshape(x.shape[0], x.shape[1], -1) - MEAN.view(1, 3, 1)) / STD.view(1, 3, 1)).reshape(x.shape),
    "a fifth axis": lambda x: ((x[:, None] - M[None]) / S[None])[:, 0],
    "unsqueezed": lambda x: ((x.unsqueeze(2) - M.unsqueeze(2)) / S.unsqueeze(2)).squeeze(2),
    "padded first": lambda x: (F.pad(x, (1, 1, 1, 1)) - M) / S,
    "transposed": lambda x: ((x.transpose(1, 3) - MEAN) / STD).transpose(1, 3),
    "channel by channel": lambda x: torch.cat([(x[:, i : i + 1] - float(MEAN[i])) / float(STD[i]) for i in range(3)], 1),
    "unbound": lambda x: torch.stack([(plane - MEAN[i]) / STD[i] for i, plane in enumerate(x.unbind(1))], 1),
    "picture by picture": lambda x: torch.stack([(image - M[0]) / S[0] for image in x.unbind(0)], 0),
    "pictures in one": lambda x: torch.cat([(x[i : i + 1] - M) / S for i in range(len(x))], 0),
    "a 1x1 convolution": lambda x: F.conv2d(x, torch.diag(1 / STD).view(3, 3, 1, 1), -MEAN / STD),
    "a depthwise one": lambda x: F.conv2d(x, (1 / STD).view(3, 1, 1, 1), -MEAN / STD, groups=3),
    "a matrix product": lambda x: (x.permute(0, 2, 3, 1) @ torch.diag(1 / STD) - MEAN / STD).permute(0, 3, 1, 2),
    "where and clamp": lambda x: (torch.where(torch.isnan(x), torch.zeros(()), x).clamp(0, 1) - M) / S,
    "expanded": lambda x: (x - M.expand_as(x)) / S.expand_as(x),
    "a sum": lambda x: torch.stack([x, (-M).expand_as(x)]).sum(0) / S,
    "a BatchNorm": lambda x: F.batch_norm(x, MEAN, STD**2, eps=1e-9),
    "resized first": lambda x: (F.interpolate(x, size=(32, 32), mode="bilinear", antialias=True) - M) / S,
    "cropped and flipped": lambda x: ((x[..., 2:-2, 2:-2] - M) / S).flip(3),
    "cut into patches": lambda x: F.pixel_shuffle(F.pixel_unshuffle((x - M) / S, 2), 2),
    "of 0..255": lambda x: (x - 255 * M) / (255 * S),
    "in two parts": lambda x: (x / 255 - M) / S,
    "in double": lambda x: ((x.double() - M) / S).float(),
}
"""Each is ImageNet's normalization; the last but two of 0..255."""
IN_PYTHON = {"in place": in_place, "in place, by channel": in_place_by_channel, "into a batch": into_a_batch}
OF_LEVELS = ("of 0..255", "in two parts")


class Net(nn.Module):
    def __init__(self, before):
        super().__init__()
        torch.manual_seed(0)
        self.before, self.conv, self.head = before, nn.Conv2d(3, 8, 3, 2, 1), nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.conv(self.before(x)).relu().mean((2, 3)))


class _Only(nn.Module):
    def __init__(self, apply):
        super().__init__()
        self.apply_to = apply

    def forward(self, x):
        return self.apply_to(x)


def check(effect, spelling):
    """It is ImageNet's, is told by its name, and is refused behind a normalization."""
    (found,) = effect.maps
    size = 255 if spelling in OF_LEVELS else 1
    order = np.argsort(np.argmax(found.matrix != 0, axis=1))
    in_order = Affine(found.matrix[order] * size, found.offset[order])
    assert in_order.close_to(IMAGENET)
    assert not effect.stopped
    assert "normalizes its input itself" in guard.why_not(effect, NORMALIZED)
    assert "which is imagenet" in guard.why_not(effect, NORMALIZED)
    assert guard.why_not(effect, ValueRange((0.0,) * 3, (float(size),) * 3)) is None


@pytest.mark.parametrize("spelling", [*SPELLINGS, *IN_PYTHON])
def test_a_torch_module(spelling):
    check(module_effect(Net((SPELLINGS | IN_PYTHON)[spelling]).eval(), torch.zeros(2, 3, 24, 24)), spelling)


def exported(spelling, file, *, dynamo):
    net, example = Net(SPELLINGS[spelling]).eval(), torch.zeros(2, 3, 24, 24)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            torch.onnx.export(net, (example,), file, dynamo=True, verbose=False)
        else:
            torch.onnx.export(net, (example,), file, dynamo=False, opset_version=18)
    return graph.load(file)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_file_of_torchs_older_exporter(spelling, tmp_path):
    if spelling == "resized first":
        pytest.skip("the older exporter has no antialias")
    check(graph_effect(exported(spelling, tmp_path / "m.onnx", dynamo=False), 3), spelling)


@pytest.mark.parametrize("spelling", ["as kornia", "a fifth axis", "unbound", "picture by picture", "where and clamp", "resized first"])
def test_a_file_of_torchs_newer_exporter(spelling, tmp_path):
    check(graph_effect(exported(spelling, tmp_path / "m.onnx", dynamo=True), 3), spelling)


KEEPING = {
    "flip": lambda x: x.flip(2),
    "pad": lambda x: F.pad(x, (1, 2, 0, 1)),
    "reshape": lambda x: x.reshape(x.shape[0], 3, -1, 1).reshape(x.shape),
    "transpose": lambda x: x.transpose(2, 3),
    "split": lambda x: torch.cat(x.split(1, 1), 1),
    "stack": lambda x: torch.stack(x.unbind(0), 0),
    "swap": lambda x: x[:, [2, 1, 0]][:, [2, 1, 0]],
    "clone": lambda x: x.clone().add_(0.0),
    "pool": lambda x: F.avg_pool2d(x, 2),
    "crop": lambda x: x[..., 1:, :-1],
    "nan": lambda x: torch.nan_to_num(x),
    "twice": lambda x: (x + x) / 2,
}


@given(st.lists(st.sampled_from(sorted(KEEPING)), max_size=5), st.integers(0, 5), st.sampled_from([1.0, 255.0, 1023.0, 65535.0]))
@settings(max_examples=20)
def test_between_whatever_keeps_channels(names, place, top):
    names.insert(place, "norm")
    steps = KEEPING | {"norm": lambda x: (x - top * M) / (top * S)}

    def before(x):
        for name in names:
            x = steps[name](x)
        return x

    effect = module_effect(Net(before).eval(), torch.zeros(2, 3, 32, 32))
    (found,) = effect.maps
    assert np.allclose(np.sort(top * np.diag(found.matrix)), np.sort(np.diag(IMAGENET.matrix)), rtol=1e-4)
    assert "which is imagenet" in guard.why_not(effect, NORMALIZED)


@pytest.mark.parametrize(
    ("apply", "unit"),
    [
        (lambda x: (x - 127.5) / 255, "0-255"),
        (lambda x: (x - torch.tensor([122.782, 117.001, 104.298]).view(1, 3, 1, 1)) / 256, "0-255"),
        (lambda x: x / 256, "0-255"),
        (lambda x: x / 128 - 1, "0-255"),
        (lambda x: x - 128, "0-255"),
        (lambda x: x - 0.5, "0-1"),
        (lambda x: x - torch.tensor([0.4488, 0.4371, 0.4040]).view(1, 3, 1, 1), "0-1"),
        (lambda x: (x - 512) / 512, "0-1023"),
        (lambda x: x / 1023, "0-1023"),
        (lambda x: x / 4095, "0-4095"),
        (lambda x: x * 2 / 4095 - 1, "0-4095"),
        (lambda x: x / 65535, "0-65535"),
        (lambda x: (x - 32768) / 65535, "0-65535"),
        (lambda x: (255 - x) / 255, "0-255"),
        (lambda x: x * 255, "0-1"),
        (lambda x: x * 255 - 128, "0-1"),
        (lambda x: ((x * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True) - 0.45) / 0.22, "0-1"),
    ],
)
def test_whatever_its_constants(apply, unit):
    effect = module_effect(Net(lambda x: apply(x).expand(-1, 3, -1, -1)).eval(), torch.zeros(2, 3, 24, 24))
    assert [guard.expected_unit(first) for first in effect.maps] == [unit]


def test_what_stays_accepted():
    """Learned stems, which are layers; nothing is said of a network that does nothing."""
    example = torch.zeros(2, 3, 32, 32)
    for seed in range(8):
        torch.manual_seed(seed)
        for stem in (nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, groups=3), nn.Conv2d(3, 16, 1)):
            effect = module_effect(Net(nn.Sequential(stem, nn.Conv2d(stem.out_channels, 3, 1))).eval(), example)
            assert (effect.maps, effect.stopped, guard.notes(effect)) == ((), (), [])
    effect = module_effect(nn.Sequential(nn.Flatten(), nn.Linear(3072, 4)).eval(), example)
    assert (effect.maps, guard.normalizes(effect)) == ((), False)


def one_tap(x):
    taps = torch.zeros(3, 1, 3, 3)
    taps[:, 0, 1, 1] = 1 / STD
    return F.conv2d(x, taps, -MEAN / STD, groups=3, padding=1)


def test_a_convolution_that_reads_one_number_is_a_normalization():
    check(module_effect(Net(one_tap).eval(), torch.zeros(2, 3, 24, 24)), "plain")


@pytest.mark.parametrize("before", [lambda x: x / 255 if (x > 1).any() else x, lambda x: torch.where((x > 1).any(), x / 255, x)])
def test_a_network_that_looks_at_its_values_first(before):
    """Behind a normalization, whose values reach 2.6, it would divide once more."""
    effect = module_effect(Net(before).eval(), torch.zeros(2, 3, 24, 24))
    assert effect.stopped == ("what it does to its input, which depends on the values",)
    assert "normalizes its input itself, x / 255" in guard.why_not(effect, NORMALIZED)


def test_learned_layers_of_one_channel_are_no_normalization():
    for seed in range(20):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 3)).eval()
        assert module_effect(net, torch.zeros(2, 1, 16, 16)).maps == ()


@pytest.mark.parametrize("before", [lambda x: x**2.2, torch.sigmoid, torch.log1p, lambda x: (x - x.mean()) / x.std(), nn.InstanceNorm2d(3)])
def test_where_it_cannot_be_followed_nothing_is_said(before):
    effect = module_effect(Net(before).eval(), torch.zeros(2, 3, 24, 24))
    assert guard.normalizes(effect) is None
    assert guard.notes(effect)[-1].startswith("not told whether the network normalizes its input itself: followed no further than aten.")


@pytest.mark.parametrize("leave", [lambda x: x.numpy(), np.asarray, lambda x: x.tolist()], ids=["numpy", "asarray", "tolist"])
@pytest.mark.parametrize("alone", [True, False])
def test_values_that_leave_torch_are_not_followed(leave, alone):
    """Also beside a convolution that reads the picture as it is."""

    def before(x):
        normalized = torch.as_tensor((np.asarray(leave(x), np.float32) - M.numpy()) / S.numpy())
        return normalized if alone else normalized + F.conv2d(x, torch.ones(3, 3, 3, 3), padding=1)

    effect = module_effect(Net(before).eval(), torch.zeros(2, 3, 24, 24))
    assert guard.normalizes(effect) is None
    assert any(name.startswith("Tensor.") for name in effect.stopped)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_in_a_float32_network(dtype):
    """Told as far as its digits go, once."""
    effect = module_effect(Net(lambda x: ((x.to(dtype) - M.to(dtype)) / S.to(dtype)).float()).eval(), torch.zeros(2, 3, 24, 24))
    (found,) = effect.maps
    mean, std = found.mean_and_std()
    np.testing.assert_allclose(mean, MEAN, rtol=1e-2)
    np.testing.assert_allclose(std, STD, rtol=1e-2)
    assert module_effect(Net(lambda x: x.to(dtype).float()).eval(), torch.zeros(2, 3, 24, 24)).maps == ()


def test_half_precision_in_a_float32_file(tmp_path):
    halves = [number(name, array.numpy().astype(np.float16)) for name, array in (("m", M), ("s", S))]
    cast = [helper.make_node("Cast", [old], [new], to=to) for old, new, to in (("image", "x16", 10), ("d", "first", 1))]
    nodes = [*halves, cast[0], helper.make_node("Sub", ["x16", "m"], ["u"]), helper.make_node("Div", ["u", "s"], ["d"]), cast[1]]
    (found,) = graph_effect(graph.load(hand_made(tmp_path, nodes=nodes)), 3).maps
    assert guard.preset(found) == ("imagenet", "RGB")


def test_a_response_norm_first_is_no_re_mapping():
    """It nearly is the identity of values in 0..1, and nothing of the kind for 0..255."""
    effect = module_effect(Net(nn.LocalResponseNorm(5)).eval(), torch.zeros(2, 3, 24, 24))
    assert effect.maps == ()
    assert guard.normalizes(effect) is None


def test_a_contrast_on_the_way_is_no_re_mapping():
    effect = module_effect(Net(lambda x: (x - x.mean((1, 2, 3), keepdim=True)) / x.std()).eval(), torch.zeros(2, 3, 24, 24))
    assert effect.maps == ()
    luminance = module_effect(
        Net(lambda x: ((x.mean(1, keepdim=True) - 0.5) / 0.5).expand(-1, 3, -1, -1)).eval(), torch.zeros(2, 3, 24, 24)
    )
    assert guard.normalizes(luminance)


def test_a_network_without_layers():
    """What it returns is what it makes of the picture; where nothing was seen to read it, nothing is said."""
    check(module_effect(_Only(lambda x: (x - M) / S), torch.zeros(2, 3, 24, 24)), "plain")
    assert guard.normalizes(module_effect(_Only(lambda x: x), torch.zeros(2, 3, 24, 24))) is False
    unread = module_effect(_Only(lambda x: torch.zeros(len(x), 3)), torch.zeros(2, 3, 24, 24))
    assert guard.notes(unread)[-1].endswith("followed no further than its end, for no layer was seen to read its input")


def test_a_module_that_does_not_run_on_planes():
    def before(_):
        raise ValueError("no plane")

    effect = module_effect(Net(before).eval(), torch.zeros(2, 3, 24, 24))
    assert guard.notes(effect) == [
        "not told whether the network normalizes its input itself: followed no further than a run on flat planes, which raises no plane"
    ]


def test_a_scripted_module():
    class Scripted(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(2 * x - 1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.script is deprecated, and used
        scripted = torch.jit.script(Scripted().eval())
    effect = module_effect(scripted, torch.zeros(2, 3, 24, 24))
    assert [guard.expected_unit(first) for first in effect.maps] == ["0-1"]


def number(name, values):
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(values)))


def floats(name, values):
    return number(name, np.float32(values))


KERAS = [
    helper.make_node("Transpose", ["image"], ["t"], perm=[0, 2, 3, 1]),
    floats("m", MEAN.numpy().reshape(1, 1, 1, 3)),
    floats("v", STD.numpy().reshape(1, 1, 1, 3)),
    floats("e", 1e-7),
    helper.make_node("Sub", ["t", "m"], ["d"]),
    helper.make_node("Max", ["v", "e"], ["larger"]),
    helper.make_node("Div", ["d", "larger"], ["n"]),
    helper.make_node("Transpose", ["n"], ["first"], perm=[0, 3, 1, 2]),
]
"""keras.layers.Normalization, as tf2onnx writes it, in front of a convolution of (N, C, H, W)."""
PADDLE = [
    number("axes", [2]),
    number("back", [2]),
    number("sizes", [1, 1, 1]),
    floats("zero", 0),
    helper.make_node("Split", ["image", "sizes"], ["p0", "p1", "p2"], axis=1),
    *[
        node
        for i in range(3)
        for node in (
            floats(f"scale{i}", [1 / float(STD[i])]),
            floats(f"bias{i}", [-float(MEAN[i]) / float(STD[i])]),
            helper.make_node("Mul", [f"p{i}", f"scale{i}"], [f"s{i}"]),
            helper.make_node("Add", [f"s{i}", f"bias{i}"], [f"n{i}"]),
        )
    ],
    helper.make_node("Concat", ["n0", "n1", "n2"], ["joined"], axis=1),
    helper.make_node("Unsqueeze", ["joined", "axes"], ["five"]),
    helper.make_node("Sum", ["five", "zero"], ["summed"]),
    helper.make_node("Squeeze", ["summed", "back"], ["first"]),
]
"""As paddle2onnx writes scale operators."""
QUANTIZED = [
    floats("m", M.numpy()),
    floats("s", S.numpy()),
    floats("step", 1 / 255),
    number("point", np.uint8(0)),
    helper.make_node("QuantizeLinear", ["image", "step", "point"], ["q"]),
    helper.make_node("DequantizeLinear", ["q", "step", "point"], ["x"]),
    helper.make_node("Sub", ["x", "m"], ["d"]),
    helper.make_node("Div", ["d", "s"], ["first"]),
]
DEQUANTIZED = [
    floats("one", 1),
    floats("step", 1 / 127.5),
    number("none", np.uint8(0)),
    number("middle", np.uint8(128)),
    helper.make_node("QuantizeLinear", ["image", "one", "none"], ["q"]),
    helper.make_node("DequantizeLinear", ["q", "step", "middle"], ["first"]),
]
SHAPES = [
    floats("m", MEAN.numpy().reshape(1, 3, 1)),
    floats("s", STD.numpy().reshape(1, 3, 1)),
    number("minus", [-1]),
    number("two", np.int64([0, 1])),
    helper.make_node("Shape", ["image"], ["shape"]),
    helper.make_node("Gather", ["shape", "two"], ["front"], axis=0),
    helper.make_node("Concat", ["front", "minus"], ["flat"], axis=0),
    helper.make_node("Reshape", ["image", "flat"], ["rows"]),
    helper.make_node("Sub", ["rows", "m"], ["d"]),
    helper.make_node("Div", ["d", "s"], ["n"]),
    helper.make_node("Reshape", ["n", "shape"], ["first"]),
]


@pytest.mark.parametrize("nodes", [KERAS, PADDLE, QUANTIZED, SHAPES], ids=["keras", "paddle", "quantized", "shapes"])
def test_nodes_as_other_converters_write_them(nodes, tmp_path):
    file = hand_made(tmp_path, nodes=nodes)
    check(graph_effect(graph.load(file), 3), "plain")
    assert describe(file)["picture"]["maps"][0]["preset"] == "imagenet"


def test_a_pair_of_other_scales_is_a_normalization(tmp_path):
    effect = graph_effect(graph.load(hand_made(tmp_path, nodes=DEQUANTIZED)), 3)
    assert [guard.described(first) for first in effect.maps] == ["(x - 128) / 127.5 of values in 0-255"]


def test_model_local_functions_are_opened(tmp_path):
    model = onnx.load(hand_made(tmp_path, nodes=[helper.make_node("Prepare", ["image"], ["first"], domain="my")]))
    body = [floats("two", 2), floats("one", 1), helper.make_node("Mul", ["x", "two"], ["d"]), helper.make_node("Sub", ["d", "one"], ["y"])]
    opsets = [helper.make_opsetid("", 18)]
    model.functions.append(helper.make_function("my", "Prepare", ["x"], ["y"], body, opsets))
    model.opset_import.append(helper.make_opsetid("my", 1))
    onnx.save(model, tmp_path / "m.onnx")
    effect = graph_effect(graph.load(tmp_path / "m.onnx"), 3)
    assert [guard.expected_unit(first) for first in effect.maps] == ["0-1"]


def test_a_branch_that_takes_the_picture_is_not_passed_over(tmp_path):
    two = numpy_helper.from_array(np.float32(2), "two")
    then = helper.make_graph(
        [helper.make_node("Mul", ["image", "two"], ["a"])], "then", [], [helper.make_empty_tensor_value_info("a")], [two]
    )
    other = helper.make_graph([helper.make_node("Identity", ["image"], ["e"])], "else", [], [helper.make_empty_tensor_value_info("e")])
    nodes = [number("yes", np.array(True)), helper.make_node("If", ["yes"], ["first"], name="fork", then_branch=then, else_branch=other)]
    file = hand_made(tmp_path, nodes=nodes)
    told = describe(file)["picture"]
    assert (told["normalizes"], told["not_told"]) == (None, "followed no further than If fork")


def test_a_long_way_is_not_followed_to_its_end(tmp_path, monkeypatch):
    """Each operation is a session of ONNX Runtime's: of many thousands nothing is told. Identities cost none."""
    identities = [helper.make_node("Identity", ["image" if n == 0 else f"i{n}"], [f"i{n + 1}"]) for n in range(50)]
    nodes = [*identities, floats("z", 1e-3), *(helper.make_node("Add", [f"a{n}" if n else "i50", "z"], [f"a{n + 1}"]) for n in range(3))]
    file = hand_made(tmp_path, nodes=[*nodes, helper.make_node("Identity", ["a3"], ["first"])])
    monkeypatch.setattr(effect, "MOST_NODES", 3)
    assert graph_effect(graph.load(file), 3).stopped == ()
    monkeypatch.setattr(effect, "MOST_NODES", 2)
    assert graph_effect(graph.load(file), 3).stopped == ("Add a3",)


def test_attach_says_what_it_cannot_tell(tmp_path):
    """In its notes, in the contract and in inspect's lines."""
    nodes = [floats("p", 2), helper.make_node("Pow", ["image", "p"], ["first"])]
    said = []
    bundle = put(hand_made(tmp_path, nodes=nodes), tmp_path / "out", progress=said.append)
    note = "not told whether the network normalizes its input itself: followed no further than Pow first"
    assert note in bundle.contract["notes"]
    assert f"note: {note}" in said


def test_what_planes_tell():
    """Sums of channels, constants that differ from place to place, several maps in one value, and what is no map at all."""
    planes = Planes(3, BRIGHTEST[0])
    pixels = np.broadcast_to(planes.levels[:, :, None], (len(planes.levels), 3, 50))

    def rows(values):
        return planes.rows([planes.sample(np.ascontiguousarray(value)) for value in values])

    image = np.random.default_rng(0).uniform(0.3, 0.6, (3, 50))
    found = rows(pixels - image)
    assert found.averaged
    assert np.allclose(found.map.offset, -image.mean(axis=1), atol=0.01)
    both = rows(np.concatenate([pixels, 2 * pixels - 1], axis=1))
    assert [way.offset.tolist() for way in ways(both)] == [[-1, -1, -1]]
    assert np.allclose(rows(pixels.mean(axis=1)).map.matrix, 1 / 3)
    assert rows(np.zeros((6, 4))).map is None
    assert rows(pixels**2) is None
    assert rows(pixels[:, :1] * pixels[:, 1:2]) is None
    wide = Planes(40, BRIGHTEST[1])
    assert np.allclose(wide.rows([wide.sample(levels / 7 - 3) for levels in wide.levels]).map.matrix, np.eye(40) / 7, rtol=1e-5)
