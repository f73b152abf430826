"""The fold of networks in Python: torch.export's graph is walked, a copy of the module rewritten.

In: a Model and an example. Out: a folded copy, or the collapsed one with the reason.
Never: a change of what was handed in.
"""

from .batch_norms import fold_batch_norms
from .effect import module_effect
from .rewriting import FoldResult, fold, uncorrected_border, why_not_foldable
from .tracing import reason, unheard

__all__ = ["FoldResult", "fold", "fold_batch_norms", "module_effect", "reason", "uncorrected_border", "unheard", "why_not_foldable"]
