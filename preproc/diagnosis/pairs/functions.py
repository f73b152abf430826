"""A function of the user's, by its import path. It runs only because the user named it."""

import contextlib
import importlib
import sys
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import PreprocError, did_you_mean, first_line

_PACKAGE = str(Path(__file__).parents[2])
_OTHERS = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
"""Where code lies that is not the user's."""


def find(path: str) -> Callable[..., Any]:
    """The function at package.module:function; the working directory is looked in first. Raises PreprocError."""
    module_name, _, name = path.partition(":")
    if not module_name or not name:
        raise PreprocError(f"expected package.module:function, got {path!r}", name="function-failed")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # importing runs the user's code, which may raise anything
        raise PreprocError(
            f"{path}: expected a module {module_name}, here or installed, got {raised(error)}", name="function-failed"
        ) from error
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(here)
    for part in name.split("."):
        if not hasattr(found, part):
            raise PreprocError(
                f"{path}: expected {part} in {module_name}, got nothing there{did_you_mean(part, dir(found))}", name="function-failed"
            )
        found = getattr(found, part)
    if not callable(found):
        raise PreprocError(f"{path}: expected a function, got a {type(found).__name__}", name="function-failed")
    return found  # type: ignore[no-any-return]


def raised(error: BaseException) -> str:
    """What the user's own code raised, and the last line of it that was running."""
    told = f"{type(error).__name__}: {first_line(error)}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith((_PACKAGE, "<frozen"))]
    own = [frame for frame in frames if not frame.filename.startswith(_OTHERS)]
    return f"{told} ({_short(own[-1].filename)}, line {own[-1].lineno})" if own else told


def _short(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file
