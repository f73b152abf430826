"""Pictures with their classes: a folder per class, or a list."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import PreprocError, did_you_mean
from ...stats.places import find

HOW = "a folder with a folder of pictures per class, or a .csv list with the columns path and label"
"""Of what pictures with classes are read."""
FOLDERS = "in the order of their names, as torchvision's ImageFolder does"


@dataclass(frozen=True)
class Data:
    """place: as it was given.  pictures: each file with the name of its class.  classes: the names of all, in order."""

    place: str
    pictures: tuple[tuple[str, str], ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Classes:
    """number_of: each class's place among the network's outputs.  how: where that is from.  names: of all outputs, where they are known."""

    number_of: dict[str, int]
    how: str
    names: tuple[str, ...] = ()

    def name(self, number: int) -> str:
        """Of one output."""
        if number < 0:
            return "no finite answer"
        return self.names[number] if number < len(self.names) else str(number)


def read_data(place: str | Path) -> Data:
    """What lies there, with absolute paths. Nothing is decoded. Raises PreprocError for what is no such place, for a class without pictures
    and for files of a list that are not there."""
    path = Path(place)
    if path.suffix.lower() == ".csv" and path.is_file():
        pictures = tuple(_listed(path))
    elif path.is_dir():
        pictures = tuple(_in_folders(path))
    else:
        raise PreprocError(f"{place}: expected {HOW}, got {'another file' if path.exists() else 'nothing there'}", name="nothing-there")
    return Data(str(place), pictures, tuple(sorted({label for _, label in pictures})))


def _in_folders(place: Path) -> Iterator[tuple[str, str]]:
    folders = sorted(folder for folder in place.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    if not folders:
        raise PreprocError(f"{place}: expected a folder for each class, got none; or write a .csv list with path,label", name="no-classes")
    for folder in folders:
        found = find([folder])
        if found.broken:
            raise PreprocError(f"{found.broken[0][0]}: {found.broken[0][1]}", name="unreadable-picture")
        files = [each.name for each in found.places]
        if not files:
            left_out = ", ".join(f"{number} {suffix}" for suffix, number in found.left_out.items()) or "nothing"
            raise PreprocError(f"{folder}: expected pictures of the class {folder.name}, got none ({left_out})", name="no-pictures")
        yield from ((str(Path(file).absolute()), folder.name) for file in files)


def _listed(file: Path) -> Iterator[tuple[str, str]]:
    """Paths are relative to the list."""
    try:
        rows = list(csv.reader(file.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, ValueError, csv.Error) as error:
        raise PreprocError(f"{file}: expected a list in UTF-8, one path,label a line, got: {error}", name="malformed-file") from error
    numbered = [(number, row) for number, row in enumerate(rows, start=1) if row]
    if numbered and [cell.strip().lower() for cell in numbered[0][1]] == ["path", "label"]:
        del numbered[0]
    if not numbered:
        raise PreprocError(f"{file}: expected path,label in each line, got no line", name="no-pictures")
    for number, row in numbered:
        if len(row) != 2 or not all(cell.strip() for cell in row):
            raise PreprocError(f"{file}, line {number}: expected path,label, got {','.join(row)}", name="malformed-file")
        path = file.parent / row[0].strip()
        if not path.is_file():
            raise PreprocError(f"{file}, line {number}: expected a picture, got nothing at {path}", name="nothing-there")
        yield str(path.absolute()), row[1].strip()
    twice = [path for path, times in Counter(str(file.parent / row[0].strip()) for _, row in numbered).items() if times > 1]
    if twice:
        raise PreprocError(f"{file}: expected each picture once, got {twice[0]} again", name="counted-twice")


def classes_of(data: Data, labels: Sequence[str], outputs: int) -> Classes:
    """Which output each class of the data is.

    labels: the network's, or none.  outputs: how many the network has.  Raises PreprocError for classes that it does not have.
    """
    if labels and set(data.classes) <= set(labels):
        twice = [name for name in data.classes if labels.count(name) > 1]
        if twice:
            raise PreprocError(
                f"{data.place}: expected classes that the model has once, got {twice[0]}, which several outputs are called; number them",
                name="labels-unfit",
            )
        return Classes({name: labels.index(name) for name in data.classes}, "by the model's labels", tuple(labels))
    numbers = {name: int(name) for name in data.classes if name.isdecimal()}
    if len(numbers) == len(data.classes) and max(numbers.values()) < outputs:
        return Classes(numbers, "by number", tuple(labels))
    if labels:
        unknown = [name for name in data.classes if name not in labels]
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise PreprocError(
            f"{data.place}: expected the model's labels ({_some(labels)}) or numbers below {outputs} as classes, "
            f"got {unknown[0]}{more}{did_you_mean(unknown[0], labels)}",
            name="labels-unfit",
        )
    if len(data.classes) == outputs and not numbers:
        return Classes({name: number for number, name in enumerate(data.classes)}, FOLDERS, data.classes)
    raise PreprocError(
        f"{data.place}: expected {outputs} classes, as the model has outputs and no labels, or numbers below {outputs}, got "
        f"{len(data.classes)}: {_some(data.classes)}; write labels = [...] into the recipe",
        name="labels-unfit",
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
