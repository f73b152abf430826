"""Where pictures are: what was asked for is searched, some of it is chosen, and its bytes are read.

In: folders, globs, lists, archives, files, URLs. Out: Places, which another process or machine can take; chunks of them; their bytes.
Never: anything decoded, or unpacked onto a disk.
"""

from .place import Broken, Found, Place
from .reading import Archives, readers
from .search import find
from .selection import chunks, masked, sampled

__all__ = ["Archives", "Broken", "Found", "Place", "chunks", "find", "masked", "readers", "sampled"]
