"""An experiment: a model, its variants and pictures with classes -> how much each variant costs, or gains."""

import contextlib
import hashlib
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ... import __version__
from ...errors import PreprocError
from ...host import Progress, Stage, silent, targets, versions
from ...host.decoding import ImageFile, is_array
from ...host.engines import Lost, Work, check_engine, check_installed, perform
from .. import find
from .data import Data, classes_of, read_data
from .page import TITLE, page
from .plan import Plan, check_variants, fixed_size, located, read_plan
from .result import Compared, Picture, answer_of, rows_of
from .running import Item, Running, begun, merge
from .scores import Outcome, kind_of
from .state import ENDING, State
from .timing import TOLD, Cost, costs
from .training import trainable, trained

PROBES = 4
"""Pictures by whose scores it is told what they are."""


def compare(
    model: str | Path,
    data: str | Path,
    *,
    variants: str | Path | None = None,
    train: str | Callable[..., Any] | None = None,
    report: str | Path | None = None,
    workers: int | None = None,
    engine: str = "local",
    scheduler: str | None = None,
    progress: Progress = silent,
) -> Compared:
    """How much other preprocessing in front of a model costs, on pictures whose classes are known, each variant on the same pictures.

    model: a recipe, or the name of one that comes along; a bundle; or an .onnx file that preproc has made.  data: a folder with a folder of
    pictures per class, or a .csv list of path,label; classes are the model's labels, or numbers of its outputs.  variants: a TOML file of
    further ones, beside the usual ones and [camera].  train: a function, or "package.module:function", that trains a network with each
    variant that is steps: called with a torch module that makes (N, C, H, W) float32 of pixels, it returns the network as a module.
    report: where the page is written: what is found is kept beside it until it is there, so that a run that was killed goes on.
    workers, engine and scheduler: as compute_stats() has them.  Raises PreprocError: for no classes, for pictures that cannot be read, for
    classes that the model does not have, for outputs that are none of classes, and with the function's own words where it raises.
    """
    check_engine(engine, workers)
    if engine == "dask":
        check_installed()
    if report is not None:
        targets.check_file(Path(report), endings=(".html", ".htm"), what="a report", ours=TITLE.encode())
    training, where = find(train) if isinstance(train, str) else train, located(Path(model))
    own = None if variants is None else Path(variants)
    if own is not None:
        check_variants(where, own)  # in front of the pictures and the network, which take the time
    found = read_data(data)
    sizes = set(_sizes(found))
    plan, resized = _planned(where, own, sizes)
    progress(f"{len(found.pictures):,} pictures of {len(found.classes)} classes, {len(plan.variants)} variants")
    running = Running(plan)
    kinds, outputs = _probed(running, [Path(path) for path, _ in found.pictures[:PROBES]])
    running.kinds = kinds
    labels = next(filter(None, (plan.labels, *(each.labels for each in running.opened))), ())
    classes = classes_of(found, labels, outputs)
    told = f"{plan.fingerprint()} {kinds} {classes.number_of} {_versions()}"
    items: list[Item] = [[path, classes.number_of[label]] for path, label in found.pictures]
    options = {
        "model": str(where),
        "variants": None if own is None else str(own.absolute()),
        "resized": resized,
        "kinds": kinds,
        "fingerprint": plan.fingerprint(),
    }
    with State(None if report is None else Path(f"{report}{ENDING}"), told) as state:
        outcomes = _Outcomes(state, items, len(plan.variants))
        outcomes.run(Work(begun, merge, options, running.answers), progress, workers=workers, engine=engine, scheduler=scheduler)
        again = {} if training is None else _trained(training, str(train), plan, items, state, progress)
        progress("measuring the time that each variant takes")
        spent = costs(running, [Path(path) for path, _ in items])
    pictures = [Picture(path, label, tuple(outcomes.of[path])) for path, label in items]
    rows = rows_of(plan.variants, pictures, spent, again, [kinds[each.network] for each in plan.variants])
    notes = (*plan.notes, *_notes(plan, resized, sizes, spent))
    answer = answer_of(rows, [label for _, label in items], trained=plan.trained and running.opened[0].trained)
    first = plan.variants[0]
    compared = Compared(
        plan.name, str(data), first.pixels, classes, kinds[first.network], rows, tuple(pictures), answer, notes, _versions()
    )
    if report is not None:
        targets.write_text(Path(report), page(compared))
    state.remove()
    return compared


def _versions() -> dict[str, str]:
    return {"preproc": __version__} | versions()


def _sizes(data: Data) -> Iterator[tuple[int, int]]:
    """(height, width) of each picture. Raises PreprocError for what is none, before anything is computed."""
    for path, _ in data.pictures:
        if is_array(path):
            continue  # the model's own pixels, which are looked at where they are read
        try:
            with ImageFile(path, frames="first") as file:
                yield file.image.size[::-1]
        except PreprocError as error:
            raise PreprocError(f"{path}: {error}") from error


def _planned(model: Path, own: Path | None, sizes: set[tuple[int, int]]) -> tuple[Plan, bool]:
    """And whether pictures have another size than the model fixes."""
    plan = read_plan(model, own, resized=False)
    size = fixed_size(plan.variants[0])
    resized = size is not None and bool(sizes - {size})
    return (read_plan(model, own, resized=True) if resized else plan), resized


