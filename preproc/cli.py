"""The command line: a thin skin, each command one library call, one place that turns an error into text and an exit code."""

import functools
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from . import targets, terminal, threads
from .errors import PreprocError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .verify import Report, Result

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
INTERRUPTED = 130
"""The exit code of shells for SIGINT."""
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]
Images = Annotated[
    Path | None, typer.Option("--images", metavar="DIR", help="A folder of your own pictures (or .npy arrays) to verify with.")
]

ModelLayout = Annotated[
    str | None, typer.Option("--model-layout", metavar="NCHW|NHWC", help="What the model takes; default: as its graph or shape tells.")
]
Input = Annotated[str | None, typer.Option("--input", metavar="NAME", help="What takes the picture, if several might.")]


def _threads(count: int | None) -> None:
    if count is not None:
        threads.use(count)


Threads = Annotated[
    int | None,
    typer.Option(
        "--threads", metavar="N", min=1, callback=_threads, expose_value=False, help="That torch, NumPy and ONNX Runtime compute with."
    ),
]


def _command(name: str | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command, during which libraries are not heard."""

    def put(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def quietly(*arguments: Any, **options: Any) -> None:
            with terminal.quiet():
                function(*arguments, **options)

        app.command(name)(quietly)
        return function

    return put


def _version(asked: bool) -> None:
    from . import __version__

    if asked:
        print(f"preproc {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Let libraries' own lines through, on stderr.")] = False,
) -> None:
    """Preprocessing inside the model file, with proven numerical parity. Exit codes: 0 fine, 1 failed or inconclusive, 2 wrong options, 130
    interrupted."""
    del version  # its callback has told it
    terminal.speak(verbose=verbose)


@_command()
def export(
    recipes: Annotated[
        list[Path], typer.Argument(metavar="RECIPE.toml...", help="What to export, or digits and the others that come along.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Writes DIR/<recipe name>/.")] = Path("export"),
    formats: Annotated[list[str] | None, typer.Option("--format", help="onnx, torchscript or pt2, instead of the recipe's.")] = None,
    images: Images = None,
    quick: Annotated[bool, typer.Option("--quick", help="Verify with a few inputs only, while you edit: nothing passes then.")] = False,
    _count: Threads = None,
    as_json: Json = False,
) -> None:
    """Export recipes as verified bundles. What fails verification is not published."""
    from .examples import recipe_file

    reports, failed, names = [], False, dict[str, Path]()
    for path in recipes:
        try:
            path = recipe_file(path)
            reports.append(_export(path, out, formats, images, quick, as_json, names))
        except PreprocError as error:
            if error.report is not None and not as_json:
                show(error.report)
            _refuse(str(error), error.name)
            reports.append(
                {"recipe": str(path), "error": str(error), "name": error.name, "report": error.report and error.report.to_json()}
            )
            failed = True
    if as_json:
        _print(json.dumps(reports, indent=2))
    if failed:
        raise typer.Exit(1)


def _export(
    path: Path, out: Path, formats: list[str] | None, images: Path | None, quick: bool, as_json: bool, names: dict[str, Path]
) -> dict[str, Any]:
    """names: of the recipes before this one, each with its file."""
    from .export.exporter import export_bundle
    from .recipe import load_recipe
    from .verify import QUICK

    recipe = load_recipe(path)
    if recipe.name in names:
        raise PreprocError(f"{path}: expected another name than that of {names[recipe.name]}, whose bundle it would replace, got the same")
    names[recipe.name] = path
    bundle = export_bundle(recipe, out / recipe.name, formats=formats, images=images, quick=quick, progress=_progress(recipe.name))
    if not as_json:
        show(bundle.report)
        kept = "left as it was, for it is equal: the same contract and bytes of model.onnx; verified here"
        _print(f"{bundle.folder}: {kept if bundle.verified else 'published'}")
    if bundle.report.power.quick:
        _say(f"{bundle.folder}: published, but not verified: {QUICK}")
    elif not bundle.report.ok:
        _say(f"{bundle.folder}: published, but its verification is inconclusive: it could not have noticed every mistake")
    return {"recipe": str(path), "bundle": str(bundle.folder), "kept": bundle.verified is not None, "report": bundle.report.to_json()}


@_command()
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
    from .starting import write_recipe

    made, left = write_recipe(torchvision=torchvision, timm=timm, onnx=onnx, preset=preset, out=out)
    told = f"fill in {left}; then" if left else "now"
    _print(json.dumps({"written": str(made), "left": left}) if as_json else f"{made}: written; {told}: preproc export {made}")


@_command()
def doctor(as_json: Json = False) -> None:
    """What is installed and what runs here, and why the rest does not: text for a bug report. Exit 1 only if nothing can work."""
    from .doctor import examine, lines

    found = examine()
    _print(json.dumps(found, indent=2) if as_json else "\n".join(lines(found)))
    if not found["works"]:
        raise typer.Exit(1)


@_command()
def explain(topic: Annotated[str, typer.Argument(metavar="TOPIC", help="recipe, bundle, layers, refusals, or a refusal's name.")]) -> None:
    """Print a format: of recipes, of the bundles that export writes; how the layers are used in Python; or what a refusal means, as
    unit-mismatch, and how it is mended."""
    from .examples import page

    _print(page(topic))


@_command()
def attach(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="A model that takes prepared floats; it is not touched.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Writes a bundle there; OUT.onnx: the bare file.")],
    preset: Annotated[str | None, typer.Option("--preset", help="Named statistics, as imagenet.")] = None,
    mean: Annotated[str | None, typer.Option("--mean", metavar="A,B,C", help="One number per channel, in --units.")] = None,
    std: Annotated[str | None, typer.Option("--std", metavar="A,B,C", help="Beside --mean.")] = None,
    units: Annotated[str | None, typer.Option("--units", metavar="0-1|0-255|0-65535", help="What mean and std are given in.")] = None,
    constants_because: Annotated[
        str | None,
        typer.Option("--constants-because", metavar="REASON", help="Why a mean and std that look like something else are right."),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", metavar="FILE", help="A recipe whose pixels, steps and [backbone] color are taken.")
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
    pillow: Annotated[
        int | None, typer.Option("--pillow", metavar="12|13", help="Whose order of passes a published resize has; default: as installed.")
    ] = None,
    layout: Annotated[str | None, typer.Option("--layout", help="NHWC (default) or NCHW: what the caller has.")] = None,
    color: Annotated[str | None, typer.Option("--color", help="RGB (default), BGR, RGBA, BGRA, GRAY or ANY: what the caller has.")] = None,
    model_color: Annotated[str | None, typer.Option("--model-color", help="What it was trained on; default: as the constants.")] = None,
    dtype: Annotated[str | None, typer.Option("--dtype", help="uint8 (default) or uint16: what the caller has.")] = None,
    fold: Annotated[str, typer.Option("--fold", help="auto, off or require.")] = "auto",
    size: Annotated[str | None, typer.Option("--size", metavar="H,W", help="Where the model leaves it open.")] = None,
    input_name: Input = None,
    model_layout: ModelLayout = None,
    images: Images = None,
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Write OUT.onnx without running anything.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Although the model normalizes its input itself.")] = False,
    tolerance: Annotated[float | None, typer.Option("--tolerance", metavar="X", help="What runtimes may differ by, as 1e-3.")] = None,
    _count: Threads = None,
    as_json: Json = False,
) -> None:
    """Put preprocessing in front of an .onnx file, verified against the original."""
    from .bundle import Bundle
    from .export.attaching import attach as put
    from .export.choices import steps_and_pixels

    steps, pixels, trained_on, steps_from = steps_and_pixels(
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
        size=size,
        pillow=pillow,
        constants_because=constants_because,
    )
    made = put(
        model,
        out,
        steps=steps,
        pixels=pixels,
        model_color=trained_on,
        input_name=input_name,
        model_layout=model_layout and model_layout.upper(),
        fold=fold,
        force=force,
        verify=not no_verify,
        images=images,
        steps_from=steps_from,
        tolerance=tolerance,
        progress=_progress(out.name),
    )
    report = made.report if isinstance(made, Bundle) else made
    if as_json:
        _print(json.dumps({"written": str(out), "report": report and report.to_json()}, indent=2))
    elif report is None:
        _print(f"{_written(out)}: written, not verified")
    else:
        show(report)
        _print(f"{out}: published" if isinstance(made, Bundle) else f"{_written(out)}: written")
    if report is not None and not report.ok:
        _say(f"{out}: published, but its verification is inconclusive: it could not have noticed every mistake")


def _written(out: Path) -> str:
    """The bare file, and what it needs beside it."""
    data = out.with_name(f"{out.name}.data")
    return f"{out} with its weights in {data.name}" if data.exists() else str(out)


@_command()
def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder that export wrote.")],
    runtimes: Annotated[list[str] | None, typer.Option("--runtime", help="Such as ort-cpu; absent ones then count as failed.")] = None,
    images: Images = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            "--recipe", metavar="FILE", help="The bundle's recipe, if not found in models/; or the .onnx file it was attached to."
        ),
    ] = None,
    tf32: Annotated[bool, typer.Option("--tf32", help="Allow TF32 on CUDA devices; convolutions in model.pt do as exported.")] = False,
    _count: Threads = None,
    as_json: Json = False,
) -> None:
    """Verify a bundle on this machine: its files against the manifest, each runtime against the float64 reference."""
    from .proof import verify_bundle

    told = _progress(bundle.absolute().name)
    report = verify_bundle(bundle, runtimes=runtimes, images=images, recipe=recipe, tf32=tf32, progress=told)
    if as_json:
        _print(json.dumps(report.to_json(), indent=2))
    else:
        show(report)
    missing = [result.runtime for result in report.results if runtimes and result.verdict == "absent"]
    if missing:
        _refuse(f"expected {', '.join(missing)} to run, got absent", "runtime-absent")
    if missing or not report.ok:
        raise typer.Exit(1)


@_command("package")
def package_bundle(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder that export wrote.")],
    out: Annotated[str, typer.Option("-o", "--out", metavar="REPO", help="The model repository; made, or added to.")],
    target: Annotated[str, typer.Option("--target", help="triton.")] = "triton",
    backend: Annotated[str, typer.Option("--backend", help="onnxruntime or pytorch (model.pt).")] = "onnxruntime",
    name: Annotated[str | None, typer.Option("--name", help="Of the model there; default: the bundle's.")] = None,
    kind: Annotated[str, typer.Option("--kind", help="auto, cpu or gpu: where instances run.")] = "auto",
    max_batch: Annotated[
        int | None,
        typer.Option(
            "--max-batch", metavar="N", help="Pictures in a batch at most; 0: no batching. Default: 8 where the model takes batches."
        ),
    ] = None,
    settings: Annotated[
        Path | None, typer.Option("--settings", metavar="FILE", help="More of config.pbtxt (text protobuf); its fields replace ours.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Put a bundle into a server's model repository, as its next version. What is served there already stays as it is."""
    from .serving.packaging import package

    notes: list[str] = []

    def note(text: str) -> None:
        notes.append(text)
        _say(text)

    made = package(bundle, out, target=target, backend=backend, name=name, kind=kind, max_batch=max_batch, settings=settings, progress=note)
    _print(json.dumps({"version": str(made), "notes": notes}, indent=2) if as_json else f"{made}: written")


@_command("serve-check")
def check_server(
    url: Annotated[str, typer.Argument(metavar="URL", help="http://host:8000, https://, grpc://host:8001 or grpcs://.")],
    bundle: Annotated[Path, typer.Option("--bundle", metavar="BUNDLE", help="What the server is expected to serve.")],
    model: Annotated[str | None, typer.Option("--model", metavar="NAME", help="Its name on the server; default: the bundle's.")] = None,
    version: Annotated[str | None, typer.Option("--version", metavar="N", help="Default: what the server chooses.")] = None,
    requests: Annotated[int, typer.Option("--requests", metavar="N", help="How many to time, one after the other.")] = 50,
    as_json: Json = False,
) -> None:
    """Send the golden samples to a server of the Open Inference Protocol: does it answer what the bundle promises?"""
    from .serving.check import serve_check, to_json

    report, latency = serve_check(url, bundle, model=model, version=version, requests=requests)
    if as_json:
        _print(json.dumps(to_json(report, latency), indent=2))
    elif report.results[0].verdict != "absent":
        show(report)
        if latency is not None:
            times = f"p50 {latency.p50 * 1e3:.1f} ms, p95 {latency.p95 * 1e3:.1f} ms"
            _print(f"  latency of a golden sample: {times}, over {latency.requests} requests one after the other")
    if not report.ok:
        result = report.results[0]
        name = "not-served" if result.verdict == "absent" else "verification-failed"
        _refuse(f"{result.runtime}: {result.verdict}: {result.reason}", name)
        raise typer.Exit(1)


@_command()
def inspect(
    path: Annotated[
        Path, typer.Argument(metavar="FILE_OR_BUNDLE", help="A bundle, an .onnx file, or any .pt, .pth, .pt2, .ckpt, .safetensors.")
    ],
    input_name: Input = None,
    model_layout: ModelLayout = None,
    as_json: Json = False,
) -> None:
    """Tell what pixels a file takes and what it does to them. Exit 1 if a file of preproc does not do what its contract says."""
    from .inspection import describe, lines

    description = describe(path, input_name=input_name, model_layout=model_layout and model_layout.upper())
    _print(json.dumps(description, indent=2) if as_json else "\n".join(lines(description)))
    if description.get("agreement") and not description["agreement"]["agrees"]:
        raise typer.Exit(1)


@_command("show")
def show_picture(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="An image file, or a .npy array (H, W, C).")],
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="Whose steps are shown: a recipe, a bundle, or a model file of preproc.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="OUT.png", help="Writes the picture there.")],
    against: Annotated[Path | None, typer.Option("--against", metavar="OTHER", help="Another one, to compare with.")] = None,
) -> None:
    """Draw what each step does to a picture: the picture, its values' range, their histogram."""
    from .inputs import notes
    from .showing import write_picture

    told = write_picture(image, source, out, against=against)
    for note in notes(image):
        _say(note)
    _print(f"{out}: written" + (f"; {told}" if told else ""))


