"""What `make bench` measures of cameras: the conversions are right, and the table is what was measured."""

import json

import numpy as np
import onnx_ir as ir
from hypothesis import given, settings
from hypothesis import strategies as st

from preproc.oracle import reference
from preproc.steps import FromPixels
from tests.bench import plot, plot_video, video


@settings(max_examples=10)
@given(st.integers(0, 1000), st.integers(1, 4), st.integers(1, 4))
def test_numpy_converts_as_the_oracle_does(seed, rows, columns):
    x = np.random.default_rng(seed).integers(0, 256, (1, 3 * rows, 2 * columns), dtype=np.uint8)
    (want,) = reference.apply([FromPixels(layout="NHW", color="NV12", matrix="bt601", range="limited")], x)
    assert np.abs(video.rgb_in_numpy(x)[0] - want.clip(0, 255).transpose(1, 2, 0)).max() <= 0.501


def test_a_picture_comes_back():
    picture = np.full((4, 6, 3), (200, 100, 50), np.uint8)
    back = video.rgb_in_numpy(video.nv12_of(picture))[0]
    assert np.abs(back.astype(int) - picture).max() <= 2


def test_multiplications_are_counted():
    first, second, third = (
        ir.Value(name=name, shape=ir.Shape(shape)) for name, shape in (("a", [8, 1, 3, 3]), ("b", [8, 2, 2, 2]), ("c", [8, 8, 1, 1]))
    )
    nodes = [ir.node("Conv", [ir.Value(name="x"), weight]) for weight in (first, second, third)]
    model = ir.Model(ir.Graph([], [], nodes=nodes, opset_imports={"": 18}), ir_version=10)
    assert video._multiplications(model, 2) == 17


def test_the_table_is_what_was_measured():
    document = json.loads((plot.RESULTS / "cpu.json").read_text(encoding="utf-8"))
    for section in ("tables", "figures"):
        document[section] = {title: value for title, value in document[section].items() if not title.startswith(plot_video.TITLE)}
    assert plot_video.lines(document) == []
    title, row = f"{plot_video.TITLE}: net", {"median": 0.75, "low": 0.5, "high": 1.0, "seconds": 0.0125}
    document["tables"][title] = {video.RGB: row | {"median": 1.0}, video.FOLDED: row}
    document["figures"][title] = {
        "bytes of RGB": 2000,
        "bytes of NV12": 1000,
        "multiplications of RGB": 27,
        "multiplications of NV12": 17,
    }
    told = plot.table(document)
    assert f"\n| {video.FOLDED} | 0.75 [0.50, 1.00], 12.50 ms |\n" in told
    assert "| 17 for 27 |\n" in told
    assert "| 1,000 for 2,000 |\n" in told
