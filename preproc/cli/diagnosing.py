"""The command that names the preprocessing: diagnose."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import PreprocError
from .options import Json, Threads
from .speaking import progress_of, refuse, say, tell


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
            help="Pictures and their tensors: a folder (a.png, a.npy or a.pt), an .npz, or package.module:function with --images.",
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
    against: Annotated[
        Path | None,
        typer.Option(
            "--against", metavar="RECIPE_OR_BUNDLE", help="What the tensors should be: names the mistake; exit 1 if there is one."
        ),
    ] = None,
    _count: Threads = None,
    as_json: Json = False,
) -> None:
    """Name the preprocessing that pictures went through, and write it as a recipe; or the mistake, against a recipe; or what a network was
    trained with. Exit code 0 for what is identified or narrowed, and against a recipe where it is right; else 1."""
    if model is not None:
        _of_model(model, {"--pairs": pairs, "--out": out, "--against": against}, images, labels, as_json=as_json)
        return
    if labels is not None:
        raise PreprocError("--labels: expected beside a model, whose answers are compared with them, got none", name="option-value")
    if pairs is None:
        raise PreprocError(
            "expected a model with --images or --labels, or --pairs with a folder, an .npz file or package.module:function, got neither",
            name="option-value",
        )
    if against is not None:
        _against(pairs, against, images, out, as_json=as_json)
        return
    from ..diagnosis import check_free, diagnose_pairs

    if out is not None:
        check_free(out)
    found = diagnose_pairs(pairs, images=images, progress=progress_of("diagnose"))
    tell(json.dumps(found.to_json(), indent=2) if as_json else "\n".join(found.lines()))
    if out is not None and found.recipe is None:
        refuse(f"{out}: {found.refusal}", "steps-cannot-say")
        raise typer.Exit(1)
    if out is not None:
        found.save(out)
        say(f"{out}: written")
    _end(found.verdict)


def _end(verdict: str) -> None:
    """With 1 where nothing is known now that was not known before."""
    if verdict not in ("identified", "narrowed"):
        raise typer.Exit(1)


def _of_model(model: Path, others: dict[str, object], images: Path | None, labels: Path | None, *, as_json: bool) -> None:
    from ..diagnosis.models import diagnose_model

    for option, value in others.items():
        if value is not None:
            raise PreprocError(f"{option}: expected without a model, for it is of pairs, got {model} as well", name="conflicting-options")
    if (images is None) == (labels is None):
        got = "neither" if images is None else "both"
        raise PreprocError(f"{model}: expected --images DIR or --labels DIR, one of the two, got {got}", name="conflicting-options")
    found = diagnose_model(model, images=images, labels=labels, progress=progress_of(model.name))
    tell(json.dumps(found.to_json(), indent=2) if as_json else "\n".join(found.lines()))
    _end(found.verdict)


def _against(pairs: str, recipe: Path, images: Path | None, out: Path | None, *, as_json: bool) -> None:
    from ..diagnosis import diagnose_against
    from .drawing import front_at

    if out is not None:
        raise PreprocError(
            "-o: expected without --against, which names a mistake and writes no recipe, got both", name="option-without-effect"
        )
    found = diagnose_against(pairs, front_at(recipe, None).steps, images=images, progress=progress_of("diagnose"))
    tell(json.dumps(found.to_json(), indent=2) if as_json else "\n".join(found.lines()))
    if not found.right:
        raise typer.Exit(1)
