"""What inspect tells of ExecuTorch's programs, whether they are what their contract says, and that none of it runs."""

import json

import numpy as np
import pytest

from preproc.bundle.inspection import describe, lines
from preproc.errors import BundleError
from tests.commands import run
from tests.in_executorch import bundled, program

SHAPE = (8, 32, 32, 3)


@pytest.fixture
def contract(exported):
    """As one of the format executorch would have it."""
    return {**exported.contract, "at_most": {"executorch": {"N": 8}}}


@pytest.fixture
def told(tmp_path):
    def of(data, name="model.pte"):
        (tmp_path / name).write_bytes(data)
        description = describe(tmp_path / name)
        return description, "\n".join(lines(description))

    return of


def test_a_foreign_program(told):
    description, text = told(program())
    assert (description["kind"], description["contract"]) == ("program of ExecuTorch", None)
    assert description["inputs"] == [{"name": "input 0, at most", "dtype": "uint8", "shape": [8, 4, 4, 3]}]
    assert "holds    forward: 0 operators in kernels of ExecuTorch" in text
    assert "output   output 0, at most: float32 [8, 10]" in text
    assert "preproc goes in front of the network before it is lowered" in text


def test_ours_agrees_with_its_contract(told, contract):
    description, text = told(program(takes=("uint8", SHAPE), text=json.dumps(contract)))
    assert description["contract"] == contract
    assert description["agreement"] == {"agrees": True, "wrong": [], "not_compared": []}
    assert "at most  N 8, in the format executorch" in text
    assert "fold     onnx: " in text  # of the file that it may be made of: none is told of its own
    assert "a text of each of preproc_contract" in text
    assert "graph    agrees with the contract" in text


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"takes": ("float32", SHAPE)}, "its input pixels is of float32, not of uint8"),
        ({"takes": ("uint8", (8, 3, 32, 32))}, "its input pixels has the shape [8, 3, 32, 32] at most, not ['N', 32, 32, 3] with {'N': 8}"),
        ({"takes": ("uint8", (4, 32, 32, 3))}, "its input pixels has the shape [4, 32, 32, 3] at most, not ['N', 32, 32, 3] with {'N': 8}"),
        ({"takes": ("uint8", (32, 32, 3))}, "its input pixels has the shape [32, 32, 3], not ['N', 32, 32, 3]"),
        ({"answers": ("float32", (8, 11))}, "its output logits has the shape [8, 11] at most, not ['N', 10] with {'N': 8}"),
    ],
)
def test_one_that_is_something_else_differs(told, contract, made, said, tmp_path):
    description, text = told(program(**{"takes": ("uint8", SHAPE), "text": json.dumps(contract)} | made))
    assert description["agreement"]["wrong"] == [said]
    assert f"DIFFERS  the graph is not what the contract says: {said}" in text
    assert run("inspect", tmp_path / "model.pte").returncode == 1


def test_without_its_method_it_differs(told, contract):
    text = json.dumps(contract)
    assert told(program(text=text).replace(b"forward", b"forwerd"))[0]["agreement"]["wrong"] == ["it has no method forward"]


def test_a_bundled_one_is_the_same_with_its_samples(told, contract):
    inner = program(takes=("uint8", SHAPE), text=json.dumps(contract))
    sample = (np.zeros((1, 32, 32, 3), np.uint8), np.zeros((1, 10), np.float32))
    description, text = told(bundled(inner, [sample] * 3), "model.bpte")
    assert (description["kind"], description["contract"]) == ("bundled program of ExecuTorch", contract)
    assert description["agreement"]["agrees"]
    assert "3 test cases of forward" in text


def test_a_contract_that_is_none_is_told(told, contract):
    for text in ("{}", json.dumps({**contract, "at_most": {"executorch": {"N": 0}}})):
        with pytest.raises(BundleError, match="expected a contract of preproc, got"):
            told(program(text=text))


@pytest.mark.parametrize(("file", "name", "other"), [("model.pt", "torchscript", "onnx"), ("model.onnx", "onnx", "torchscript")])
def test_a_file_alone_tells_of_its_own_format(exported, file, name, other):
    """And what nothing here reads is not said to agree; all of it is in the plain data, and told of the bundle."""
    told = describe(exported.folder / file)
    contract = told["contract"] | {"at_most": {other: {"N": 8}}}
    text = lines(told | {"contract": contract})
    assert [line.split()[1] for line in text if line.startswith("fold ")] == [f"{name}:"]
    assert not any(line.startswith("at most") for line in text)
    graph = [line for line in text if line.startswith("graph ")]
    runs = "graph    not compared with the contract: `preproc verify BUNDLE --runtime torchscript-cpu` runs it"
    assert graph == ([runs] if name == "torchscript" else ["graph    agrees with the contract"])
    both = [line.split()[1] for line in lines(describe(exported.folder)) if line.startswith("fold ")]
    assert set(both) == {f"{name}:", f"{other}:"}
