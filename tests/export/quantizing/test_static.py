"""ONNX Runtime's quantizer, called: nothing is printed, what is on a grid stays there, histograms are made of a few pictures at once."""

import logging

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from preproc import graph
from preproc.errors import PreprocError
from preproc.export.quantizing import Quantization, quantized, without_batch_norms
from preproc.graph.builder import Moved
from preproc.verify.runtimes import evaluate
from tests.onnx_files import hand_made


def feeds(count, seen=None):
    def read():
        rng = np.random.default_rng(4)
        for number in range(count):
            if seen is not None:
                seen.append(number)
            yield {"image": rng.normal(size=(1, 3, 24, 20)).astype(np.float32)}

    return read


@pytest.mark.parametrize("method", ["minmax", "entropy", "percentile"])
def test_every_picture_is_seen_once_and_nothing_is_heard(tmp_path, capfd, method):
    seen, before = [], list(logging.getLogger().handlers)
    model = graph.load(hand_made(tmp_path))
    made = quantized(model, feeds(11, seen), 11, Quantization(tmp_path, method=method))
    assert seen == list(range(11))
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger().handlers == before
    x = next(feeds(1)())
    (own,), (eight,) = (evaluate(graph.to_bytes(each), [x])[0] for each in (graph.load(hand_made(tmp_path)), made))
    assert 0 < np.abs(eight - own).max() < 0.05 * np.abs(own).max()
    assert len(np.unique((eight * 1e6).round())) == 4


def test_entropy_cuts_no_range_off_below_the_first_pictures_and_says_so(tmp_path):
    """Of eight pictures it takes what min-max does: its histogram has no finer bins than its candidates."""
    scales = {}
    for method in ("minmax", "entropy"):
        asked = Quantization(tmp_path, method=method)
        made = quantized(graph.load(hand_made(tmp_path)), feeds(8), 8, asked)
        scales[method] = {name: v.const_value.numpy() for name, v in made.graph.initializers.items() if name.endswith("_scale")}
        assert any("below the largest value of the first 8 pictures" in note for note in asked.notes) == (method == "entropy")
    for name, scale in scales["minmax"].items():
        np.testing.assert_allclose(scales["entropy"][name], scale, rtol=1e-6)


def test_what_is_on_its_grid_stays_there(tmp_path):
    file = hand_made(tmp_path)
    model = onnx.load(file)
    rng, scales = np.random.default_rng(5), np.linspace(0.01, 0.08, 8).astype(np.float32).astype(np.float64)
    steps = rng.integers(-127, 128, (8, 3, 3, 3))
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "w")
    weight.CopyFrom(numpy_helper.from_array((steps * scales[:, None, None, None]).astype(np.float32), "w"))
    onnx.save(model, file)
    held = graph.Held(Moved("first", ir.DataType.FLOAT), ["first"], 114, {"w": (scales, 0)}, [], {}, np.full(3, 114.0), None)
    made = quantized(graph.load(file), feeds(3), 3, Quantization(tmp_path), held)
    values = {name: value.const_value.numpy() for name, value in made.graph.initializers.items()}
    (weights,) = [node for node in made.graph if node.outputs[0] is next(n for n in made.graph if n.op_type == "Conv").inputs[1]]
    whole, scale, zero = (values[value.name] for value in weights.inputs)
    np.testing.assert_array_equal(whole.astype(int) - zero.reshape(-1, 1, 1, 1), steps)
    np.testing.assert_array_equal(scale, scales.astype(np.float32))
    (pixels,) = [node for node in made.graph if node.op_type == "QuantizeLinear" and node.inputs[0].name == "first"]
    assert [values[value.name] for value in pixels.inputs[1:]] == [1.0, 114]


def test_a_model_that_the_quantizer_cannot_take_is_refused_in_its_words(tmp_path):
    file = hand_made(tmp_path, nodes=[helper.make_node("Identity", ["image"], ["first"])], opset=7)
    with pytest.raises(PreprocError, match="expected a model that ONNX Runtime quantizes, got: ") as refused:
        quantized(graph.load(file), lambda: iter([{"other": np.zeros(1, np.float32)}]), 1, Quantization(tmp_path))
    assert refused.value.name == "not-quantizable"


def test_batch_norms_go_into_the_weights_before_them(tmp_path):
    rng = np.random.default_rng(6)
    numbers = {name: rng.uniform(0.5, 2, 3).astype(np.float32) for name in ("scale", "shift", "mean", "var")}
    stem = numpy_helper.from_array(rng.normal(size=(3, 3, 1, 1)).astype(np.float32), "stem")
    nodes = [helper.make_node("Conv", ["image", "stem"], ["s"]), helper.make_node("BatchNormalization", ["s", *numbers], ["first"])]
    file = hand_made(tmp_path, nodes=nodes)
    model = onnx.load(file)
    model.graph.initializer.extend([stem, *(numpy_helper.from_array(values, name) for name, values in numbers.items())])
    onnx.save(model, file)
    made = without_batch_norms(graph.load(file))
    assert not any(node.op_type == "BatchNormalization" for node in made.graph)
    x = next(feeds(1)())
    (own,), (other,) = (evaluate(graph.to_bytes(each), [x])[0] for each in (graph.load(file), made))
    np.testing.assert_allclose(other, own, rtol=1e-4)
    assert without_batch_norms(made) is made
