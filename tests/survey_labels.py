"""python -m tests.survey_labels [FOLDER]: which preprocessing `preproc diagnose MODEL --labels` names for small networks whose own is
known, into tests/survey/diagnose_labels.md.

The networks of survey_diagnose.py, trained until they read most of the pictures, are asked for with few pictures and with more, in a folder
per class. FOLDER keeps the networks and the answers, and only those that it lacks are made: a quarter of an hour of one core.
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

from models.train_digits import Labels, Pictures
from preproc.diagnosis.models import Z_SCORE_OF_THESE, diagnose_model
from tests.conftest import ROOT
from tests.trained_networks import (
    BESIDE,
    COLORS,
    FAMILIES,
    NETWORKS,
    PRESET,
    SCALE,
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

PAGE = ROOT / "tests/survey/diagnose_labels.md"
COUNTS = (15, 60)
"""Pictures that a network is asked for with."""
OTHERS: dict[str, Callable[[Pictures], Pictures]] = {"channels swapped": swapped, "a fifth less contrast": fainter}
"""Of COUNTS[1] pictures others, which it was not trained with, for networks of RGB."""
NEIGHBOURS = tuple(Known(family, BESIDE, COLORS[0]) for family in FAMILIES)
SETS = (
    Set("labelled lamp", "digits as under a warm lamp", lit, 32, 1024, 8),
    Set("labelled pieces", "pieces of five photographs, by photograph", pieces, 33, 1024, 8),
)


@dataclass(frozen=True)
class Answered(Row):
    """right: the share of pictures that the network reads right as it was trained, or with the candidate nearest to that.  scale: what the
    answer leaves of that of the first candidate."""

    right: float
    scale: tuple[float | None, float | None]

    @property
    def kind(self) -> str:
        """Of a network that no candidate is: right where the answer names the one beside, and leaves the network's own scale; the z-score
        of other pictures than the training's is not its own."""
        if self.network.way == Z_SCORE and self.pictures in OTHERS and self.left:
            return f"wrong {self.verdict}"
        low, high = self.scale
        outside = (low is not None and low >= SCALE) or (high is not None and high <= SCALE)
        return f"wrong {self.verdict}" if self.network.way == BESIDE and self.left and outside else super().kind


def rows_of(of: Set, folder: Path) -> Iterator[Answered]:
    for count in COUNTS:
        known = (*NETWORKS, *NEIGHBOURS)
        yield from (asked(of, network, told(count), of.asked_with(network, count), folder) for network in known)
    for kind, change in OTHERS.items():
        for network in NETWORKS:
            if network.color == COLORS[0]:
                pictures, labels = of.asked_with(network, COUNTS[1])
                yield asked(of, network, kind, (change(pictures), labels), folder)


def told(count: int) -> str:
    return f"{count} of its own kind"


def asked(of: Set, network: Known, kind: str, given: tuple[Pictures, Labels], folder: Path) -> Answered:
    """The answer, from the folder where that has it."""
    truth = f"{PRESET}, {network.color}" if network.way == BESIDE else network.truth(f"{Z_SCORE_OF_THESE}, {network.color}")
    file = folder / f"{of.name}, {network}, {kind}.json"
    if not file.is_file():
        with tempfile.TemporaryDirectory() as place:
            for number, (picture, label) in enumerate(zip(*given, strict=True)):
                Path(place, str(label)).mkdir(exist_ok=True)
                Image.fromarray(picture).save(Path(place, str(label), f"{number:03}.png"))
            found = diagnose_model(of.trained(network, folder), labels=place)
        rights = {each.name: each.measured["accuracy"] for each in found.candidates}
        left = [each.name for each in found.fits]
        answer = {"verdict": found.verdict, "left": left, "right": rights[truth], "scale": found.room.scale}
        file.write_text(json.dumps(answer), encoding="utf-8")
        print(file.stem, found.verdict, *left, sep="; ", flush=True)
    return Answered(network, kind, truth, **json.loads(file.read_text(encoding="utf-8")))


