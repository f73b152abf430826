"""preproc init: a recipe to begin with, commented, for a network of torchvision's or timm's, an .onnx file, or the one that comes along."""

import contextlib
import json
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..bundle.inspection import describe
from ..errors import PreprocError, did_you_mean
from ..host import MODELS, page, targets
from ..sources import check_name, parse_recipe
from ..sources.published import Published, check_torchvision, from_timm, of_weights
from ..steps import presets

BESIDE = ("digits.safetensors", "digits.stats.json", "digits.labels.txt", "digits.images")
"""What the embedded network's recipe names."""
HEAD = """\
# preproc export {out}: writes and verifies export/{name}. preproc explain recipe: every key.
name = "{name}"
"""
PIXELS = """
[pixels] # what the caller has
layout = "NHWC" # as cameras and OpenCV have it, or NCHW
color = "{color}" # RGB | BGR | RGBA | BGRA | GRAY | ANY
dtype = "uint8" # uint8 | uint16
size = {size}
"""
PUBLISHED = """\
steps_from = "weights" # {steps}

[backbone]
source = {source}
name = {network}
weights = {weights}
color = "{color}" # the colour order it was trained on
"""
FILE = """\
# labels = "labels.txt" # a file with a label per line
{none}
[backbone]
source = "onnx"
weights = {weights}
color = "{color}" # the colour order it was trained on: {or_else}
{which}"""
EXPORT = """
[export]
formats = {formats}
# precision = "float16" # float32 | tf32 | float16 | bfloat16
# images = "photographs" # a folder of your own pictures to verify with
"""
RESCALE = """\
[[steps]]
step = "rescale" # 1/255
"""
NORMALIZE = """\
[[steps]]
step = "normalize"
{constants}
"""
OPEN = """\
# What the network was trained with is not in the file; write one of these. Nothing defaults to ImageNet.
# preset = "imagenet" # {presets}
# stats = "stats.json" # what preproc stats has counted
# mean = [0.5, 0.5, 0.5] # with std and unit
# std = [0.5, 0.5, 0.5]
# unit = "0-1\""""


def write_recipe(
    *,
    torchvision: str | None = None,
    timm: str | None = None,
    onnx: Path | None = None,
    preset: str | None = None,
    out: Path | None = None,
) -> tuple[Path, str | None]:
    """Writes a recipe, by default `<name>.toml` here, over no file; returns it, and what is left to fill in. None of the three: the
    embedded network's, with its files beside it.  preset: of an .onnx file's constants.  Raises PreprocError."""
    given = [name for name, value in (("--torchvision", torchvision), ("--timm", timm), ("--onnx", onnx)) if value is not None]
    if len(given) > 1:
        raise PreprocError(f"expected one of --torchvision, --timm and --onnx, got {' and '.join(given)}", name="conflicting-options")
    if preset is not None and onnx is None:
        raise PreprocError(
            "--preset: expected beside --onnx, for published weights say their constants, got it without", name="option-without-effect"
        )
    if preset is not None:
        presets.preset(preset)
    if out is not None:
        _check_free(out)
    if not given:
        return _embedded(out or Path("digits.toml")), None
    left = None
    if onnx is not None:
        name = re.sub(r"[^\w.-]+", "-", onnx.stem).strip(".-") or "model"
        text, left = _of_file(onnx, preset, (out or Path()).absolute().parent if out else Path.cwd())
    else:
        name, text = _torchvision(torchvision) if torchvision is not None else _timm(str(timm))
    out = out or Path(f"{name}.toml")
    _check_free(out)
    check_name(out.stem)
    text = _aligned(HEAD.format(out=out.name, name=out.stem) + text)
    table = tomllib.loads(text)
    if left is not None:
        del table["steps"][-1]  # the one with the constants that are left
    parse_recipe(table, folder=out.parent)
    _write(out, {out: text.encode()})
    return out, left


def _check_free(out: Path) -> None:
    if out.suffix != ".toml" or not out.absolute().parent.is_dir():
        raise PreprocError(f"{out}: expected the name of a .toml file in a folder that exists, got another", name="target-name")
    if out.exists():
        raise PreprocError(
            f"{out}: expected a free name, got a file that is there and stays as it is; -o FILE.toml names another", name="target-taken"
        )
    targets.check_place(out)


