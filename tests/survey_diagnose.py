"""python -m tests.survey_diagnose [FOLDER]: which preprocessing `preproc diagnose MODEL --images` names for small networks whose own is
known, into tests/survey/diagnose.md.

Each network is asked for with pictures of its own kind that it has not seen, and with others. The rules of the answers were chosen on other
networks (CHOSEN), and frozen. FOLDER keeps the networks and the answers, and only those that it lacks are made: eight minutes of one core.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from models.train_digits import Pictures
from preproc.diagnosis.models import OWN_CONSTANTS, diagnose_model
from tests.conftest import ROOT
from tests.trained_networks import (
    COLORS,
    NETWORKS,
    OWN_KIND,
    Z_SCORE,
    Known,
    Row,
    Set,
    fainter,
    lit,
    pieces,
    rates,
    summary,
    swapped,
    table,
    told_versions,
)

PAGE = ROOT / "tests/survey/diagnose.md"
COUNT = 60
"""Pictures that a network is asked for with."""
EPOCHS = 3
LAMP = Set("lamp", "digits as under a warm lamp", lit, 22, 512, EPOCHS)
PIECES = Set("pieces", "pieces of five photographs, by photograph", pieces, 23, 512, EPOCHS)
SETS = (LAMP, PIECES)
OTHER_DOMAIN = {LAMP.name: PIECES, PIECES.name: LAMP}
OTHERS: dict[str, Callable[[Set, Known], Pictures]] = {
    "channels swapped": lambda of, network: swapped(of.asked_with(network, COUNT)[0]),
    "a fifth less contrast": lambda of, network: fainter(of.asked_with(network, COUNT)[0]),
    "another domain": lambda of, network: OTHER_DOMAIN[of.name].asked_with(network, COUNT)[0],
}
"""Pictures of another kind than the training's, for networks of RGB."""
CHOSEN = """## Networks that the rules were chosen on

Faint digits on grey paper, as blue as they are red, by which no order of colours can be told; four epochs. These answers are of that time,
and not made again.

| pictures | answers | identified | narrowed, the truth among them | not identified | wrong narrowed | **wrong identified** |
|---|--:|--:|--:|--:|--:|--:|
| its own kind | 36 | 0 | 36 | 0 | 0 | 0 |
| a tenth darker | 18 | 0 | 6 | 12 | 0 | 0 |
| a quarter darker | 18 | 0 | 6 | 12 | 0 | 0 |
| half the contrast | 18 | 0 | 12 | 6 | 0 | 0 |
| a tenth less contrast | 18 | 0 | 18 | 0 | 0 | 0 |
| negatives | 18 | 0 | 6 | 12 | 0 | 0 |
| blurred | 18 | 0 | 18 | 0 | 0 | 0 |
| photographs | 18 | 0 | 0 | 17 | 1 | 0 |
"""


@dataclass(frozen=True)
class Measured(Row):
    """nearest, noise: of the first candidate.  apart: the divergence of the next that is not left."""

    nearest: float
    noise: float
    apart: float


def rows_of(of: Set, folder: Path) -> Iterator[Measured]:
    """Of every network with its own kind of pictures, then of those of RGB with the others."""
    for network in NETWORKS:
        yield asked(of, network, OWN_KIND, of.asked_with(network, COUNT)[0], folder)
    for kind, pictures in OTHERS.items():
        yield from (asked(of, network, kind, pictures(of, network), folder) for network in NETWORKS if network.color == COLORS[0])


