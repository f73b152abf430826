"""The contract: what a model file promises, embedded in each file and in the manifest. export/README.md describes it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import steps
from ..errors import BundleError, PreprocError, first_line
from ..sources import PRECISIONS as RECIPE_PRECISIONS
from ..sources import (
    BackboneSpec,
    PixelsSpec,
    Recipe,
    check_tolerance,
    check_verify_sizes,
)

SOME = 2
"""A side that is free, as long as any colour can have it."""
KEY = "preproc.contract"
"""Its key in ONNX metadata_props."""
FORMS = {
    "cast": "only the cast left",
    "subtract": "the cast and one subtraction left",
    "append": "the cast, one subtraction and one appended channel left",
    "quantized": "nothing left: the pixels are the quantized numbers",
}
"""Of a fold: what is left at run time."""
FORMS_IN_EIGHT = FORMS | {
    "cast": "whose first layer reads the pixels",
    "subtract": "whose first layer reads the pixels less one whole number",
    "append": "whose first layer reads the pixels less one whole number, and one appended channel",
}
"""Of a network in 8 bits, where a zero point may be what is subtracted."""
LAYOUTS = (*steps.NETWORK_LAYOUTS, "NHW", "HW", "NTHW")
"""Of pixels, with what is in front of a picture."""
FILE = "contract.json"
"""Its name among TorchScript's extra files."""
METHOD = "preproc_contract"
"""The method of ExecuTorch's programs that answers it."""
INPUT = "pixels"
"""The name of the one input."""
EIGHT = "int8"
"""The precision of a network that `preproc quantize` has brought to 8 bits."""
SAID = ("source", "name", "arguments", "weights", "checkpoint_key", "seed", "color", "override", "input", "layout")
"""What a contract has of a recipe's [backbone]; its outputs stand elsewhere."""
PRECISIONS = (*RECIPE_PRECISIONS, EIGHT)
"""Of the network in the files; 8 bits are made of a bundle, by no recipe."""
COMPILED = ("aoti",)
"""The formats that are compiled for a machine."""
PILLOW = 13
"""Whose order of passes the resizes have of a contract that names none: there was no other when such contracts were written."""


def make_contract(
    recipe: Recipe,
    *,
    outputs: Sequence[Mapping[str, Any]],
    others: Sequence[Mapping[str, Any]],
    fold: Mapping[str, Any],
    weights: str,
    weights_sha256: str,
    trained: bool,
    constants_agree: str,
    labels: Sequence[str],
    notes: Sequence[str],
    sizes: Sequence[steps.Size],
) -> dict[str, Any]:
    """JSON-ready. outputs, others: name, dtype and shape of each output, and of what an .onnx file takes beside the picture.
    fold: per format, what was done.  notes: what else somebody should know.
    sizes: (height, width) of the pixels that were verified, where a side is free."""
    pixels = recipe.pixels
    return (
        {
            "format": "preproc-contract",
            "version": 1,
            "name": recipe.name,
            "input": {"name": INPUT} | _pixels(pixels),
            "other_inputs": list(others),
            "steps": [step.spec() for step in recipe.steps],
            "steps_from": recipe.steps_from,
            "outputs": list(outputs),
            "labels": list(labels),
            "fold": dict(fold),
            "tolerance": recipe.export.tolerance,
            "notes": list(notes),
            "backbone": _backbone(recipe.backbone)
            | {"weights_are": weights, "sha256": weights_sha256, "trained": trained, "constants_agree": constants_agree},
        }
        | ({} if recipe.export.precision == "float32" else {"precision": recipe.export.precision})
        | ({"tf32": True} if recipe.export.tf32 else {})
        | ({"verified_sizes": [list(size) for size in sizes]} if sizes else {})
    )


