"""make bench: prints tables of ratios, writes tests/bench/results/cpu.json and the picture cpu.png beside it.

python -m tests.bench resizing      measures the resizes alone again, and says in cpu.json at which commit; formats: the files' formats;
                                    video: what cameras give
"""

import json
import platform
import sys
import warnings
from importlib import metadata

import torch

from preproc.host import versions
from tests.bench import cases, formats, plot, plot_formats, plot_video, processes, resizing, statistics, video
from tests.bench.measure import Ratio, commit


def main(seconds: float = 12.0) -> None:
    """seconds: how long each end-to-end table is measured."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    measured, tables = commit(), dict[str, dict[str, Ratio]]()
    figures: dict[str, object] = {}
    for name in cases.NETWORKS:
        tables |= show(cases.end_to_end(name, seconds=seconds))
    tables |= show({"normalization alone, 224x224": cases.normalization()})
    for beta in (0.75, 0.5, 0.6, 1.0):
        table, error = cases.local_response_norm(beta)
        tables |= show({f"LocalResponseNorm, beta {beta:g}": table})
        figures[f"LocalResponseNorm, beta {beta:g}: relative error"] = error
    for name in cases.NETWORKS:
        table, sizes = cases.files(name)
        tables |= show({f"{name}: session creation": table})
        figures[f"{name}: file size, bytes"] = sizes
        for batch in (1, 8):
            figures[f"{name}, batch {batch}: peak memory, bytes"] = processes.peak_memory(name, batch)
    figures["mobilenet_v3_small: export wall time, seconds"] = cases.export_seconds("mobilenet_v3_small")
    figures["bytes per 224x224 request"] = {"uint8 pixels": cases.pixels(1).nbytes, "float32": cases.numpy_outside(cases.pixels(1)).nbytes}
    table, memory = processes.attaching("resnet50")
    tables |= show({plot.ATTACHED: table})
    figures[f"{plot.ATTACHED}: peak memory over the file's size"] = memory
    for group in GROUPS.values():
        more, costs = group()
        tables, figures = tables | more, figures | costs
    tables |= show({plot.COUNTED: statistics.throughput()})
    whole, figures[f"{plot.COUNTED}: memory and dask"] = statistics.engines()
    tables |= show(whole)
    tables |= show({"start-up": processes.start_up()})
    for title, figure in figures.items():
        print(f"{title}: {figure}")
    document = {
        "command": "make bench",
        "commit": measured,
        "machine": f"{platform.machine()}, one thread",
        "versions": versions() | peer_versions(),
        "tables": plain(tables),
        "figures": figures,
    }
    write(document)


def resizes() -> tuple[dict[str, dict[str, Ratio]], dict[str, object]]:
    tables = dict[str, dict[str, Ratio]]()
    for size in resizing.SIZES:
        for interpolation in ("bilinear", "bicubic"):
            tables |= show({f"{plot.RESIZED}, {interpolation}, {size}": resizing.resizing(size, interpolation)})
    return tables, {}


def cameras() -> tuple[dict[str, dict[str, Ratio]], dict[str, object]]:
    """Times, and what is multiplied and sent."""
    tables, figures = dict[str, dict[str, Ratio]](), dict[str, object]()
    for network in video.NETWORKS:
        title = f"{plot_video.TITLE}: {network}"
        table, figures[title] = video.of(network)
        tables |= show({title: table})
        print(f"  {figures[title]}", flush=True)
    return tables, figures


def every_format() -> tuple[dict[str, dict[str, Ratio]], dict[str, object]]:
    """Times, and what the files cost."""
    tables, figures = dict[str, dict[str, Ratio]](), dict[str, object]()
    for network in formats.NETWORKS:
        for runtime, table, costs in formats.of(network):
            title = f"{plot_formats.TITLE}: {network}: {runtime}"
            tables |= show({title: table})
            figures[title] = costs
            print(f"  {costs}", flush=True)
    return tables, figures


GROUPS = {"resizing": resizes, "formats": every_format, "video": cameras}
"""What can be measured alone."""


def again(what: str) -> None:
    """The tables of one of the groups, in the document that is there."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    document = json.loads((plot.RESULTS / "cpu.json").read_text(encoding="utf-8"))
    document[what] = {"command": f"python -m tests.bench {what}", "commit": commit(), "versions": versions() | peer_versions()}
    tables, figures = GROUPS[what]()
    document["tables"] |= plain(tables)
    document["figures"] |= figures
    write(document)


def plain(tables: dict[str, dict[str, Ratio]]) -> dict[str, dict[str, object]]:
    return {title: {name: vars(ratio) for name, ratio in table.items()} for title, table in tables.items()}


def write(document: dict[str, object]) -> None:
    plot.RESULTS.mkdir(exist_ok=True)
    (plot.RESULTS / "cpu.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    plot.main()


def show(tables: dict[str, dict[str, Ratio]]) -> dict[str, dict[str, Ratio]]:
    for title, table in tables.items():
        print(f"{title}: time over the first row's")
        for name, ratio in table.items():
            print(f"  {name:28} {ratio!s:24} {ratio.seconds * 1e3:9.3f} ms", flush=True)
    return tables


def peer_versions() -> dict[str, str]:
    """Of the peers that are no part of a bundle, as far as they are installed."""
    return {
        name: metadata.version(name)
        for name in ("kornia", "onnxruntime-extensions", "openvino", "executorch")
        if any(found.name == name for found in metadata.distributions(name=name))
    }


if __name__ == "__main__":
    again(sys.argv[1]) if sys.argv[1:] and sys.argv[1] in GROUPS else main(*map(float, sys.argv[1:]))
