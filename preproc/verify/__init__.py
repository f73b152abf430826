"""How far each runtime is from the float64 truth, and how small an error would have shown.

In: the true outputs of many inputs, and runtimes that run files. Out: a frozen Report.
Never: `passed` for what did not run, ran elsewhere, or could not have noticed a mistake.
"""

from . import inputs
from .inputs import notes, standard
from .judging import (
    FAILED,
    INCONCLUSIVE,
    PASSED,
    QUICK,
    Case,
    Noticed,
    Original,
    Power,
    Report,
    Result,
    Truth,
    agree,
    bare_error,
    check_known,
    judge,
    make_cases,
    measure_power,
    settled,
    with_slack,
)

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
    "notes",
    "settled",
    "standard",
    "with_slack",
]
