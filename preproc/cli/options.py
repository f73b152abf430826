"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

from ..host import threads

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]
Images = Annotated[
    Path | None, typer.Option("--images", metavar="DIR", help="A folder of your own pictures (or .npy arrays) to verify with.")
]
ModelLayout = Annotated[
    str | None,
    typer.Option("--model-layout", metavar="NCHW|NHWC|CHW|...", help="What the model takes; default: as its graph or shape tells."),
]
Input = Annotated[str | None, typer.Option("--input", metavar="NAME", help="What takes the picture, if several might.")]
Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", metavar="NAME", help="What takes the picture, if several might; again for another that takes one."),
]


def _threads(count: int | None) -> None:
    if count is not None:
        threads.use(count)


Threads = Annotated[
    int | None,
    typer.Option(
        "--threads", metavar="N", min=1, callback=_threads, expose_value=False, help="That torch, NumPy and ONNX Runtime compute with."
    ),
]
