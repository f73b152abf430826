"""What took long to count is not lost: where it goes is looked at before, and a file that cannot be written is kept elsewhere."""

from pathlib import Path
from typing import NamedTuple

from ...errors import PreprocError
from ...host import targets, terminal
from .. import FORMAT
from .plots import pyplot
from .report import TITLE


def check_targets(stats: Path | None, report: Path | None) -> None:
    """Raises PreprocError where statistics or a report cannot be written or drawn, or something else would be lost."""
    if stats is not None and stats == report:
        raise PreprocError(f"{stats}: expected two names for the statistics and the report, got one", name="target-collision")
    if stats is not None:
        targets.check_file(stats, endings=(".json",), what="a stats.json", ours=FORMAT.encode())
    if report is not None:
        targets.check_file(report, endings=(".html", ".htm"), what="a report", ours=TITLE.encode())
        pyplot()


class Kept(NamedTuple):
    """printed: whether it is on stdout, for it could not be written.  losses: what is to be told of that, or nothing."""

    printed: bool
    losses: list[PreprocError]


def keep(path: Path, text: str, *, otherwise_print: bool) -> Kept:
    """Writes a file; where it cannot be written, into the temporary folder; where not even there, on stdout, or nowhere."""
    try:
        targets.write_text(path, text)
    except PreprocError as error:
        other = targets.rescued(path, text)
        printed = other is None and otherwise_print
        if printed:
            print(text, file=terminal.stdout())
        kept = f"it is in {other}" if other else "it is printed instead" if printed else "it is lost"
        return Kept(printed, [PreprocError(f"{error}; {kept}", name=error.name)])
    return Kept(False, [])
