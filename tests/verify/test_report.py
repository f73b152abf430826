"""What a report says of all runtimes together."""

import pytest

from preproc.verify import Original, Report, Result
from tests.verify.fake import POWER


@pytest.mark.parametrize(
    ("verdicts", "ok"),
    [
        (["passed"], True),
        (["passed", "absent"], True),
        (["absent"], False),
        ([], False),
        (["passed", "failed"], False),
        (["passed", "inconclusive"], False),
    ],
)
def test_a_report_is_ok_only_if_something_ran_and_all_of_it_passed(verdicts, ok):
    report = Report("m", "x", "yes", POWER, tuple(Result("ort-cpu", verdict) for verdict in verdicts))
    assert report.ok == ok


def test_an_original_that_differs_fails_the_file():
    right = Result("ort-cpu", "passed", error=0.0)
    report = Report("x", "y", "yes", None, (right,), original=Original("z", 1, 0.0, (Result("ort-cpu", "failed", "error 1"),)))
    assert report.failed
    assert not report.ok
