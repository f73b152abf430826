"""The application: its commands in the order of --help, and what becomes of an error."""

import functools
import json
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from ..errors import PreprocError
from ..host import later, terminal, threads
from . import comparing, diagnosing, exporting, looking, quantizing, statistics, verifying
from .speaking import INTERRUPTED, refuse, say, tell
from .tables import print_report

if TYPE_CHECKING:
    from ..verify import Report


def _version(asked: bool) -> None:
    from .. import __version__

    if asked:
        print(f"preproc {__version__}")
        raise typer.Exit


def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Let libraries' own lines through, on stderr.")] = False,
) -> None:
    """Preprocessing inside the model file, with proven numerical parity. Exit codes: 0 fine, 1 failed (verify: or inconclusive; diagnose:
    or not identified), 2 wrong options, 130 interrupted."""
    del version  # its callback has told it
    terminal.speak(verbose=verbose)


COMMANDS: Mapping[str, Callable[..., None]] = {
    "export": exporting.export,
    "init": exporting.init,
    "doctor": looking.doctor,
    "explain": looking.explain,
    "attach": exporting.attach,
    "quantize": quantizing.quantize,
    "verify": verifying.verify,
    "package": verifying.package,
    "serve-check": verifying.serve_check,
    "inspect": looking.inspect,
    "show": looking.show,
    "stats": statistics.stats,
    "stats-diff": statistics.stats_diff,
    "diagnose": diagnosing.diagnose,
    "compare": comparing.compare,
}


def _quiet(command: Callable[..., None]) -> Callable[..., None]:
    """The command, during which libraries are not heard."""

    @functools.wraps(command)
    def quietly(*arguments: Any, **options: Any) -> None:
        with terminal.quiet():
            command(*arguments, **options)

    return quietly


app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.callback()(options)
for name, command in COMMANDS.items():
    app.command(name)(_quiet(command))


def main() -> None:
    """The command line; one line and exit code 1 for whatever is expected to go wrong, and one and 130 for Ctrl-C, wherever it comes."""
    threads.yielding()
    later.postpone()
    try:
        app()
    except SystemExit as ended:
        if _interrupted(ended):
            _fail("interrupted", code=INTERRUPTED)
        if usage := _usage(ended):
            _fail(usage, "wrong-usage", code=2)
        raise
    except KeyboardInterrupt:
        _fail("interrupted", code=INTERRUPTED)
    except PreprocError as error:
        if error.report is not None and "--json" not in sys.argv[1:]:
            print_report(error.report)
        _fail(str(error), error.name, report=error.report)
    except ModuleNotFoundError as error:  # on a machine that has what it needs only
        _fail(f"expected {error.name}, which is not installed here, for this command", "not-installed")
    except OSError as error:  # a full disk, a folder that may not be written: the system's own words, and the file
        _fail(f"{error.filename or 'the system'}: {error.strerror or error}", "system-refused")


def _interrupted(ended: SystemExit) -> bool:
    """Typer makes Ctrl-C an exit without a word."""
    return ended.__context__ is not None and isinstance(ended.__context__.__cause__, KeyboardInterrupt)


def _usage(ended: SystemExit) -> str:
    """What typer has told already, in a frame, of options and arguments that a command does not have; "" where it is none of that."""
    told: Callable[[], str] = getattr(ended.__context__, "format_message", str)
    return told() if ended.code == 2 else ""


def _fail(text: str, name: str | None = None, *, report: "Report | None" = None, code: int = 1) -> NoReturn:
    """name: of the refusal; None for Ctrl-C, which is none."""
    told: dict[str, Any] = {"error": text}
    if name is None:
        say(f"error: {text}")
    else:
        refuse(text, name)
        told["name"] = name
    if "--json" in sys.argv[1:]:
        tell(json.dumps(told | ({} if report is None else {"report": report.to_json()})))
    sys.exit(code)
