"""The commands that make files: export, init, attach."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import PreprocError
from .options import Images, Inputs, Json, ModelLayout, Threads
from .speaking import progress_of, refuse, say, tell
from .tables import print_report


def export(
    recipes: Annotated[
        list[Path], typer.Argument(metavar="RECIPE.toml...", help="What to export, or digits and the others that come along.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="PARENT", help="A bundle for each recipe: PARENT/<its name>.")] = Path(
        "export"
    ),
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="onnx, torchscript, pt2, aoti or executorch, instead of the recipe's.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", help="float32, tf32, float16 or bfloat16, instead of the recipe's.")
    ] = None,
    images: Images = None,
    quick: Annotated[bool, typer.Option("--quick", help="Verify with a few inputs only, while you edit: nothing passes then.")] = False,
    _count: Threads = None,
    as_json: Json = False,
) -> None:
    """Export recipes as verified bundles. What fails verification is not published."""
    from ..host import recipe_file

    reports, failed, names = [], False, dict[str, Path]()
    for path in recipes:
        try:
            path = recipe_file(path)
            reports.append(_export(path, out, formats, precision, images, quick, as_json, names))
        except PreprocError as error:
            if error.report is not None and not as_json:
                print_report(error.report)
            refuse(str(error), error.name)
            reports.append(
                {"recipe": str(path), "error": str(error), "name": error.name, "report": error.report and error.report.to_json()}
            )
            failed = True
    if as_json:
        tell(json.dumps(reports, indent=2))
    if failed:
        raise typer.Exit(1)


def _export(
    path: Path,
    out: Path,
    formats: list[str] | None,
    precision: str | None,
    images: Path | None,
    quick: bool,
    as_json: bool,
    names: dict[str, Path],
) -> dict[str, Any]:
    """names: of the recipes before this one, each with its file."""
    from ..export import export_bundle
    from ..sources import load_recipe
    from ..verify import QUICK

    recipe = load_recipe(path)
    if recipe.name in names:
        raise PreprocError(
            f"{path}: expected another name than that of {names[recipe.name]}, whose bundle it would replace, got the same",
            name="target-collision",
        )
    names[recipe.name] = path
    bundle = export_bundle(
        recipe,
        out / recipe.name,
        formats=formats,
        precision=precision,
        images=images,
        quick=quick,
        progress=progress_of(recipe.name),
    )
    if not as_json:
        print_report(bundle.report)
        kept = "left as it was, for it is equal: the same contract and bytes of model.onnx; verified here"
        tell(f"{bundle.folder}: {kept if bundle.verified else 'published'}")
    if bundle.report.power.quick:
        say(f"{bundle.folder}: published, but not verified: {QUICK}")
    elif not bundle.report.ok:
        say(f"{bundle.folder}: published, but its verification is inconclusive: it could not have noticed every mistake")
    return {"recipe": str(path), "bundle": str(bundle.folder), "kept": bundle.verified is not None, "report": bundle.report.to_json()}


def init(
    torchvision: Annotated[
        str | None, typer.Option("--torchvision", metavar="NAME", help="A network, as resnet50, or its weights.")
    ] = None,
    timm: Annotated[str | None, typer.Option("--timm", metavar="NAME", help="A network, as resnet50 or resnet50.a1_in1k.")] = None,
    onnx: Annotated[Path | None, typer.Option("--onnx", metavar="FILE", help="A model that takes prepared floats.")] = None,
    preset: Annotated[str | None, typer.Option("--preset", help="Beside --onnx: the constants it was trained with, as imagenet.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="FILE.toml", help="Default: the network's name, here.")] = None,
    as_json: Json = False,
) -> None:
    """Write a commented recipe to begin with; without options that of the small network that comes along. Never over a file."""
    from .first_recipe import write_recipe

    made, left = write_recipe(torchvision=torchvision, timm=timm, onnx=onnx, preset=preset, out=out)
    told = f"fill in {left}; then" if left else "now"
    tell(json.dumps({"written": str(made), "left": left}) if as_json else f"{made}: written; {told}: preproc export {made}")


def attach(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="A model that takes prepared floats; it is not touched.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="BUNDLE", help="The bundle's own folder; OUT.onnx: the bare file.")],
    preset: Annotated[str | None, typer.Option("--preset", help="Named statistics, as imagenet.")] = None,
    mean: Annotated[str | None, typer.Option("--mean", metavar="A,B,C", help="One number per channel, in --units.")] = None,
    std: Annotated[str | None, typer.Option("--std", metavar="A,B,C", help="Beside --mean.")] = None,
    units: Annotated[str | None, typer.Option("--units", metavar="0-1|0-255|0-65535", help="What mean and std are given in.")] = None,
    constants_because: Annotated[
        str | None,
        typer.Option("--constants-because", metavar="REASON", help="Why a mean and std that look like something else are right."),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", metavar="FILE", help="A recipe whose pixels, steps and backbone's color are taken.")
    ] = None,
    huggingface: Annotated[
        Path | None,
        typer.Option("--huggingface", metavar="FILE", help="A preprocessor_config.json, processor_config.json, or a folder with it."),
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option("--backend", metavar="pil|torchvision", help="What transformers computes --huggingface with; default: pil."),
    ] = None,
    timm: Annotated[
        str | None, typer.Option("--timm", metavar="NAME|FILE", help="Of timm's weights, as resnet50.a1_in1k; or a config.json.")
    ] = None,
    torchvision: Annotated[str | None, typer.Option("--torchvision", metavar="WEIGHTS", help="As ResNet50_Weights.IMAGENET1K_V2.")] = None,
    letterbox: Annotated[
        str | None, typer.Option("--letterbox", metavar="H,W", help="The whole picture in a border, as YOLO's; beside --preset or --mean.")
    ] = None,
    resize: Annotated[
        str | None,
        typer.Option("--resize", metavar="H,W|N", help="As torchvision's, or N for the shorter side; beside --preset or --mean."),
    ] = None,
    crop: Annotated[str | None, typer.Option("--crop", metavar="H,W", help="The middle, behind --resize.")] = None,
    interpolation: Annotated[
        str | None, typer.Option("--interpolation", metavar="NAME", help="Of --resize: bilinear (default), bicubic, ...")
    ] = None,
    pillow: Annotated[
        int | None, typer.Option("--pillow", metavar="12|13", help="Whose order of passes a resize has; default: as installed.")
    ] = None,
    layout: Annotated[str | None, typer.Option("--layout", help="NHWC (default) or NCHW: what the caller has.")] = None,
    color: Annotated[
        str | None,
        typer.Option("--color", help="RGB (default), BGR, RGBA, BGRA, GRAY, ANY, NV12, I420, YUYV, ...: what the caller has."),
    ] = None,
    matrix: Annotated[str | None, typer.Option("--matrix", help="Of NV12 and its kin: bt601, bt709 or bt2020; no default.")] = None,
    range_: Annotated[str | None, typer.Option("--range", help="Of NV12 and its kin: limited or full; no default.")] = None,
    conversion: Annotated[
        str | None, typer.Option("--conversion", help="To RGB: linear (default), which folds, or rgb8, clipped and rounded as OpenCV's.")
    ] = None,
    chroma: Annotated[
        str | None, typer.Option("--chroma", help="How pixels share it: replicate (default) or bilinear, beside --siting.")
    ] = None,
    siting: Annotated[str | None, typer.Option("--siting", help="Where bilinear chroma lies: left or center.")] = None,
    model_color: Annotated[str | None, typer.Option("--model-color", help="What it was trained on; default: as the constants.")] = None,
    dtype: Annotated[str | None, typer.Option("--dtype", help="uint8 (default) or uint16: what the caller has.")] = None,
    fold: Annotated[str, typer.Option("--fold", help="auto, off or require.")] = "auto",
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="H,W", help="Of the pixels that come (before --resize), where open; * for a side that stays so."),
    ] = None,
    verify_size: Annotated[
        list[str] | None,
        typer.Option("--verify-size", metavar="H,W", help="Of pixels to verify with where a side is free; default: found. Repeatable."),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--form", metavar="fast|exact", help="Of resizes; default: fast, if the model's opset has it."),
    ] = None,
    input_names: Inputs = None,
    model_layout: ModelLayout = None,
    images: Images = None,
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Write OUT.onnx without running anything.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Although the model normalizes its input itself.")] = False,
    tolerance: Annotated[float | None, typer.Option("--tolerance", metavar="X", help="What runtimes may differ by, as 1e-3.")] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", help="tf32: CUDA devices may multiply float32 in it; default: as the file computes.")
    ] = None,
    _count: Threads = None,
    as_json: Json = False,
) -> None:
    """Put preprocessing in front of an .onnx file, verified against the original."""
    from ..bundle import Bundle
    from ..export import attach as put
    from ..steps import Geometry, with_form
    from .attach_options import Options, in_options, steps_and_pixels, verify_sizes

    given = Options(
        preset=preset,
        mean=mean,
        std=std,
        units=units,
        recipe=recipe,
        huggingface=huggingface,
        backend=backend,
        timm=timm,
        torchvision=torchvision,
        layout=layout,
        color=color,
        model_color=model_color,
        dtype=dtype,
        matrix=matrix,
        range=range_,
        conversion=conversion,
        chroma=chroma,
        siting=siting,
        size=size,
        pillow=pillow,
        constants_because=constants_because,
        letterbox=letterbox,
        resize=resize,
        crop=crop,
        interpolation=interpolation,
    )
    steps, pixels, trained_on, steps_from = steps_and_pixels(given)
    if letterbox or resize or crop:
        say(f"{out.name}: pixels are moved by " + ", ".join(str(step) for step in with_form(steps, form) if isinstance(step, Geometry)))
    try:
        made = put(
            model,
            out,
            steps=steps,
            pixels=pixels,
            model_color=trained_on,
            input_name=input_names,
            model_layout=model_layout and model_layout.upper(),
            fold=fold,
            force=force,
            verify=not no_verify,
            images=images,
            steps_from=steps_from,
            tolerance=tolerance,
            precision=precision,
            form=form or ("auto" if recipe is None else None),
            verify_sizes=verify_sizes(verify_size or ()),
            progress=progress_of(out.name),
        )
    except PreprocError as error:
        told = in_options(error, given)
        if told is error:
            raise
        raise told from error
    report = made.report if isinstance(made, Bundle) else made
    if as_json:
        tell(json.dumps({"written": str(out), "report": report and report.to_json()}, indent=2))
    elif report is None:
        tell(f"{_written(out)}: written, not verified")
    else:
        print_report(report)
        tell(f"{out}: published" if isinstance(made, Bundle) else f"{_written(out)}: written")
    if report is not None and not report.ok:
        say(f"{out}: published, but its verification is inconclusive: it could not have noticed every mistake")


def _written(out: Path) -> str:
    """The bare file, and what it needs beside it."""
    data = out.with_name(f"{out.name}.data")
    return f"{out} with its weights in {data.name}" if data.exists() else str(out)
