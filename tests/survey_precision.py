"""python -m tests.survey_precision [NAME...]: half precision and 8 bits beside the peers, into tests/survey/precision.md.

onnxconverter-common has a row where it is installed, and is no part of this project.
"""

import importlib.util
import logging
import platform
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from preproc.host import versions
from tests.bench.measure import commit, ratios
from tests.conftest import ROOT
from tests.survey.precision import errors, peers
from tests.survey.precision.errors import Errors
from tests.survey.precision.networks import NAMES, Network, network
from tests.survey.precision.peers import Written

PAGE = ROOT / "tests/survey/precision.md"
ORT, TORCH = "ONNX Runtime", "torch"
HALF, CHANNELS, PLAIN, BORDER = "float16", "int8, a scale per channel", "int8, as each comes", "the border"
ABSENT = "onnxconverter-common is not installed here: no row"


@dataclass(frozen=True)
class Row:
    """table: which one.  by: who made the file.  size, request: bytes; None where nothing is written or sent.  time: over ours."""

    table: str
    network: str
    by: str
    runtime: str
    errors: Errors
    written: Written | None = None
    time: str = ""


def rows_of(shown: Network, folder: Path) -> Iterator[Row]:
    truth = errors.truth_of(shown)
    pictures = folder / "pictures"
    pictures.mkdir()
    for number, picture in enumerate(shown.calibration):
        Image.fromarray(picture).save(pictures / f"{number:03}.png")

    def measured(table: str, files: dict[str, Written | None]) -> Iterator[Row]:
        there = {by: written for by, written in files.items() if written is not None}
        times = dict.fromkeys(there, "") if table == BORDER else timed(shown, there)
        for by, written in there.items():
            found = errors.errors_of(shown, errors.in_onnxruntime(written, shown.shown), truth)
            yield Row(table, shown.name, by, ORT, found, written, times[by])

    bare = peers.bare(shown, folder)
    unfolded = peers.in_front(shown, bare, folder)
    half, module = peers.ours_in_half(shown, folder)
    files = {"preproc": half, "torch .half(), exported": peers.half_of_torch(shown, folder)}
    yield from measured(HALF, files | {"onnxconverter-common": peers.half_of_converter(unfolded, folder)})
    for by, made in {"preproc": module, "torch .half()": peers.half_in_torch(shown)}.items():
        got = errors.in_torch(made, torch.from_numpy(shown.shown))
        yield Row(HALF, shown.name, by, TORCH, errors.errors_of(shown, got, truth))
    fed = {"normalization in front": Written(unfolded), "float client": Written(bare, lambda x: shown.ready(x).astype(np.float32))}
    for table, per_channel in ((CHANNELS, True), (PLAIN, False)):
        ours = peers.ours_in_eight(shown, bare, pictures, folder, per_channel=per_channel)
        theirs = {
            f"quantize_static, {name}": peers.eight_of_onnxruntime(written, shown.calibration, folder, per_channel=per_channel)
            for name, written in fed.items()
        }
        yield from measured(table, {"preproc": ours} | theirs)
        if per_channel and errors.border_of(shown).any():
            nearest = peers.ours_in_eight(shown, bare, pictures, folder, per_channel=True, border="nearest")
            yield from measured(
                BORDER, {"float16, with the channel": half, "float16, the rest in the bias": peers.without_channel(half, folder)}
            )
            yield from measured(BORDER, {"int8, with the channel": ours, "int8, without it (`--border nearest`)": nearest})


def timed(shown: Network, files: dict[str, Written]) -> dict[str, str]:
    """One picture from its pixels to the logits, on one thread, what its client makes of it included, over preproc's."""
    picture = shown.shown[:1]

    def call(written: Written):
        run = errors.opened(written.file)
        return lambda: run(written.prepare(picture))

    found = ratios({by: call(written) for by, written in files.items()}, peer="preproc", rounds=40, seconds=2.5)
    return {by: f"{ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]" for by, ratio in found.items()}


def rms(values: NDArray[np.float64] | None) -> str:
    return "no padding" if values is None else f"{np.sqrt(np.square(values).mean()):.1e}"


def cells(row: Row, shown: Network) -> str:
    found, written = row.errors, row.written
    size, request = (
        ("", "") if written is None else (f"{written.file.stat().st_size / 1e6:.2f}", f"{written.prepare(shown.shown[:1]).nbytes}")
    )
    told = [rms(found.inside), rms(found.border), rms(found.logits), rms(found.from_first), f"{found.agree:.1%}", size, row.time, request]
    return "| " + " | ".join([row.network, row.by, row.runtime, *told]) + " |"


COLUMNS = {"inside": "the first convolution, inside", "border": "its border", "logits": "the logits"}


def compared(rows: list[Row]) -> Iterator[tuple[bool, str]]:
    """For each peer and column: whether ours is at least as near to float64, and a line that says so, or why not."""
    ours = {(row.table, row.network, row.runtime): row.errors for row in rows if row.by == "preproc"}
    for row in rows:
        if row.by == "preproc" or row.table == BORDER:
            continue
        own = ours[row.table, row.network, row.runtime]
        for column, name in COLUMNS.items():
            mine, theirs = getattr(own, column), getattr(row.errors, column)
            if mine is not None:
                ratio, low, high = over(mine, theirs)
                why = "" if ratio <= 1 else f": {reason(column, own, row.errors, low, high)}"
                yield ratio <= 1, f"{row.table}, {row.network}, {row.by} in {row.runtime}: {name}, ours over theirs {ratio:.2f}{why}"


