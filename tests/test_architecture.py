"""The rooms of the package and of its tests: which there are, what each may use, and that tests lie where their rooms lie."""

import ast
import functools
import sys

import pytest

import preproc
from tests.conftest import ROOT

PACKAGE = ROOT / "preproc"
ORDER = tuple(
    "host host.decoding host.engines steps oracle oracle.files stats.sums stats.places stats.counting stats stats.output "  # noqa: SIM905
    "sources.published sources sources.backbones diagnosis.geometry diagnosis.solving diagnosis.pairs diagnosis.mistakes diagnosis.search "
    "diagnosis layers folding folding.modules graph "
    "verify.runtimes verify bundle bundle.inspection export.formats export.quantizing export export.serving "
    "diagnosis.experiment diagnosis.models cli".split()
)
"""Every room, behind those that it may use. A folder in a room is a room of its own, and uses the one around it by its door, too."""
MOST_ROOMS = 13
"""Behind the stages of the way through the code stands `diagnosis`, a stage beside them: it asks which preprocessing was."""
FILES = sorted(PACKAGE.rglob("*.py"))
INSIDE = [file for file in FILES if file.parent != PACKAGE]
ONNX = {
    f"graph/{name}.py"
    for name in "builder constants files listing messages operators precision quantized raising reading writing written".split()  # noqa: SIM905
}
ONNX |= {"oracle/files/moving.py", "oracle/files/pointwise.py", "oracle/files/reading.py"}
ONNXRUNTIME = {"verify/runtimes/ort.py", "export/quantizing/static.py"}
TORCH = {"layers", "sources.backbones", "folding.modules", "export.formats"}
OPTIONAL = ("timm", "dask", "sklearn", "openvino", "executorch", "transformers", "tritonclient", "matplotlib", "fsspec", "cv2")


def path_of(file):
    return file.relative_to(PACKAGE).as_posix()


def room_of(file):
    return ".".join(file.relative_to(PACKAGE).parent.parts)


def door_of(room):
    return exported_by((PACKAGE / room.replace(".", "/") / "__init__.py").read_text())


@functools.cache
def exported_by(text):
    """The names that an __init__.py exports."""
    tree = ast.parse(text)
    (names,) = [ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"]
    return set(names)


def of_preproc(file, node):
    """The module below preproc that an `import from` takes from, "" for preproc itself; None for another package."""
    if not file.is_relative_to(PACKAGE):
        of_it = node.module is not None and node.module.split(".")[0] == "preproc"
        return node.module.removeprefix("preproc").lstrip(".") if of_it else None
    if not node.level:
        return None
    package = list(file.relative_to(PACKAGE).parent.parts)
    return ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])


@functools.lru_cache(maxsize=1)
def parsed(text):
    """A file's tree and all its nodes; what is asked of one file next need not parse it again."""
    return (tree := ast.parse(text)), list(ast.walk(tree))


