"""Detectors: rows whose order nothing defines are compared wherever they stand, all outputs of a row together; wrong rows fail."""

import shutil

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

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


def threshold(value):
    """A change of the score from which on boxes are listed."""

    def change(model):
        (least,) = [held for held in model.graph.initializer if held.name == "least"]
        least.CopyFrom(numpy_helper.from_array(np.float32([value]), "least"))

    return change


@pytest.fixture(scope="module")
def on_the_line(bundles, tmp_path_factory):
    """A detector whose threshold is the lowest score of a golden sample, but for roundings; and that score."""
    folder = tmp_path_factory.mktemp("line")
    lowest = min(float(sample.expected["scores"].min()) for sample in bundles["nms"].golden() if len(sample.expected["scores"]) > 1)
    model = onnx.load(detector(folder, "nms"))
    threshold(lowest)(model)
    onnx.save(model, folder / "line.onnx")
    return put(folder / "line.onnx", folder / "line-out"), lowest


def test_a_box_at_the_threshold_comes_and_goes_and_all_others_are_compared(on_the_line, tmp_path):
    bundle, lowest = on_the_line
    found = of_ort(bundle.report)
    assert found.verdict == "passed", found.reason
    assert bundle.report.power.numbers == {}
    assert set(bundle.report.power.borderline) == set(OUTPUTS)
    assert 1 <= bundle.report.power.borderline["labels"] < bundle.report.power.values["labels"] / 10
    verdicts = {}
    for name, change in {
        "one rounding more": threshold(np.nextafter(np.float32(lowest), 1)),
        "one rounding less": threshold(np.nextafter(np.float32(lowest), 0)),
        "fewer boxes": threshold(lowest + 0.02),
        "more boxes": threshold(lowest - 0.02),
        "other boxes": behind("boxes", "Mul", np.float32(1.001)),
        "other scores": in_order(["scores"], OTHERWISE, 0),
        "a box twice": in_order(OUTPUTS, DOUBLED, 0),
    }.items():
        shutil.copytree(bundle.folder, tmp_path / name)
        verdicts[name] = of_ort(verify_bundle(damaged(open_bundle(tmp_path / name), change), runtimes=["ort-cpu"])).verdict
    assert verdicts == {name: "passed" if "rounding" in name else "failed" for name in verdicts}
