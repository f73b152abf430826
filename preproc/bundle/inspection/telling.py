"""What is known of a bundle or a model file, for people: lines of text."""

from collections.abc import Iterator, Mapping
from typing import Any

from ... import graph
from ...folding import FOLDED
from ...sources.published import title
from .. import contract as contracts
from . import quantized
from .torchfiles import FORMATS

_SINCE = {
    graph.NOTHING: "as preproc wrote it",
    graph.WEIGHTS: "not as preproc wrote it: other weights in the same graph",
    graph.VALUES: "not as preproc wrote it: something else in a graph of the same length",
    None: "whether it is as preproc wrote it is not told: it holds no digests",
}


def lines(description: Mapping[str, Any]) -> list[str]:
    """The description for people."""
    contract = description["contract"]
    told = [f"{description['path']}: {description['kind']}"]
    if contract is None:
        return [*told, *_foreign(description), *_picture_lines(description.get("picture"))]
    contract = _of_format(contract, description.get("format"))
    pictures = [line for view in contracts.views_of(contract) for line in _pixels(view)]
    return [
        *told,
        *pictures,
        *quantized.lines(description.get("quantized", ())),
        *_notes(contract),
        *_network(contract),
        *_checked(description),
    ]


def _of_format(contract: Mapping[str, Any], name: str | None) -> Mapping[str, Any]:
    """The contract without what it says of other formats than a file's own; name: that one, None of a bundle."""
    if name is None:
        return contract
    tables = {table: contract[table] for table in ("at_most", "fold", "compiled") if table in contract}
    own = {table: {name: said[name]} if name in said else {} for table, said in tables.items()}
    if "fold" in own and not own["fold"]:  # of a file that another program has made of ours
        own["fold"] = tables["fold"]
    pictures = [_of_format(view, name) for view in contract.get("pictures", ())]
    return {**contract, **own, **({"pictures": pictures} if pictures else {})}


def _foreign(description: Mapping[str, Any]) -> Iterator[str]:
    """Of a file without a contract."""
    yield "no contract of preproc inside: what follows is read from the file itself"
    yield from (f"{word:8} {description[key]}" for word, key in (("holds", "holds"), ("note", "hint")) if description.get(key))
    if "opsets" in description:
        opsets = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in description["opsets"].items())
        half = "" if description["precision"] == "float32" else f", {description['computes']}"
        yield f"file     {description['size']:,} bytes, IR version {description['ir_version']}, opsets {opsets}{half}"
    for word in ("inputs", "outputs"):
        yield from (f"{word[:-1]:8} {value['name']}: {value['dtype']} {value['shape']}" for value in description.get(word, ()))


def _pixels(contract: Mapping[str, Any]) -> Iterator[str]:
    """What a file takes, and what is done to it."""
    image = contract["input"]
    sizes = ", ".join(f"{height}x{width}" for height, width in contract.get("verified_sizes", ()))
    yield f"input    {image['name']}: {image['dtype']} {image['layout']} {image['color']} {image['shape']}"
    yield from [f"sizes    verified with {sizes}"] * bool(sizes)
    for name, most in contract.get("at_most", {}).items():
        yield f"at most  {', '.join(f'{side} {number}' for side, number in most.items())}, in the format {name}"
    for number, step in enumerate(contracts.steps_of(contract), start=1):
        yield f"step {number}   {step}"
    if contract.get("steps_from"):
        yield f"steps    as published: {title(contract['steps_from'])}"
    forms = contracts.FORMS_IN_EIGHT if contract.get("precision") == contracts.EIGHT else contracts.FORMS
    for name, fold in contract["fold"].items():
        into = f"folded{' into ' if fold['convolutions'] else ''}{', '.join(fold['convolutions'])}"
        left = f"{forms[fold['form']]}{_selected(fold)}{_converted(contract)}" if fold["folded"] else ""
        done = f"{into}, {left}" if fold["folded"] else f"not folded: {fold['reason']}"
        yield f"fold     {name}: {done}"
        if fold.get("why"):
            yield f"         for {fold['why']}"
        if fold.get("chroma"):
            yield f"         chroma {_chroma(fold['chroma'])}"


def _selected(fold: Mapping[str, Any]) -> str:
    chosen = fold.get("selected")
    return f", behind a selection of the channels {', '.join(map(str, chosen))}" if chosen else ""


def _converted(contract: Mapping[str, Any]) -> str:
    first = next(iter(contracts.steps_of(contract)), None)
    return ", behind the conversion to RGB in 8 bits" if getattr(first, "conversion", None) == "rgb8" else ""


def _chroma(told: str) -> str:
    return "folded, as pixels share it" if told == FOLDED else f"given to each pixel in front: {told}"


def _notes(contract: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"note     {note}" for note in contract["notes"])
    if contract.get("given"):
        yield f"note     {', '.join(contract['given'])}: taken as pixels by the file that it was made from, too"


