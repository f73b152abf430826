"""What a network answers, before the fold and behind it: of one picture, to see what no graph with fixed sizes shows.

torch.export writes a number where a network asks for its input's channels, or how many values there are, and does not say which object a
function was of that a module calls. So both are run: what they answer differs by roundings, or the fold is none.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ...errors import NotFoldableError, first_line
from ...layers import Model

NEAR, ROUNDINGS = 1e-2, 16
"""How far an answer may be from what it was, as a share of the largest value in it. Networks in float32 are off by 1e-6, by more on GPUs
that compute in TF32; in half precision by one or two of its roundings. (What is done for four channels in place of three is off by a third,
by 15 % where it is the root of that.)"""


class Original:
    """A network as it was handed in. ready: (N, C, H, W) float, what it is given of the example. It is not changed."""

    def __init__(self, backbone: nn.Module, ready: Tensor) -> None:
        self.backbone, self.ready = backbone, ready

    @cached_property
    def answer(self) -> list[Tensor]:
        """The floats that it answers, once for all that is tried."""
        return _answer(_in_evaluation(self.backbone), self.ready.clone())

    def check(self, folded: Model, example: Tensor, *, given: Mapping[str, str], dtypes: Iterable[torch.dtype]) -> None:
        """Raises NotFoldableError where the folded model does not run, or answers something else.

        example: pixels.  given: by their names, the modules that have a bias now that had none, and their weights'.  dtypes: those that
        weights have been rounded to.
        """
        network, called = _in_evaluation(folded.backbone), set[str]()
        hooks = [network.get_submodule(path).register_forward_pre_hook(lambda _, __, path=path: called.add(path)) for path in given]
        try:
            with torch.no_grad():
                got = _answer(network, folded.pipeline(example))
        except Exception as error:  # whatever the backbone raises, it all means the same here
            raise NotFoldableError(f"the backbone does not run on what the fold leaves: {first_line(error)}") from error
        finally:
            for hook in hooks:
                hook.remove()
        for path, weight in given.items():
            if path not in called:
                raise NotFoldableError(
                    f"the fold needs a bias, and {weight} is used without one outside of an nn.Conv2d", name="fold-shared-weight"
                )
        allowed = max([NEAR, *(ROUNDINGS * torch.finfo(dtype).eps for dtype in {*dtypes, *_dtypes(self.backbone)})])
        same = [want.shape for want in self.answer] == [value.shape for value in got]
        off = max(map(_off, self.answer, got), default=0.0) if same else float("inf")
        if not off <= allowed:
            by = f", by {off:.2g} of its largest value" if same else ", of other shapes"
            raise NotFoldableError(
                f"the backbone answers something else on what the fold leaves{by}, as one does that goes by how many channels or values "
                "its input has, whose modules call functions of others, or whose answers jump"
            )


def _in_evaluation(network: nn.Module) -> nn.Module:
    """A copy where something in it is in training, which would change it with every run."""
    return copy.deepcopy(network).eval() if any(module.training for module in network.modules()) else network


def _answer(network: nn.Module, ready: Tensor) -> list[Tensor]:
    """With the same random numbers, where it takes some."""
    with torch.no_grad(), torch.random.fork_rng([ready.device] if ready.is_cuda else []):
        torch.manual_seed(0)
        made = tree_leaves(network(ready))
    return [value for value in made if isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())]


def _dtypes(network: nn.Module) -> Iterator[torch.dtype]:
    yield from (parameter.dtype for parameter in network.parameters() if parameter.is_floating_point())


def _off(want: Tensor, got: Tensor) -> float:
    """As a share of the largest value wanted. What was no number may be another."""
    known = torch.isfinite(want)
    want, got = (value[known].to(torch.complex128 if value.is_complex() else torch.float64) for value in (want, got))
    if not want.numel():
        return 0.0
    largest = float(want.abs().max())
    off = float((got - want).abs().max())
    return off / largest if largest else off
