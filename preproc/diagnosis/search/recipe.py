"""The recipe's text: what `preproc attach` takes as it is, and `preproc export` with the network's name in it."""

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...sources import parse_front
from ...steps import Normalize, Rescale, Step

THIS = "THIS.toml"
"""Stands for the file's name, which save() knows."""
HEAD = """\
# Written by preproc diagnose from {pictures}: {words}.
# preproc attach FILE.onnx -o bundles/NAME {option} takes it as it is; for preproc export name the network in [backbone].
name = "diagnosed"

[backbone]
color = "{color}" # the order of the tensors' channels
# source = "onnx"
# weights = "model.onnx"

[pixels] # what the caller has
layout = "NHWC"
color = "RGB"
dtype = "uint8"
size = "dynamic"
"""


def text_of(steps: Sequence[Step], *, color: str, pictures: int, words: str) -> str:
    """The TOML of these steps, which begin behind from_pixels. Raises PreprocError where it would not load again."""
    of = f"{pictures} pictures and their tensors" if pictures > 1 else "one picture and its tensor"
    text = HEAD.format(pictures=of, words=words, option=f"--recipe {THIS}", color=color)
    text += "\n" + ("\n".join(map(_table, steps)) if steps else "").rstrip() + "\n"
    if not steps:
        text = text.replace("\n[backbone]", "steps = [] # grey levels as they are\n\n[backbone]", 1)
    parse_front(tomllib.loads(text), folder=Path())
    return text


def _table(step: Step) -> str:
    lines = ["[[steps]]"]
    for key, value in _keys(step).items():
        lines.append(f"{key} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _keys(step: Step) -> dict[str, Any]:
    if isinstance(step, Normalize) and step.origin is not None and step.origin.startswith("preset "):
        return {"step": "normalize", "preset": step.origin.removeprefix("preset ")}
    if step == Rescale():
        return {"step": "rescale"}
    return {key: value for key, value in step.spec().items() if key != "origin"}


def _toml(value: Any) -> str:
    """As JSON writes it, which TOML reads: strings, numbers, booleans and lists."""
    return json.dumps(value)
