"""Outputs of every kind on a server."""

import numpy as np
import pytest

from preproc.export.serving import triton
from preproc.export.serving.batches import in_one_request
from preproc.export.serving.client import _plain
from tests.export.kinds import file_with
from tests.onnx_files import put


def test_rows_of_one_request_are_cut_apart_with_their_ties(tmp_path):
    bundle = put(file_with(tmp_path, "labels"), tmp_path / "out")
    (together,) = in_one_request(bundle.contract, bundle.golden())
    assert together.expected["labels"].dtype == np.int64
    assert len(together.expected["labels"]) == len(bundle.golden())


TRITON = {
    "labels": ("TYPE_INT64", 8),
    "words": ("TYPE_STRING", 8),
    "mask": ("TYPE_BOOL", 8),
    "columns": ("TYPE_FP32", 0),
    "found": ("TYPE_INT64", 0),
}


@pytest.mark.parametrize("name", TRITON)
def test_triton_is_told_the_dtype_and_batches_only_rows_of_pictures(name, tmp_path):
    bundle = put(file_with(tmp_path, name), tmp_path / "out")
    told = []
    config = triton.make_config(bundle, bundle.golden(), "m", backend="onnxruntime", kind="cpu", max_batch=None, progress=told.append)
    kind, batch = TRITON[name]
    assert triton.schema_of().DataType.Name(config.output[1].data_type) == kind
    assert config.max_batch_size == batch
    assert bool(told) == (batch == 0)


def test_texts_of_a_server_are_compared_as_texts():
    answered = np.array([[b"cat", "dog"]], dtype=object)
    assert _plain(answered).tolist() == [["cat", "dog"]]
    assert _plain(answered).dtype.kind == "U"
    assert _plain(np.arange(3)).dtype.kind == "i"
    assert _plain(None) is None
