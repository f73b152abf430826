"""The recipe's text: what `preproc attach` takes as it is, and `preproc export` with the network's name in it."""

import json
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...sources import parse_front
from ...steps import Normalize, Rescale, Step
from .constants import BECAUSE, Constants
from .fronts import Apart, Front

THIS = "THIS.toml"
"""Stands for the file's name, which save() knows."""
HEAD = """\
# Written by preproc diagnose from {pictures}: {words}.
# preproc attach FILE.onnx -o bundles/NAME --recipe {this} takes it as it is; for preproc export name the network in [backbone].
name = "diagnosed"
{steps}
[backbone]
color = "{color}" # {what}
# source = "onnx"
# weights = "model.onnx"

[pixels] # what the caller has
layout = "NHWC"
color = "{pixels}"
dtype = "uint8"
size = "dynamic"
"""


@dataclass(frozen=True)
class Said:
    """A recipe. text: its TOML.  steps: whole, from the pixels on.  before: what the caller does first, in words.  apart: how far its own
    arithmetic is from the libraries'."""

    text: str
    steps: tuple[Step, ...]
    before: tuple[str, ...]
    apart: Apart


def said(front: Front, constants: Constants, apart: Apart, *, pictures: int) -> Said:
    """Raises PreprocError where it would not load again."""
    values = constants.steps if front.names_channels else tuple(map(_unnamed, constants.steps))
    steps = (*front.moving, *values)
    text = HEAD.format(
        pictures=f"{pictures} pictures and their tensors" if pictures > 1 else "one picture and its tensor",
        words=constants.name,
        this=THIS,
        steps="" if steps else "steps = [] # grey levels as they are\n",
        color=front.color,
        what="the order of the tensors' channels" if front.names_channels else "what is made grey behind it",
        pixels=front.pixels,
    )
    text += "\n" + "\n".join(map(_table, steps)).rstrip() + "\n"
    parse_front(tomllib.loads(text), folder=Path())
    return Said(text, (*front.steps, *values), front.before, apart)


def _unnamed(step: Step) -> Step:
    """Constants by their numbers: a preset is of colours, not of what they are mixed to."""
    return replace(step, origin="preproc diagnose", constants_because=BECAUSE) if isinstance(step, Normalize) else step


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
