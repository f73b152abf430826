"""A fold that changes what a network answers is none, and what changes by itself is no reason."""

import copy

import pytest
import torch
from torch import nn

from preproc.folding.modules import fold
from preproc.layers import prepend
from tests.folding.modules.networks import double, imagenet, pixels


class Network(nn.Module):
    """answer: of what the convolution makes, and the picture."""

    def __init__(self, answer=lambda made, _: made, **options):
        super().__init__()
        torch.manual_seed(0)
        self.convolution, self.answer = nn.Conv2d(3, 4, 3, padding=1, **double, **options), answer

    def forward(self, x):
        return self.answer(self.convolution(x), x)


def folded(network, color="RGB"):
    """The result, and how far its model is from what the network was handed in as."""
    x, front = pixels(color), imagenet(color)
    result = fold(prepend(front, network), example=x)
    quiet = [copy.deepcopy(each).eval() for each in (result.model.backbone, network)]
    with torch.no_grad():
        got, want = quiet[0](result.model.pipeline(x)), quiet[1](front(x))
    return result, float((got - want).abs().max() / want.abs().max())


@pytest.mark.parametrize("asks", [lambda x: x.shape[1], lambda x: x.numel(), lambda x: x[0].numel() ** 0.5, lambda x: x.shape[1] == 3])
def test_who_counts_four_channels_is_given_three(asks):
    result, error = folded(Network(lambda made, x: made * asks(x)), "RGBA")
    assert (result.folded, result.selected) == (True, (0, 1, 2))
    assert error <= 1e-12


@pytest.mark.parametrize("training", [True, False])
def test_a_module_that_calls_another_ones_function_is_left(training):
    """Its copy has weights that nobody reads."""
    network = Network().train(training)
    forward = network.convolution.forward
    network.convolution.forward = lambda x: 3 * forward(x)
    result, error = folded(network)
    assert not result.folded
    assert result.reason.startswith(
        "the weight of the first convolution is none of the backbone's own" if training else "the backbone answers something else"
    )
    assert error <= 1e-12


class Trained(Network):
    """What changes with every run in training; and takes random numbers in evaluation, too."""

    def __init__(self):
        super().__init__()
        self.more = nn.Sequential(nn.BatchNorm2d(4, **double), nn.Dropout(0.5))

    def forward(self, x):
        return nn.functional.dropout(self.more(self.convolution(x)), 0.5, training=True)


def test_random_numbers_are_no_difference_and_training_leaves_nothing_behind():
    network, state = Trained(), torch.random.get_rng_state()
    result = fold(prepend(imagenet(), network), example=pixels())
    assert result.folded, result.reason
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(module.training for each in (network, result.model) for module in each.modules())
    assert [int(each.more[0].num_batches_tracked) for each in (network, result.model.backbone)] == [0, 0]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_compared_beside(value):
    network = Network(lambda made, _: torch.cat([made, torch.full_like(made, value)]))
    assert fold(prepend(imagenet(), network), example=pixels()).folded


@pytest.mark.parametrize(
    "answer",
    [
        lambda made, x: torch.full_like(made, float("nan")) if x.shape[1] == 4 else made,
        lambda made, x: made[:, :, : x.shape[1]],
        lambda made, x: (made,) * x.shape[1],
        lambda made, x: torch.complex(made, made) * x.shape[1],
    ],
    ids=["no number", "another shape", "more", "complex"],
)
def test_answers_of_all_kinds_are_compared(answer):
    x, front = pixels("RGBA"), imagenet("RGBA")
    result = fold(prepend(front, Network(answer)), example=x)
    assert (result.folded, result.selected) == (True, (0, 1, 2))
