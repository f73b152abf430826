"""preproc stats against what is usually written, over JPEG photographs of 500x375."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import skimage.data
import torch
from PIL import Image
from torchvision.transforms import v2

from preproc.stats import compute_stats
from preproc.stats.counting import begun
from preproc.stats.places import find
from tests.bench.measure import Ratio, ratios
from tests.conftest import ROOT

PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket")
TO_TENSOR = v2.Compose([v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)])
PEAK = """
import pathlib, re, sys
from preproc.stats.counting import begun
from preproc.stats.places import find
begun({"color": None, "frames": "all"})([place.to_json() for place in find([sys.argv[1]]).places])
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]) * 1024)
"""
DASK = """
import sys, time
from preproc.stats import compute_stats
if __name__ == "__main__":
    start = time.perf_counter()
    compute_stats(sys.argv[1], workers=2, engine="dask")
    print(time.perf_counter() - start)
"""


def photographs(folder: Path, number: int) -> list[Path]:
    """Crops and shifts of scikit-image's, quality 90."""
    rng = np.random.default_rng(0)
    base = [np.asarray(Image.fromarray(getattr(skimage.data, name)()).resize((500, 375))).astype(np.int64) for name in PHOTOGRAPHS]
    paths = [folder / f"{index:04}.jpg" for index in range(number)]
    for index, path in enumerate(paths):
        moved = np.roll(base[index % len(base)] + rng.integers(-20, 20), index * 7, axis=1)
        Image.fromarray(np.clip(moved, 0, 255).astype(np.uint8)).save(path, quality=90)
    return paths


def decode(paths: list[Path]) -> None:
    for path in paths:
        with Image.open(path) as image:
            image.load()


def usual(paths: list[Path]) -> None:
    """What tutorials show: each picture as a float tensor, its mean and std, averaged."""
    found = []
    for path in paths:
        with Image.open(path) as image:
            tensor = TO_TENSOR(image)
        found.append((tensor.mean((1, 2)), tensor.std((1, 2))))
    torch.stack([std for _, std in found]).mean(0)


def throughput(number: int = 200) -> dict[str, Ratio]:
    """One process, over decoding alone."""
    with tempfile.TemporaryDirectory() as folder:
        paths = photographs(Path(folder), number)
        chunk = [place.to_json() for place in find([folder]).places]
        calls = {
            "decoding alone": lambda: decode(paths),
            "preproc stats, one process": lambda: begun({"color": None, "frames": "all"})(chunk),
            "torchvision, mean and std of each": lambda: usual(paths),
        }
        return ratios(calls, peer="decoding alone", rounds=15, seconds=30)


def engines(number: int = 1000, times: int = 5) -> tuple[dict[str, dict[str, Ratio]], dict[str, object]]:
    """Whole runs over one worker's, start-up of the processes included, of `number` pictures and of `times` as many (the same under
    other names); and dask's of `number`, in a process of its own, in seconds."""
    tables = dict[str, dict[str, Ratio]]()
    with tempfile.TemporaryDirectory() as folder:
        paths = photographs(Path(folder), number)

        def compare(pictures: int) -> None:
            calls = {
                f"{workers} worker{'s' * (workers > 1)}": lambda workers=workers: compute_stats(folder, workers=workers)
                for workers in (1, 2)
            }
            tables[f"{pictures:,} JPEGs of 500x375, whole runs"] = ratios(calls, peer="1 worker", rounds=9, seconds=40)

        compare(number)
        peak, dask = (
            subprocess.run(
                [sys.executable, "-W", "ignore", "-c", code, folder], cwd=ROOT, capture_output=True, text=True, check=True
            ).stdout
            for code in (PEAK, DASK)
        )
        for index in range(1, times):
            for path in paths:
                path.with_name(f"{index}_{path.name}").hardlink_to(path)
        compare(times * number)
    return tables, {"peak memory of a worker, bytes": int(peak), "dask, 2 workers on this machine, seconds": float(dask)}
