"""What one process counts: a picture, a file with all its pages and frames, a chunk of places.

In: a chunk of Places, or pictures. Out: a Tally: their counts, and what there is to say of those that cannot be read.
Never: a conversion that was not asked for, or an error raised for a picture of a chunk.
"""

from .chunk import Tally, begun, merge
from .file import Remarks
from .picture import CONVERT, convert, count_array, count_image, decoder

__all__ = ["CONVERT", "Remarks", "Tally", "begun", "convert", "count_array", "count_image", "decoder", "merge"]