def outputs_of(contract: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the network's outputs; of sequences, whose tensors stand one by one, the sequences'."""
    return tuple(dict.fromkeys(str(output.get("of", output["name"])) for output in contract["outputs"]))


def precision_of(contract: Mapping[str, Any]) -> str:
    """One of PRECISIONS."""
    return str(contract.get("precision", "tf32" if contract.get("tf32") else "float32"))


def picture(recipe: Recipe, fold: Mapping[str, Any]) -> dict[str, Any]:
    """What a contract says of one of several pictures: as `input` does, and the input in the original that it took the place of, its steps,
    and what was done in the ONNX file."""
    said = {
        "name": recipe.takes,
        "input": recipe.backbone.input,
        "model_color": recipe.backbone.color,
        "model_layout": recipe.backbone.layout,
    }
    return (
        said
        | _pixels(recipe.pixels)
        | {
            "steps": [step.spec() for step in recipe.steps],
            "steps_from": recipe.steps_from,
            "fold": dict(fold),
        }
    )


def with_pictures(made: Mapping[str, Any], pictures: Sequence[Mapping[str, Any]], before: Mapping[str, Any] | None) -> dict[str, Any]:
    """The contract of a file with several pictures. before: that of the file which it was made of, where that takes pixels already."""
    if before is None:
        return {**made, "pictures": list(pictures[1:])}
    kept = {key: before[key] for key in ("input", "steps", "steps_from", "fold", "labels")}
    backbone = {key: value for key, value in made["backbone"].items() if key not in ("input", "layout")}
    backbone["color"] = before["backbone"]["color"]
    known = before.get("pictures", [])
    notes = [*before["notes"], *(note for note in made["notes"] if note not in before["notes"])]
    said = {
        "backbone": backbone,
        "notes": notes,
        "pictures": [*known, *pictures],
        "given": [entry["name"] for entry in (before["input"], *known)],
    }
    return {**made, **kept, **said}


def seen_from(contract: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """The contract with one of its further pictures in the first one's place."""
    own = {key: entry[key] for key in ("name", "layout", "color", "dtype", "shape", "matrix", "range") if key in entry}
    names = [contract["input"], *(other for other in contract["other_inputs"] if other["name"] != entry["name"])]
    said = {
        "steps": entry["steps"],
        "steps_from": entry["steps_from"],
        "fold": {"onnx": entry["fold"]},
        "backbone": {**contract["backbone"], "color": entry["model_color"]},
    }
    return {**contract, "input": own, "other_inputs": names, **said}


def views_of(contract: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The contract as each of its pictures sees it."""
    return [contract, *(seen_from(contract, entry) for entry in contract.get("pictures", ()))]


def _pixels(pixels: PixelsSpec) -> dict[str, Any]:
    said = {"layout": pixels.whole_layout, "color": pixels.color, "dtype": pixels.dtype, "shape": _shape(pixels)}
    return said | {key: value for key in ("matrix", "range") if (value := getattr(pixels, key)) is not None}


def _shape(pixels: PixelsSpec) -> list[int | str]:
    """Numbers, and the names of the sides that are free: of what the tensor has, for NHW "height*3/2"."""
    own = pixels.shape(1, (SOME, SOME))[1:]
    words = {"H": "height*3/2" if pixels.layout == "NHW" else "height", "W": "width"}
    free = {axis: words[axis] for axis, side in zip("HW", pixels.size, strict=True) if side is None}
    sides: dict[str, int | str] = {"N": pixels.batch or "N", "T": pixels.frames or "frames"}
    sides |= dict(zip(pixels.layout[1:], own, strict=True))
    sides |= free
    return [sides[axis] for axis in pixels.whole_layout]


def picture_layout(layout: str) -> str:
    """Of one picture: HWC, CHW or HW."""
    return layout.replace("N", "").replace("T", "")


def picture_size(image: Mapping[str, Any]) -> steps.Sides:
    """(height, width) of the picture that an `input` describes, None where it is free."""
    sides = dict(zip(image["layout"], image["shape"], strict=True))
    height, width = (side if isinstance(side, int) else None for side in (sides["H"], sides["W"]))
    return height * 2 // 3 if height is not None and picture_layout(image["layout"]) == "HW" else height, width


def _backbone(spec: BackboneSpec) -> dict[str, Any]:
    """What the recipe says of it, without what it leaves out; of a file of weights the name alone."""
    said = {key: getattr(spec, key) for key in SAID}
    said |= {"arguments": dict(spec.arguments) or None, "weights": None if spec.weights is None else Path(spec.weights).name}
    return {key: value for key, value in said.items() if value is not None}


def steps_of(contract: Mapping[str, Any]) -> list[steps.Step]:
    """What is done to the pixels, the same on every machine. Raises PreprocError."""
    return [steps.parse(table, pillow=PILLOW) for table in contract["steps"]]


def compact(contract: Mapping[str, Any]) -> str:
    """As it stands in a file."""
    return json.dumps(contract, separators=(",", ":"))


def read(text: str | bytes, where: str | Path) -> dict[str, Any]:
    """The contract in a file. Raises BundleError, which names `where`, if it is none that this version writes."""
    try:
        contract = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where}: expected a contract of preproc, got text that is not JSON ({error})") from error
    return check(contract, where)


def check(contract: Any, where: str | Path) -> dict[str, Any]:
    """The contract itself, if it has all that is read of it. Raises BundleError otherwise."""
    if not isinstance(contract, dict) or contract.get("format") != "preproc-contract":
        raise BundleError(f"{where}: expected a contract of preproc, got something else", name="not-a-bundle")
    if contract.get("version") != 1:
        raise BundleError(
            f"{where}: expected a contract of version 1, got {contract.get('version')!r}; use a newer preproc", name="newer-format"
        )
    try:
        parsed = steps_of(contract)
        layout = contract["input"]["layout"]
        told = [len(contract["input"]["shape"]) == len(layout), layout in LAYOUTS, bool(parsed)]
        for entry in contract.get("pictures", ()):
            taken = len(entry["shape"]) == len(entry["layout"]) and entry["layout"] in LAYOUTS
            told += [taken, bool(steps_of(entry)), isinstance(entry["name"], str), isinstance(entry["input"], str)]
            told += [isinstance(entry["model_color"], str), entry["model_layout"] in (None, *steps.NETWORK_LAYOUTS)]
            told += [entry["fold"]["form"] in (FORMS if entry["fold"]["folded"] else {None: ""})]
        told += [all(isinstance(name, str) for name in contract.get("given", ()))]
        told += [contract["input"]["name"] == INPUT, isinstance(contract["labels"], list), isinstance(contract["notes"], list)]
        told += [isinstance(text, str) for text in (*contract["labels"], *contract["notes"])]
        told += [isinstance(value[key], str) for value in contract["outputs"] for key in ("name", "dtype")]
        told += [isinstance(value.get("whole", False), bool) and isinstance(value.get("of", ""), str) for value in contract["outputs"]]
        listed = [value["rows"] for value in contract["outputs"] if "rows" in value]
        told += [isinstance(rows["axis"], int) for rows in listed]
        told += [isinstance(name, str) for rows in listed for name in (*rows["listed_with"], *rows["sorted_by"])]
        told += [isinstance(value["name"], str) for value in contract["other_inputs"]]
        told += [fold["form"] in (FORMS if fold["folded"] else {None: ""}) for fold in contract["fold"].values()]
        told += [isinstance(contract.get("steps_from"), (str, type(None))), isinstance(contract.get("tf32", False), bool)]
        told += [precision_of(contract) in PRECISIONS, contract.get("tf32", False) == (precision_of(contract) == "tf32")]
        told += [contract.get("tolerance") is None or check_tolerance(contract["tolerance"]) > 0]
        told += ["verified_sizes" not in contract or bool(check_verify_sizes(contract["verified_sizes"]))]
        compiled = contract.get("compiled", {})
        told += [name in COMPILED for name in compiled]
        told += [isinstance(made[key], str) for made in compiled.values() for key in ("device", "system", "machine", "cpu", "torch")]
        told += [isinstance(made["instructions"], list) and bool(made["instructions"]) for made in compiled.values()]
        told += [isinstance(name, str) for made in compiled.values() for name in made["instructions"]]
        bounds = [number for sides in contract.get("at_most", {}).values() for number in sides.values()]
        told += [isinstance(number, int) and number > 0 for number in bounds]
        told += [isinstance(name, str) for fold in contract["fold"].values() for name in (*fold["convolutions"], fold["requested"])]
        told += [isinstance(contract["backbone"][key], str) for key in ("source", "weights_are", "sha256", "color", "constants_agree")]
    except (KeyError, TypeError, AttributeError, ValueError, PreprocError) as error:
        raise BundleError(f"{where}: expected a whole contract of preproc, got one without or with a wrong {first_line(error)}") from error
    if not all(told):
        raise BundleError(f"{where}: expected a contract of preproc, got one with values that it never has")
    return contract


def standard_metadata(contract: Mapping[str, Any]) -> dict[str, str]:
    """ONNX's own keys for picture inputs (docs/MetadataProps.md), as far as they have a word for these pixels."""
    depth = {"uint8": "8", "uint16": "16"}[contract["input"]["dtype"]]
    names = {"RGB": "Rgb", "BGR": "Bgr", "RGBA": "Rgba", "BGRA": "Bgra", "GRAY": "Gray"}
    color = contract["input"]["color"]
    if color in steps.YUV:
        return {"Image.NominalPixelRange": "NominalRange_16_235" if contract["input"]["range"] == "limited" else "NominalRange_0_255"}
    levels = steps.PIXEL_DTYPES[contract["input"]["dtype"]]
    span = "16_235" if contract["input"].get("range") == "limited" else f"0_{levels:g}"
    found = {"Image.ColorSpaceGamma": "SRGB", "Image.NominalPixelRange": f"NominalRange_{span}"}
    if color in names:
        found["Image.BitmapPixelFormat"] = names[color] + depth
    return found