def over(mine: NDArray[np.float64], theirs: NDArray[np.float64]) -> tuple[float, float, float]:
    """The ratio of the errors, and its 95 % interval over the pictures (bootstrap)."""
    squares = np.square(np.stack([mine, theirs]))
    chosen = np.random.default_rng(0).integers(0, squares.shape[1], (2000, squares.shape[1]))
    drawn = squares[:, chosen].mean(axis=2)
    ratio = np.sqrt(squares[0].mean() / squares[1].mean())
    return float(ratio), *(float(value) for value in np.percentile(np.sqrt(drawn[0] / drawn[1]), [2.5, 97.5]))


def reason(column: str, own: Errors, theirs: Errors, low: float, high: float) -> str:
    """Why a peer is nearer, as far as these numbers tell."""
    spread = f"[{low:.2f}, {high:.2f}] over the pictures" + (", which do not tell it from 1" if low <= 1 else "")
    if column != "logits":
        return spread
    less = "less than" if over(own.from_first, theirs.from_first)[0] < 1 else "no less than"
    return (
        f"{spread}; of our {rms(own.logits)} the first convolution's error makes {rms(own.from_first)}, {less} theirs, "
        f"{rms(theirs.from_first)}: the rest is rounded behind it"
    )


HEAD = """| network | by | in | inside | border | logits | from the first | top-1 | MB | time, over ours | bytes a request |
|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|"""


SEEDS = """mobilenet_v3_small in int8, a scale per channel, was looked at so, by hand, ours over quantize_static with a float client:
1.10, 0.96, 1.05, 0.98, 0.95 at the logits with the weights of seeds 0 (the table's) to 4; of them the first convolution's
error makes 0.92, 0.75, 0.56, 0.63, 0.93 of theirs. Nothing else was found. The ranges behind the first layer are 4 % apart
at most, for ours are taken behind rounded weights; with their ranges instead, ours is 0.403 off and not 0.399.
quant_pre_process takes HardSwish apart, and one more tensor of each is rounded: left out, theirs of seeds 0 to 4 are 0.362,
0.396, 0.440, 0.444, 0.408 off and not 0.361, 0.373, 0.421, 0.418, 0.412."""
"""What no table above tells."""


def page(tables: dict[str, list[str]], lines: list[tuple[bool, str]]) -> str:
    told = dict(versions()) | {
        name: metadata.version(name) for name in ("onnxconverter-common",) if importlib.util.find_spec(peers.CONVERTER)
    }
    written = "\n\n".join(f"## {title}\n\n{HEAD}\n" + "\n".join(rows) for title, rows in tables.items())
    nearer = sum(near for near, _ in lines)
    farther = "\n".join(f"- {line}" for near, line in lines if not near) or "It is, everywhere."
    absent = "" if importlib.util.find_spec(peers.CONVERTER) else f"\n{ABSENT}.\n"
    return f"""# Half precision and 8 bits, beside the peers

Written by `python -m tests.survey_precision`, a part of `make survey`, at {commit()[:12]} on {platform.machine()}, one thread
({", ".join(f"{name} {version}" for name, version in told.items())}).
{absent}
Errors are root mean squares over root mean squares, against torch in float64, fed with pixels that NumPy normalized in float64. inside,
border: at the first convolution (with its BatchNorm), border where it reads padding. logits: over what the pictures make of them, less
their mean. from the first: what the first convolution's error alone makes of the logits, the rest in float32. time: one picture from its
pixels to the logits, what its client computes included, in ONNX Runtime on one thread of a CPU, 95 % intervals; torch is not timed.

digits is trained, and shown 200 pictures of digits that it was not trained on. The others have random weights, seeded, scaled with pictures
so that they react to them, and are shown 24 cuts of photographs, 128x128: their margins are small, and top-1 is as much smaller. All are
calibrated with 60 other pictures, raw ones for preproc, and for a bare file normalized ones. quantize_static is ONNX Runtime's, behind its
quant_pre_process: with a scale per channel, and preproc's dtypes, uint8 and symmetric weights; "as each comes": with its defaults, int8.
onnxconverter-common leaves the pixels' Cast in float32, and ONNX Runtime then refuses its file: here that Cast is blocked.

{written}

## Is ours at least as near to float64?

In {nearer} of {len(lines)} comparisons: each peer, at the first convolution inside, at its border, and at the logits. Where it is not:

{farther}

An interval over the pictures is of one draw of the roundings: the same network with other seeds, as well as another quantizer, is another.
{SEEDS}
"""


def main(names: list[str]) -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    tables: dict[str, list[str]] = {title: [] for title in (HALF, CHANNELS, PLAIN, BORDER)}
    rows: list[Row] = []
    for name in names or NAMES:
        shown = network(name)
        with tempfile.TemporaryDirectory() as folder:
            for row in rows_of(shown, Path(folder)):
                rows.append(row)
                tables[row.table].append(cells(row, shown))
                print(row.table, tables[row.table][-1], flush=True)
    lines = list(compared(rows))
    text = page(tables, lines)
    if names:
        print(text)
    else:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
