"""The command that names the preprocessing: diagnose."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import PreprocError
from .options import Json, Threads
from .speaking import progress_of, tell


def diagnose(
    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="[MODEL]", help="A recipe, bundle or .onnx file, beside --images or --labels: what was the network trained with?"
        ),
    ] = None,
    pairs: Annotated[
        str | None,
        typer.Option(
            "--pairs",
            metavar="PLACE",
            help="Pictures and their model-ready tensors: a folder (a.png, a.npy), an .npz, or package.module:function with --images.",
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option("--images", metavar="DIR", help="Pictures: like those that MODEL was trained with, or for a function of --pairs."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="DIR", help="Beside MODEL: a folder of pictures per class, called as it or in its order."),
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="FILE.toml", help="Writes the recipe there.")] = None,
    _count: Threads = None,
    as_json: Json = False,
) -> None:
    """Name the preprocessing that pictures went through, and write it as a recipe; or the one that a network was trained with."""
    found = _of_model(model, pairs, images, labels, out) if model is not None else _of_pairs(pairs, images, labels, out)
    tell(json.dumps(found.to_json(), indent=2) if as_json else "\n".join(found.lines()))


def _of_model(model: Path, pairs: str | None, images: Path | None, labels: Path | None, out: Path | None) -> Any:
    from ..diagnosis.models import diagnose_model

    for option, value in {"--pairs": pairs, "--out": out}.items():
        if value is not None:
            raise PreprocError(f"{option}: expected without a model, for it is of pairs, got {model} as well", name="conflicting-options")
    return diagnose_model(model, images=images, labels=labels, progress=progress_of(model.name))


def _of_pairs(pairs: str | None, images: Path | None, labels: Path | None, out: Path | None) -> Any:
    from ..diagnosis import diagnose_pairs

    if labels is not None:
        raise PreprocError("--labels: expected beside a model, whose answers are compared with them, got none", name="option-value")
    if pairs is None:
        raise PreprocError(
            "expected a model with --images or --labels, or --pairs with a folder, an .npz file or package.module:function, got neither",
            name="option-value",
        )
    found = diagnose_pairs(pairs, images=images, progress=progress_of("diagnose"))
    if out is not None:
        found.save(out)
    return found
