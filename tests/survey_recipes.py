"""make survey: every shipped recipe, with random weights where its own are not in the repository, in every format and every runtime that is
here, into tests/survey/recipes.md.

    python -m tests.survey_recipes [NAME...]        (those alone, printed and not written)
"""

import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from preproc.errors import PreprocError, VerificationError
from preproc.export import export_bundle
from preproc.sources import Recipe, load_recipe, replace
from preproc.verify import Report
from tests.conftest import ROOT

HERE = Path(__file__).parent / "survey"
FORMATS = ("onnx", "torchscript", "pt2")
EFFICIENTNET = {"source": "timm", "name": "efficientnet_b0", "weights": "random", "seed": 0, "color": "RGB"}


def recipes() -> Iterator[Recipe]:
    """Those in models/, and a network whose averages over large maps only ONNX Runtime adds up badly."""
    for file in sorted((ROOT / "models").glob("*.toml")):
        recipe = load_recipe(file)
        formats = FORMATS if None not in recipe.pixels.size else FORMATS[:2]  # torch 2.11 and later write no pt2 of free sizes
        embedded = recipe.backbone.source == "embedded"
        yield recipe if embedded else replace(recipe, backbone={"weights": "random", "seed": 0}, export={"formats": formats})
    large = load_recipe(ROOT / "models" / "resnet50.toml")
    changes = {"name": "efficientnet_b0-512", "backbone": EFFICIENTNET, "pixels": {"size": (512, 512)}, "export": {"formats": FORMATS}}
    yield replace(large, **changes)


def rows(recipe: Recipe) -> list[str]:
    print(recipe.name, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            report: Report | None = export_bundle(recipe, Path(folder) / "bundle").report
        except VerificationError as error:
            report = error.report
        except PreprocError as error:
            return [f"| {recipe.name} | | failed: {error} | | | |"]
    assert report is not None
    weights = "its own" if recipe.backbone.source == "embedded" else "random"
    found = []
    for result in report.results:
        if result.verdict != "absent":
            numbers = (f"{value:.1e}" if value is not None else "" for value in (result.error, result.bare, result.tolerance))
            found.append(f"| {recipe.name}, {weights} | {result.runtime} | {result.verdict} | {' | '.join(numbers)} |")
            print(found[-1], result.reason or "", flush=True)
    return found


def main() -> None:
    asked = sys.argv[1:]
    table = [row for recipe in recipes() if not asked or recipe.name in asked for row in rows(recipe)]
    if asked:
        return
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "torchvision", "timm", "onnxruntime-gpu"))
    told = [
        "# The shipped recipes, exported and verified",
        "",
        f"Written by `python -m tests.survey_recipes`, a part of `make survey` ({versions}).",
        "Random weights react to little, so that a verdict may be inconclusive: `bare` is what the network alone errs by in that runtime.",
        "",
        "| recipe, weights | runtime | verdict | error | bare | tolerance |",
        "|---|---|---|--:|--:|--:|",
        *table,
    ]
    (HERE / "recipes.md").write_text("\n".join(told) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
