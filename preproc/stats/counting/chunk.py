"""One chunk of places -> its tally. What every engine runs, in whatever process: plain data goes in and out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import first_line
from ..places import Archives, Place, readers
from ..sums import Accumulator, Counted
from .file import Remarks, count_file


@dataclass(frozen=True, eq=False)
class Tally:
    """Of some files: the counts of their pictures, and what there is to say beside."""

    accumulator: Accumulator = field(default_factory=Accumulator)
    remarks: Remarks = field(default_factory=Remarks)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.accumulator + other.accumulator, self.remarks + other.remarks)

    def to_json(self) -> dict[str, Any]:
        """{"accumulator": ..., "broken": [[name, reason], ...], "skipped": as that, "stacks": ..., "oriented": ...}"""
        return {
            "accumulator": self.accumulator.to_json(),
            "broken": [list(entry) for entry in self.remarks.broken],
            "skipped": [list(entry) for entry in self.remarks.skipped],
            "stacks": self.remarks.stacks,
            "oriented": self.remarks.oriented,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Tally":
        broken, skipped = ([(str(name), str(reason)) for name, reason in data[key]] for key in ("broken", "skipped"))
        return Tally(Accumulator.from_json(data["accumulator"]), Remarks(broken, skipped, int(data["stacks"]), int(data["oriented"])))


def count_chunk(places: Sequence[Place], color: str | None, frames: str, archives: Archives) -> Tally:
    """What cannot be read is listed; nothing is raised."""
    remarks = Remarks()
    return Tally(Accumulator.of(_counted(places, color, frames, archives, remarks)), remarks)


def _counted(places: Sequence[Place], color: str | None, frames: str, archives: Archives, remarks: Remarks) -> Iterator[Counted]:
    """Each picture's counts; the others go to `remarks`."""
    for archive in dict.fromkeys(place.archive for place in places):
        left = {place: None for place in places if place.archive == archive}
        try:
            for place, read in readers(archive, list(left), archives):
                del left[place]
                try:
                    yield from count_file(read(), name=str(place), remarks=remarks, color=color, mask=place.mask, frames=frames)
                except Exception as error:  # noqa: BLE001 - archives, file systems and decoders raise whatever they like
                    remarks.broken.append((str(place), first_line(error)))
        except Exception as error:  # noqa: BLE001
            remarks.broken += [(str(place), f"expected {archive} to be readable, got: {first_line(error)}") for place in left]
        else:
            remarks.broken += [(str(place), "expected it in the archive, got nothing there") for place in left]


def begun(options: Mapping[str, Any]) -> Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]]:
    """count_chunk() from and to plain data, as Place and Tally have them. options: {"color": ..., "frames": ...}. Archives stay open."""
    archives = Archives()

    def count(chunk: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return count_chunk([Place.from_json(data) for data in chunk], options["color"], options["frames"], archives).to_json()

    return count


def merge(tallies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Several of begun()'s as one."""
    return sum(map(Tally.from_json, tallies), Tally()).to_json()
