"""The errors a user can meet. All derive from PreprocError; the command line prints them as one line and exits with 1."""

import difflib
import re
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from .verify import Report


class PreprocError(ValueError):
    """Something expected was not found: the message says what was expected, what was got and how to mend it. report: the parity report,
    where one was made before.

    name: of the refusal, which `preproc explain NAME` explains: the one that it was raised with, else that of the error of ours that it was
    raised from, else its class's.
    """

    usual: ClassVar[str] = "refused"
    """The name of those that are raised with none. No plain PreprocError is."""
    report: "Report | None" = None

    def __init__(self, message: str, *, name: str | None = None) -> None:
        super().__init__(message)
        self._name = name
        if name or not isinstance(sys.exception(), PreprocError):  # else a traceback shows that one, and its note, in front of this one
            self.add_note(f"preproc explain {self.name}")

    @property
    def name(self) -> str:
        if self._name is None and isinstance(self.__cause__, PreprocError):
            return self.__cause__.name
        return self._name or self.usual

    def __reduce__(self) -> tuple[Any, ...]:
        """Between processes, where the error that it was raised from stays behind."""
        return type(self), self.args, {**self.__dict__, "_name": self.name}


class RecipeError(PreprocError):
    """A recipe is wrong: the message names the file and the key."""

    usual = "recipe-value"


class NotFoldableError(PreprocError):
    """The affine part of a pipeline cannot be moved into the backbone's first convolution: the message is the reason."""

    usual = "not-foldable"


class BundleError(PreprocError):
    """A bundle or a model file is damaged, incomplete or not ours."""

    usual = "damaged-bundle"


class VerificationError(PreprocError):
    """A model file does not compute what its contract promises."""

    usual = "verification-failed"


class RuntimeAbsentError(PreprocError):
    """A runtime cannot run on this machine: the message is the reason."""

    usual = "runtime-absent"


class NotAtHandError(PreprocError):
    """A Python pipeline that steps were published as, or a library that it needs, cannot be run here: the message is the reason."""

    usual = "original-not-at-hand"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message: the known word that is nearest to this one, if one is near."""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1)
    close = close or [name for name in by_lower if len(name) > 2 and name in word.lower()]
    return f"; did you mean {by_lower[close[0]]!r}?" if close else ""


def check_choice(field: str, value: object, known: Iterable[str]) -> None:
    """Raises PreprocError for a value that is none of those known."""
    if value not in tuple(known):
        raise PreprocError(
            f"expected {field} to be one of {', '.join(known)}, got {value!r}{did_you_mean(str(value), known)}", name="unknown-choice"
        )


def first_line(error: BaseException) -> str:
    """What another library's error says, in one line of some 300 characters; its class if it says nothing.

    TorchScript has it in the last line, ONNX Runtime behind codes and the place in its source.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    line = lines[-1] if lines[0].startswith("The following operation failed") else lines[0]
    return shortened(_ORT.sub("", line))


def shortened(text: str, most: int = 300) -> str:
    """The text, or its beginning, cut between two words so that one sees it: where no bracket is open, if that leaves half of it."""
    if len(text) <= most:
        return text
    depth, outside, between = 0, 0, 0
    for place, letter in enumerate(text[:most]):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == " ":
            between = place
            outside = place if depth <= 0 else outside
    end = next((end for end in (outside, between) if end >= most // 2), most)
    return f"{text[:end]} ..."


_ORT = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from \S+ failed:|/onnxruntime_src/\S+:\d+ .*?\)( const)? (?=[A-Za-z\[])")