def networks(rows: Sequence[Answered]) -> Iterator[str]:
    """The answers on COUNTS[1] pictures of their own kind, and all that are wrong."""
    yield "| family | trained with | pictures | verdict | left | read right as trained |"
    yield "|---|---|---|---|---|--:|"
    for row in rows:
        if row.pictures == told(COUNTS[1]) or row.kind.startswith("wrong"):
            known, answer = row.network, f"{row.kind} | {'; '.join(row.left)} | {row.right:.0%}"
            yield f"| {known.family} | {known.way}, {known.color} | {row.pictures} | {answer} |"


def main() -> None:
    """The names of sets behind the folder make only these, and no page."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
    folder.mkdir(exist_ok=True)
    found = [(of, list(rows_of(of, folder))) for of in SETS if of.name in (sys.argv[2:] or [each.name for each in SETS])]
    if not sys.argv[2:]:
        PAGE.write_text("\n".join(page(found)) + "\n", encoding="utf-8")


def page(found: Sequence[tuple[Set, Sequence[Answered]]]) -> Iterator[str]:
    rows = [row for _, each in found for row in each]
    its = [row for row in rows if row.pictures not in OTHERS and row.network.way != BESIDE]
    read = np.mean([row.right for row in its])
    yield f"""# Which preprocessing was a network trained with, by its answers?

Written by `python -m tests.survey_labels` ({told_versions()}). Small networks, trained with one way of preprocessing for
{SETS[0].epochs} epochs on {SETS[0].count:,} pictures, are asked for with pictures in a folder per class, without their recipe:
`preproc diagnose MODEL --labels DIR`. Prepared as they were trained they read {read:.0%} of these right.
"""
    for count in COUNTS:
        each = [row for row in its if row.pictures == told(count)]
        yield f"- With {count} pictures of the network's own kind, {len(each)} answers: {rates(each)}."
    each = [row for row in rows if row.pictures in OTHERS]
    yield f"- With {COUNTS[1]} pictures of another kind, {len(each)} answers: {rates(each)}."
    yield f"""
An answer is wrong if the truth is not among what it leaves. Each `identified` and `narrowed` says under which condition it holds: **if
these pictures are like those that it was trained with, in the order of their colours, too**. The last tables are what happens where that is
not so: the other order, and a smaller std, are what serves such pictures rightly; they count as wrong, for the network has them not. Of a
network trained with its pictures' z-score the truth is "{Z_SCORE_OF_THESE}", of its own kind; that of other pictures is wrong.
"""
    known = [(of, [row for row in each if row.network.way != BESIDE]) for of, each in found]
    yield from ("## In short", "", *summary(known), "")
    for of, each in found:
        yield f"## {of.told[0].upper()}{of.told[1:]}"
        yield ""
        for count in COUNTS:
            yield f"{count} pictures of its own kind:"
            yield ""
            asked_so = [row for row in each if row.pictures == told(count) and row.network.way != BESIDE]
            yield from (*table("trained with", asked_so, lambda row: row.network.way), "")
        yield f"Of networks that no candidate is, trained with {BESIDE}, an answer counts as right that names {PRESET}, beside"
        yield f"which they are, and says that {SCALE:.2f} times its scale are as good:"
        yield ""
        yield from (*table("pictures", [row for row in each if row.network.way == BESIDE], lambda row: row.pictures), "")
        yield f"The networks of RGB, with {COUNTS[1]} pictures of another kind, where the condition is broken:"
        yield ""
        yield from (*table("pictures", [row for row in each if row.pictures in OTHERS], lambda row: row.pictures), "")
    yield from ("## Networks", "", f"With {COUNTS[1]} pictures of their own kind; with others where the answer is wrong.", "")
    for of, each in found:
        yield from (f"### {of.told[0].upper()}{of.told[1:]}", "", *networks(each), "")


if __name__ == "__main__":
    main()
