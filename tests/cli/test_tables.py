"""A report as it is printed."""

import dataclasses

import pytest

from preproc.cli.tables import print_report
from preproc.verify import FLOAT64, OutputTruth, Result
from preproc.verify.report import PartResult
from tests.verify.fake import LISTED, LISTING, POWER


def test_rows_that_stand_elsewhere_and_numbers_of_rows_that_were_not_compared_are_printed(capsys):
    print_report(LISTING)
    told = " ".join(capsys.readouterr().out.split())
    assert "boxes, scores: rows which are sorted by scores: those of equal ones are compared wherever they stand, together" in told
    assert "ort-cpu: 2 of 40 rows stood elsewhere than the reference's" in told
    assert "boxes: in 3 inputs not even the number of its rows was compared" in told
    assert "2.0e-04 in boxes[:, 0:4], 1.0e-05 in boxes[:, 4:5], 0.0e+00 in scores of the largest output is for the roundings" in told
    print_report(dataclasses.replace(LISTING, power=dataclasses.replace(LISTED, shift_measured=False, smallest_shift=None)))
    assert "smallest mistake" not in capsys.readouterr().out


@pytest.mark.parametrize("drawn", [0.0, 2.5e-3], ids=["bare", "draws"])
def test_what_a_lower_precisions_tolerance_is_twice_of_is_printed(drawn, capsys):
    power = dataclasses.replace(POWER, truths={"y": OutputTruth(FLOAT64, 1e-3, drawn=drawn)}, precision="float16")
    result = Result("ort-cpu", "passed", error=1e-3, bare=2e-3, parts={"y": PartResult(1e-3, 2e-3, 5e-3)}, precision="float16")
    print_report(dataclasses.replace(LISTING, power=power, results=(result,)))
    told = " ".join(capsys.readouterr().out.split())
    plain = "the tolerance in float16 is twice what the bare network errs by in float16 in the same runtime"
    largest = "the tolerance in float16 is twice the largest error of the bare network in float16 in the same runtime over its draws, "
    further = "at most three times that on these pictures; on further draws it errs by up to 2.5e-03"
    assert (plain in told, largest + further in told) == (not drawn, bool(drawn))