def _probed(running: Running, paths: Sequence[Path]) -> tuple[list[str], int]:
    """What the scores of each network are, and how many classes it has."""
    kinds, outputs = list[str](), set[int]()
    for number in range(len(running.plan.networks)):
        variant = next(each for each in running.plan.variants if each.network == number)
        scores = np.stack([running.scores(path, [variant])[0] for path in paths])
        kinds.append(kind_of(scores))
        outputs.add(scores.shape[1])
    if len(outputs) > 1:
        raise PreprocError(
            f"expected variants with as many classes as the model, got networks of {' and '.join(map(str, sorted(outputs)))}",
            name="no-classes",
        )
    return kinds, outputs.pop()


@dataclass
class _Outcomes:
    """of: by the picture's path, what each variant says."""

    state: State
    items: Sequence[Item]
    variants: int

    def __post_init__(self) -> None:
        self.of: dict[str, list[Outcome]] = {}
        stamps = {path: [path, label, *_stamp(path)] for path, label in self.items}
        for line in self.state.found:
            if "outcomes" in line and stamps.get(line["picture"][0]) == line["picture"]:
                self.of[line["picture"][0]] = [Outcome.from_json(each) for each in line["outcomes"]]
        self.stamps = stamps

    def run(self, work: Work, progress: Progress, **engine: Any) -> None:
        """Those that are not there yet. Raises PreprocError for a picture that cannot be read."""
        left = [item for item in self.items if item[0] not in self.of]
        if self.of:
            progress(f"{len(self.of):,} pictures are known from before, {len(left):,} are left")
        if not left:
            return
        stage, done = Stage("comparing", len(left), progress), 0

        def split(size: int) -> Iterator[Sequence[Item]]:
            return (left[start : start + size] for start in range(0, len(left), size))

        with contextlib.closing(perform(work, split, len(left), **engine)) as answers:
            for answer, chunk in answers:
                if isinstance(answer, Lost):
                    raise PreprocError(f"{chunk[0][0]}: expected a picture that can be decoded, {answer.reason}", name="unreadable-picture")
                for row in answer:
                    self._take(row)
                done += len(chunk)
                stage.at(done)

    def _take(self, row: Sequence[Any]) -> None:
        if len(row) == 3:
            raise PreprocError(row[1] if row[0] in row[1] else f"{row[0]}: {row[1]}", name=row[2])
        path, outcomes = row
        self.of[path] = [Outcome.from_json(each) for each in outcomes]
        self.state.add({"picture": self.stamps[path], "outcomes": outcomes})


def _stamp(path: str) -> list[int]:
    """By which a file that was changed since is known."""
    told = Path(path).stat()
    return [told.st_size, told.st_mtime_ns]


def _trained(
    function: Callable[..., Any], name: str, plan: Plan, items: Sequence[Item], state: State, progress: Progress
) -> dict[str, list[Outcome]]:
    """By the variant's name, what the network says that was trained with it."""
    pictures = hashlib.sha256(json.dumps([[*item, *_stamp(item[0])] for item in items]).encode()).hexdigest()
    source = _source(function)
    known: Mapping[str, Any] = {
        line["trained"]: line["of"]
        for line in state.found
        if "trained" in line and source is not None and (line["function"], line.get("source"), line["pictures"]) == (name, source, pictures)
    }
    found, chosen = {}, trainable(plan)
    stage = Stage("training", len(chosen), progress)
    for number, variant in enumerate(chosen):
        if variant.name in known:
            found[variant.name] = [Outcome.from_json(each) for each in known[variant.name]]
            continue
        progress(f"training with {variant.name!r}, {number + 1} of {len(chosen)}")
        found[variant.name] = trained(function, name, variant, [(Path(path), label) for path, label in items])
        of = [each.to_json() for each in found[variant.name]]
        state.add({"trained": variant.name, "function": name, "source": source, "pictures": pictures, "of": of})
        stage.at(number + 1)
    return found


def _source(function: Callable[..., Any]) -> str | None:
    """A digest of the file that a function stands in: whoever edits it gets no answers of its earlier self. None where there is none."""
    try:
        file = inspect.getsourcefile(inspect.unwrap(function))
        return None if file is None else hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except (TypeError, OSError):
        return None


def _notes(plan: Plan, resized: bool, sizes: set[tuple[int, int]], spent: Sequence[Cost]) -> Iterator[str]:
    """What somebody should know of the numbers."""
    first = plan.variants[0]
    if resized:
        height, width = fixed_size(first) or (0, 0)
        some = ", ".join(f"{w}x{h}" for h, w in sorted(sizes)[:3]) + (", ..." if len(sizes) > 3 else "")
        yield (
            f"The model takes {width}x{height}; the pictures ({some}) are brought to that with Pillow's {first.filter} in front of it, as "
            "`preproc verify --images` does, and otherwise in the variants that say so."
        )
    if all(each.steps is None for each in plan.variants):
        yield "Only what a caller may do is varied: the file takes pixels, and does the rest itself."
    untold = sum(each.took is None for each in spent)
    if untold:
        yield (
            f"The time of {untold} of {len(spent)} variants is not told, for half of its rounds differ by more than {TOLD:.0%} of it: "
            "something else computes on this machine."
        )
