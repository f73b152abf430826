"""Back from a contract to the recipe that it was made from."""

import dataclasses
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..sources import Front, FurtherPicture, Recipe, parse_front, parse_recipe, replace
from ..steps import YUV
from .contract import SAID, outputs_of, picture_layout, picture_size, precision_of, steps_of, views_of


def to_recipe(contract: Mapping[str, Any]) -> Recipe:
    """The recipe that a contract was made from. Files that it names are relative to the working directory. Raises RecipeError for a network
    that was handed over in Python."""
    backbone = {key: contract["backbone"][key] for key in SAID if key in contract["backbone"]}
    if "weights" in backbone:  # a bundle from elsewhere must not choose what is opened here
        backbone["weights"] = Path(str(backbone["weights"])).name
    requested = {entry["requested"] for entry in contract["fold"].values()}
    table = _front(contract) | {
        "name": contract["name"],
        "labels": contract["labels"],
        "backbone": backbone,
        "export": {"formats": list(contract["fold"]), "fold": requested.pop() if len(requested) == 1 else "auto"}
        | ({} if contract.get("tolerance") is None else {"tolerance": contract["tolerance"]})
        | ({"verify_sizes": contract["verified_sizes"]} if "verified_sizes" in contract else {}),
    }
    names = outputs_of(contract)  # not through parse_recipe(): an .onnx file's may be any
    made = replace(
        parse_recipe(table, folder=Path()),
        backbone={"outputs": names},
        pixels=_axes(contract),
        steps_from=contract.get("steps_from"),
        export=precisions_of(contract),
    )
    if "pictures" not in contract:
        return made
    given = contract.get("given", ())
    first, *others = further_of(contract, given=given)
    return dataclasses.replace(made, further=tuple(others)) if not first.given else _put_first(made, [first, *others])


def front_of(contract: Mapping[str, Any]) -> Front:
    """What stands in front of the network, whatever that is."""
    return parse_front(_front(contract), folder=Path(), model_color=contract["backbone"]["color"])


def further_of(contract: Mapping[str, Any], *, given: Container[str]) -> list[FurtherPicture]:
    """All pictures of a contract. given: the names of those that the original takes as pixels already."""
    found = []
    takers = [contract["backbone"].get("input"), *(entry["input"] for entry in contract.get("pictures", ()))]
    layouts = [contract["backbone"].get("layout"), *(entry["model_layout"] for entry in contract.get("pictures", ()))]
    for view, taker, layout in zip(views_of(contract), takers, layouts, strict=True):
        front, name = front_of(view), view["input"]["name"]
        pixels = dataclasses.replace(front.pixels, **_axes(view))
        own = {"takes": name, "color": front.color, "pixels": pixels, "steps": front.steps}
        found.append(FurtherPicture(input=name if name in given else str(taker), layout=layout, given=name in given, **own))
    return found


def _front(contract: Mapping[str, Any]) -> dict[str, Any]:
    """As a recipe says it."""
    first, *later = (step.spec() for step in steps_of(contract))
    layout = contract["input"]["layout"]
    sides = dict(zip(layout, contract["input"]["shape"], strict=True))
    return {
        "pixels": {"color": contract["input"]["color"], "dtype": contract["input"]["dtype"], "layout": f"N{picture_layout(layout)}"}
        | {key: first[key] for key in ("matrix", "range", "conversion", "chroma", "siting") if key in first}
        | ({"channels": sides["C"]} if first["color"] not in YUV else {})
        | {"size": ["dynamic" if side is None else side for side in picture_size(contract["input"])]}
        | ({"batch": sides["N"]} if isinstance(sides.get("N"), int) else {}),
        "steps": later,
    }


def _put_first(recipe: Recipe, pictures: Sequence[FurtherPicture]) -> Recipe:
    """The recipe of the first of the pictures that the original does not take as pixels already."""
    chosen = next(picture for picture in pictures if not picture.given)
    backbone = {"input": chosen.input, "layout": chosen.layout, "color": chosen.color}
    further = tuple(picture for picture in pictures if picture is not chosen)
    own = {"takes": chosen.takes, "pixels": chosen.pixels, "steps": chosen.steps, "steps_from": None}
    return replace(recipe, backbone=backbone, further=further, **own)


def _axes(contract: Mapping[str, Any]) -> dict[str, Any]:
    """PixelsSpec's axes and frames."""
    layout, shape = contract["input"]["layout"], contract["input"]["shape"]
    frames = shape[1] if "T" in layout and isinstance(shape[1], int) else None
    return {"axes": layout.removesuffix(picture_layout(layout)), "frames": frames}


def precisions_of(contract: Mapping[str, Any]) -> dict[str, str]:
    """ExportSpec's precision, and that of its outputs."""
    precision = precision_of(contract)
    outputs = {output["dtype"] for output in contract["outputs"]}
    return {"precision": precision, "outputs_precision": precision if precision in outputs else "float32"}
