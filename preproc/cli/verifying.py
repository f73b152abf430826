"""The commands that hold files to their promise: verify, package, serve-check."""

import json
from pathlib import Path
from typing import Annotated

import typer

from .options import Images, Json, Threads
from .speaking import progress_of, refuse, say, tell
from .tables import print_report


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
    model: Annotated[
        Path | None,
        typer.Option("--model", metavar="FILE.onnx", help="Made of the bundle's since, as by an optimizer: judged in its place."),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", metavar="X", help="What --model may differ by, as 1e-2 for float16; default: the bundle's."),
    ] = None,
    tf32: Annotated[bool, typer.Option("--tf32", help="Allow TF32 on CUDA devices; convolutions in model.pt do as exported.")] = False,
    _count: Threads = None,
    as_json: Json = False,
) -> None:
    """Verify a bundle on this machine: its files against the manifest, each runtime against the float64 reference."""
    from ..export import verify_bundle

    told = progress_of(bundle.absolute().name)
    report = verify_bundle(
        bundle, runtimes=runtimes, images=images, recipe=recipe, model=model, tolerance=tolerance, tf32=tf32, progress=told
    )
    if as_json:
        tell(json.dumps(report.to_json(), indent=2))
    else:
        print_report(report)
    missing = [result.runtime for result in report.results if runtimes and result.verdict == "absent"]
    if missing:
        refuse(f"expected {', '.join(missing)} to run, got absent", "runtime-absent")
    elif not report.ran_a_file:
        asked = "".join(f"; --runtime {name}" for names in report.unverified.values() for name in names[:1])
        refuse(f"expected a runtime that runs what is in the bundle, got: none of the bundle's files ran{asked}", "runtime-absent")
    for file, names in report.unverified.items() if report.ran_a_file and not missing else ():
        say(f"note: {file} was not verified{''.join(f'; --runtime {name}' for name in names[:1])}")
    if missing or not report.ok:
        raise typer.Exit(1)


def package(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder that export wrote.")],
    out: Annotated[str, typer.Option("-o", "--out", metavar="REPO", help="The model repository; made, or added to.")],
    target: Annotated[str, typer.Option("--target", help="triton.")] = "triton",
    backend: Annotated[str, typer.Option("--backend", help="onnxruntime, pytorch (model.pt) or aoti (model.aoti.pt2).")] = "onnxruntime",
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
    from ..export.serving import package as put

    notes: list[str] = []

    def note(text: str) -> None:
        notes.append(text)
        say(text)

    made = put(bundle, out, target=target, backend=backend, name=name, kind=kind, max_batch=max_batch, settings=settings, progress=note)
    tell(json.dumps({"version": str(made), "notes": notes}, indent=2) if as_json else f"{made}: written")


def serve_check(
    url: Annotated[str, typer.Argument(metavar="URL", help="http://host:8000, https://, grpc://host:8001 or grpcs://.")],
    bundle: Annotated[Path, typer.Option("--bundle", metavar="BUNDLE", help="What the server is expected to serve.")],
    model: Annotated[str | None, typer.Option("--model", metavar="NAME", help="Its name on the server; default: the bundle's.")] = None,
    version: Annotated[str | None, typer.Option("--version", metavar="N", help="Default: what the server chooses.")] = None,
    requests: Annotated[int, typer.Option("--requests", metavar="N", help="How many to time, one after the other.")] = 50,
    as_json: Json = False,
) -> None:
    """Send the golden samples to a server of the Open Inference Protocol: does it answer what the bundle promises?"""
    from ..export.serving import serve_check as check
    from ..export.serving import to_json

    report, latency = check(url, bundle, model=model, version=version, requests=requests)
    if as_json:
        tell(json.dumps(to_json(report, latency), indent=2))
    elif report.results[0].verdict != "absent":
        print_report(report)
        if latency is not None:
            times = f"p50 {latency.p50 * 1e3:.1f} ms, p95 {latency.p95 * 1e3:.1f} ms"
            tell(f"  latency of a golden sample: {times}, over {latency.requests} requests one after the other")
    if not report.ok:
        result = report.results[0]
        told = f"{result.runtime}: {result.verdict}: {result.reason}"
        refuse(told, "not-served" if result.verdict == "absent" else "verification-failed")
        raise typer.Exit(1)