def _quoted(text: str) -> str:
    """As TOML writes a string: as JSON does, but for one character. Raises PreprocError for a file's name that is no text."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PreprocError(
            f"{text!a}: expected a name in UTF-8, as recipes are, got another; rename the file", name="unusable-name"
        ) from error
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _aligned(text: str) -> str:
    """The comments behind values in one column."""
    value = r'(?:[^#"\n]|"(?:[^"\\\n]|\\.)*")+?'
    return re.sub(rf"^((?:# )?{value}) # ", lambda found: f"{found[1]:<35} # ", text, flags=re.MULTILINE)


def _embedded(out: Path) -> Path:
    """The one that the page on recipes explains, and what it names: of that, files with the same bytes may be there already."""
    found = re.search(r"```toml\n(.*?)```", page("recipe"), re.DOTALL)
    assert found is not None
    _check_free(out)
    contents = {}
    for name in BESIDE:
        for source in sorted((MODELS / name).iterdir()) if (MODELS / name).is_dir() else [MODELS / name]:
            file, content = out.parent / source.relative_to(MODELS), source.read_bytes()
            if not file.exists():
                contents[file] = content
            elif not file.is_file() or file.read_bytes() != content:
                raise PreprocError(
                    f"{file}: expected the file that comes along, which the recipe names, or a free name, got another file, which stays "
                    f"as it is; give another folder: -o FOLDER/{out.name}",
                    name="target-taken",
                )
    _write(out, contents | {out: found[1].encode()})
    return out


def _write(out: Path, contents: Mapping[Path, bytes]) -> None:
    """All of these files, over none, or nothing. Raises PreprocError that names `out`."""
    targets.check_place(out, size=sum(map(len, contents.values())))
    made: list[Path] = []
    try:
        with targets.writing(out):
            for file, content in contents.items():
                if not file.parent.exists():
                    file.parent.mkdir()
                    made.append(file.parent)
                with file.open("xb") as opened:
                    made.append(file)
                    opened.write(content)
    except BaseException:
        for path in reversed(made):
            with contextlib.suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        raise


def _torchvision(name: str) -> tuple[str, str]:
    """name: a network's, whose default weights are taken, or a member of a weights enum. Its name, and the recipe's text."""
    check_torchvision()
    from torchvision import models

    known = models.list_models(module=models)
    enum, _, member = name.partition(".")
    enums = {models.get_model_weights(other).__name__: other for other in known}
    network = enums.get(enum, enum)
    if network not in known:
        raise PreprocError(
            f"--torchvision: expected a classification model, got {name!r}{did_you_mean(name, [*known, *enums])}", name="unknown-network"
        )
    weights = member or models.get_model_weights(network).DEFAULT.name
    return network, _published("torchvision", network, weights, of_weights("torchvision", network, weights))


def _timm(name: str) -> tuple[str, str]:
    """name: a network's, with or without its tag. As _torchvision()."""
    known = from_timm(name)
    from timm.models import get_pretrained_cfg

    config: Any = get_pretrained_cfg(name)
    network, _, tag = name.partition(".")
    return network, _published("timm", network, tag or config.tag, known)


def _published(source: str, network: str, weights: str, known: Published) -> str:
    steps = ", ".join(step.name for step in known.steps)
    top = PUBLISHED.format(steps=steps, source=_quoted(source), network=_quoted(network), weights=_quoted(weights), color=known.color)
    pixels = PIXELS.format(color="RGB", size='"dynamic" # photographs of any size, or [height, width]')
    return top + pixels + EXPORT.format(formats='["onnx", "torchscript"] # and "pt2", "aoti", "executorch"')


def _of_file(file: Path, preset: str | None, folder: Path) -> tuple[str, str | None]:
    """The text, for a recipe in that folder, and what is left to fill in."""
    described = describe(file)
    picture = described.get("picture")
    if described["contract"] is not None or picture is None:
        raise PreprocError(
            f"{file}: expected a bare .onnx file, got one with a contract of preproc inside, or another kind of file",
            name="no-picture-input",
        )
    if "reason" in picture:
        raise PreprocError(f"{file}: {picture['reason']}", name="no-picture-input")
    if picture["takes"] is not None:
        raise PreprocError(
            f"{file}: expected a model that takes prepared floats, got one that takes {picture['takes']}", name="no-picture-input"
        )
    steps, left = _steps(picture, preset)
    color = {1: "GRAY", 3: "RGB"}.get(picture["channels"] or 3, "ANY")
    trained = "BGR" if color == "RGB" and preset is not None and presets.preset(preset).color == "BGR" else color
    top = FILE.format(
        none="" if steps else "steps = [] # it normalizes raw grey levels itself\n",
        weights=_quoted(Path(os.path.relpath(file.absolute(), folder)).as_posix()),
        color=trained,
        or_else="as the preset's" if trained == "BGR" else "say BGR if it was",
        which=f'input = {_quoted(picture["input"])}\nlayout = "{picture["layout"]}"\n' if len(described["inputs"]) > 1 else "",
    )
    told = "as the file has it" if picture["size"] and None not in picture["size"] else "as the file has it, or [height, width]"
    size = f"{_sides(picture['size'])} # {told}"
    pixels = PIXELS.format(color=color, size=size) + (f"channels = {picture['channels']}\n" if color == "ANY" else "")
    return f"{top}{pixels}\n{steps}".rstrip() + "\n" + EXPORT.format(formats='["onnx"]'), left


def _sides(size: Sequence[int | None] | None) -> str:
    """As a recipe says them."""
    return '"dynamic"' if size is None else json.dumps(["dynamic" if side is None else side for side in size])


def _steps(picture: Mapping[str, Any], preset: str | None) -> tuple[str, str | None]:
    """The steps' text, and what is left to fill in. Raises PreprocError."""
    normalized = {first["unit"]: first["text"] for first in picture["maps"] if first["unit"]}
    if picture["casts_to"]:
        normalized[picture["casts_to"].removeprefix("raw pixels, ")] = f"a cast to {picture['casts_to']}"
    told = " and ".join(normalized.values())
    if preset is not None:
        if normalized:
            raise PreprocError(
                f"--preset: expected a model that takes normalized values, got one with its own, {told}; leave --preset out",
                name="normalized-twice",
            )
        unit = presets.preset(preset).unit
        constants = NORMALIZE.format(constants=f"preset = {_quoted(preset)}")
        return (f"{RESCALE}\n{constants}" if unit == "0-1" else constants), None
    if normalized.keys() == {"0-255"}:
        return "", None
    if normalized.keys() == {"0-1"}:
        return f"# It normalizes values in 0-1 itself.\n{RESCALE}", None
    if normalized:
        raise PreprocError(
            f"expected a model that normalizes values in 0-255 or 0-1, or none itself, got {told}; write its recipe by hand",
            name="steps-cannot-say",
        )
    constants = NORMALIZE.format(constants=OPEN.format(presets=" | ".join(presets.PRESETS)))
    return f"{RESCALE}\n{constants}", "the constants of its normalize step, which no .onnx file tells: --preset NAME does"
