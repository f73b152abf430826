"""torch.export's graph of a network, and what it says where it cannot read one: one line, in place of half its graph."""

import contextlib
import copy
import io
import re
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ...errors import NotFoldableError, first_line, shortened

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


def exported(backbone: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    """torch.export's graph of it. example: (N, C, H, W) float, model-ready.  Raises NotFoldableError where there is none."""
    if len(example) < 2:
        example = example.expand(2, *example.shape[1:])
    try:
        with torch.no_grad(), warnings.catch_warnings(), unheard():
            warnings.simplefilter("ignore")  # whatever the backbone warns about, it says again when it runs
            return torch.export.export(copy.deepcopy(backbone).eval() if backbone.training else backbone, (example,), strict=False)
    except Exception as error:  # torch.export raises whatever the model's code meets; it all means the same here
        raise NotFoldableError(f"torch.export cannot read the backbone: {reason(error)}", name="fold-untraceable") from error
