"""Which instructions this machine's processor has, in Linux's words for them, and which a level of them stands for."""

import re
from collections.abc import Iterable
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
V2 = ("cx16", "lahf_lm", "pni", "popcnt", "sse4_1", "sse4_2", "ssse3")
V3 = (*V2, "abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave")
V4 = (*V3, "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl")
LEVELS = {"x86-64-v2": V2, "x86-64-v3": V3, "x86-64-v4": V4}
"""The micro-architecture levels of x86-64, from its psABI."""
_COMPILED = re.compile(r"(sse|ssse|pni$|popcnt|abm$|bmi|tbm$|movbe|fma|xop$|f16c|avx|amx|apx|gfni|vaes|vpclmul|adx$|cx16|lahf_lm|xsave$)")
"""Of x86-64, those that a compiler uses unasked: not what only a kernel asks for."""


def instructions() -> frozenset[str]:
    """Those that all processors of this machine have; none where the system does not say."""
    try:
        text = CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    each = [set(line.partition(":")[2].split()) for line in text.splitlines() if line.lower().startswith(("flags\t", "features\t"))]
    return frozenset(set.intersection(*each)) if each else frozenset()


def needed(level: str) -> list[str]:
    """What a machine has to have for what is compiled for this level, or "native": for what this machine has."""
    if level != "native":
        return sorted(LEVELS[level])
    own = instructions()
    return sorted(filter(_COMPILED.match, own) if "sse2" in own else own)


def level_of(names: Iterable[str]) -> str | None:
    """The highest level that these are enough for."""
    own = set(names)
    return next((level for level in reversed(LEVELS) if own.issuperset(LEVELS[level])), None)
