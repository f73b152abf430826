"""How far each runtime is from the float64 truth, and how small an error would have shown.

In: the true outputs of many inputs, and runtimes that run files. Out: a frozen Report.
Never: `passed` for what did not run, ran elsewhere, or could not have noticed a mistake.
"""

from . import inputs
from .cases import Case, Truth, make_cases
from .controls import Noticed, measure_power, settled
from .difference import agree
from .judging import bare_error, check_known, judge
from .power import QUICK, Power
from .report import FAILED, INCONCLUSIVE, PASSED, Original, Report, Result
from .sizes import ready_size_of, sizes_of
from .slack import with_own_slack

__all__ = [
    "FAILED",
    "INCONCLUSIVE",
    "PASSED",
    "QUICK",
    "Case",
    "Noticed",
    "Original",
    "Power",
    "Report",
    "Result",
    "Truth",
    "agree",
    "bare_error",
    "check_known",
    "inputs",
    "judge",
    "make_cases",
    "measure_power",
    "ready_size_of",
    "settled",
    "sizes_of",
    "with_own_slack",
]
