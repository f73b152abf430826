"""pt2 archives move between devices: no memory layout of this one's kernels, no device of its own."""

import warnings

import pytest
import torch
from torch import fx, nn
from torch.export.passes import move_to_device_pass

from preproc.errors import PreprocError
from preproc.export.formats import export_program, write_pt2
from preproc.export.formats import program as programs
from preproc.layers import FromPixels, Normalize, Pipeline, Rescale, prepend
from preproc.verify.runtimes.pytorch import load_pt2

PIXELS = torch.randint(0, 256, (2, 16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
ATEN = torch.ops.aten


class Attention(nn.Module):
    """Views what attention answers, which the CPU's kernel leaves in the order that this takes, and writes to a view."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.patches, self.wide = nn.Conv2d(3, 8, 4, stride=4), nn.Linear(8, 24)

    def forward(self, x):
        y = self.wide(self.patches(x).flatten(2).transpose(1, 2))
        query, key, value = (part.unflatten(2, (2, 4)).transpose(1, 2) for part in y.chunk(3, 2))
        y = nn.functional.scaled_dot_product_attention(query, key, value).transpose(1, 2)
        y = y.view(x.shape[0], -1, 8)
        z = y.clone()
        z.view(-1)[::2].mul_(2)
        return (z + torch.arange(8, device=x.device)).to(x.device, x.dtype).mean(1) + torch.tensor([1.0]).to(x.device)


class Elsewhere(fx.Interpreter):
    """Runs a graph as another device might: what attention answers lies in memory the other way round."""

    def run_node(self, node):
        got = super().run_node(node)
        return got.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0) if "attention" in str(node.target) else got


def model():
    return prepend(Pipeline(FromPixels(layout="NHWC"), Rescale(), Normalize.preset("imagenet")), Attention().eval().requires_grad_(False))


def exported(tmp_path, network=None):
    size = PIXELS.shape[1:3]
    program = export_program(network or model(), PIXELS, layout="NHWC", size=size)
    write_pt2(program, tmp_path / "m.pt2", size=size, extra={"contract.json": "{}"})
    return tmp_path / "m.pt2"


def kinds(graph):
    return [node.target for node in graph.nodes if node.op == "call_function"]


def test_views_are_reshapes_but_those_that_are_written_to(tmp_path):
    module = load_pt2(exported(tmp_path))
    assert kinds(module.graph).count(ATEN.reshape.default) == 1
    assert kinds(module.graph).count(ATEN.view.default) == 1
    pixels = PIXELS.repeat(2, 1, 1, 1)[:3]
    with torch.inference_mode():
        want = model()(pixels)
        torch.testing.assert_close(module(pixels), want)
        torch.testing.assert_close(Elsewhere(module).run(pixels), want)


def test_a_view_as_torch_exports_it_would_fail_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(programs, "free_of_layout", lambda _: None)
    module = load_pt2(exported(tmp_path))
    assert kinds(module.graph).count(ATEN.view.default) == 2
    with torch.inference_mode():
        torch.testing.assert_close(module(PIXELS), model()(PIXELS))
        with pytest.raises(RuntimeError, match="view size is not compatible"):
            Elsewhere(module).run(PIXELS)


@pytest.mark.parametrize("written", [0, 1], ids=["base", "view"])
def test_views_of_memory_that_is_written_to_stay(written):
    """A reshape that has to copy would lose the addition in one of the two."""

    def add(x):
        base = x.clone()
        view = nn.functional.dropout(base, training=False).view(-1)  # the dropout answers its input
        (base, view)[written].add_(1)
        return base.sum(0), view

    program = torch.export.export(Function(add), (torch.zeros(2, 3),))
    before = kinds(program.graph)
    programs.free_of_layout(program.graph_module)
    assert kinds(program.graph) == before
    assert ATEN.view.default in before
    assert [set(got.tolist()) for got in program.module()(torch.zeros(2, 3))] == [{2.0}, {1.0}]


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def test_nothing_stays_on_the_cpu(tmp_path):
    """The meta device stands for any other."""
    program = torch.export.load(exported(tmp_path))
    cpu = torch.device("cpu")
    assert any(cpu in (*node.args, *node.kwargs.values()) for node in program.graph.nodes), "nothing to move: the test tests nothing"
    moved = move_to_device_pass(program, "meta")
    for node in moved.graph.nodes:
        assert cpu not in (*node.args, *node.kwargs.values()), node
    assert moved.module()(PIXELS.to("meta")).device.type == "meta"


def test_torchs_warning_of_a_buffer_is_its_own_affair_and_no_other(tmp_path, monkeypatch):
    path, load = exported(tmp_path), torch.export.load

    def warning(text):
        def loads(file):
            warnings.warn(text, stacklevel=1)
            return load(file)

        return loads

    text = "The given buffer is not writable, and PyTorch does not support non-writable tensors."
    monkeypatch.setattr(torch.export, "load", warning(text))
    load_pt2(path)
    monkeypatch.setattr(torch.export, "load", warning("something else"))
    with pytest.raises(Exception, match="something else"):
        load_pt2(path)


@pytest.mark.parametrize(("strides", "least"), [(1, 8), (2, 8), (5, 33)])
def test_free_sides_begin_where_more_than_one_number_is_left(strides, least):
    """One row is another case to torch than several: the graph would hold for one of them alone."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3 if number == 0 else 4, 4, 3, stride=2, padding=1) for number in range(strides)]
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    pixels = torch.randint(0, 256, (2, 48, 80, 3), dtype=torch.uint8)
    whole = prepend(Pipeline(FromPixels(layout="NHWC"), Rescale()), network)
    module = export_program(whole, pixels, layout="NHWC", size=(None, None)).module()
    with torch.inference_mode():
        for sides in ((40, 33), (100, 64), (max(least, 3), 200)):
            other = torch.randint(0, 256, (1, *sides, 3), dtype=torch.uint8)
            torch.testing.assert_close(module(other), whole(other))
        if strides == 5:
            with pytest.raises((AssertionError, RuntimeError), match="33"):
                module(torch.zeros(1, 32, 64, 3, dtype=torch.uint8))


def test_a_view_behind_what_was_written_is_a_reshape(tmp_path):
    """Of what a convolution leaves as it likes and ReLU(inplace=True) writes to: the usual network."""

    class Usual(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))

        def forward(self, x):
            x = self.body(x)
            return x.view(x.shape[0], -1)

    network = prepend(Pipeline(FromPixels(layout="NHWC"), Rescale(), Normalize.preset("imagenet")), Usual().eval())
    targets = [node.target for node in torch.export.load(exported(tmp_path, network)).graph.nodes]
    assert ATEN.relu_.default in targets
    assert ATEN.reshape.default in targets
    assert ATEN.view.default not in targets


@pytest.mark.parametrize(
    ("error", "expected"),
    [(AssertionError("op abs is not in _SYM_OPS"), (PreprocError, "got: op abs")), (OSError("disk full"), (OSError, "disk full"))],
)
def test_what_torch_cannot_write_is_one_line(tmp_path, monkeypatch, error, expected):
    """torch 2.11, of sizes that are free: after the export itself."""

    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(torch.export, "save", refuse)
    with pytest.raises(expected[0], match=expected[1]):
        exported(tmp_path)
