"""A step is written down in eight places: preproc/README.md says which. Each test here fails until it is there."""

import json
import re

import pytest

import preproc
from preproc.graph import crops, nodes
from preproc.layers import kinds
from preproc.oracle import pillow, reference
from preproc.steps import STEPS, Geometry, Step
from tests.conftest import ROOT
from tests.graph.forms import FORMS

MOVING = {name for name, step in STEPS.items() if issubclass(step, Geometry)}


def names(steps):
    return {step.name for step in steps}


def in_conformance():
    """The steps of the vectors that other implementations are held to."""
    specs = (ROOT / "export" / "conformance").glob("*/spec.json")
    return {step["step"] for file in specs for step in json.loads(file.read_text(encoding="utf-8"))["steps"]}


def documented():
    """First in a row of a table, or from_pixels, which the table [pixels] makes."""
    page = (ROOT / "models" / "README.md").read_text(encoding="utf-8")
    return {"from_pixels", *re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)} & set(STEPS)


PLACES = {
    "oracle": lambda: names(reference._FORMULAS) | names(pillow.FORMULAS),
    "layers": lambda: names(kinds._KINDS),
    "graph": lambda: names(nodes._NODES) | {name for name in MOVING if re.search(rf"case {STEPS[name].__name__}\(\)", CROPS)},
    "public": lambda: {name for name, step in STEPS.items() if step.__name__ in preproc.__all__},
    "recipes": documented,
    "vectors": in_conformance,
    "kernels": lambda: set(FORMS),
}
CROPS = (ROOT / "preproc" / "graph" / "crops.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("place", PLACES)
def test_every_step_is_there(place):
    assert PLACES[place]() == set(STEPS)


@pytest.mark.parametrize("place", PLACES)
def test_a_step_that_is_missing_is_seen(place, monkeypatch):
    class Blur(next(iter(STEPS.values()))):
        name = "blur"

    monkeypatch.setitem(STEPS, "blur", Blur)
    assert set(STEPS) - PLACES[place]() == {"blur"}


def concrete(kind):
    """The classes behind it that can be made."""
    for sub in kind.__subclasses__():
        yield from concrete(sub)
        if "name" in vars(sub) and sub.__module__.startswith("preproc."):
            yield sub


def test_every_step_is_in_the_vocabulary():
    assert set(concrete(Step)) == set(STEPS.values())


def test_the_page_names_the_places():
    page = (ROOT / "preproc" / "README.md").read_text(encoding="utf-8")
    told = page.partition("## A new step")[2].partition("\n## ")[0]
    assert len(re.findall(r"^\d\. ", told, re.MULTILINE)) == 1 + len(PLACES)
    for file in re.findall(r"`([\w/.]+\.(?:py|md))`", told):
        assert (ROOT / file).is_file(), file
    assert crops.geometry.__name__ in told


def test_the_way_through_the_code_leads_along_files_and_functions_that_are_there():
    page = (ROOT / "preproc" / "README.md").read_text(encoding="utf-8")
    way = page.partition("## The way through the code")[2].partition("\n## ")[0]
    files = re.findall(r"`([\w/]+\.py)`", way)
    assert len(files) > 15
    for file in files:
        assert (ROOT / "preproc" / file).is_file() or (ROOT / file).is_file(), file
    for file, name in re.findall(r"`([\w/]+\.py)`, `(\w+)`", way):
        assert re.search(rf"^def {name}\(", (ROOT / "preproc" / file).read_text(encoding="utf-8"), re.MULTILINE), (file, name)
    for room in re.findall(r"`([\w/]+)/`", way):
        assert (ROOT / "preproc" / room / "__init__.py").is_file(), room
