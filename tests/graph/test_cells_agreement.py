"""What a contract says of convolutions of luma and chroma, and of how they meet, against the file."""

import numpy as np
import onnx_ir as ir
import pytest

from preproc import graph
from preproc.sources import PixelsSpec
from preproc.steps import FromPixels, Normalize, Rescale
from tests.graph.models import conv, model, node
from tests.graph.quantizing import quantizing
from tests.onnx_files import hand_made
from tests.yuv import SAID

RNG = np.random.default_rng(5)
W7, W3, V3 = (RNG.normal(size=(4, 3, side, side)) for side in (7, 3, 3))
PADS = {"pads": [1, 1, 1, 1], "strides": [2, 2]}
NETWORKS = {
    "7x7": ([conv(pads=[3, 3, 3, 3], strides=[2, 2])], {"w": W7}),
    "two": ([conv(output="c", **PADS), conv("v", output="d", **PADS), node("Add", "c d", "y")], {"w": W3, "v": V3}),
}


FIRST = FromPixels(layout="NHW", color="NV12", **SAID)
STEPS = [FIRST, Rescale(), Normalize.preset("imagenet")]


def contract_of(name):
    """The file, and what a contract says of it."""
    made = model(*NETWORKS[name])
    done = graph.attach(made, STEPS, PixelsSpec.of(FIRST, size=(12, 16), channels=3))
    record = graph.record(made, "pixels", layout="NHW", channels=3, folded=True, moved=done.moved)
    image = {"name": "pixels", "layout": "NHW", "color": "NV12", "dtype": "uint8", "shape": ["N", 18, 16]}
    contract = {"input": image, "steps": [step.spec() for step in STEPS], "backbone": {"color": "RGB"}}
    contract |= {"other_inputs": [], "outputs": [{"name": "y"}]}
    return made, contract | {
        "fold": {"onnx": record | {"convolutions": list(done.convolutions), "folded": True, "stamp": graph.stamp(contract)}}
    }


def meeting(made):
    return [each for each in made.graph if str(each.name).endswith("/Add")]


def test_what_the_contract_says_of_the_planes_is_compared_with_the_file():
    made, contract = contract_of("7x7")
    record = contract["fold"]["onnx"]
    assert (record["moved"]["channels"], record["moved"]["beside"]["channels"]) == (1, 2)
    np.testing.assert_array_equal(record["effective"]["matrix"], np.eye(3))
    assert len(record["sha256"]) == 1
    assert graph.disagreements(contract, made) == ([], [])
    cut = next(each for each in made.graph if each.op_type == "Transpose")
    cut.attributes["perm"] = ir.AttrInt64s("perm", [0, 3, 2, 1])
    told = f"expected the nodes that make {record['moved']['beside']['to']} of the pixels that the file was made with, got others"
    assert graph.disagreements(contract, made) == ([told], [])


def luma_twice(made):
    first = meeting(made)[0]
    first.replace_input_with(1, first.inputs[0])


def other_operator(op):
    def change(made):
        meeting(made)[0].op_type = op

    return change


def chroma_exchanged(made):
    """Between the two convolutions of luma."""
    one, other = meeting(made)
    first, second = one.inputs[1], other.inputs[1]
    one.replace_input_with(1, second)
    other.replace_input_with(1, first)


@pytest.mark.parametrize(
    "change", [luma_twice, other_operator("Sub"), other_operator("Max"), chroma_exchanged], ids=["twice", "Sub", "Max", "exchanged"]
)
@pytest.mark.parametrize("since", [None, "rewritten"])
def test_how_luma_and_chroma_meet_is_compared_even_where_another_program_wrote_the_graph(change, since):
    made, contract = contract_of("two")
    assert graph.disagreements(contract, made, since=since) == ([], [])
    change(made)
    wrong, unknown = graph.disagreements(contract, made, since=since)
    if change is chroma_exchanged and since:
        assert "another program has written them anew" in unknown[0]
    elif change is chroma_exchanged:
        assert wrong[0].startswith("expected the convolutions that took the normalization up")
    else:
        assert wrong == [
            "expected what each convolution makes of luma added to what another makes of chroma, got something else behind them"
        ]


def test_how_they_meet_is_compared_where_what_is_in_front_of_them_cannot_be():
    made, contract = contract_of("7x7")
    slicing = next(each for each in made.graph if each.op_type == "Reshape")
    slicing.attributes["allowzero"] = ir.AttrInt64("allowzero", 0)  # as ONNX Runtime writes what is a default
    wrong, unknown = graph.disagreements(contract, made, since="rewritten")
    assert wrong == []
    assert len(unknown) == 1
    assert "and what comes behind them: another program has written them anew" in unknown[0]
    luma_twice(made)
    assert graph.disagreements(contract, made, since="rewritten")[0][0].startswith("expected what each convolution makes of luma added to")


def test_weights_that_callers_must_not_override_are_those_of_chroma_too(tmp_path):
    made = graph.load(hand_made(tmp_path, ir_version=3, opset=13))
    done = graph.attach(made, STEPS, PixelsSpec.of(FIRST, size=(24, 20), channels=3))
    assert done.convolutions == ("w", "preproc/c/weight")
    assert set(done.convolutions) <= set(made.graph.initializers)
    assert "callers must not override w, preproc/c/weight, nor their biases" in " ".join(done.notes)


def test_a_network_that_quantizes_its_picture_is_told_that_it_is_mixed_in_front(tmp_path):
    made = graph.load(quantizing(tmp_path / "q.onnx"))
    done = graph.attach(made, STEPS, PixelsSpec.of(FIRST, size=None, channels=3))
    assert not done.folded
    assert done.reason == "NV12 pixels are mixed to RGB in front of what quantizes the picture, whose numbers are none of theirs"
