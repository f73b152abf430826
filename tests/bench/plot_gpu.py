"""A gpu-<device>.json as a picture and as tables for the page. What the run did not reach is left out."""

import re
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import FixedLocator, NullLocator

from tests.bench.dots import finish

PEER = "bare, floats on the device"
ROWS = {
    "folded, uint8 on the device": "#1b7837",
    "folded, uint8 on the host": "#7fbf7b",
    "bare, torchvision on the host": "#762a83",
}
ENGINES = {"ort": "ONNX Runtime", "torch": "torch"}
RUNTIMES = ("torch-cuda", "torchscript-cuda", "pt2-cuda", "ort-cuda")
VERSIONS = ("torch", "onnxruntime-gpu", "pillow")


def end_to_end(document: dict) -> dict[tuple[str, str, str], dict[int, dict]]:
    """(network, engine, precision) -> batch size -> table, in the document's order."""
    found: dict[tuple[str, str, str], dict[int, dict]] = {}
    for title, table in document["tables"].items():
        if match := re.fullmatch(r"(\S+), (ort|torch)-(?:cuda|cpu), (\S+), batch (\d+)", title):
            network, engine, precision, batch = match.groups()
            found.setdefault((network, engine, precision), {})[int(batch)] = table
    return found


def draw(document: dict, path: Path) -> None:
    """Points, with their 95 % intervals where they are known: time over the bare network's, per engine, precision and batch size."""
    lines = [
        (f"{ENGINES[engine]}, {_precision(precision)}, batch {batch}", table)
        for (_, engine, precision), batches in end_to_end(document).items()
        for batch, table in batches.items()
    ]
    networks = ", ".join(sorted({network for network, _, _ in end_to_end(document)}))
    figure, axis = plt.subplots(figsize=(8, 0.42 * len(lines) + 1.2))
    most = 1.0
    for position, (_, table) in enumerate(reversed(lines)):
        for offset, (name, color) in enumerate(ROWS.items()):
            if name not in table:
                continue
            row, y = table[name], position + 0.22 - 0.22 * offset
            low, high = row["low"] or row["median"], row["high"] or row["median"]
            axis.plot([low, high], [y, y], color=color, linewidth=2, solid_capstyle="round")
            axis.plot(row["median"], y, "o", color=color, markersize=5)
            most = max(most, high)
    for name, color in ROWS.items():
        axis.plot([], [], "o", color=color, markersize=5, label=name)
    axis.set_xscale("log")
    ticks = [tick for tick in (1, 1.2, 1.5, 2, 3, 5, 7, 10, 20, 50) if tick <= most * 1.1]
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xticklabels([f"{tick:g}" for tick in ticks])
    axis.axvline(1, color="#888888", linewidth=1)
    axis.set_ylim(-0.6, len(lines) - 0.4)
    axis.set_yticks(range(len(lines)), [title for title, _ in reversed(lines)])
    axis.set_xlabel(
        f"{networks} on an {document['device']}: time from uint8 pixels to logits\nover the bare network's, fed with floats on the device"
    )
    finish(figure, axis, path, columns=3, center=0.4)


def tables(document: dict) -> str:
    """The page's part, in Markdown."""
    parts = [
        _source(document),
        sentence(document),
        _speed(document),
        _bundles(document),
        *_alone(document),
        _resize(document),
        *_lower(document),
    ]
    return "\n\n".join(part for part in (*parts, _wrong(document)) if part) + "\n"


def _source(document: dict) -> str:
    versions = ", ".join(f"{name} {document['versions'][name]}" for name in VERSIONS if name in document["versions"])
    rest = "" if document["complete"] else " The run did not reach everything."
    return f"{document['device']}, commit {document['commit']}; {versions}; {document['machine']}.{rest}"


def sentence(document: dict) -> str:
    """What ONNX Runtime's float32 tables come to."""
    for (network, engine, precision), batches in end_to_end(document).items():
        if (engine, precision) == ("ort", "fp32") and len(batches) > 1 and all(set(ROWS) <= set(table) for table in batches.values()):
            folded, outside = ([table[name]["median"] for table in batches.values()] for name in list(ROWS)[1:])
            return (
                f"{network} in ONNX Runtime on an {document['device']}, batches of {min(batches)} to {max(batches)}: "
                f"**uint8 from the host, folded, takes {_round(min(folded), 2)} to {_round(max(folded), 2)} of the bare network's time, "
                f"torchvision on the host {_round(min(outside), 1)} to {_round(max(outside), 1)} of it.**"
            )
    return ""


def _speed(document: dict) -> str:
    names = (PEER, *ROWS)
    lines = ["| uint8 to logits, time over the bare network's |" + "".join(f" {name} |" for name in names), "|---|" + "--:|" * len(names)]
    for (network, engine, precision), batches in end_to_end(document).items():
        for batch, table in batches.items():
            cells = "".join(f" {_cell(name, table.get(name))} |" for name in names)
            lines.append(f"| {network}, {ENGINES[engine]}, {_precision(precision)}, batch {batch} |{cells}")
    return _unless_empty(lines)