@_command()
def stats(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Folders, globs, .txt lists, archives, URLs, stats.json files.")
    ],
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="FILE", help="Writes stats.json there.")] = None,
    color: Annotated[str | None, typer.Option("--color", help="RGB or GRAY: convert all pictures to it.")] = None,
    mask_glob: Annotated[str | None, typer.Option("--mask-glob", metavar="GLOB", help="Masks of the same stem select pixels.")] = None,
    sample: Annotated[str | None, typer.Option("--sample", metavar="N|P%", help="Only so many files, drawn at random.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of --sample.")] = 0,
    frames: Annotated[str, typer.Option("--frames", help="all (default) or first: which pages and frames of a file count.")] = "all",
    workers: Annotated[
        int | None, typer.Option("--workers", "--threads", metavar="N", help="Processes, each of one thread; default: one per core.")
    ] = None,
    engine: Annotated[str, typer.Option("--engine", help="local or dask.")] = "local",
    scheduler: Annotated[str | None, typer.Option("--scheduler", metavar="ADDRESS", help="Of a dask cluster; default: one here.")] = None,
    allow_errors: Annotated[int, typer.Option("--allow-errors", metavar="K", help="So many pictures may be unreadable.")] = 0,
    report: Annotated[Path | None, typer.Option("--report", metavar="FILE.html", help="Writes a page with plots and advice.")] = None,
    as_json: Json = False,
) -> None:
    """Exact statistics of a data set: for z-scores, and to see what is in it."""
    from .stats.compute import StatsInterruptedError, compute_stats
    from .stats.show import counting, printable, show_stats

    if allow_errors < 0:
        raise PreprocError(f"--allow-errors: expected a number of at least 0, got {allow_errors}")
    if scheduler is not None and engine != "dask":
        raise PreprocError(f"--scheduler: expected with --engine dask only, got --engine {engine}")
    _check_targets(out, report)
    interrupted = False
    with counting() as progress:
        try:
            found = compute_stats(
                sources,
                workers=workers,
                engine=engine,
                scheduler=scheduler,
                color=color,
                mask_glob=mask_glob,
                sample=sample,
                seed=seed,
                frames=frames,
                progress=progress,
            )
        except StatsInterruptedError as error:
            found, interrupted = error.stats, True
    printed, lost = False, list[tuple[str, str]]()
    if out is not None and (found.images or (found.partial and not interrupted)):  # else there is nothing to keep
        printed = _keep(out, found.text(), lost)
    if as_json and not printed:
        _print(json.dumps(found.to_json() | {"accumulator": None}, indent=2))
    elif not printed:
        show_stats(found)
    if report is not None and not interrupted and found.images:
        from .stats.report import page

        _keep(report, page(found, sources), lost, otherwise=False)
    for name, reason in found.broken:
        _say(printable(f"{name}: {reason}"))
    if interrupted:
        _say(
            f"error: interrupted; {found.images} pictures are counted"
            + (f", in {out}, which says so" if out and found.images and not lost else "")
        )
    if len(found.broken) > allow_errors:
        told = f"expected pictures that can be read, got {len(found.broken)} that cannot (--allow-errors {len(found.broken)})"
        _refuse(told, "unreadable-picture")
    for told, name in lost:
        _refuse(told, name)
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    if lost or len(found.broken) > allow_errors:
        raise typer.Exit(1)


