"""make gpu: parity of three bundles in every runtime of a machine with a CUDA device, written to $OUT or tests/bench/results/."""

import json
import os
import re
import sys
import tempfile
from pathlib import Path

import torch

from preproc.bundle import versions
from preproc.export.exporter import export_bundle
from preproc.recipe import load_recipe, replace
from tests.bench.measure import commit
from tests.conftest import ROOT

NAMES = ("digits", "resnet50", "vit_b_16")


def main() -> None:
    if not torch.cuda.is_available():
        sys.exit("expected a CUDA device, got none: torch.cuda.is_available() is False; nothing was measured")
    device = torch.cuda.get_device_name()
    bundles = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            recipe = load_recipe(ROOT / "models" / f"{name}.toml")
            if name != "digits":
                recipe = replace(recipe, backbone={"weights": "random", "seed": 0})
            bundle = export_bundle(recipe, Path(folder) / name, progress=lambda text: print(text, flush=True))
            hashes = {file: bundle.manifest["files"][file]["sha256"] for file in ("model.onnx", "model.pt")}
            bundles[name] = {"sha256": hashes, "report": bundle.manifest["report"]}
            for result in bundle.report.results:
                print(f"{name:10} {result.runtime:17} {result.verdict:13} {result.error or 0:.1e}  {result.reason or result.ran}")
    document = {"command": "make gpu", "device": device, "commit": commit(), "versions": versions(), "bundles": bundles}
    short = re.sub(r"[^a-z0-9]+", "-", device.lower().replace("nvidia", "")).strip("-")
    target = Path(os.environ.get("OUT") or ROOT / "tests" / "bench" / "results") / f"gpu-{short}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(target.name)


if __name__ == "__main__":
    main()
