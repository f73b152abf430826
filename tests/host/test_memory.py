"""What a large graph held is given back when it is let go; small ones wait for the collector."""

import ctypes
import gc
import weakref

import pytest

from preproc.host import memory


class Circle:
    """Holds itself, as the values and nodes of a graph do."""

    def __init__(self):
        self.itself = self


@pytest.mark.parametrize(("size", "gone"), [(memory.LARGE, True), (memory.LARGE - 1, False)])
def test_only_what_is_large_is_worth_a_collection(size, gone):
    gc.disable()
    try:
        left = weakref.ref(Circle())
        memory.release(size)
        assert (left() is None) == gone
    finally:
        gc.enable()


@pytest.mark.parametrize("error", [OSError, AttributeError, TypeError])
def test_a_system_without_malloc_trim_does_without(error, monkeypatch):
    asked = []

    def library(name):
        asked.append(name)
        raise error

    monkeypatch.setattr(ctypes, "CDLL", library)
    memory.trim(memory.LARGE)
    memory.trim(memory.LARGE - 1)
    assert asked == [None]