def _check_targets(stats: Path | None, report: Path | None) -> None:
    """Raises PreprocError where statistics or a report could not be written."""
    from .stats import report as page
    from .stats import result

    if stats is not None and stats == report:
        raise PreprocError(f"{stats}: expected two names for the statistics and the report, got one")
    if stats is not None:
        result.check_target(stats)
    if report is not None:
        page.check_target(report)


def _keep(path: Path, text: str, lost: list[tuple[str, str]], *, otherwise: bool = True) -> bool:
    """Writes what took long to compute; where it cannot be written, into the temporary folder; where not even there, on stdout, if
    `otherwise`. `lost` then gets a sentence about it, and the name of the refusal. Whether it was printed is returned."""
    try:
        targets.write_text(path, text)
    except PreprocError as error:
        other = targets.rescued(path, text)
        printed = other is None and otherwise
        if printed:
            _print(text)
        kept = f"it is in {other}" if other else "it is printed instead" if printed else "it is lost"
        lost.append((f"{error}; {kept}", error.name))
        return printed
    return False


@_command()
def stats_diff(
    old: Annotated[Path, typer.Argument(metavar="A.json")],
    new: Annotated[Path, typer.Argument(metavar="B.json")],
    fail_above: Annotated[
        float | None, typer.Option("--fail-above", metavar="X", help="Exit 1 if a channel moved by more than X stds.")
    ] = None,
    as_json: Json = False,
) -> None:
    """How far one data set is from another: an effect size and a histogram distance per channel."""
    from .stats.drift import drift
    from .stats.result import Stats
    from .stats.show import show_drift

    if fail_above is not None and not 0 <= fail_above < math.inf:
        raise PreprocError(f"--fail-above: expected a number of at least 0, got {fail_above:g}")
    channels, alone = drift(Stats.load(old), Stats.load(new))
    farthest = max(channels, key=lambda channel: channel.moved)
    largest, where = farthest.moved, f"{farthest.kind} {farthest.channel}"
    if as_json:
        told = {"channels": [channel.to_json() for channel in channels], "alone": alone}
        told |= {"largest": largest if largest < math.inf else None, "largest_in": where}
        _print(json.dumps(told, indent=2))
    else:
        show_drift(channels, alone)
    if fail_above is not None and (largest > fail_above or alone):
        reasons = [f"expected moves of at most {fail_above:g} stds, got {largest:.3g} in {where}"] if largest > fail_above else []
        reasons += [f"expected the same kinds of pictures in both, but {text}" for text in alone]
        _refuse("; ".join(reasons), "drift-exceeded")
        raise typer.Exit(1)


