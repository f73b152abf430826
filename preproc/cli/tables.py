"""Reports as text: of parity, and of an experiment."""

from typing import TYPE_CHECKING, Any

from ..host import terminal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..diagnosis.experiment import Compared
    from ..verify import Control, Power, Report, Result


def print_report(report: "Report") -> None:
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
            _told(control, report),
        )
    out = terminal.stdout()
    console = Console(file=out, width=None if out.isatty() else 140, highlight=False, markup=False)
    original = report.original
    if original is not None and original.reason:
        console.print(f"not compared with {original.name}: {original.reason}")
    console.print(table)
    if power.asked is not None:
        console.print(f"  tolerance {power.asked:.1e} of the largest output, as was asked for")
    elif power.slack:
        own = ", ".join(f"{value:.1e} in {key}" for key, value in power.slacks.items()) if len(power.slacks) > 1 else f"{power.slack:.1e}"
        console.print(f"  of the tolerance, {own} of the largest output is for the roundings of a fast resize")
    noticed = "no shift of the mean" if power.smallest_shift is None else f"a shift of the mean by {power.smallest_shift:.2g} grey levels"
    if power.shift_measured:
        console.print(f"  smallest mistake that shows: {noticed}")
    console.print(f"  constants agree with the weights: {report.constants_agree}")
    for line in (*_narrow(report), *_levels(report), *_groups(power), *_truths(power)):
        console.print(line)
    if power.mixed:
        console.print(f"  the reference itself computes in less than float64: {', '.join(power.mixed)}")
    if report.tf32:
        console.print("  TF32 is allowed: CUDA devices may multiply with 10 bits of mantissa")
    for name, ties in power.unresolved.items():
        least = "" if ties == 0 else "; a few roundings of the input decide them"
        console.print(f"  {name}: {ties:,} of {power.values[name]:,} values were not compared{least}")
    for line in (*_rows(report), *_numbers(power)):
        console.print(line)
    if power.untouched:
        console.print(f"  {', '.join(power.untouched)}: no value of the picture goes into it, no mistake can show there")
    if power.exact:
        console.print(f"  error of {', '.join(power.exact)}: the share of the values that are not equal")
    console.print(controls)
    if original is not None and not original.reason:
        console.print(_verdicts(f"{report.name}: {original.name} through PIL, {original.pictures} photographs", original.results))
        console.print(f"  its model-ready tensors differ from the float64 reference's by {original.ready_error:.1e} of the largest value")


def _groups(power: "Power") -> "Iterator[str]":
    """Which channels of an output are compared by themselves."""
    for output in dict.fromkeys(part.output for part in power.groups.values()):
        own = [f"{key} up to {part.scale:.3g}" for key, part in power.groups.items() if part.output == output]
        yield f"  {output} has channels of {len(own)} units, each compared relative to its own: {'; '.join(own)}"


def _truths(power: "Power") -> "Iterator[str]":
    """What each output was compared with, where that is told."""
    for name, truth in power.truths.items():
        if not truth.reason:
            more = f", and one rounding of its input moves it by {truth.rounding:.1e}" if truth.rounding > truth.error else ""
            yield f"  {name}: compared with float64; the original's own {truth.precision} is {truth.error:.1e} from it{more}"
        else:
            own = f"compared with the original in its own {truth.precision}, whose noise is {truth.error:.1e}, not with float64"
            yield f"  {name}: {own}: {truth.reason}"
    if power.steps:
        room = "a runtime may be off by so much more" if power.room else "no room is made, for the steps give the correctly rounded values"
        yield f"  one rounding of the model-ready tensor moves the original by {power.steps:.1e}: {room}"


def _rows(report: "Report") -> "Iterator[str]":
    """What outputs list in an order that nothing defines, and how each runtime does."""
    for rows in report.power.rows:
        how = f"which are sorted by {', '.join(rows.keys)}: those of equal ones" if rows.keys else "whose order nothing defines: they"
        yield f"  {', '.join(rows.axes)}: rows {how} are compared wherever they stand, together"
    for result in report.results:
        if result.moved:
            yield f"  {result.runtime}: {result.moved:,} of {result.rows:,} rows stood elsewhere than the reference's"


def _numbers(power: "Power") -> "Iterator[str]":
    for name, count in power.numbers.items():
        yield f"  {name}: in {count} inputs not even the number of its rows was compared"
    for name, count in power.borderline.items():
        yield f"  {name}: {count:,} rows may be there or not, a few roundings of the input decide; all others were found and compared"


def _told(control: "Control", report: "Report") -> str | None:
    """What is said beside a known mistake."""
    if control.movement is None:
        return f"cannot happen: {control.reason}"
    if control.told:
        return control.told
    blind = [result for result in report.results if control.name in result.hidden]
    if blind:
        precisions, runtimes = (
            dict.fromkeys(names) for names in zip(*((result.precision, result.runtime) for result in blind), strict=True)
        )
        return f"hidden by the noise of {' and '.join(precisions)} in {', '.join(runtimes)}"
    hidden = [] if _lower(report) else report.power.hidden_from(control)
    return f"would not show in {', '.join(hidden)}" if hidden else None


