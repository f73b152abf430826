"""python -m tests.mutants: plants faults, one at a time, and tells which were noticed, by what, into tests/survey/mutants.md.

Into published files (weights, constants, orders, axes, pads, attributes), whose manifest is made to agree, so that only what they compute
can give them away; into recipes; into pipelines that were read from libraries; into statistics. A fault that was not noticed and moves the
outputs of fresh pictures by more than the tolerance is a bug of verify: the command then exits with 1.

    python -m tests.mutants [WORD...]        (those whose name has one of the words, printed and not written)
"""

import sys
import tempfile
from pathlib import Path

from tests.mutants.files import files
from tests.mutants.pipelines import pipelines
from tests.mutants.planted import Planted
from tests.mutants.recipes import recipes
from tests.mutants.statistics import statistics

PAGE = Path(__file__).parents[1] / "survey" / "mutants.md"


def main() -> int:
    asked, found = sys.argv[1:], list[Planted]()
    with tempfile.TemporaryDirectory() as folder:
        for part in (recipes, statistics, pipelines, files):
            place = Path(folder) / part.__name__
            place.mkdir()
            for planted in part(place):
                if not asked or any(word in f"{planted.kind} {planted.what}" for word in asked):
                    found.append(planted)
                    print(planted.row(), flush=True)
    missed = [planted for planted in found if planted.missed]
    kinds = dict.fromkeys(planted.kind for planted in found)
    counted = [
        f"| {kind} | {len(of)} | {sum(p.noticed is not None for p in of)} | {sum(p.noticed is None and not p.moves for p in of)} "
        f"| {sum(p.moves and p.alone for p in of)} | {sum(p.missed for p in of)} |"
        for kind in kinds
        for of in [[planted for planted in found if planted.kind == kind]]
    ]
    told = [
        "# Planted faults",
        "",
        "Written by `python -m tests.mutants`. A fault that was not noticed moves nothing on fresh pictures, or is **missed**.",
        "",
        "| into | planted | noticed | moves nothing | left: only the recipe says | missed |",
        "|---|--:|--:|--:|--:|--:|",
        *counted,
        "",
        "| into | fault | noticed by | the outputs move by |",
        "|---|---|---|--:|",
        *(planted.row() for planted in found),
    ]
    print(f"{len(found)} planted, {len(missed)} missed")
    if not asked:
        PAGE.write_text("\n".join(told) + "\n", encoding="utf-8")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
