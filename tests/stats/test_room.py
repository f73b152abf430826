"""The order of what is in the room, a flow of data; and what it does not import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from preproc import stats
from tests.conftest import ROOT

ROOM = Path(stats.__file__).parent
ORDER = [
    "sums: kinds over_images histogram moments accumulator",
    "places: place archives remote search selection reading",
    "counting: picture file chunk",
    "summary stats earlier in_python compute comparison",
    "output: progress tables advice plots normalized report keeping",
]


def ranks():
    """Each module's place in ORDER; a folder's door is behind what it opens, and the room's in front of the output."""
    names = []
    for line in ORDER:
        folder, colon, modules = line.rpartition(": ")
        names += [f"{folder}.{module}" if colon else module for module in modules.split()] + ([folder] if colon else [])
    names.insert(names.index("output.progress"), "")
    return {name: rank for rank, name in enumerate(names)}


def imported(file):
    """The modules and folders of the room that a file imports, by their names in it."""
    package = file.relative_to(ROOM).parent.parts
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and 0 < node.level <= len(package) + 1:
            base = [*package[: len(package) + 1 - node.level], *filter(None, (node.module or "").split("."))]
            yield ".".join(base)


def test_a_module_imports_only_what_stands_before_it():
    files = {".".join(file.relative_to(ROOM).with_suffix("").parts): file for file in ROOM.rglob("*.py")}
    names = {name.removesuffix("__init__").rstrip("."): file for name, file in files.items()}
    rank = ranks()
    assert set(names) == set(rank)
    wrong = [f"{name} imports {other}" for name, file in names.items() for other in imported(file) if rank[other] >= rank[name]]
    assert not wrong
    assert list(imported(names["earlier"])) == ["places", "stats", "sums"]


@pytest.mark.parametrize(
    ("names", "absent"),
    [
        ("preproc.stats", "torch, rich, matplotlib, distributed, fsspec, preproc.steps"),
        ("preproc.stats.output", "torch, matplotlib"),
    ],
)
def test_nothing_is_imported_unasked(names, absent):
    code = f"import sys, {names}; bad = set({absent!r}.split(', ')) & set(sys.modules); assert not bad, bad"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
