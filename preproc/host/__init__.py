"""This machine: what is installed, how many threads it computes with, where text goes, and the places that are written to.

In: paths and words of the user. Out: the same, checked, or one line that says what this machine does not have.
Never: anything of pictures or models; and nothing heavy is imported, for every command passes here.
"""

from . import children, later, memory, scratch, targets, terminal, threads
from .examples import MODELS, PACKED, contents, page, recipe_file
from .hashing import digest
from .installed import INSTALL_ONE, PACKAGES, WHEELS, compiler, no_compiler, versions
from .processor import instructions, level_of, needed
from .progress import Progress, Stage, paced, silent

__all__ = [
    "INSTALL_ONE",
    "MODELS",
    "PACKAGES",
    "PACKED",
    "WHEELS",
    "Progress",
    "Stage",
    "children",
    "compiler",
    "contents",
    "digest",
    "instructions",
    "later",
    "level_of",
    "memory",
    "needed",
    "no_compiler",
    "paced",
    "page",
    "recipe_file",
    "scratch",
    "silent",
    "targets",
    "terminal",
    "threads",
    "versions",
]
