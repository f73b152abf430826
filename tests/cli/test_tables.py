"""A report as it is printed."""

import dataclasses

from preproc.cli.tables import print_report
from tests.verify.fake import LISTED, LISTING


def test_rows_that_stand_elsewhere_and_numbers_of_rows_that_were_not_compared_are_printed(capsys):
    print_report(LISTING)
    told = " ".join(capsys.readouterr().out.split())
    assert "boxes, scores: rows which are sorted by scores: those of equal ones are compared wherever they stand, together" in told
    assert "ort-cpu: 2 of 40 rows stood elsewhere than the reference's" in told
    assert "boxes: in 3 inputs not even the number of its rows was compared" in told
    assert "2.0e-04 in boxes[:, 0:4], 1.0e-05 in boxes[:, 4:5], 0.0e+00 in scores of the largest output is for the roundings" in told
    print_report(dataclasses.replace(LISTING, power=dataclasses.replace(LISTED, shift_measured=False, smallest_shift=None)))
    assert "smallest mistake" not in capsys.readouterr().out
