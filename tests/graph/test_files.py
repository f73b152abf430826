"""Files that are no models, and what is no text in one that is."""

import pytest

from preproc import graph
from preproc.errors import BundleError
from tests.onnx_files import hand_made


@pytest.mark.parametrize("content", [b"", b"not protobuf at all", None, b"\x08\x0a\xff\xff\xff"])
def test_a_file_that_is_no_model_gets_one_line(tmp_path, content):
    file = tmp_path / "bad.onnx"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BundleError, match="expected an ONNX file") as caught:
        graph.load(file)
    assert "\n" not in str(caught.value)


def test_metadata_that_is_no_text_stays_as_it_is(tmp_path):
    file = hand_made(tmp_path, metadata={"theirs": "~~~~"})
    file.write_bytes(file.read_bytes().replace(b"~~~~", b"\x9c\xff\x80~"))
    model = graph.load(file)
    model.metadata_props["ours"] = "text"
    written = graph.to_bytes(model)
    assert b"\x9c\xff\x80~" in written
    assert b"ours" in written
