"""The command on what other preprocessing costs: compare."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import PreprocError
from .options import Json, Threads
from .speaking import INTERRUPTED, say, tell


def compare(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL_OR_RECIPE", help="A recipe, or one that comes along; a bundle; an .onnx file of preproc."),
    ],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A folder with a folder of pictures per class, or a .csv of path,label.")],
    variants: Annotated[
        Path | None, typer.Option("--variants", metavar="FILE.toml", help="Further variants than the usual ones; what the camera gives.")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="REPORT.html", help="Writes a page there.")] = None,
    train: Annotated[
        str | None, typer.Option("--train", metavar="PACKAGE.MODULE:FUNCTION", help="Your own function, which trains with each variant.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", help="Processes, each of one thread; default: one per core.")
    ] = None,
    engine: Annotated[str, typer.Option("--engine", help="local or dask.")] = "local",
    scheduler: Annotated[str | None, typer.Option("--scheduler", metavar="ADDRESS", help="Of a dask cluster; default: one here.")] = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """What other preprocessing costs a model in accuracy, on pictures whose classes are known: does it matter?"""
    del threads  # its callback has set them
    from ..diagnosis.experiment import ENDING
    from ..diagnosis.experiment import compare as compared_with
    from .tables import print_compared

    if scheduler is not None and engine != "dask":
        raise PreprocError(f"--scheduler: expected with --engine dask only, got --engine {engine}", name="option-without-effect")
    try:
        found = compared_with(
            model,
            data,
            variants=variants,
            train=train,
            report=out,
            workers=workers,
            engine=engine,
            scheduler=scheduler,
            progress=lambda text: say(f"{Path(model).stem}: {text}"),
        )
    except KeyboardInterrupt:
        kept = "" if out is None else f"; what was found is in {out}{ENDING}, and the same command goes on from there"
        say(f"error: interrupted{kept}")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        tell(json.dumps(found.to_json(), indent=2))
    else:
        print_compared(found)
    if out is not None:
        say(f"{out}: written")
