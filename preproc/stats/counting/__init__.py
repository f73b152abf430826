"""What a process does: a chunk of places in, what was counted of their pictures out. Pillow decodes; nothing is converted unasked."""

from .chunk import Tally, count_chunk, merge, run_chunk
from .file import Remarks
from .picture import CONVERT, convert, count_array, count_image, decoder

__all__ = ["CONVERT", "Remarks", "Tally", "convert", "count_array", "count_chunk", "count_image", "decoder", "merge", "run_chunk"]
