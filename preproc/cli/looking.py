"""The commands that tell what something is: inspect, show, explain, doctor."""

import json
from pathlib import Path
from typing import Annotated

import typer

from .options import Input, Json, ModelLayout
from .speaking import say, tell


def doctor(as_json: Json = False) -> None:
    """What is installed and what runs here, and why the rest does not: text for a bug report. Exit 1 only if nothing can work."""
    from .doctor import examine, lines

    found = examine()
    tell(json.dumps(found, indent=2) if as_json else "\n".join(lines(found)))
    if not found["works"]:
        raise typer.Exit(1)


def explain(
    topic: Annotated[
        str | None, typer.Argument(metavar="[TOPIC]", help="A page, a verdict, or a refusal's name, as unit-mismatch; none: a list.")
    ] = None,
) -> None:
    """Print a page, recipe, bundle, layers, stats or refusals; what verdicts mean; or what a refusal means, and how it is mended."""
    from ..host import contents, page

    tell(contents() if topic is None else page(topic))


def inspect(
    path: Annotated[
        Path, typer.Argument(metavar="FILE_OR_BUNDLE", help="A bundle, an .onnx file, or any .pt, .pth, .pt2, .pte, .ckpt, .safetensors.")
    ],
    input_name: Input = None,
    model_layout: ModelLayout = None,
    as_json: Json = False,
) -> None:
    """Tell what pixels a file takes and what it does to them. Exit 1 if a file of preproc does not do what its contract says."""
    from ..bundle.inspection import describe, lines

    description = describe(path, input_name=input_name, model_layout=model_layout and model_layout.upper())
    tell(json.dumps(description, indent=2) if as_json else "\n".join(lines(description)))
    if description.get("agreement") and not description["agreement"]["agrees"]:
        raise typer.Exit(1)


def show(
    image: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGE", help="An image file, or a .npy array as the model takes one picture: (H, W, C), of NV12 (3H/2, W)."
        ),
    ],
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="Whose steps are shown: a recipe, a bundle, or a model file of preproc.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="OUT.png", help="Writes the picture there.")],
    against: Annotated[Path | None, typer.Option("--against", metavar="OTHER", help="Another one, to compare with.")] = None,
    name: Annotated[str | None, typer.Option("--input", metavar="NAME", help="Of several pictures; default: pixels.")] = None,
) -> None:
    """Draw what each step does to a picture: the picture, its values' range, their histogram."""
    from ..verify import inputs
    from .drawing import write_picture

    told = write_picture(image, source, out, against=against, name=name)
    for note in inputs.notes(image):
        say(note)
    tell(f"{out}: written" + (f"; {told}" if told else ""))
