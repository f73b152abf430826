"""`python -m tests.survey_diagnose_pairs`: how often `diagnose --pairs` is right, narrows, or is wrong, where tensors are exact, rounded or
of pictures that were compressed since; and how long it takes. Writes tests/survey/diagnose_pairs.md."""

import dataclasses
import io
import os
import platform
import time
from collections.abc import Callable

import numpy as np
import PIL
import torch
from PIL import Image

from preproc.diagnosis import Pair, Pairs, answered
from tests.conftest import ROOT
from tests.diagnosis.pipelines import CONSTANTS, FRAMINGS, GREYS, KERNELS, Pipeline, off, resized

CASES, MANY = 8, 40
"""Draws: of six larger photographs, and of four small ones, where answers are quick."""
TARGET = ROOT / "tests" / "survey" / "diagnose_pairs.md"
PICTURES = [Image.open(file).convert("RGB") for file in sorted((ROOT / "preproc" / "verify" / "pictures").glob("*.jpg"))]


def crop(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A part of one of the photographs, of that size, shrunk to it."""
    image = PICTURES[rng.integers(len(PICTURES))]
    share = rng.uniform(0.5, 0.95) * min(image.width / size[1], image.height / size[0])
    width, height = size[1] * share, size[0] * share
    left, top = rng.uniform(0, image.width - width), rng.uniform(0, image.height - height)
    return np.asarray(image.resize(size[::-1], Image.Resampling.LANCZOS, box=(left, top, left + width, top + height)))


def compressed(quality: int) -> Callable[[np.ndarray], np.ndarray]:
    def again(x: np.ndarray) -> np.ndarray:
        file = io.BytesIO()
        Image.fromarray(x).save(file, format="jpeg", quality=quality)
        return np.asarray(Image.open(file))

    return again


def same(x: np.ndarray) -> np.ndarray:
    return x


def bfloat16(tensor: np.ndarray) -> np.ndarray:
    return torch.from_numpy(tensor.astype(np.float32)).to(torch.bfloat16).float().numpy()


def whole(tensor: np.ndarray) -> np.ndarray:
    """As 8 bits over the tensor's own range, as quantized inputs are."""
    low, high = tensor.min(), tensor.max()
    return np.rint((tensor - low) / (high - low) * 255)


DISTURBANCES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    "small, float32 tensors": (same, same),
    "small, float16 tensors": (same, lambda tensor: tensor.astype(np.float16)),
    "small, one grey, float32 tensors": (same, same),
    "float32 tensors": (same, same),
    "float16 tensors": (same, lambda tensor: tensor.astype(np.float16)),
    "bfloat16 tensors": (same, bfloat16),
    "pictures as JPEG of quality 95 since": (compressed(95), same),
    "pictures as JPEG of quality 75 since": (compressed(75), same),
    "noise of one level in the tensors": (
        same,
        lambda tensor: tensor + np.random.default_rng(4).normal(0, tensor.std() / 60, tensor.shape),
    ),
    "tensors of other pictures": (lambda x: np.roll(x[::-1], 31, axis=1), same),
}
OUTCOMES = ("identified, right", "narrowed, truth among them", "narrowed, truth not among them", "not identified", "identified, wrong")


def twice(x: np.ndarray) -> np.ndarray:
    """No candidate's, on an even grid of numbers that bfloat16 holds."""
    image = Image.fromarray(x).resize((36, 36), Image.Resampling.BILINEAR).resize((24, 24), Image.Resampling.BILINEAR)
    return np.asarray(image, np.float32).transpose(2, 0, 1) / 256


def by_range(x: np.ndarray) -> np.ndarray:
    levels = resized("Pillow nearest", x, (24, 24)).transpose(2, 0, 1).astype(np.float32)
    return (levels - levels.min()) / np.ptp(levels)


def by_own_std(x: np.ndarray) -> np.ndarray:
    levels = resized("Pillow bilinear", x, (24, 24)).transpose(2, 0, 1).astype(np.float64)
    return ((levels - levels.mean()) / levels.std(ddof=1)).astype(np.float32)


def with_black_and_white(x: np.ndarray) -> np.ndarray:
    made = x.copy()
    made[:12, :12], made[-12:, -12:] = 0, 255
    return made


OTHERS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray], str | None]] = {
    "small, resized twice, over 256": (same, twice, None),
    "small, min-max per picture": (same, by_range, "min-max per image to 0..1"),
    "small, min-max, all hold 0 and 255": (with_black_and_white, by_range, "min-max per image to 0..1"),
    "small, standardized with N - 1": (same, by_own_std, "standardized per image, with N - 1"),
}
"""What is done to the pictures, the preprocessing, and the name of the step, None where no candidate does it."""


def outcome_of_others(kind: str, rng: np.random.Generator) -> str:
    """Right: the step's name is the answer's, or among what it says it cannot tell apart."""
    picture, make, name = OTHERS[kind]
    pictures = [picture(crop(rng, size)) for size in sizes_of(rng, small=True)]
    found = answered(Pairs(tuple(Pair(str(n), x, make(x).astype(np.float64)) for n, x in enumerate(pictures)), "NCHW", "float32"))
    if found.verdict == "not identified":
        return "not identified"
    named = found.constants.name == name if found.constants else False
    if found.verdict == "identified":
        return "identified, right" if named else "identified, wrong"
    told = named or (name is not None and any(name in sentence for sentence in found.ambiguous))
    return "narrowed, truth among them" if told else "narrowed, truth not among them"


