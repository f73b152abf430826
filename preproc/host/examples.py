"""What comes with preproc to begin with: recipes, the files of the embedded network, and the pages that explain."""

import re
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
    "diagnose": _PACKAGE / "diagnosis" / "README.md",
    "refusals": _PACKAGE / "cli" / "refusals.md",
}
"""What `preproc explain` prints, beside the sections of the last one."""
VERDICTS = ("passed", "failed", "inconclusive", "absent")
"""Of a report, which a section of the bundle's page explains."""


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
            f"got neither{did_you_mean(given.name, recipes())}",
            name="nothing-there",
        )
    return MODELS / f"{given.name}.toml"


def page(topic: str) -> str:
    """A page's text, or what it says of the refusal of that name, or of verdicts. Raises PreprocError."""
    if topic in PAGES:
        return PAGES[topic].read_text(encoding="utf-8")
    if topic in VERDICTS:
        return next(part.strip() for part in _sections(page("bundle")) if part.startswith("### Verdicts\n"))
    found = refusals()
    if topic not in found:
        known = f"one of {', '.join(PAGES)}, a verdict, as inconclusive, or the name of a refusal, as unit-mismatch"
        raise PreprocError(f"expected {known}, got {topic!r}{did_you_mean(topic, [*PAGES, *VERDICTS, *found])}", name="unknown-choice")
    return f"{found[topic]}\n\n{_where_examples_run()}"


def _where_examples_run() -> str:
    """The paragraph of the page that says it."""
    return next(part for part in page("refusals").split("\n\n") if part.startswith("The tests run each example"))


def contents() -> str:
    """What can be explained: the pages, and each refusal in a line."""
    told = re.findall(r"^- \[(.*?)\]\(#.*?\): (.*)$", page("refusals"), flags=re.MULTILINE)
    return "\n".join(
        [f"pages: {', '.join(PAGES)}", f"verdicts: {', '.join(VERDICTS)}", "refusals:", *(f"  {name}: {what}" for name, what in told)]
    )


def refusals() -> dict[str, str]:
    """What is said of each refusal, by its name."""
    return {section.split(maxsplit=2)[1]: section.strip() for section in _sections(page("refusals")) if section.startswith("### ")}


def _sections(text: str) -> list[str]:
    return re.split(r"^(?=##)", text, flags=re.MULTILINE)
