"""Memory that is free, but not the system's yet: graphs are circles of objects, and malloc keeps what libraries have freed."""

import contextlib
import ctypes
import gc

LARGE = 1 << 25
"""Bytes from which on it is worth the time."""


def release(size: int) -> None:
    """Gives it back, where a graph of `size` bytes was let go and the next large thing is made."""
    if size >= LARGE:
        gc.collect()
        trim(size)


def trim(size: int) -> None:
    """Gives back what a library has freed of `size` bytes: ONNX Runtime copies a file's weights as it opens it."""
    if size >= LARGE:
        with contextlib.suppress(OSError, AttributeError, TypeError):  # glibc's own: others have no such function
            ctypes.CDLL(None).malloc_trim(0)
