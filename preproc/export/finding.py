"""The original backbone of a bundle, and the recipe that it was made from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..bundle import Bundle, outputs_of, precisions_of, steps_of, to_recipe
from ..errors import BundleError
from ..host import MODELS
from ..sources import OWN_CODE, Recipe, load_recipe, replace
from ..steps import PILLOWS, Step, known
from ..verify import sizes_of
from .resolving import with_outputs

if TYPE_CHECKING:
    from ..sources.backbones import Backbone


def rebuild(bundle: Bundle, path: Path | None) -> "tuple[Recipe, Backbone | Path]":
    """The recipe and the original backbone of a bundle, with the weights that the contract names. Raises PreprocError."""
    contract = bundle.contract
    recipe = replace(find_recipe(bundle, path), backbone={"outputs": outputs_of(contract)}, export=precisions_of(contract))
    if known(recipe.pixels.size) is None:
        sizes = contract.get("verified_sizes") or sizes_of(replace(recipe, export={"verify_sizes": ()}))
        recipe = replace(recipe, export={"verify_sizes": tuple((height, width) for height, width in sizes)})
    if recipe.backbone.source == "onnx":
        from .. import graph

        file = recipe.resolve(str(recipe.backbone.weights))
        check_weights(graph.fingerprint(file, graph.load(file)), contract)
        return recipe, file
    from ..sources.backbones import load_backbone

    backbone = load_backbone(recipe)
    check_weights(backbone.sha256(), contract)
    return with_outputs(recipe, backbone)


def check_weights(found: str, contract: Mapping[str, Any]) -> None:
    if found != contract["backbone"]["sha256"]:
        raise BundleError("its weights are not those of the bundle", name="recipe-changed")


def find_recipe(bundle: Bundle, path: Path | None) -> Recipe:
    """The recipe in the contract; the files it names are looked for beside the given recipe, or in models/ here or beside export/; those of
    the embedded network also where preproc has them."""
    contract = bundle.contract
    if path is not None and path.suffix == ".onnx" and contract["backbone"]["source"] == "onnx":
        return replace(to_recipe(contract), backbone={"weights": str(path.absolute())})
    places = [path] if path else [Path("models"), bundle.folder.absolute().parent.parent / "models"]
    if path is None and contract["backbone"]["source"] == "embedded":
        places.append(MODELS)
    for place in places:
        file = place if place.is_file() else place / f"{contract['name']}.toml"
        if file.is_file():
            recipe = _same_steps(file, steps_of(contract))
            if path is None:
                _check_harmless(recipe.backbone.source, recipe.backbone.name)
            return recipe
    if path:
        raise BundleError(f"{path}: expected a recipe, got nothing there", name="original-not-at-hand")
    if contract["backbone"]["source"] == "module":
        raise BundleError(
            "the network was handed over in Python, and is not at hand: export it again where it is", name="original-not-at-hand"
        )
    _check_harmless(contract["backbone"]["source"], contract["backbone"].get("name"))
    return to_recipe(contract)


def _same_steps(file: Path, promised: Sequence[Step]) -> Recipe:
    """The recipe in the file, with these steps. The Pillow that it may leave open was decided where the bundle was exported."""
    for pillow in PILLOWS:
        recipe = load_recipe(file, pillow=pillow)
        if list(recipe.steps) == list(promised):
            return recipe
    raise BundleError(f"{file}: expected the steps of the bundle, got other ones; export it again", name="recipe-changed")


def _check_harmless(source: str, name: object) -> None:
    """A bundle from elsewhere, and what lies around it, must not choose which code runs here: only --recipe does."""
    if source in OWN_CODE:
        raise BundleError(f"its backbone is made by {name}: give the recipe that says so with --recipe", name="recipe-runs-code")