def show(report: "Report") -> None:
    """The parity report as a table on stdout."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    power = report.power
    table = _verdicts(f"{report.name}: {report.against}", report.results)
    controls = Table("known mistake, made on the reference", "moves the outputs by", box=box.SIMPLE)
    for control in power.controls:
        controls.add_row(
            control.name,
            "" if control.movement is None else f"{control.movement:.1e}",
            control.reason and f"cannot happen: {control.reason}",
        )
    out = terminal.stdout()
    console = Console(file=out, width=None if out.isatty() else 140, highlight=False, markup=False)
    original = report.original
    if original is not None and original.reason:
        console.print(f"not compared with {original.name}: {original.reason}")
    console.print(table)
    if power.asked is not None:
        console.print(f"  tolerance {power.asked:.1e} of the largest output, as the recipe says")
    elif power.slack:
        console.print(f"  of the tolerance, {power.slack:.1e} of the largest output is for the roundings of a fast resize")
    noticed = "no shift of the mean" if power.smallest_shift is None else f"a shift of the mean by {power.smallest_shift:.2g} grey levels"
    console.print(f"  smallest mistake that shows: {noticed}")
    console.print(f"  constants agree with the weights: {report.constants_agree}")
    if power.mixed:
        console.print(f"  the reference itself computes in less than float64: {', '.join(power.mixed)}")
    if report.tf32:
        console.print("  TF32 is allowed: CUDA devices may multiply with 10 bits of mantissa")
    console.print(controls)
    if original is not None and not original.reason:
        console.print(_verdicts(f"{report.name}: {original.name} through PIL, {original.pictures} photographs", original.results))
        console.print(f"  its model-ready tensors differ from the float64 reference's by {original.ready_error:.1e} of the largest value")


def _verdicts(title: str, results: "Sequence[Result]") -> Any:
    from rich import box
    from rich.table import Table

    table = Table("runtime", "verdict", "error", "bare", "tolerance", "top-1", "what ran, or why not", title=title, box=box.SIMPLE)
    for result in results:
        numbers = ("" if value is None else f"{value:.1e}" for value in (result.error, result.bare, result.tolerance))
        top1 = "" if result.top1 is None else f"{result.top1:.1%}"
        table.add_row(result.runtime, result.verdict, *numbers, top1, result.reason or result.ran)
    return table


def _progress(name: str) -> Any:
    return lambda text: _say(f"{name}: {text}")


def _say(text: str) -> None:
    print(f"preproc: {text}", file=terminal.stderr(), flush=True)


def _refuse(text: str, name: str) -> None:
    _say(f"error: {text} [{name}]")


def _print(text: str) -> None:
    print(text, file=terminal.stdout())


def main() -> None:
    """The command line; one line and exit code 1 for whatever is expected to go wrong, and one and 130 for Ctrl-C, wherever it comes."""
    threads.yielding()
    try:
        app()
    except SystemExit as ended:
        if _interrupted(ended):
            _fail("interrupted", code=INTERRUPTED)
        raise
    except KeyboardInterrupt:
        _fail("interrupted", code=INTERRUPTED)
    except PreprocError as error:
        if error.report is not None and "--json" not in sys.argv[1:]:
            show(error.report)
        _fail(str(error), error.name, error.report)
    except ModuleNotFoundError as error:  # on a machine that has what it needs only
        _fail(f"expected {error.name}, which is not installed here, for this command", "not-installed")
    except OSError as error:  # a full disk, a folder that may not be written: the system's own words, and the file
        _fail(f"{error.filename or 'the system'}: {error.strerror or error}", "system-refused")


def _interrupted(ended: SystemExit) -> bool:
    """Typer makes Ctrl-C an exit without a word."""
    return ended.__context__ is not None and isinstance(ended.__context__.__cause__, KeyboardInterrupt)


def _fail(text: str, name: str | None = None, report: "Report | None" = None, *, code: int = 1) -> NoReturn:
    if name is None:
        _say(f"error: {text}")
    else:
        _refuse(text, name)
    if "--json" in sys.argv[1:]:
        told = {"error": text} | ({"name": name} if name else {})
        _print(json.dumps(told | ({} if report is None else {"report": report.to_json()})))
    sys.exit(code)
