"""A network that torch narrows: what it answers in, and what is refused by name before anything is written."""

import pytest
import torch
from torch import nn

from preproc.errors import PreprocError
from preproc.sources import ExportSpec
from preproc.sources.backbones import check_narrowed, narrowed

HALF = {"float16": torch.float16, "bfloat16": torch.bfloat16}
READY = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Distances(nn.Module):
    def forward(self, x):
        return torch.cdist(x, x)


class Two(nn.Module):
    """Floats, a whole number per picture."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        scores = self.conv(x).mean(dim=(2, 3))
        return scores, scores.argmax(dim=1)


@pytest.mark.parametrize("precision", HALF)
def test_float32_in_the_precision_inside_and_float32_out(precision):
    network = Two().eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    scores, best = narrowed(network, ExportSpec(precision=precision))(READY)
    assert (scores.dtype, best.dtype) == (torch.float32, torch.int64)
    assert torch.equal(scores, scores.to(HALF[precision]).float())
    assert not torch.equal(scores, network(READY)[0])
    scores, _ = narrowed(network, ExportSpec(precision=precision, outputs_precision=precision))(READY)
    assert scores.dtype == HALF[precision]
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_a_network_of_32_bits_is_itself(precision):
    network = Two()
    assert narrowed(network, ExportSpec(precision=precision)) is network
    check_narrowed(network, ExportSpec(precision=precision), READY)


class PlaneByPlane(nn.Module):
    """Views its values as they lie in planes."""

    def forward(self, x):
        return x.view(len(x), -1).mean(dim=1)


class Lying(nn.Module):
    """Keeps whether its values lie pixel beside pixel."""

    def forward(self, x):
        self.beside = x.is_contiguous(memory_format=torch.channels_last)
        return x


@pytest.mark.parametrize(("behind", "beside"), [(nn.Identity(), True), (PlaneByPlane(), False)], ids=["taken", "planes"])
def test_torch_gets_pixel_beside_pixel_where_the_network_takes_it(behind, beside):
    network, spec = nn.Sequential(nn.Conv2d(3, 4, 3), Lying(), behind).eval(), ExportSpec(precision="float16")
    narrow = narrowed(network, spec, READY)
    answer = narrow(READY)
    assert narrow.network[1].beside is beside
    plain = narrowed(network, spec)
    torch.testing.assert_close(answer, plain(READY), rtol=1e-3, atol=1e-3)
    assert not plain.network[1].beside
    check_narrowed(network, spec, READY)


def test_weights_that_overflow_are_named_with_the_largest():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval().requires_grad_(False)
    network[1].running_var[2] = 7e4
    network[0].bias[1] = -8e5
    with pytest.raises(PreprocError, match=r"weights that float16 holds, up to 65504, got 8e\+05 in 0\.bias, .* in 1 more tensors") as told:
        check_narrowed(network, ExportSpec(precision="float16"), READY)
    assert told.value.name == "precision-overflow"
    check_narrowed(network, ExportSpec(precision="bfloat16"), READY)
    network[0].bias[1], network[1].running_var[2] = 65504.0, 1.0
    narrowed(network, ExportSpec(precision="float16"))


def test_an_operator_without_a_kernel_is_named_with_its_module():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), Distances(), nn.Flatten())
    with pytest.raises(PreprocError, match=r"torch runs in float16 on the CPU, got, in 1: .*cdist") as told:
        check_narrowed(network, ExportSpec(precision="float16"), READY)
    assert told.value.name == "precision-unsupported"


def test_values_that_overflow_are_told_with_the_largest_and_where_it_is():
    class Large(nn.Module):
        def forward(self, x):
            return 1e5 * x

    network = nn.Sequential(nn.Conv2d(3, 4, 1), Large(), nn.Softmax(dim=1))
    most = float(network[:2](READY).abs().max().detach())
    with pytest.raises(PreprocError, match=rf"its largest value in float32 is {most:.4g}, what 1 answers.*bfloat16".replace("+", r"\+")):
        check_narrowed(network, ExportSpec(precision="float16"), READY)
    check_narrowed(network, ExportSpec(precision="bfloat16"), READY)
    with torch.no_grad():
        network[0].weight.fill_(float("inf"))  # which is no fault of the precision: the reference tells it
    check_narrowed(network, ExportSpec(precision="float16"), READY)
