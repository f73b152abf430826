"""The command line: a thin skin, each command one library call, one place that turns an error into text and an exit code.

In: what the user typed. Out: text, or one JSON document, and an exit code.
Never: a traceback for a mistake of the user's; a number that no library call returned.
"""

from .app import main

__all__ = ["main"]
