"""What a program of ExecuTorch takes, computes with and answers, as plain data, from its bytes; and whether that is what its contract says.
None of it runs."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...verify.runtimes import Method, Program, Values, read_program
from .. import executorch_contract

SUFFIXES = (".pte", ".bpte")
HINT = "a program for ExecuTorch's runtime: preproc goes in front of the network before it is lowered"
FORWARD = "forward"


def describe_program(path: Path) -> dict[str, Any]:
    """Raises BundleError for a file that is none of ExecuTorch's."""
    program, contract = read_program(path), executorch_contract(path)
    forward = next((method for method in program.methods if method.name == FORWARD), None)
    told = {
        "format": "executorch",
        "kind": "bundled program of ExecuTorch" if program.data else "program of ExecuTorch",
        "path": str(path),
        "contract": contract,
        "size": path.stat().st_size,
        "holds": "; ".join(_told(program)),
        "hint": None if contract else HINT,
        "inputs": [] if forward is None else _entries("input", forward.inputs),
        "outputs": [] if forward is None else _entries("output", forward.outputs),
    }
    if contract is None:
        return told
    wrong = ["it has no method forward"] if forward is None else list(_disagreements(contract, forward))
    return told | {"agreement": {"agrees": not wrong, "wrong": wrong, "not_compared": []}}


def _told(program: Program) -> Iterator[str]:
    for method in program.methods:
        if method.text is None:
            parts = [f"{count} parts in {name}" for name, count in Counter(method.backends).items()]
            yield f"{method.name}: {', '.join([*parts, f'{method.kernels} operators in kernels of ExecuTorch'])}"
    answers = [method.name for method in program.methods if method.text is not None]
    yield from [f"a text of each of {', '.join(answers)}"] * bool(answers)
    for name, count in Counter(case.method for case in program.cases).items():
        yield f"{count} test cases of {name}"


def _entries(word: str, values: Sequence[Values | None]) -> list[dict[str, Any]]:
    return [
        {"name": f"{word} {number}", "dtype": None, "shape": None}
        if value is None
        else {"name": f"{word} {number}{', at most' if value.bounded else ''}", "dtype": value.dtype, "shape": list(value.shape)}
        for number, value in enumerate(values)
    ]


def _disagreements(contract: Mapping[str, Any], forward: Method) -> Iterator[str]:
    most = contract.get("at_most", {}).get("executorch", {})
    for word, promised, found in (("input", [contract["input"]], forward.inputs), ("output", contract["outputs"], forward.outputs)):
        if len(promised) != len(found):
            yield f"it has {len(found)} {word}s, not {len(promised)}"
            continue
        for entry, value in zip(promised, found, strict=True):
            if value is None or value.dtype != entry["dtype"]:
                yield f"its {word} {entry['name']} is of {value and value.dtype}, not of {entry['dtype']}"
            elif len(value.shape) != len(entry["shape"] or value.shape):
                yield f"its {word} {entry['name']} has the shape {list(value.shape)}, not {entry['shape']}"
            else:
                sides = zip(value.shape, entry["shape"] or value.shape, strict=True)
                if any(side != most.get(said, side) if isinstance(said, str) else side != said for side, said in sides):
                    yield f"its {word} {entry['name']} has the shape {list(value.shape)} at most, not {entry['shape']} with {most}"
