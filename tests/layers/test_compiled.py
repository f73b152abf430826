"""torch.compile takes every layer in one graph, and no layer brings numbers from the host to the device while it runs, as torchvision's
v2.Normalize does at every call."""

import pytest
import torch
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.utils import counters
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.transforms import v2

from preproc.layers import CenterCrop, FromPixels, Letterbox, Normalize, Pad, Pipeline, Rescale, Resize
from preproc.steps import STEPS
from tests.layers.kinds import LAYERS

VALUES = {name: lambda make=make: make(3) for name, make in LAYERS.items()}
VALUES |= {"center-crop": lambda: CenterCrop(size=5), "pad": lambda: Pad(padding=(1, 2))}
PIXELS = {color: lambda color=color: FromPixels(layout="NHWC", color=color, to="RGB") for color in ("RGB", "BGR", "RGBA", "GRAY")}
YUV = {
    "NV12": lambda: FromPixels(layout="NHW", color="NV12", matrix="bt709", range="limited", conversion="rgb8"),
    "NV12-between": lambda: FromPixels(
        layout="NHW", color="NV12", matrix="bt709", range="limited", conversion="linear", chroma="bilinear", siting="left"
    ),
    "YUYV": lambda: FromPixels(layout="NHWC", color="YUYV", matrix="bt601", range="full", conversion="linear"),
    "YUV444": lambda: FromPixels(layout="NCHW", color="YUV444", matrix="bt601", range="full", conversion="rgb8"),
}
SHAPES = {"NV12": (2, 12, 8), "NV12-between": (2, 12, 8), "YUYV": (2, 6, 8, 2), "YUV444": (2, 3, 6, 8)}
WHOLE = {"pipeline": lambda: Pipeline(FromPixels(layout="NHWC", color="BGR", to="RGB"), Rescale(), Normalize.preset("imagenet"))}
RESIZES = {
    "resize": lambda: Resize(size=(6, 5)),
    "shorter-side": lambda: Resize(size=6, interpolation="bicubic"),
    "max-size": lambda: Resize(size=6, max_size=7),
    "nearest": lambda: Resize(size=6, interpolation="nearest"),
    "of-floats": lambda: Resize(size=6, torch="float32"),
    "letterbox": lambda: Letterbox(size=8),
}


def test_every_kind_of_layer_is_here():
    made = [make() for make in (VALUES | PIXELS | YUV | RESIZES).values()]
    assert {type(layer.step) for layer in made} == set(STEPS.values())


def taken(name):
    """An input for the layer of that name: grey levels."""
    channels = {"GRAY": 1, "RGBA": 4}.get(name, 3)
    if name in PIXELS | YUV | WHOLE:
        return torch.randint(0, 256, SHAPES.get(name, (2, 9, 7, channels)), dtype=torch.uint8)
    return torch.randint(0, 256, (2, 3, 9, 7)).float()


class Copies(TorchDispatchMode):
    """Notes every operation between tensors of two devices."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        devices = {value.device.type for value in pytree.tree_leaves((args, kwargs, made)) if isinstance(value, torch.Tensor)}
        if len(devices) > 1:
            self.found.append(str(func))
        return made


def copies(layer, x):
    """What each of two calls on a CUDA device would copy to it. The device is a fake one of torch's, which computes nothing."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        there, layer = torch.empty(x.shape, dtype=x.dtype, device="cuda"), layer().to("cuda")
        counted = []
        for _ in range(2):
            with Copies() as seen:
                assert layer(there).device.type == "cuda"
            counted.append(seen.found)
    return counted


def torchvisions():
    return v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def test_torchvisions_normalize_copies_its_constants_at_every_call():
    """What the tests below would see of a layer that did so."""
    assert copies(torchvisions, taken("normalize")) == [["aten._to_copy.default"] * 2] * 2
    assert graphs(torchvisions(), taken("normalize"))[1] == 2


@pytest.mark.parametrize("name", [*VALUES, *PIXELS, *YUV, *WHOLE])
def test_no_layer_copies_to_the_device(name):
    assert copies((VALUES | PIXELS | YUV | WHOLE)[name], taken(name)) == [[], []]


def test_a_resize_copies_what_it_reads_with_which_weights():
    """They follow from the picture's size, and are computed where the order of sums is known."""
    first, second = copies(RESIZES["of-floats"], taken("of-floats"))
    assert first == second == ["aten._to_copy.default"] * 2


def graphs(layer, x, **settings):
    """How many graphs torch.compile makes of it, and how many tensors of numbers in Python code are in them."""
    kept = []

    def keep(graph, _):
        kept.append(graph)
        return graph.forward

    torch.compiler.reset()
    counters.clear()
    with torch.no_grad():
        torch.compile(layer, backend=aot_autograd(fw_compiler=keep), **settings)(x)
    assert len(kept) - 1 == sum(counters["graph_break"].values())
    return len(kept), sum("lift_fresh" in str(node.target) for graph in kept for node in graph.graph.nodes)


def test_a_graph_break_is_seen():
    class Broken(torch.nn.Module):
        def forward(self, x):
            return (x + 1) * float((x * 2).sum())

    assert graphs(Broken(), taken("normalize"))[0] == 2


@pytest.mark.parametrize("name", [*VALUES, *PIXELS, *YUV, *WHOLE, *RESIZES])
def test_every_layer_is_one_graph_without_constants(name):
    assert graphs((VALUES | PIXELS | YUV | WHOLE | RESIZES)[name](), taken(name), fullgraph=True) == (1, 0)


@pytest.mark.parametrize("name", [*LAYERS, *WHOLE])
def test_one_graph_serves_every_size(name):
    """Batch, height and width are not what it is compiled for."""
    made = []

    def count(graph, _):
        made.append(graph)
        return graph.forward

    torch.compiler.reset()
    layer = (VALUES | WHOLE)[name]()
    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend=count)
    x = taken(name)
    height, width = (1, 2) if name in WHOLE else (2, 3)
    for other in (x, x.repeat_interleave(2, height), torch.cat([x, x]).repeat_interleave(3, width)):
        torch.testing.assert_close(compiled(other), layer(other))
    assert len(made) == 1
