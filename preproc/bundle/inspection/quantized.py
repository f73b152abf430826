"""How a file rounds its picture to whole numbers first: scale and zero point, in grey levels where those are known."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ... import graph
from ...steps import presets
from .. import contract as contracts

WIDEST = 0.01
"""How far the ends of a range may be from those of a preset's values, as a share of it; or a step and a half of the grid."""


def of_contract(model: Any, contract: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of a file of ours: of each of its pictures, in grey levels."""
    found = list[dict[str, Any]]()
    for view in contracts.views_of(contract):
        image, moved = view["input"], view["fold"].get("onnx", {}).get("moved")
        channels = dict(zip(image["layout"], image["shape"], strict=True)).get("C", 0)
        told = _told(graph.landing(model, image["name"], layout=image["layout"], channels=channels, moved=moved), "grey levels")
        found += [_of_levels(entry, (moved or {}).get("less", 0)) for entry in told]
    return found


def _of_levels(entry: Mapping[str, Any], less: int) -> dict[str, Any]:
    """An entry on numbers that are grey levels less so many."""
    return {**entry, **{key: [value + less for value in entry[key]] for key in ("zero", "low", "high") if less and key in entry}}


def of_picture(model: Any, picture: graph.Picture, channels: int) -> list[dict[str, Any]]:
    """Of another one: in grey levels where it takes pixels, else in the values that it takes, and whose preset's these may be."""
    unit = "grey levels" if picture.value.dtype in graph.RAW else None
    return _told(graph.landing(model, str(picture.value.name), layout=picture.layout, channels=channels), unit)


def _told(landing: Any, unit: str | None) -> list[dict[str, Any]]:
    if landing is None:
        return []
    found = [grid.told() | {"unit": unit} for grid in (*landing.grids, *landing.taken) if grid.slope.any()]
    found = [entry | {"like": _like(entry) if unit is None and entry["scale"] is not None else None} for entry in found]
    return found + [{"by": f"DynamicQuantizeLinear {node.name or node.outputs[0].name}", "dynamic": True} for node in landing.dynamic]


def _like(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """The preset whose values of black to white have the grid's range, with step and zero in grey levels."""
    low, high, step = min(entry["low"]), max(entry["high"]), max(entry["step"])
    found = {name: known for name, known in presets.PRESETS.items() if _spans(known, low, high, max(1.5 * step, WIDEST * (high - low)))}
    if not found:
        return None
    known = next(iter(found.values()))
    factor = 255 / presets.UNITS[known.unit]
    told = {"step": [step * std * factor for std in known.std], "zero": [mean * factor for mean in known.mean]}
    return {"preset": " or ".join(found), **{key: [float(f"{number:.6g}") for number in numbers] for key, numbers in told.items()}}


def _spans(known: presets.Statistics, low: float, high: float, near: float) -> bool:
    """Whether these are the ends of what the preset makes of black and white."""
    top, pairs = presets.UNITS[known.unit], list(zip(known.mean, known.std, strict=True))
    ends = min(-mean / std for mean, std in pairs), max((top - mean) / std for mean, std in pairs)
    return abs(low - ends[0]) <= near and abs(high - ends[1]) <= near


def lines(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """For people."""
    for entry in entries:
        if entry.get("dynamic"):
            yield f"quantize {entry['by']}: with a scale for each batch, from its own values"
            continue
        scale = "" if entry["scale"] is None else f" scale {_short(entry['scale'])},"
        yield f"quantize {entry['by']}: {entry['dtype']},{scale} zero point {_short(entry['zero_point'])}"
        unit, like = f" {entry['unit']}" if entry["unit"] else "", entry["like"]
        yield f"         in steps of {_short(entry['step'])}{unit}, zero at {_short(entry['zero'])}, {_ends(entry)}"
        if like is not None:
            told = f"steps of {_short(like['step'])} grey levels, zero at {_short(like['zero'])}"
            yield f"         with the preset {like['preset']}, whose range that is: {told}"


def _ends(entry: Mapping[str, Any]) -> str:
    ends = dict.fromkeys(f"{low:.4g} to {high:.4g}" for low, high in zip(entry["low"], entry["high"], strict=True))
    return f"from {', '.join(ends)}"


def _short(values: Sequence[float]) -> str:
    told = [f"{value + 0.0:.4g}" for value in values]
    return told[0] if len(set(told)) == 1 else ", ".join(told)