def _lower(report: "Report") -> "list[Result]":
    """Of the runtimes that ran in less than float32."""
    return [result for result in report.results if result.precision != "float32" and result.parts]


def _narrow(report: "Report") -> "Iterator[str]":
    """What is told of a lower precision: where the tolerance is from, and what the error is made of."""
    for precision in dict.fromkeys(result.precision for result in _lower(report)):
        yield f"  the tolerance in {precision} is twice {_bare_error(report, precision)}"
    for result in _lower(report):
        if result.hidden:
            possible = [control.name for control in report.power.controls if control.is_possible]
            noticed = ", ".join(name for name in possible if name not in result.hidden)
            yield f"  {result.runtime} would have noticed {noticed}; not {', '.join(result.hidden)}, which the noise hides"
        for name, part in result.parts.items():
            where = f" in {name}" if len(result.parts) > 1 else ""
            if part.unsplit:
                yield f"  {result.runtime}: what the error{where} is made of was not measured: {part.unsplit}"
            if part.split is not None:
                own = "" if part.split.error is None else f", {part.split.error:.1e} there"
                split = f"{part.split.input:.1e} from the input's handling, {part.split.weights:.1e} from the weights"
                yield f"  {result.runtime}: of the error{where} on golden samples{own}, up to {split}, {part.split.rest:.1e} from the rest"


def _bare_error(report: "Report", precision: str) -> str:
    """What of the bare network's a tolerance is twice as large as."""
    drawn = max((truth.drawn for truth in report.power.truths.values()), default=0.0)
    if not drawn:
        return f"what the bare network errs by in {precision} in the same runtime"
    largest = f"the largest error of the bare network in {precision} in the same runtime over its draws, at most three times that on these"
    return f"{largest} pictures; on further draws it errs by up to {drawn:.1e}"


def _levels(report: "Report") -> "Iterator[str]":
    """Of the first layers of a file in 8 bits."""
    levels = report.levels
    if levels is not None and levels.reason:
        yield f"  the first layer alone was not asked for all levels: {levels.reason}"
    elif levels is not None:
        told = f"error {levels.error:.1e} of its largest value, {levels.share:.2f} of what the rounding of its weights may come to"
        yield f"  the first layer alone, on {levels.levels} of 256 levels in each channel: {told}"


def _verdicts(title: str, results: "Sequence[Result]") -> Any:
    from rich import box
    from rich.table import Table

    table = Table("runtime", "verdict", "error", "bare", "tolerance", "top-1", "what ran, or why not", title=title, box=box.SIMPLE)
    for result in results:
        numbers = ("" if value is None else f"{value:.1e}" for value in (result.error, result.bare, result.tolerance))
        top1 = "" if result.top1 is None else f"{result.top1:.1%}"
        table.add_row(result.runtime, result.verdict, *numbers, top1, result.reason or result.ran)
        for name, part in result.parts.items() if len(result.parts) > 1 else ():
            own = ("" if value is None else f"{value:.1e}" for value in (part.error, part.bare, part.tolerance))
            table.add_row(f"  {name}", "", *own)
    return table


def print_compared(compared: "Compared") -> None:
    """An experiment's answer, and a row per variant."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    with_training = any(row.trained is not None for row in compared.rows)
    columns = (
        "variant",
        "right",
        "points",
        "95 % interval",
        "changed",
        "ECE",
        "NLL",
        "ms",
        "bytes",
        *(("trained with it",) * with_training),
    )
    table = Table(*columns, title=f"{compared.model}: {compared.images:,} pictures of {compared.data}", box=box.SIMPLE)
    for row in compared.rows:
        own = row.accuracy
        low, high = (100 * limit for limit in own.difference_interval)
        apart = (
            ("", "", "") if row is compared.rows[0] else (f"{100 * own.difference:+.1f}", f"{low:+.1f} to {high:+.1f}", f"{row.changed:,}")
        )
        sure = ("", "") if row.calibration_error is None or row.loss is None else (f"{row.calibration_error:.1%}", f"{row.loss:.3f}")
        took = "" if row.cost.took is None else "{} ({})".format(*row.cost.took.words())
        again = ("" if row.trained is None else f"{row.trained.share:.1%}",) * with_training
        table.add_row(row.name, f"{own.share:.1%}", *apart, *sure, took, f"{row.cost.sent:,.0f}", *again)
    out = terminal.stdout()
    console = Console(file=out, width=None if out.isatty() else 140, highlight=False, markup=False)
    console.print(compared.answer)
    console.print(table)
    for note in compared.notes:
        console.print(f"  {note}")
