"""What the page on diagnoses quotes of the surveys is what they hold."""

import re

import pytest

from tests.conftest import ROOT

PAGE = ROOT / "preproc/diagnosis/README.md"
SURVEYS = ["tests/survey/diagnose.md", "tests/survey/diagnose_labels.md"]


def in_short(survey):
    """The rows of a survey's first table."""
    return re.search(r"## In short\n\n(.*?)\n\n", (ROOT / survey).read_text(), re.DOTALL)[1].splitlines()


@pytest.mark.parametrize("survey", SURVEYS)
def test_tables_are_those_of_the_surveys(survey):
    shown = re.search(rf"<!-- table: {survey} -->\n(.*?)\n\n", PAGE.read_text(), re.DOTALL)[1]
    assert shown.splitlines() == in_short(survey)


@pytest.mark.parametrize("survey", SURVEYS)
def test_no_network_was_wrongly_identified_with_pictures_of_its_own_kind(survey):
    """What README.md says; others' pictures make some wrong, which the table and each answer's condition tell."""
    (head, _, *rows) = [[cell.strip() for cell in row.strip("|").split("|")] for row in in_short(survey)]
    own = [row for row in rows if "its own" in row[0]]
    assert sum(int(row[1]) for row in own) >= 72
    assert {row[head.index("**wrong identified**")] for row in own} == {"0"}