def _network(contract: Mapping[str, Any]) -> Iterator[str]:
    """What else it takes, what it answers, and which network it is."""
    told = [entry["name"] for entry in contract.get("pictures", ())]
    others = [other for other in contract["other_inputs"] if other["name"] not in told]
    yield from (f"input    {other['name']}: {other['dtype']} {other['shape']}" for other in others)
    yield from (f"output   {output['name']}: {output['dtype']} {output['shape']}{_rows(output)}" for output in contract["outputs"])
    labels = contract["labels"]
    if labels:
        yield f"labels   {len(labels)}: {', '.join(labels[:5])}{', ...' if len(labels) > 5 else ''}"
    if "precision" in contract and not any(note.startswith(graph.PARTLY) for note in contract["notes"]):
        yield f"computes in {contract['precision']}"
    for name, made in contract.get("compiled", {}).items():
        yield f"compiled {name}: {_compiled(made)}"
    backbone = contract["backbone"]
    name, trained = " ".join(filter(None, (backbone["source"], backbone.get("name")))), "" if backbone["trained"] else ", untrained"
    yield f"backbone {name}, weights {backbone['weights_are']}{trained}, {backbone['color']}"
    yield f"constants agree with the weights: {backbone['constants_agree']}"


def _compiled(made: Mapping[str, Any]) -> str:
    """What machine code runs on."""
    names = made["instructions"]
    level = f"{made['cpu']}, {len(names)} instruction sets: {', '.join(names)}" if made["cpu"] == "native" else made["cpu"]
    capability = ".".join(map(str, made.get("compute_capability", ())))
    gpu = f"{made['gpu']}, compute capability {capability}; " if capability else ""
    return f"for {made['device']}, {gpu}{made['system']} on {made['machine']} with {level}; torch {made['torch']}"


def _rows(output: Mapping[str, Any]) -> str:
    if "rows" not in output:
        return ""
    by = ", ".join(output["rows"]["sorted_by"])
    return f", rows sorted by {by}, those of equal ones in any order" if by else ", rows in any order"


def _checked(description: Mapping[str, Any]) -> Iterator[str]:
    """What its verification said, and whether its graph still is what its contract says."""
    if "verdicts" in description:
        yield "verdicts " + ", ".join(f"{runtime} {verdict}" for runtime, verdict in description["verdicts"].items())
    if "agreement" in description and description.get("holds"):
        yield f"holds    {description['holds']}"
    if "since" in description:
        yield f"file     {_SINCE.get(description['since']) or _rewritten(description)}"
    name = description.get("format")
    if name in FORMATS.values():
        device = description["contract"].get("compiled", {}).get(name, {}).get("device", "cpu")
        yield f"graph    not compared with the contract: `preproc verify BUNDLE --runtime {name}-{device}` runs it"
    agreement = description.get("agreement")
    if agreement is not None:
        yield from (f"DIFFERS  the graph is not what the contract says: {text}" for text in agreement["wrong"])
        yield from (f"graph    not compared: {text}" for text in agreement["not_compared"])
        if agreement["agrees"]:
            yield "graph    agrees with the contract" + (" otherwise" if agreement["not_compared"] else "")


def _rewritten(description: Mapping[str, Any]) -> str:
    named = f" (its producer: {description['producer']})" if description["producer"] else ""
    return f"made since, by another program, of one that preproc wrote{named}; not verified: `preproc verify BUNDLE --model FILE` judges it"


def _picture_lines(picture: Mapping[str, Any] | None) -> list[str]:
    if picture is None:
        return []
    if "reason" in picture:
        return [f"picture  {picture['reason']}"]
    operations = picture["operations"]
    takes = "" if picture["takes"] is None else f", {picture['takes']}"
    takes += "" if picture["whole"] is None else f", whole numbers of {picture['whole']}"
    found = [f"picture  {picture['input']}, {picture['layout']}{takes}"]
    found += [f"reads    {operation}" for operation in operations[:8]] + ["         ..."] * (len(operations) > 8)
    found += quantized.lines(picture["quantized"])
    found += [f"does     {first['text']}" for first in picture["maps"]]
    found += [f"casts    to {picture['casts_to']}"] if picture["casts_to"] else []
    found += [f"note     {note}" for note in picture["notes"]]
    if picture["takes"] is not None:
        return found
    if picture["normalizes"] is None:
        found.append(f"expects  not told: {picture['not_told']}")
    elif not picture["normalizes"]:
        found.append(
            "expects  prepared values: it does not normalize raw pixels itself, and which constants it was trained with is not in the file"
        )
    if any("step" in entry for entry in picture["quantized"]):
        return [*found, "fold     a normalization in front of it goes where each grey level becomes itself there, or stays"]
    fold = "can be folded into its first convolution" if picture["foldable"] else f"cannot be folded: {picture['why_not']}"
    return [*found, f"fold     a normalization in front of it {fold}"]
