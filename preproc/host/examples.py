"""What comes with preproc to begin with: recipes, the files of the embedded network, and the pages that describe the formats."""

from pathlib import Path

from ..errors import PreprocError, did_you_mean

_PACKAGE = Path(__file__).parent.parent
PACKED = _PACKAGE / "host" / "packed"
"""In a wheel, the recipes and pages (pyproject.toml says which); in a checkout they lie beside the package."""
MODELS = PACKED / "models" if PACKED.is_dir() else _PACKAGE.parent / "models"
PAGES = {
    "recipe": MODELS / "README.md",
    "bundle": (PACKED if PACKED.is_dir() else _PACKAGE.parent) / "export" / "README.md",
    "layers": _PACKAGE / "README.md",
    "stats": _PACKAGE / "stats" / "README.md",
}
"""What `preproc explain` prints."""


def recipes() -> list[str]:
    """The names of the recipes that come along."""
    return sorted(file.stem for file in MODELS.glob("*.toml"))


def recipe_file(given: Path) -> Path:
    """The file that is meant: a path, or the name of a recipe that comes along. Raises PreprocError for a name that none has."""
    if given.suffix or given.is_file() or given.name != str(given):
        return given
    if given.name not in recipes():
        raise PreprocError(
            f"{given}: expected a recipe's file, as preproc init writes one, or one of {', '.join(recipes())}, which come along, "
            f"got neither{did_you_mean(given.name, recipes())}"
        )
    return MODELS / f"{given.name}.toml"


def page(topic: str) -> str:
    """A page's text. Raises PreprocError."""
    if topic not in PAGES:
        raise PreprocError(f"expected one of {', '.join(PAGES)}, got {topic!r}{did_you_mean(topic, PAGES)}")
    return PAGES[topic].read_text(encoding="utf-8")
