"""What a report says of all runtimes together."""

import dataclasses
import json

import pytest

from preproc.verify import Original, Report, Result
from tests.verify.fake import LISTED, LISTING, POWER


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


@pytest.mark.parametrize(
    ("results", "ok", "unverified"),
    [
        ({"torch-cpu": "passed", "aoti-cpu": "absent"}, False, {"model.aoti.pt2": ["aoti-cpu"]}),
        ({"torch-cpu": "passed"}, False, {}),
        ({"torch-cpu": "passed", "aoti-cpu": "passed", "aoti-cuda": "absent"}, True, {}),
        ({"ort-cpu": "passed", "executorch-cpu": "absent"}, True, {"model.pte": ["executorch-cpu"]}),
        ({"pt2-cpu": "passed", "ort-cpu": "absent"}, True, {"model.onnx": []}),
        ({"a-server": "passed"}, True, {}),
    ],
)
def test_the_module_in_python_is_no_file_of_the_bundle(results, ok, unverified):
    report = Report("m", "x", "yes", POWER, tuple(Result(*each) for each in results.items()))
    assert (report.ok, report.unverified) == (ok, unverified)


def test_an_original_that_differs_fails_the_file():
    right = Result("ort-cpu", "passed", error=0.0)
    report = Report("x", "y", "yes", None, (right,), original=Original("z", 1, 0.0, (Result("ort-cpu", "failed", "error 1"),)))
    assert report.failed
    assert not report.ok


def test_what_lists_rows_is_read_again_and_so_is_each_parts_own_room():
    read = Report.from_json(json.loads(json.dumps(LISTING.to_json())))
    fields = ("rows", "groups", "numbers", "slacks", "shift_measured")
    assert [getattr(read.power, field) for field in fields] == [getattr(LISTED, field) for field in fields]
    assert read.results == LISTING.results
    assert [part.rows for part in read.power.parts.values()] == [*LISTED.rows] * 3
    assert read.power.slack_of("boxes[:, 4:5]") == 1e-5
    assert dataclasses.replace(read.power, slacks={}).slack_of("scores") == 2e-4
