"""A file of TOML tables."""

import tomllib
from pathlib import Path
from typing import Any

from ..errors import RecipeError


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Its tables. what: the file should be, in words: "a recipe". Raises RecipeError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{path}: expected {what}, got {error.strerror or error}", name="nothing-there") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"{path}: expected {what}, which is TOML, got something else: {error}", name="malformed-file") from error
