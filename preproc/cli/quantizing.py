"""The command that brings a network to 8 bits."""

import json
from pathlib import Path
from typing import Annotated

import typer

from .options import Json, Threads
from .speaking import progress_of, say, tell
from .tables import print_report


def quantize(
    source: Annotated[Path, typer.Argument(metavar="BUNDLE|RECIPE.toml", help="A bundle's folder, or a recipe.")],
    images: Annotated[
        Path, typer.Option("--images", metavar="DIR", help="Raw pictures (or .npy arrays of raw pixels) that the ranges are taken from.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="BUNDLE", help="The bundle's own folder.")],
    format: Annotated[str, typer.Option("--format", help="qdq: QuantizeLinear and DequantizeLinear around float operators.")] = "qdq",  # noqa: A002
    per_channel: Annotated[
        bool, typer.Option("--per-channel", help="A scale for each output channel of every weight, not of the first layer's alone.")
    ] = False,
    method: Annotated[str, typer.Option("--method", help="minmax, entropy or percentile: how a range is taken.")] = "minmax",
    border: Annotated[
        str, typer.Option("--border", help="exact; or nearest: without an appended channel, padding the level nearest to the mean.")
    ] = "exact",
    target: Annotated[str, typer.Option("--for", help="any, or tensorrt: int8, and zero points of 0.")] = "any",
    recipe: Annotated[
        Path | None,
        typer.Option("--recipe", metavar="FILE", help="A bundle's recipe, or the .onnx file it was made from, if not found."),
    ] = None,
    _count: Threads = None,
    as_json: Json = False,
) -> None:
    """Bring a bundle or a recipe to 8 bits, as a verified bundle: uint8 pixels are the quantized tensor."""
    from ..export import quantize_bundle
    from ..host import recipe_file
    from ..sources import load_recipe

    given = source if source.is_dir() else load_recipe(recipe_file(source))
    bundle = quantize_bundle(
        given,
        out,
        images=images,
        format=format,
        per_channel=per_channel,
        method=method,
        border=border,
        target=target,
        recipe=recipe,
        progress=progress_of(out.name),
    )
    if as_json:
        tell(json.dumps({"bundle": str(bundle.folder), "report": bundle.report.to_json()}, indent=2))
    else:
        print_report(bundle.report)
        tell(f"{bundle.folder}: {'left as it was, for it is equal; verified here' if bundle.verified else 'published'}")
    if not bundle.report.ok:
        say(f"{bundle.folder}: published, but its verification is inconclusive: it could not have noticed every mistake")
