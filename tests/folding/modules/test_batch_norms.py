"""Batch norms in the convolutions before a network is narrowed: the same answers, and less lost in half precision."""

import copy

import pytest
import torch
from torch import nn

from preproc.export.resolving import example_of
from preproc.folding.modules import batch_norms, fold_batch_norms
from preproc.sources import load_recipe
from preproc.sources.backbones import load_backbone
from tests.conftest import ROOT

X = torch.randn(2, 3, 9, 8, generator=torch.Generator().manual_seed(1))


def seasoned(network):
    """As if it had been trained: no norm does nothing."""
    generator = torch.Generator().manual_seed(2)
    for norm in network.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            norm.running_mean.normal_(0, 0.5, generator=generator)
            norm.running_var.uniform_(0.01, 3, generator=generator)
            if norm.affine:
                nn.init.uniform_(norm.weight, 0.2, 2, generator=generator)
                nn.init.normal_(norm.bias, 0, 0.5, generator=generator)
    return network.eval().requires_grad_(False)


class WithAct(nn.BatchNorm2d):
    """As timm's: a norm that does more."""

    def forward(self, x):
        return torch.relu(super().forward(x))


def conv_norm(norm=nn.BatchNorm2d, **options):
    return nn.Sequential(nn.Conv2d(3, 6, 3, **options), norm(6))


NETWORKS = {
    "conv": lambda: conv_norm(padding=1, bias=False),
    "groups and a bias": lambda: conv_norm(groups=3, padding="same"),
    "a norm without numbers of its own": lambda: conv_norm(lambda channels: nn.BatchNorm2d(channels, affine=False)),
    "a norm that does more": lambda: conv_norm(WithAct),
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(216, 5), nn.BatchNorm1d(5)),
    "lines": lambda: nn.Sequential(nn.Flatten(2), nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_answers_without_a_norm(name):
    network = seasoned(NETWORKS[name]())
    before = {key: value.clone() for key, value in network.state_dict().items()}
    made = fold_batch_norms(network, X)
    torch.testing.assert_close(made(X), network(X), rtol=1e-5, atol=1e-5)
    norm = made[-1]
    assert isinstance(norm, nn.Identity) or (norm.eps == 0 and not norm.running_mean.any() and (norm.running_var == 1).all())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


class Shared(nn.Module):
    """A convolution that something else reads, too; one that runs twice; a norm in front of one."""

    def __init__(self):
        super().__init__()
        self.first, self.first_norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.twice, self.twice_norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x):
        y = self.first(x)
        y = y + self.first_norm(y)
        return self.twice_norm(self.twice(self.twice(y)))


def test_what_is_read_elsewhere_stays_as_it_is():
    network = seasoned(Shared())
    made = fold_batch_norms(network, X)
    assert torch.equal(made(X), network(X))
    assert made.state_dict().keys() == network.state_dict().keys()


def test_a_wrong_fusion_is_noticed_and_left(monkeypatch):
    network = seasoned(conv_norm())
    real = batch_norms._FUSING["aten.conv2d.default"]
    monkeypatch.setitem(batch_norms._FUSING, "aten.conv2d.default", lambda w, b, mean, *rest: real(w, b, mean * 1.01, *rest))
    made = fold_batch_norms(network, X)
    assert torch.equal(made(X), network(X))


def test_what_torch_cannot_read_is_left():
    class Branches(nn.Sequential):
        def forward(self, x):
            return super().forward(x if x.sum() > 0 else -x)

    network = seasoned(Branches(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6)))
    assert torch.equal(fold_batch_norms(network, X)(X), network(X))


def test_the_digits_network_loses_less_in_half_precision():
    recipe = load_recipe(ROOT / "models" / "digits.toml")
    network, x = load_backbone(recipe).module, example_of(recipe)[1]
    want = copy.deepcopy(network).double()(x.double())

    def error(made):
        return float((copy.deepcopy(made).half()(x.half()).double() - want).square().mean().sqrt())

    assert error(fold_batch_norms(network, x)) < 0.7 * error(network)
