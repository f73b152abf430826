"""Detectors: rows whose order nothing defines are compared wherever they stand, all outputs of a row together; wrong rows fail."""

import shutil

import numpy as np
import pytest

from preproc import graph
from preproc.bundle import contract, open_bundle
from preproc.bundle.inspection import describe, lines
from preproc.errors import BundleError
from preproc.export import verify_bundle
from tests.export.detectors import OUTPUTS, detector, in_order
from tests.export.kinds import behind, damaged, of_ort
from tests.onnx_files import put

LAST = 2**40
OTHERWISE = [(0, 1), (2, 3), (1, 2), (3, LAST)]
REVERSED = [(1, 2), (0, 1), (4, 5), (3, 4), (2, 3), (5, LAST)]
DOUBLED = [(0, 1), (1, 2), (1, 2), (3, LAST)]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detectors")
    return {kind: put(detector(folder, kind), folder / f"{kind}-out") for kind in ("nms", "best", "sorted")}


@pytest.fixture
def judged(bundles, tmp_path):
    """The verdict on a damaged file."""

    def judge(kind, change, **options):
        shutil.copytree(bundles[kind].folder, tmp_path / "damaged")
        return of_ort(verify_bundle(damaged(open_bundle(tmp_path / "damaged"), change), runtimes=["ort-cpu"], **options))

    return judge


@pytest.mark.parametrize(("kind", "axis", "sorted_by"), [("nms", 0, []), ("best", 0, []), ("sorted", 1, ["scores"])])
def test_the_contract_and_the_report_say_which_rows_have_no_order(kind, axis, sorted_by, bundles):
    bundle = bundles[kind]
    assert of_ort(bundle.report).verdict == "passed", of_ort(bundle.report)
    assert of_ort(bundle.report).moved == 0
    for output in bundle.contract["outputs"]:
        assert output["rows"] == {"axis": axis, "listed_with": [name for name in OUTPUTS if name != output["name"]], "sorted_by": sorted_by}
    (rows,) = open_bundle(bundle.folder).report.power.rows
    assert rows.axes == dict.fromkeys(OUTPUTS, axis)
    assert [*rows.keys] == sorted_by
    told = "\n".join(lines(describe(bundle.folder / "model.onnx")))
    assert ("rows sorted by scores, those of equal ones in any order" if sorted_by else "rows in any order") in told
    with pytest.raises(BundleError, match="whole contract of preproc"):
        contract.check(bundle.contract | {"outputs": [bundle.contract["outputs"][0] | {"rows": {}}]}, "x")


@pytest.mark.parametrize("kind", ["nms", "best"])
def test_boxes_in_another_order_pass_and_are_counted(kind, judged, bundles):
    found = judged(kind, in_order(OUTPUTS, OTHERWISE, 0))
    assert found.verdict == "passed", found.reason
    assert 2 <= found.moved < found.rows == sum(len(sample.expected["scores"]) for sample in bundles[kind].golden())


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("nms", in_order(["boxes"], OTHERWISE, 0)),
        ("nms", in_order(["scores", "labels"], OTHERWISE, 0)),
        ("nms", in_order(OUTPUTS, DOUBLED, 0)),
        ("best", in_order(["boxes", "scores"], REVERSED, 0)),
        ("best", in_order(["labels"], REVERSED, 0)),
        ("sorted", in_order(OUTPUTS, OTHERWISE, 1)),
        ("sorted", in_order(["boxes", "labels"], OTHERWISE, 1)),
        ("sorted", in_order(OUTPUTS, DOUBLED, 1)),
    ],
    ids=[
        "other boxes",
        "other scores",
        "a row twice",
        "boxes without their labels",
        "labels alone",
        "not sorted",
        "other boxes of the same scores",
        "a row twice, sorted",
    ],
)
def test_wrong_rows_fail(kind, change, judged):
    assert judged(kind, change).verdict == "failed"


def test_a_wrong_value_in_a_row_that_stands_elsewhere_fails(judged):
    def change(model):
        in_order(OUTPUTS, OTHERWISE, 0)(model)
        behind("boxes", "Mul", np.float32(1.001))(model)

    assert judged("nms", change).verdict == "failed"


def test_where_the_order_is_defined_it_is_compared(judged, bundles, monkeypatch):
    monkeypatch.setattr(graph, "listed", lambda *_: [])
    options = {"recipe": bundles["nms"].folder.parent / "nms.onnx"}
    assert judged("nms", in_order(OUTPUTS, OTHERWISE, 0), **options).verdict == "failed"