def asked(of: Set, network: Known, kind: str, pictures: Pictures, folder: Path) -> Measured:
    """The answer, from the folder where that has it."""
    file = folder / f"{of.name}, {network}, {kind}.json"
    if not file.is_file():
        with tempfile.TemporaryDirectory() as place:
            for number, each in enumerate(pictures):
                Image.fromarray(each).save(Path(place, f"{number:03}.png"))
            found = diagnose_model(of.trained(network, folder), images=place)
        best, second = found.candidates[0].measured, found.second
        apart = np.nan if second is None else second.measured["divergence"]
        left = [each.name for each in found.fits]
        told = {"verdict": found.verdict, "left": left, "nearest": best["divergence"], "noise": best["noise"], "apart": apart}
        file.write_text(json.dumps(told), encoding="utf-8")
        print(file.stem, found.verdict, *left, sep="; ", flush=True)
    return Measured(network, kind, network.truth(OWN_CONSTANTS), **json.loads(file.read_text(encoding="utf-8")))


def networks(rows: Sequence[Measured]) -> Iterator[str]:
    """The answers with pictures of the network's own kind, and those that are wrong."""
    yield "| family | trained with | pictures | verdict | left | nearest | noise | next that is ruled out |"
    yield "|---|---|---|---|---|--:|--:|--:|"
    for row in rows:
        if row.pictures == OWN_KIND or row.kind.startswith("wrong"):
            told = f"{row.kind} | {'; '.join(row.left)} | {row.nearest:.2g} | {row.noise:.2g} | {row.apart:.2g}"
            yield f"| {row.network.family} | {row.network.way}, {row.network.color} | {row.pictures} | {told} |"


def main() -> None:
    """The names of sets behind the folder make only these, and no page."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
    folder.mkdir(exist_ok=True)
    found = [(of, list(rows_of(of, folder))) for of in SETS if of.name in (sys.argv[2:] or [each.name for each in SETS])]
    if not sys.argv[2:]:
        PAGE.write_text("\n".join(page(found)) + "\n", encoding="utf-8")


def page(found: Sequence[tuple[Set, Sequence[Measured]]]) -> Iterator[str]:
    rows = [row for _, each in found for row in each]
    own, others = ([row for row in rows if (row.pictures == OWN_KIND) == is_own] for is_own in (True, False))
    yield f"""# Which preprocessing was a network trained with?

Written by `python -m tests.survey_diagnose` ({told_versions()}). Small networks, trained with one way of preprocessing for {EPOCHS}
epochs, are asked for with {COUNT} pictures, without their recipe: `preproc diagnose MODEL --images DIR`. The rules of the answers were
frozen before any of these networks was made, but for one that came later, by an argument: where the mean and std found without candidates
rule out a preset, it is not `identified` (of a network trained with (x - 0.5) / 0.45 it was); it turned 10 of 30 `identified` of that time
into `narrowed`. Intervals are Student's since, which is 3 % wider of {COUNT} pictures. What the rules were chosen on is at the end.

- With pictures of the network's own kind, {len(own)} answers: {rates(own)}.
- With pictures of another kind, {len(others)} answers: {rates(others)}.

An answer is wrong if the truth is not among what it leaves. Each `identified` and `narrowed` says under which condition it holds: **if
these pictures are like those that it was trained with, in the order of their colours, too**. The second tables are what happens where that
is not so. With channels swapped the other order is what serves such pictures rightly, and with less contrast a smaller std is; it counts as
wrong, for the network has it not. Another domain is the other set's pictures: photographs for networks of digits, digits for those of
photographs. "{Z_SCORE}" is no candidate: "{OWN_CONSTANTS}" is right there, in whichever order.
"""
    yield from ("## In short", "", *summary(found), "")
    for of, each in found:
        its, foreign = ([row for row in each if (row.pictures == OWN_KIND) == is_own] for is_own in (True, False))
        yield from (f"## {of.told[0].upper()}{of.told[1:]}", "", *table("trained with", its, lambda row: row.network.way), "")
        yield from ("The networks of RGB, with pictures of another kind, where the condition is broken:", "")
        yield from (*table("pictures", foreign, lambda row: row.pictures), "")
    yield from (CHOSEN, "## Networks", "", "With pictures of their own kind; with others where the answer is wrong.", "")
    for of, each in found:
        yield from (f"### {of.told[0].upper()}{of.told[1:]}", "", *networks(each), "")


if __name__ == "__main__":
    main()
