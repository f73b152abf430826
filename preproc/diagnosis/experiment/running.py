"""One picture through all variants -> what each says of it. What every engine runs: plain data goes in and out.

All variants of a picture are one batch of the network. So what a picture comes to depends on no other one, and on no split of the work.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import PreprocError
from ...sources import PixelsSpec
from ...steps import Step
from ...verify import inputs
from .networks import opened
from .pictures import Picture, read, sent
from .plan import Plan, Variant, read_plan
from .scores import Outcome, outcome

Item = Sequence[Any]
"""[path, number of its class]"""


class Preparing:
    """Steps as torch computes them, in float32; each layer is made once."""

    def __init__(self) -> None:
        self.layers: dict[Step, Any] = {}

    def __call__(self, steps: Sequence[Step], pixels: NDArray[Any], known: dict[Any, Any] | None = None) -> NDArray[np.float32]:
        """(N, C, H, W). known: what some first steps have made of these pixels already, which grows."""
        import torch

        from ...layers import from_step

        known = {} if known is None else known
        with torch.inference_mode():
            values = torch.from_numpy(pixels)
            for end in range(1, len(steps) + 1):
                start = tuple(steps[:end])
                if start not in known:
                    if start[-1] not in self.layers:
                        self.layers[start[-1]] = from_step(start[-1])
                    known[start] = self.layers[start[-1]](values)
                values = known[start]
            return np.asarray(values.numpy())


class Running:
    """A plan's networks, opened. kinds: scores.kind_of(), of each network, as soon as it is known."""

    def __init__(self, plan: Plan, kinds: Sequence[str] = ()) -> None:
        self.plan, self.kinds, self.prepare = plan, kinds, Preparing()
        self.opened = [opened(source) for source in plan.networks]
        self.networks = [each.network for each in self.opened]

    def scores(self, path: Path, only: Sequence[Variant] | None = None) -> list[NDArray[np.float64]]:
        """(classes,) for each variant."""
        variants = self.plan.variants if only is None else only
        pictures: dict[PixelsSpec, Picture] = {}
        given: dict[Any, NDArray[Any]] = {}
        known: dict[Any, dict[Any, Any]] = defaultdict(dict)
        batches: dict[Any, list[tuple[int, NDArray[Any]]]] = defaultdict(list)
        for number, variant in enumerate(variants):
            way = (variant.pixels, variant.jpeg, variant.filter, variant.camera)
            if variant.pixels not in pictures:
                pictures[variant.pixels] = read(path, variant.pixels)
            if way not in given:
                given[way] = inputs.laid_out(sent(pictures[variant.pixels], variant)[0], variant.pixels)
            ready = given[way] if variant.steps is None else self.prepare(variant.steps, given[way], known[way])
            batches[variant.network, ready.shape, ready.dtype.str].append((number, ready))
        found: dict[int, NDArray[np.float64]] = {}
        for (network, *_), batch in batches.items():
            answers = self.networks[network](np.concatenate([ready for _, ready in batch]))
            found |= {number: answer for (number, _), answer in zip(batch, answers, strict=True)}
        return [found[number] for number in range(len(variants))]

    def outcomes(self, path: Path, label: int) -> list[Outcome]:
        """For each variant."""
        kinds = [self.kinds[variant.network] for variant in self.plan.variants]
        return [outcome(scores, label, kind) for scores, kind in zip(self.scores(path), kinds, strict=True)]

    def answers(self, chunk: Sequence[Item]) -> list[Any]:
        """[path, outcomes of all variants] for each picture, or [path, error, name]."""
        found: list[Any] = []
        for path, label in chunk:
            try:
                found.append([path, [each.to_json() for each in self.outcomes(Path(path), label)]])
            except PreprocError as error:
                found.append([path, str(error), error.name])
        return found


def begun(options: Mapping[str, Any]) -> Callable[[Sequence[Item]], Any]:
    """options: a plan's files and fingerprint, and the kinds. Raises PreprocError for another plan than was asked for."""
    own = options["variants"]
    plan = read_plan(Path(options["model"]), None if own is None else Path(own), resized=options["resized"])
    if plan.fingerprint() != options["fingerprint"]:
        raise PreprocError("expected the same model and variants in every process, got other ones", name="recipe-changed")
    return Running(plan, options["kinds"]).answers


def merge(answers: Sequence[Sequence[Any]]) -> list[Any]:
    return [row for answer in answers for row in answer]