def _unless_empty(lines: list[str]) -> str:
    """A table that has more than its head."""
    return "\n".join(lines) if len(lines) > 2 else ""


def _cell(name: str, row: dict | None) -> str:
    if row is None:
        return ""
    if name == PEER:
        return f"{row['seconds'] * 1e3:.2f} ms"
    interval = "" if row["low"] is None else f" [{_round(row['low'], 2)}, {_round(row['high'], 2)}]"
    return f"{_round(row['median'], 2)}{interval}"


def _bundles(document: dict) -> str:
    lines = [
        "| error, relative to the largest output |" + "".join(f" {name} |" for name in RUNTIMES) + " tolerance |",
        "|---|" + "--:|" * 5,
    ]
    for name, bundle in document["bundles"].items():
        results = {result["runtime"]: result for result in bundle["report"]["results"]}
        told = "".join(f" {_told(results.get(runtime))} |" for runtime in RUNTIMES)
        lines.append(f"| {name} |{told} {bundle['report']['power']['tolerance']:.1e} |")
    return _unless_empty(lines)


def _told(result: dict | None) -> str:
    if result is None:
        return ""
    error = "" if result["error"] is None else f"{result['error']:.1e}"
    return error if result["verdict"] == "passed" else f"{error} {result['verdict']}".strip()


def _alone(document: dict) -> Iterator[str]:
    """Normalization and LocalResponseNorm."""
    for start in ("normalization alone", "LocalResponseNorm"):
        found = {title: table for title, table in document["tables"].items() if title.startswith(start)}
        if not found:
            continue
        title = next(iter(found)).rpartition(", ")[0]
        moved = document["figures"].get(f"{title}: bytes read and written")
        lines = [f"| {title} | ms |" + (" GB/s |" if moved else ""), "|---|--:|" + ("--:|" if moved else "")]
        for table in found.values():
            for name, row in table.items():
                lines.append(f"| {name} | {row['seconds'] * 1e3:.3f} |" + (f" {moved / row['seconds'] / 1e9:.0f} |" if moved else ""))
        yield "\n".join(lines)


def _resize(document: dict) -> str:
    """A row per way, a column per interpolation."""
    rows: dict[str, dict[str, str]] = {}
    for title, table in document["tables"].items():
        if match := re.fullmatch(r"resize, (\w+), (.*), (torch|ONNX)", title):
            interpolation, what, engine = match.groups()
            off = document["figures"].get(f"{title}: off by", {})
            for name, row in table.items():
                told = f"{row['seconds'] * 1e3:.2f} ms{_off(off.get(name))}"
                rows.setdefault(f"{'ONNX Runtime' if engine == 'ONNX' else 'torch'}, {what}: {name}", {})[interpolation] = told
    kinds = list(dict.fromkeys(kind for row in rows.values() for kind in row))
    lines = ["| resize of uint8 pictures |" + "".join(f" {kind} |" for kind in kinds), "|---|" + "--:|" * len(kinds)]
    lines += [f"| {name} |" + "".join(f" {row.get(kind, '')} |" for kind in kinds) for name, row in rows.items()]
    return _unless_empty(lines)


def _lower(document: dict) -> Iterator[str]:
    """Lower precisions: errors against float64, and the time of each batch over float32's."""
    for title, errors in document["figures"].items():
        if not title.startswith("lower precision: ") or not errors:
            continue
        name = title.removesuffix(": errors")
        times = {key.rpartition(": ")[2]: table for key, table in document["tables"].items() if key.startswith(f"{name}: batch ")}
        heads = ["first convolution", "its border", "logits", "top-1", *(f"{batch}, over float32" for batch in times)]
        lines = [f"| {name} |" + "".join(f" {head} |" for head in heads), "|---|" + "--:|" * len(heads)]
        for by, row in errors.items():
            cells = [f"{row[part]:.1e}" if part in row else "" for part in ("inside", "border", "logits")] + [f"{row['top-1']:.1%}"]
            cells += [_round(table[by]["median"], 2) if by in table else "" for table in times.values()]
            lines.append(f"| {by} |" + "".join(f" {cell} |" for cell in cells))
        yield "\n".join(lines)


def _off(off: dict[str, Any] | None) -> str:
    if off is None:
        return ""
    if off["levels"] == 0:
        return ", exact"
    share = "" if off["share"] is None else f" on {off['share']:.2%}"
    return f", {off['levels']:g} level{'s' * (off['levels'] != 1)} off{share}"


def _wrong(document: dict) -> str:
    failures = [f"- {what}: {line}" for what, line in document["failures"].items()]
    return "\n".join(["What was wrong in that run:", "", *failures]) if failures else ""


def _precision(precision: str) -> str:
    return {"fp32": "float32"}.get(precision, precision)


def _round(value: float, digits: int) -> str:
    """Half up, as one does by hand: 1.075 is 1.08."""
    return str(Decimal(f"{value:.6f}").quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))
