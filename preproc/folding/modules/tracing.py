"""What torch.export says where it cannot read a network: one line, in place of half its graph."""

import contextlib
import io
import re
from collections.abc import Iterator

from ...errors import first_line, shortened

_DECISION = re.compile(r"data-dependent expression (.+?)(?: \(unhinted: .*)?(?:\.  \(Size-like symbols: .*)?$", re.MULTILINE)
_PLACE = re.compile(r"^Caused by: \((?:.*/)?(.+?)\)$", re.MULTILINE)


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """What is printed on Python's stderr while the body runs is not heard: torch.export prints the graph that it has so far there, a
    hundred kilobytes of it, where it then raises."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield


def reason(error: BaseException) -> str:
    """One line, with the line of code that decides by a picture's values where that is what a graph cannot do."""
    while error.__cause__ is not None:
        error = error.__cause__
    decision, place = _DECISION.search(str(error)), _PLACE.search(str(error))
    if decision is None:
        return first_line(error)
    where = f"{place[1]} decides" if place else "it decides"
    return f"{where} by what only the values of a picture tell ({shortened(decision[1], 120)}), which a graph cannot"
