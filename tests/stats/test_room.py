"""The door of the room, its names being resolved when they are used; and the order of what is behind it, a flow of data."""

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
    "counting: picture file chunk worker",
    "engines: walk local cluster choice",
    "summary stats earlier in_python compute comparison",
    "output: progress tables advice plots normalized report keeping",
]


def ranks():
    """Each module's place in ORDER; a folder's door is behind what it opens."""
    names = []
    for line in ORDER:
        folder, colon, modules = line.rpartition(": ")
        names += [f"{folder}.{module}" if colon else module for module in modules.split()] + ([folder] if colon else [])
    return {name: rank for rank, name in enumerate(names)}


def imported(file):
    """The modules and folders of the room that a file imports, by their names in it."""
    package = file.relative_to(ROOM).parent.parts
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and 0 < node.level <= len(package) + 1:
            base = [*package[: len(package) + 1 - node.level], *filter(None, (node.module or "").split("."))]
            yield from [".".join(base)] if base else [alias.name for alias in node.names]


def test_a_module_imports_only_what_stands_before_it():
    files = {file.relative_to(ROOM).with_suffix(""): file for file in ROOM.rglob("*.py")}
    names = {".".join(path.parts).removesuffix(".__init__"): file for path, file in files.items() if path.parts != ("__init__",)}
    rank = ranks()
    assert set(names) == set(rank)
    wrong = [f"{name} imports {other}" for name, file in names.items() for other in imported(file) if rank[other] >= rank[name]]
    assert not wrong
    assert list(imported(names["engines.walk"])) == ["counting", "places"]


def test_names_resolve_to_what_type_checkers_see():
    tree = ast.parse(Path(stats.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == {name: module for module, names in stats._WHERE.items() for name in names}
    assert sorted(seen) == sorted(stats.__all__)
    for name in stats.__all__:
        assert getattr(stats, name).__doc__, name
    with pytest.raises(AttributeError, match=r"'preproc\.stats' has no attribute 'nothing'"):
        stats.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("names", "absent"),
    [
        ("preproc.stats", "numpy, PIL"),
        ("preproc.stats.counting.worker", "torch, rich, matplotlib, distributed, fsspec, preproc.stats.engines"),
        ("preproc.stats.compute", "torch, rich, matplotlib, distributed, fsspec"),
        ("preproc.stats.output.report", "torch, matplotlib"),
    ],
)
def test_nothing_is_imported_unasked(names, absent):
    code = f"import sys, {names}; bad = set({absent!r}.split(', ')) & set(sys.modules); assert not bad, bad"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
