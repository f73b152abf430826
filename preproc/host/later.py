"""Modules that a library imports and most commands never read: they run when something reads them."""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

UNREAD = ("sympy", "onnx_ir._symbolic_shapes")
"""onnx-ir computes with names of free sides, as N + 1, by sympy, which takes longer to import than all else of `inspect`; its second module
reads sympy as soon as it runs. Under other names they are imported as ever."""


class _Later:
    """Finds what Python's own finder finds, and lets it run later."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in UNREAD else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def postpone() -> None:
    """From now on, in this process, which is the command line's own: whoever imports preproc keeps the imports that it has."""
    if _Later not in sys.meta_path:
        sys.meta_path.insert(0, _Later)
