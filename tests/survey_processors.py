"""python -m tests.survey_processors [N]: every image processor class of the installed transformers, for Pillow and for torchvision's
tensors, driven with N random configurations (200) on random pictures, against the steps that are read of the same fields; into
tests/survey/processors.md."""

import random
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import transformers
from PIL import Image

from preproc.errors import PreprocError
from preproc.oracle import reference
from preproc.sources import published
from preproc.sources.published.processors import BACKENDS, known
from preproc.steps import FromPixels, Resampling
from tests.processors import VERSION, Config, classes, driven, on_tensors, picture, random_config, same

FILE = Path(__file__).parent / "survey" / "processors.md"
TITLES = {"pil": "With Pillow", "torchvision": "On torchvision's tensors"}
OUTCOMES = ("equal", "refused", "transformers fails", "different")


def compared(kind: type, config: Config, image: Image.Image) -> tuple[str, str]:
    """Which outcome, and the message of a refusal."""
    try:
        read = published.from_huggingface(config, backend=_backend(kind))
    except PreprocError as error:
        return "refused", str(error)
    try:
        theirs = driven(kind)(config, image)
    except Exception as error:  # noqa: BLE001 - classes of another library, each with reasons of its own
        return "transformers fails", str(error)
    try:
        mine = reference.apply([FromPixels(layout="NHWC", to=read.color), *read.steps], np.asarray(image)[None])
    except PreprocError as error:  # a picture of a ratio that leaves no pixels
        return "refused", str(error)
    tensors = "float32" if any(isinstance(step, Resampling) and not step.rounds for step in read.steps) else None
    return ("equal" if same(mine, theirs, tensors) else "different"), ""


def _backend(kind: type) -> str:
    return "torchvision" if on_tensors(kind) else "pil"


def surveyed(name: str, kind: type, count: int, seed: int = 1) -> tuple[Counter[str], list[Any]]:
    """How often each outcome, and the configurations that differ with their pictures' sizes."""
    rng, found, wrong = random.Random(f"{name} {seed}"), Counter[str](), []
    for _ in range(count):
        config, size = random_config(rng, known(_backend(kind))[name][-1]), (rng.randint(4, 90), rng.randint(4, 90))
        outcome, _ = compared(kind, config, picture(size, rng.randint(0, 99)))
        found[outcome] += 1
        wrong += [(config, size)] if outcome == "different" else []
    return found, wrong


def main(count: int) -> int:
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    parts, different = [], 0
    for backend in BACKENDS:
        lines, total = [], Counter[str]()
        for name, kind in classes(backend).items():
            found, wrong = surveyed(name, kind, count)
            total += found
            different += bool(wrong)
            forms = reversed(known(backend)[name])
            why = next((f"{form.why_not} (transformers {form.versions[-1]})" for form in forms if form.why_not), "")
            lines.append(f"| {name.removesuffix('ImageProcessor')} | " + " | ".join(str(found[each]) for each in OUTCOMES) + f" | {why} |")
            print(name, dict(found), wrong[:2], file=sys.stderr)
        counts = ", ".join(f"{total[each]} {each}" for each in OUTCOMES)
        head = f"| class | {' | '.join(OUTCOMES)} | why none is read |\n|---|--:|--:|--:|--:|---|"
        parts.append(f"## {TITLES[backend]}\n\n{len(lines)} classes: {counts}.\n\n{head}\n" + "\n".join(lines) + "\n")
    FILE.write_text(
        f"""# Hugging Face's image processors

Written by `python -m tests.survey_processors`, a part of `make survey` (transformers {VERSION}, pillow {PIL.__version__}). {count} random
configurations of each class, fields left out, fields that a class ignores and flags of all
kinds among them, each on a random picture. equal: the steps that are read of the configuration compute what the class does, but for
float32's rounding. refused: by name. transformers fails: where the steps are read (on tensors, those that normalize integers).
different: a bug.

"""
        + "\n".join(parts)
    )
    return different


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200) != 0)