def sizes_of(rng: np.random.Generator, *, small: bool) -> list[tuple[int, int]]:
    least, most, count = (44, 70, 4) if small else (90, 160, 6)
    return [tuple(map(int, rng.integers(least, most, 2))) for _ in range(count)]


def drawn(rng: np.random.Generator, *, small: bool, grey: bool) -> tuple[Pipeline, list[tuple[int, int]]]:
    side = int(rng.integers(20, 32) if small else rng.integers(40, 64))
    framings = [name for name in FRAMINGS if name not in ("nothing", "crop")]
    pipeline = Pipeline(
        framings[rng.integers(len(framings))], KERNELS[rng.integers(len(KERNELS))], list(CONSTANTS)[rng.integers(len(CONSTANTS))],
        (side, side), int(rng.integers(0, 9)), bool(rng.integers(2)), "float32",
    )  # fmt: skip
    if grey:
        pipeline = dataclasses.replace(pipeline, grey=list(GREYS)[rng.integers(len(GREYS))])
    return pipeline, sizes_of(rng, small=small)


def outcome(pipeline: Pipeline, sizes: list[tuple[int, int]], disturbance: str, rng: np.random.Generator) -> str:
    picture, tensor = DISTURBANCES[disturbance]
    pictures = [crop(rng, size) for size in sizes]
    pairs = [Pair(str(n), picture(x), tensor(pipeline(x)).astype(np.float64)) for n, x in enumerate(pictures)]
    found = answered(Pairs(tuple(pairs), "NCHW", "float32"))
    if found.verdict == "not identified":
        return "not identified"
    apart = off(found, pipeline, [(101, 140), (133, 99), (111, 118)])
    tolerance = 0.05 if disturbance.endswith("float32 tensors") else 1.0 if "float16" in disturbance else 4.0
    if found.verdict == "identified":
        return "identified, right" if apart <= tolerance else "identified, wrong"
    return "narrowed, truth among them" if apart <= tolerance else "narrowed, truth not among them"


def timed() -> tuple[float, float, int, str]:
    """Seconds of wall and of all cores, geometries, and the verdict: 50 photographs of 500x375, torchvision's pipeline."""
    rng = np.random.default_rng(50)
    pipeline = Pipeline("shorter and crop", "Pillow bilinear", "imagenet", (224, 224), 32, False, "float32")
    sizes = [(375, 500) if number % 2 else (500, 375) for number in range(50)]
    pictures = [crop(rng, size) for size in sizes]
    pairs = Pairs(tuple(Pair(str(n), x, pipeline(x).astype(np.float64)) for n, x in enumerate(pictures)), "NCHW", "float32")
    wall, cpu = time.monotonic(), time.process_time()
    found = answered(pairs)
    return time.monotonic() - wall, time.process_time() - cpu, found.tried, found.verdict


def main() -> None:
    wall, cpu, tried, verdict = timed()
    lines = [
        "# `preproc diagnose --pairs`: how often it is right",
        "",
        f"Written by `python -m tests.survey_diagnose_pairs`: random preprocessing in the libraries themselves ({len(KERNELS)} kernels, "
        "squash, shorter side and crop, square and crop, crop and squash, letterbox; "
        f"{len(CONSTANTS)} sets of constants, both colour orders, or one of {len(GREYS)} ways to grey) of six",
        "photographs of 90 to 160 pixels, or four small ones of 44 to 70. Right: on three other pictures the answer makes the same "
        "tensors, within 0.05 grey levels (float16 and bfloat16: 1, noise and JPEG: 4).",
        "",
        "| pairs | draws | " + " | ".join(OUTCOMES) + " |",
        "|---|--:|" + "--:|" * len(OUTCOMES),
    ]
    for row in (*DISTURBANCES, *OTHERS):
        rng, small = np.random.default_rng(20), row.startswith("small")
        if row in OTHERS:
            found = [outcome_of_others(row, rng) for _ in range(CASES)]
        else:
            found = [outcome(*drawn(rng, small=small, grey="grey" in row), row, rng) for _ in range(MANY if small else CASES)]
        lines.append(f"| {row} | " + " | ".join([str(len(found)), *(str(found.count(each)) for each in OUTCOMES)]) + " |")
        print(lines[-1], flush=True)
    lines += [
        "",
        f"50 photographs of 500x375 to 224x224, {tried} geometries: {verdict} in {cpu:.0f} s of CPU ({wall:.0f} s of wall, with a load of "
        f"{os.getloadavg()[0]:.0f} on {os.cpu_count()} cores), {cpu / 50 / tried * 1e6:.0f} µs per picture and geometry.",
        "",
        f"Pillow {PIL.__version__}, torch {torch.__version__.partition('+')[0]}, {platform.machine()}.",
    ]
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