def imported(file):
    """(module below preproc, or None for another package; name; whether at the top) of every import, wherever it stands."""
    tree, nodes = parsed(file.read_text())
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (module := of_preproc(file, node)) is not None:
            yield from ((module, alias.name, node in tree.body) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((None, node.module, node in tree.body) for _ in node.names)
        elif isinstance(node, ast.Import):
            yield from ((None, alias.name, node in tree.body) for alias in node.names)


def used(module, name):
    """The room, and the name that is taken from it, of `from module import name`; a room as a whole is None."""
    room = f"{module}.{name}".lstrip(".")
    return (room, None) if room in ORDER else (module, name)


def reached(file):
    """(room, name) of every attribute that is read of a whole room: graph.load, graph.files of graph.files.load."""
    (_, nodes), rooms = parsed(file.read_text()), {}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (module := of_preproc(file, node)) is not None:
            taken = [(alias.asname or alias.name, used(module, alias.name)) for alias in node.names]
            rooms |= {known: room for known, (room, name) in taken if name is None}
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in rooms:
            yield rooms[node.value.id], node.attr


def faults(file):
    """What a file imports, or reaches, that it may not, in words."""
    room = room_of(file)
    for target, name in reached(file):
        if name not in door_of(target):
            yield f"{path_of(file)}: {name}, which {target} does not export"
    for module, name, top in imported(file):
        if module is None:
            library, path = name.split(".")[0], path_of(file)
            if library == "preproc":
                yield f"{path}: absolute import of {name}"
            if (library == "onnx" and path not in ONNX) or (library == "onnxruntime" and path not in ONNXRUNTIME):
                yield f"{path}: {name}"
            if top and (library in OPTIONAL or (library in ("torch", "torchvision") and room not in TORCH)):
                yield f"{path}: {name} at the top"
            continue
        if module in ("", "errors") and (module or name in ("errors", "__version__")):
            continue
        target, taken = used(module, name)
        if target.rpartition(".")[0] == room and target not in ORDER and (PACKAGE / target.replace(".", "/")).with_suffix(".py").is_file():
            continue  # a file of the same room
        if target == room and taken is not None:  # its own door, or a file beside it
            continue
        if target not in ORDER:
            yield f"{path_of(file)}: {module}, which is private to its room"
        elif ORDER.index(target) > ORDER.index(room):
            yield f"{path_of(file)}: {target} stands behind {room}"
        elif taken is not None and taken not in door_of(target):
            yield f"{path_of(file)}: {taken}, which {target} does not export"


@pytest.mark.parametrize("file", INSIDE, ids=path_of)
def test_a_file_uses_only_doors_of_rooms_in_front_of_its_own(file):
    assert list(faults(file)) == []


def test_a_look_behind_a_door_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    for room in ORDER:
        (tmp_path / room.replace(".", "/")).mkdir(parents=True, exist_ok=True)
        (tmp_path / room.replace(".", "/") / "__init__.py").write_text("__all__ = ['open']\n")
    (tmp_path / "verify" / "judge.py").touch()
    file = tmp_path / "verify" / "cases.py"
    for line, fault in {
        "from ..graph import open": None,
        "from .judge import anything": None,
        "from .runtimes import open": None,
        "from .. import graph": None,
        "from ..errors import PreprocError": None,
        "from ..graph import other": "other, which graph does not export",
        "from .. import graph\ngraph.open": None,
        "from .. import graph as g\ng.files.load": "files, which graph does not export",
        "from ..graph.files import open": "graph.files, which is private to its room",
        "from ..bundle import open": "bundle stands behind verify",
        "from .. import export": "export stands behind verify",
        "from .runtimes.ort import open": "verify.runtimes.ort, which is private to its room",
        "def f():\n    from ..cli import open": "cli stands behind verify",
        "if TYPE_CHECKING:\n    from ..cli import open": "cli stands behind verify",
        "import torch": "torch at the top",
        "def f():\n    import onnx": "onnx",
    }.items():
        file.write_text(line)
        assert [text.split(": ")[1] for text in faults(file)] == ([] if fault is None else [fault]), line


AT_THE_ROOT = {
    ("errors.py", "verify", "Report"): "for type checkers alone: an error of export_bundle() carries the report that was made before it",
    ("__main__.py", "cli", "main"): "the console script",
}


def test_the_files_at_the_root_use_no_room_but_those_that_are_listed():
    """But __init__.py, which hands all rooms' public names on."""
    found = {
        (file.name, module, name)
        for file in FILES
        if file.parent == PACKAGE and file.name != "__init__.py"
        for module, name, _ in imported(file)
        if module is not None
    }
    assert found == set(AT_THE_ROOT)


def test_the_order_names_every_room():
    """And nothing else lies at the root; folders of compiled files alone, of an older checkout, are none."""
    kept = {"__init__.py", "__main__.py", "errors.py", "py.typed", "README.md"}
    found = {file.relative_to(PACKAGE).parts[0] for file in PACKAGE.rglob("*") if file.is_file() and "__pycache__" not in file.parts}
    assert found == kept | {room for room in ORDER if "." not in room}
    assert sorted(ORDER) == sorted({room_of(file) for file in INSIDE})
    assert len({room.partition(".")[0] for room in ORDER}) <= MOST_ROOMS
    assert {file.name for file in FILES if file.parent == PACKAGE} == {"__init__.py", "__main__.py", "errors.py"}


@pytest.mark.parametrize("room", ORDER)
def test_a_door_says_what_comes_in_and_out_and_exports_what_others_use(room):
    file = PACKAGE / room.replace(".", "/") / "__init__.py"
    tree = ast.parse(file.read_text())
    told = ast.get_docstring(tree).splitlines()
    assert told[2].startswith("In"), "expected In, Out and Never"
    assert any(line.startswith("Never: ") for line in told)
    assert any("Out: " in line or "In and out: " in line for line in told)
    kinds = (ast.Expr, ast.ImportFrom, ast.Assign)
    assert all(isinstance(node, kinds) for node in tree.body), "expected a docstring, imports and __all__"
    assert {alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names} == door_of(room)


def test_what_a_door_exports_is_used_elsewhere():
    """A name that nobody outside takes does not belong into a door; as an attribute of the room it is taken as well."""
    taken = {(room, name) for room, names in preproc._WHERE.items() for name in names}
    for file in [*INSIDE, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "models").glob("*.py"))]:
        own = room_of(file) if file.is_relative_to(PACKAGE) else None
        direct = {used(module, name) for module, name, _ in imported(file) if module is not None}
        taken |= {(room, name) for room, name in (*direct, *reached(file)) if room != own}
    unused = {(room, name) for room in ORDER for name in door_of(room)} - taken
    assert not unused - {("cli", "main")}  # of preproc/__main__.py


