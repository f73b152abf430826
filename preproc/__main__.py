"""python -m preproc, and the console script."""

import sys


def main() -> None:
    """Ctrl-C is one line and exit code 130, from the first import on; once the command has ended, it ends what still runs."""
    try:
        from .cli import main as run

        run()
    except KeyboardInterrupt:
        print("preproc: error: interrupted", file=sys.stderr)
        sys.exit(130)
    finally:
        from signal import SIG_DFL, SIG_IGN, SIGINT, getsignal, signal

        if getsignal(SIGINT) is not SIG_IGN:  # as a shell starts jobs in the background
            signal(SIGINT, SIG_DFL)


if __name__ == "__main__":
    main()
