"""What kinds of pictures are called, which are never mixed ("RGB", "GRAY 16 bit", "RGB float", ...), and what their channels are."""

from collections.abc import Mapping
from types import MappingProxyType

INDICES = ("palette", "palette + alpha")
"""Kinds whose pixels are no colours: they are counted only."""
WITH_ALPHA = ("RGBA", "GRAY + alpha", "palette + alpha")
"""Kinds whose last channel is alpha, as they are called at 8 bits."""
CHANNELS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"GRAY + alpha": ("GRAY", "A"), "palette": ("index",), "palette + alpha": ("index", "A"), "bilevel": ("GRAY",)}
    | {"YCbCr": ("Y", "Cb", "Cr"), "LAB": ("L", "a", "b")}
)
"""The names of channels, where they are not the kind's first letters."""


def has_alpha(kind: str) -> bool:
    return kind.removesuffix(" 16 bit").removesuffix(" float") in WITH_ALPHA


def channel_names(kind: str, channels: int) -> tuple[str, ...]:
    """One per channel."""
    word = kind.split()[0]
    names = CHANNELS.get(kind) or ((word,) if word == "GRAY" else tuple(word))
    return names if len(names) == channels else tuple(str(number) for number in range(channels))
