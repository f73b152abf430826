"""A bundle's model.bpte, the program with the golden samples in one file, tested by ExecuTorch itself, without preproc. See README.md."""

import json
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore", message="This API is experimental")
from executorch.extension.pybindings import portable_lib  # noqa: E402


def check(bundle: Path) -> int:
    """How many golden samples the program answers. Raises RuntimeError where one is off by more than the tolerance."""
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    power, samples = manifest["report"]["power"], manifest["golden"]
    largest = power["tolerance"] * min(power["scale"].values())
    file = bundle / "model.bpte"
    if not file.exists():
        raise RuntimeError(
            f"{file}: expected a bundled program of ExecuTorch, got nothing there: export the bundle with the format executorch"
        )
    data = file.read_bytes()
    if data[4:8] != b"BP08":  # of which ExecuTorch's loader would end the process
        raise RuntimeError(f"{file}: expected a bundled program of ExecuTorch, got another file")
    if not samples:
        raise RuntimeError("expected golden samples, got a manifest that lists none")
    module = portable_lib._load_bundled_program_from_buffer(data)
    for number in range(len(samples)):
        module.verify_result_with_bundled_expected_output("forward", number, rtol=0, atol=largest)
    return len(samples)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python check.py BUNDLE")
    try:
        print(f"{check(Path(sys.argv[1]))} golden samples in model.bpte: passed")
    except Exception as error:  # noqa: BLE001 - ExecuTorch's own, of any class
        sys.exit(f"error: {' '.join(str(error).split()):.400}")
