"""python -m tests.survey_trained FOLDER: trained files of others, preprocessing put in front of each, told in tests/survey/trained.md.

FOLDER: where they lie. They are no part of this project: FILES says where each is from and what its own program feeds it. Readers of text
are verified with pages that are drawn here, too, for there is no text in the photographs.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from preproc.host import versions
from tests.bench.processes import PEAK
from tests.conftest import ROOT

PAGE = ROOT / "tests/survey/trained.md"
ATTACH = (
    """
import sys
from preproc.cli.app import app
code = app(["attach", *sys.argv[1:], "--json"], standalone_mode=False)
"""
    + PEAK
)
TEXT = "--images PAGES"
HALVES = "--mean 0.5,0.5,0.5 --std 0.5,0.5,0.5 --units 0-1"
GRAY = "--color GRAY --mean 0.5 --std 0.5 --units 0-1"
PLAIN = "--mean 0,0,0 --std 1,1,1"
RAPID, DDDD, EXTENSIONS = "rapidocr-onnxruntime 1.4.4", "ddddocr 1.6.1", "microsoft/onnxruntime-extensions"


LINES = ("Total 1,284.50 EUR", "brown fox jumps", "inside the model", "pixels to answers", "abcdef 0123456", "no second guess")


@dataclass(frozen=True)
class Trained:
    """source: the package or repository that has the file.  options: of `preproc attach`, as the file's own program prepares pictures."""

    source: str
    options: str


FILES = {
    "ch_PP-OCRv4_det_infer.onnx": Trained(
        RAPID, f"{HALVES} --color BGR --model-color BGR --verify-size 320,480 --verify-size 480,320 {TEXT}"
    ),
    "ch_PP-OCRv4_rec_infer.onnx": Trained(RAPID, f"{HALVES} --color BGR --model-color BGR --size 48,* {TEXT}"),
    "ch_ppocr_mobile_v2.0_cls_infer.onnx": Trained(RAPID, f"{HALVES} --color BGR --model-color BGR --size 48,192"),
    "common_det.onnx": Trained(DDDD, f"{PLAIN} --units 0-255 --color BGR --model-color BGR"),
    "common.onnx": Trained(DDDD, GRAY),
    "common_old.onnx": Trained(DDDD, GRAY),
    "FastestDet.onnx": Trained("dog-qiuqiu/FastestDet", f"{PLAIN} --units 0-1 --color BGR --model-color BGR"),
    "FastestDet_ext.onnx": Trained(EXTENSIONS, f"{PLAIN} --units 0-1 --color BGR --model-color BGR"),
    "super_resolution.onnx": Trained(EXTENSIONS, "--color GRAY --mean 0 --std 1 --units 0-1"),
    "ultraface-rfb-320.onnx": Trained("onnx/models", "--mean 127,127,127 --std 128,128,128 --units 0-255"),
}


def draw_pages(folder: Path) -> None:
    """Two pages of text, in the font that Pillow has with it."""
    folder.mkdir()
    for number, paper in enumerate(("white", "khaki")):
        page = Image.new("RGB", (640, 480), paper)
        draw = ImageDraw.Draw(page)
        for line in range(6):
            text = LINES[(line + number) % len(LINES)]
            draw.text((20, 20 + 75 * line), text, fill=(20 * line, 10, 120 * number), font=ImageFont.load_default(48))
        page.save(folder / f"{number}.png")


def attach(file: Path, options: str) -> Mapping[str, Any]:
    """The report, with the seconds of the whole process and its peak memory in bytes; or what it was refused with."""
    with tempfile.TemporaryDirectory() as folder:
        draw_pages(Path(folder) / "pages")
        given = options.replace("PAGES", f"{folder}/pages").split()
        command = [sys.executable, "-c", ATTACH, str(file), "-o", f"{folder}/bundle", *given]
        start = time.perf_counter()
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"ORT_DISABLE_TELEMETRY": "1"}, check=False, capture_output=True, text=True
        )
        seconds = time.perf_counter() - start
    if done.returncode:
        return {"refused": " ".join(done.stderr.split())[-300:]}
    document, _, peak = done.stdout.rstrip().rpartition("\n")
    return json.loads(document) | {"seconds": seconds, "peak": int(peak)}


def row(folder: Path, name: str, trained: Trained) -> str:
    file = folder / name
    if not file.is_file():
        return f"| {name} | {trained.source} | | | | | | | not there |"
    print(name, flush=True)
    made = attach(file, trained.options)
    size = file.stat().st_size
    front = f"| {name} {hashlib.sha256(file.read_bytes()).hexdigest()[:8]} | {trained.source} | `{trained.options}` | {size / 1e6:.1f} |"
    if "refused" in made:
        print("   ", made["refused"], flush=True)
        return f"{front} | | | | | refused: {made['refused']} |"
    power = made["report"]["power"]
    (ran,) = [result for result in made["report"]["results"] if result["runtime"] == "ort-cpu"]
    truth = ", ".join(sorted({each["kind"] for each in power["truths"].values()}))
    shift = "none" if power["smallest_shift"] is None else f"{power['smallest_shift']:.2g}"
    return (
        f"{front} {made['seconds']:.1f} | {made['peak'] / 1e6:.0f} | {truth} | {power['bare_error']:.1e} | {ran['tolerance']:.1e} | "
        f"{ran['error']:.1e} | {shift} | {ran['verdict']} |"
    )


def main() -> None:
    folder = Path(sys.argv[1])
    rows = [row(folder, name, trained) for name, trained in FILES.items()]
    told = ", ".join(f"{name} {version}" for name, version in versions().items())
    PAGE.write_text(
        f"""# Trained files of others

Written by `python -m tests.survey_trained FOLDER` ({told}). truth: what the new file was compared with, the original evaluated in float64,
or itself, with its noise measured; own error: how far the original in ONNX Runtime is from that; shift: of the mean, the smallest that
shows, in grey levels. PAGES: two pages of text, drawn.

| file | from | attached with | MB | seconds | peak memory, MB | truth | own error | tolerance | error | shift | verdict |
|---|---|---|--:|--:|--:|---|--:|--:|--:|--:|---|
"""
        + "\n".join(rows)
        + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
