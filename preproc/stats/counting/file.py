"""One file -> the counts of each picture in it: an image's pages or frames, or the pictures of a .npy array."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from ...errors import PreprocError, first_line
from ...host.decoding import Data, ImageFile, is_array, looks_otherwise, orientation, read_array
from ..places import Broken
from ..sums import Counted
from .picture import count_array, count_decoded, fitting


@dataclass
class Remarks:
    """What there is to say of the files beside their counts. broken: pictures that cannot be read, and why.  skipped: pages or frames that
    do not count, and why.  stacks: how many files have several that count.  oriented: how many pictures have an EXIF orientation."""

    broken: list[Broken] = field(default_factory=list)
    skipped: list[Broken] = field(default_factory=list)
    stacks: int = 0
    oriented: int = 0

    def __add__(self, other: "Remarks") -> "Remarks":
        return Remarks(self.broken + other.broken, self.skipped + other.skipped, self.stacks + other.stacks, self.oriented + other.oriented)


def count_file(
    data: Data, *, name: str, remarks: Remarks, color: str | None = None, mask: Data | None = None, frames: str = "all"
) -> Iterator[Counted]:
    """Each picture in a file: an image's pages or frames, or the pictures of a .npy array (H, W), (H, W, C) or (N, H, W, C).

    name: what the file is called in `remarks`, where its pictures are name[0], name[1], ...  color: "RGB" or "GRAY" converts, None keeps
    the kind.  mask: an image file of the same sizes and as many frames, whose non-zero pixels are the ones that count.  frames: "all" or
    "first".  Raises PreprocError with the reason why the file cannot be read; what is wrong with one picture goes to remarks.broken.
    """
    count = _count_arrays if is_array(data) else _count_frames
    yield from count(data, name, remarks, color, mask, frames)


def _count_frames(data: Data, name: str, remarks: Remarks, color: str | None, mask: Data | None, frames: str) -> Iterator[Counted]:
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(ImageFile(data, frames=frames))
        masks = None if mask is None else stack.enter_context(ImageFile(mask, frames=frames))
        if masks is not None and len(masks.numbers) != len(file.numbers):
            raise PreprocError(
                f"expected a mask with as many frames as the picture, {len(file.numbers)}, got {len(masks.numbers)}", name="mask-unfit"
            )
        remarks.skipped += [(name + file.name(number), reason) for number, reason in file.passed.items()]
        remarks.stacks += len(file.numbers) > 1
        for number, number_of_mask in zip(file.numbers, file.numbers if masks is None else masks.numbers, strict=True):
            try:
                image = file.read(number)
                turned = orientation(image)
                selected = None if masks is None else fitting(masks.read(number_of_mask), image)
                found = count_decoded(image, color, selected)
            except Exception as error:  # noqa: BLE001 - Pillow's conversions raise whatever they like
                remarks.broken.append((name + file.name(number), first_line(error)))
            else:
                remarks.oriented += turned != 1
                yield found


def _count_arrays(data: Data, name: str, remarks: Remarks, color: str | None, mask: Data | None, frames: str) -> Iterator[Counted]:
    values = read_array(data)
    if values.ndim in (3, 4) and looks_otherwise(values.shape, first=False):
        raise PreprocError(
            f"expected (H, W, C) or (N, H, W, C), got {values.shape}, which may be (C, H, W): move the channels last, or say "
            'which it is in Python, preproc.compute_stats(array, layout="NHWC")',
            name="layout-ambiguous",
        )
    if color is not None or mask is not None:
        raise PreprocError(
            "expected an image file to convert or to mask, got a .npy array, which is counted as it is", name="option-without-effect"
        )
    pictures = values if values.ndim == 4 else values[None]
    if frames == "first":
        remarks.skipped += [(f"{name}[{number}]", "behind the first, which alone is asked for") for number in range(1, len(pictures))]
        pictures = pictures[:1]
    remarks.stacks += len(pictures) > 1
    for number, picture in enumerate(pictures):
        try:
            yield count_array(picture)
        except PreprocError as error:
            remarks.broken.append((f"{name}[{number}]" if values.ndim == 4 else name, first_line(error)))
