"""How far each runtime is from the float64 truth, and how small an error would have shown.

In: the true outputs of many inputs, and runtimes that run files. Out: a frozen Report.
Never: `passed` for what did not run, ran elsewhere, or could not have noticed a mistake.
"""

from . import inputs
from .cases import Answers, Case, Given, Truth, check_alike
from .controls import Noticed, measure_power, settled
from .difference import agree
from .doubling import FileTruths, known_of
from .draws import further_draws
from .explaining import Explain, explainer
from .judging import bare_errors, check_known, judge
from .levels import NOT_FINITE, Levels
from .making import make_cases
from .ordering import Lists
from .parts import Part, is_exact, parts_of
from .power import FLOAT64, NOISE, QUICK, Control, OutputTruth, Power
from .report import ABSENT, FAILED, INCONCLUSIVE, PASSED, Original, Report, Result
from .sizes import candidates, ready_size_of, sizes_of
from .slack import with_own_slack
from .split import Between
from .together import unresolved_together
from .unresolved import has_ties, with_unresolved

__all__ = [
    "ABSENT",
    "FAILED",
    "FLOAT64",
    "INCONCLUSIVE",
    "NOISE",
    "NOT_FINITE",
    "PASSED",
    "QUICK",
    "Answers",
    "Between",
    "Case",
    "Control",
    "Explain",
    "FileTruths",
    "Given",
    "Levels",
    "Lists",
    "Noticed",
    "Original",
    "OutputTruth",
    "Part",
    "Power",
    "Report",
    "Result",
    "Truth",
    "agree",
    "bare_errors",
    "candidates",
    "check_alike",
    "check_known",
    "explainer",
    "further_draws",
    "has_ties",
    "inputs",
    "is_exact",
    "judge",
    "known_of",
    "make_cases",
    "measure_power",
    "parts_of",
    "ready_size_of",
    "settled",
    "sizes_of",
    "unresolved_together",
    "with_own_slack",
    "with_unresolved",
]
