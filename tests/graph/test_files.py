"""Files that are no models."""

import pytest

from preproc import graph
from preproc.errors import BundleError


@pytest.mark.parametrize("content", [b"", b"not protobuf at all", None, b"\x08\x0a\xff\xff\xff"])
def test_a_file_that_is_no_model_gets_one_line(tmp_path, content):
    file = tmp_path / "bad.onnx"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BundleError, match="expected an ONNX file") as caught:
        graph.load(file)
    assert "\n" not in str(caught.value)
