"""Where pictures are: what was asked for is searched, some of it is chosen, and its bytes are read. Nothing is decoded or unpacked."""

from .place import Broken, Found, Place, is_remote
from .reading import Archives, readers
from .search import find
from .selection import CHUNK, chunks, masked, sampled

__all__ = ["CHUNK", "Archives", "Broken", "Found", "Place", "chunks", "find", "is_remote", "masked", "readers", "sampled"]
