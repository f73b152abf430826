"""The verdicts, as they are printed, stored and read again."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .levels import Levels
from .parts import Part
from .power import Control, OutputTruth, Power
from .rows import Rows
from .runtimes import RUNTIMES, Runtime
from .split import Split

PASSED, FAILED, INCONCLUSIVE, ABSENT = "passed", "failed", "inconclusive", "absent"


@dataclass(frozen=True)
class PartResult:
    """In one part of the outputs: the largest error, what the bare network errs by there and what may be, all relative to its scale.
    split: what the error is made of, on the golden samples; None where that was not measured.  unsplit: why it was not, where it was
    sought."""

    error: float
    bare: float | None
    tolerance: float
    split: Split | None = None
    unsplit: str = ""

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "PartResult":
        return PartResult(**(dict(data) | ({"split": Split(**data["split"])} if data.get("split") else {})))


@dataclass(frozen=True)
class Result:
    """One runtime's verdict. error: the largest, relative to the part's scale.  worst: the input it happened on.
    top1: share of pictures whose largest output is the reference's.  ran: what ran where.  bare: what the bare network errs by in this
    runtime, fed with the reference's ready values; None where it was not run.  tolerance: what this runtime may err by.  parts: these three
    in each part of the outputs, of which they are the largest here; {} in older reports, and where the runtime did not run.
    precision: that it was judged in.  hidden: the known mistakes that its noise there would have hidden, where it passed nonetheless.
    moved: how many of the `rows` that outputs list stood elsewhere than the reference's, where nothing defines their order.
    explained: the mistakes in its input, by name, to which the original answers what this runtime did; () where none was found."""

    runtime: str
    verdict: str
    reason: str | None = None
    error: float | None = None
    worst: str | None = None
    top1: float | None = None
    pictures: int = 0
    ran: str | None = None
    bare: float | None = None
    tolerance: float | None = None
    parts: Mapping[str, PartResult] = field(default_factory=dict)
    precision: str = "float32"
    hidden: tuple[str, ...] = ()
    moved: int = 0
    rows: int = 0
    explained: tuple[str, ...] = ()

    def bare_of(self, part: str) -> float:
        """What the bare network errs by in this part; in older reports in all of them."""
        own = self.parts[part].bare if part in self.parts else None
        return own if own is not None else self.bare or 0.0

    def seen(self, power: Power, part: str) -> float:
        """From which movement on a mistake in this part is beyond what this runtime may err by."""
        own = self.parts[part]
        return power.seen(part, own.tolerance, own.bare, self.precision)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Result":
        parts = {key: PartResult.from_json(part) for key, part in data.get("parts", {}).items()}
        return Result(
            **(dict(data) | {"parts": parts, "hidden": tuple(data.get("hidden", ())), "explained": tuple(data.get("explained", ()))})
        )


@dataclass(frozen=True)
class Original:
    """What was verified against the Python pipeline that the steps were published as, photographs through PIL and the bare backbone.

    reason: why nothing was.
    ready_error: the largest difference between its model-ready tensors and the float64 reference's, relative to the largest value.
    results: of each runtime, from the raw photograph to the outputs.
    """

    name: str
    pictures: int = 0
    ready_error: float = 0.0
    results: tuple[Result, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Report:
    """What was verified, against what, and what each runtime answered. original: None where the steps are the recipe's own.
    tf32: whether CUDA devices were allowed to compute in TF32.  levels: of the first layers of a file in 8 bits; None of others."""

    name: str
    against: str
    constants_agree: str
    power: Power
    results: tuple[Result, ...]
    inputs: tuple[str, ...] = field(default=())
    original: Original | None = None
    tf32: bool = False
    levels: Levels | None = None

    @property
    def ok(self) -> bool:
        """At least one runtime ran a file, and all that ran passed, against the original pipeline as well."""
        ran = [result.verdict for result in self.verdicts() if result.verdict != ABSENT]
        return self.ran_a_file and set(ran) == {PASSED}

    @property
    def ran_a_file(self) -> bool:
        """Whether a runtime ran what would be served, and not the module in Python alone, of which nothing is in the files."""
        return any(result.verdict != ABSENT and _file(result.runtime) is not None for result in self.results)

    @property
    def unverified(self) -> dict[str, list[str]]:
        """Of the files that runtimes were to run, those that none ran: by file, the runtimes that do only where somebody names them."""
        ran = {_file(result.runtime) for result in self.results if result.verdict != ABSENT}
        found: dict[str, list[str]] = {}
        for result in self.results:
            file = _file(result.runtime)
            if file is not None and file not in ran:
                own = found.setdefault(file, [])
                own += [result.runtime] if result.runtime in RUNTIMES and RUNTIMES[result.runtime].alone else []
        return found

    @property
    def failed(self) -> bool:
        return any(result.verdict == FAILED for result in self.verdicts())

    def bare_errors(self, runtime: Runtime) -> dict[str, float] | None:
        """By part, what the bare network erred by in this runtime as it was measured; else in those that run the same file, or in all: the
        worst. Only in the precision that it will be judged in."""
        precision = self.power.precision_of(reduced=runtime.reduced)
        known = [result for result in self.results if result.bare is not None and result.precision == precision]
        same = [result for result in known if runtime.file is not None and _file(result.runtime) == runtime.file]
        chosen = [result for result in known if result.runtime == runtime.name] or same or known
        return {key: max(result.bare_of(key) for result in chosen) for key in self.power.parts} if chosen else None

    def verdicts(self) -> tuple[Result, ...]:
        """Of all runtimes, against the reference and against the original pipeline."""
        return self.results + (self.original.results if self.original else ())

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"ok": self.ok}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Report":
        power = dict(data["power"])
        power["controls"] = tuple(Control(**control) for control in power["controls"])
        power |= {key: tuple(power.get(key, ())) for key in ("exact", "untouched")}
        power["truths"] = {name: OutputTruth(**truth) for name, truth in power.get("truths", {}).items()}
        power["groups"] = {key: Part(**part | {"channels": tuple(part["channels"])}) for key, part in power.get("groups", {}).items()}
        power["rows"] = tuple(
            Rows(rows["axes"], {name: tuple(key) for name, key in rows["keys"].items()}) for rows in power.get("rows", ())
        )
        fields = {key: value for key, value in data.items() if key != "ok"}
        older = {"precision": "tf32"} if data.get("tf32") else {}  # older reports say it once, of all CUDA devices
        told = [(older if result["runtime"].endswith("-cuda") else {}) | dict(result) for result in data["results"]]
        fields |= {"power": Power(**power), "results": tuple(map(Result.from_json, told))}
        if data.get("original"):
            results = tuple(Result.from_json(result) for result in data["original"]["results"])
            fields["original"] = Original(**(data["original"] | {"results": results}))
        fields["levels"] = Levels.from_json(data.get("levels"))
        return Report(**fields)


def _file(name: str) -> str | None:
    """None: the module in Python. A server's own name stands for what it serves."""
    return RUNTIMES[name].file if name in RUNTIMES else name
