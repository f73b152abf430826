"""Picture files as they are: every page and frame, each pixel whole or the file refused.

In: a path or bytes. Out: arrays (height, width[, channels]) of the file's own depth.
Never: a conversion, a scaling, or a turn by EXIF tags that nobody asked for.
"""

from .image_file import FRAMES, KINDS, Data, ImageFile, is_array, is_picture, looks_otherwise, orientation, read_array

__all__ = [
    "FRAMES",
    "KINDS",
    "Data",
    "ImageFile",
    "is_array",
    "is_picture",
    "looks_otherwise",
    "orientation",
    "read_array",
]
