"""python -m preproc, and the console script."""

import sys


def main() -> None:
    """Ctrl-C is one line and exit code 130, from the first import on; once the command has ended, it changes nothing any more."""
    try:
        from .cli import main as run

        run()
    except KeyboardInterrupt:
        print("preproc: error: interrupted", file=sys.stderr)
        sys.exit(130)
    finally:
        from signal import SIG_IGN, SIGINT, signal

        signal(SIGINT, SIG_IGN)


if __name__ == "__main__":
    main()