APART = {"bench", "embed", "mutants", "serving", "survey"}
"""Folders of tests/ for what is more than a room: speed, programs around bundles, planted faults, real servers, whole collections."""


def faults_of_tests(folder):
    """What a folder of tests has where it does not belong: a test file from which another one imports, and a folder that is no room."""
    for file in sorted(folder.rglob("*.py")):
        path = file.relative_to(folder)
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
                yield from (f"{path}: {part}" for part in ".".join(names).split(".") if part.startswith("test_"))
        room = ".".join(path.parent.parts)
        if path.parts[0] not in APART and room not in ("", *ORDER):
            yield f"{path}: {room} is no room"


def test_tests_lie_where_their_rooms_lie_and_share_no_test_file():
    assert list(faults_of_tests(ROOT / "tests")) == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("from tests.damage import rehash", None),
        ("from tests.verify import fake", None),
        ("from tests.verify.test_judging import power", "verify/test_x.py: test_judging"),
        ("from tests.verify import test_judging", "verify/test_x.py: test_judging"),
        ("def f():\n    import tests.verify.test_judging", "verify/test_x.py: test_judging"),
    ],
)
def test_a_test_file_that_imports_another_is_seen(tmp_path, line, fault):
    (tmp_path / "verify").mkdir()
    (tmp_path / "verify" / "test_x.py").write_text(line)
    assert list(faults_of_tests(tmp_path)) == ([] if fault is None else [fault])


def test_a_folder_of_tests_that_is_no_room_is_seen(tmp_path):
    for place in ("proof", "verify/proof", "bench/proof"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "test_x.py").touch()
    assert list(faults_of_tests(tmp_path)) == ["proof/test_x.py: proof is no room", "verify/proof/test_x.py: verify.proof is no room"]


def neighbours(file):
    """The files that a file imports from, in whatever place."""
    for module, name, _ in imported(file):
        for path in () if module is None else (f"{module}.{name}", module):
            target = (PACKAGE / path.strip(".").replace(".", "/")).with_suffix(".py")
            if path.strip(".") and target.is_file():
                yield target
                break


def circle(files):
    """Files that import one another in a circle, types and functions included; none: empty."""
    left = {file: set(neighbours(file)) & set(files) for file in files}
    while free := [file for file, needs in left.items() if not needs & left.keys() - {file}]:
        for file in free:
            del left[file]
    return sorted(path_of(file) for file in left)


def test_no_file_imports_one_that_imports_it(tmp_path, monkeypatch):
    assert circle([file for file in INSIDE if file.name != "__init__.py"]) == []
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    files = [tmp_path / name for name in ("a.py", "b.py", "c.py")]
    for file, line in zip(files, ("from .b import x", "def f():\n    from .c import y", "import math"), strict=True):
        file.write_text(line)
    assert circle(files) == []
    files[2].write_text("if TYPE_CHECKING:\n    from .a import z")
    assert circle(files) == ["a.py", "b.py", "c.py"]
