"""Several runtimes one after the other, none of which another one's failure may hurt."""

from collections.abc import Iterator, Sequence

from . import devices
from .base import Runtime
from .elsewhere import Elsewhere
from .watched import Gone, Watched


class InTurn:
    """The runtimes, each to be judged before the next one is asked for; any number of times.

    After one that killed the CUDA context of this process, or where it is dead already, those on CUDA that run a file get a process of
    their own each, and modules in Python, which cannot travel, are absent with the reason.
    """

    def __init__(self, runtimes: Sequence[Runtime]) -> None:
        self.runtimes, self.died_in = tuple(runtimes), ""

    def __iter__(self) -> Iterator[Runtime]:
        for runtime in self.runtimes:
            on_cuda = runtime.name.endswith("-cuda")
            before = devices.failure() if on_cuda and not self.died_in else None
            if before is not None and devices.is_dead(before):
                self.died_in = "what ran before"
            reason = f"the CUDA context of this process died in {self.died_in}"
            if not on_cuda or runtime.kind.alone:
                yield runtime
            elif not self.died_in:
                yield Watched(runtime)
                after = devices.failure()
                if after is not None and devices.is_dead(after):
                    self.died_in = runtime.name
            elif runtime.file is None:
                yield Gone(runtime.name, reason)
            else:
                with Elsewhere(runtime, f"in a process of its own, for {reason}") as other:
                    yield other
