"""What to do with statistics, each sentence with the numbers that it comes from."""

from collections.abc import Iterator, Sequence

from ...steps import PRESETS
from .. import Stats
from ..sums import FLAT, INDICES, SATURATED, Histogram

MANY = 0.05
"""The share of pictures from which on it is worth a sentence that they are flat, saturated or grey."""


def advice(stats: Stats) -> list[str]:
    """What to do with these statistics, each sentence with the numbers that it comes from."""
    kinds = {name: kind for name, kind in stats.accumulator.kinds.items() if name not in INDICES}
    told = []
    if len(stats.accumulator.kinds) > 1:
        mixed = ", ".join(f"{kind.images:,} {name}" for name, kind in stats.accumulator.kinds.items())
        told.append(f"The pictures are of several kinds ({mixed}). Whatever loads them converts them: say which way with --color.")
    if len(stats.accumulator.kinds) == 1 and kinds and isinstance(kind := next(iter(kinds.values())), Histogram):
        told += _constants(next(iter(kinds)), kind)
    for name, kind in kinds.items():
        if isinstance(kind, Histogram):
            told += _pictures_that_are(name, kind)
    if stats.broken:
        told.append(f"{len(stats.broken):,} files could not be read; training will meet them, too.")
    return told


def _constants(name: str, kind: Histogram) -> Iterator[str]:
    mean, std = [value / kind.top for value in kind.mean()], [value / kind.top for value in kind.std()]
    each = [value / kind.top for value in kind.std_over_images().mean]
    if not all(std):
        yield f"A channel never changes: mean {_numbers(mean)}, std {_numbers(std)}. Nothing can be divided by that; leave the channel out."
        return
    yield (
        f"Training from scratch: the z-score of this data set, mean {_numbers(mean)} and std {_numbers(std)} in 0-1 "
        '(in a recipe: step = "normalize", stats = "stats.json"). It gives every channel mean 0 and std 1 over the whole data set.'
    )
    yield (
        f"The std over all pixels is {_numbers(std)}; the mean of the pictures' own stds is {_numbers(each)}. They differ by what lies "
        "between the pictures. The first is what a z-score divides by; published constants are often the second."
    )
    if name == "RGB":
        known = PRESETS["imagenet"]
        moved = [(ours - theirs) / spread for ours, theirs, spread in zip(mean, known.mean, known.std, strict=True)]
        scaled = [ours / theirs for ours, theirs in zip(std, known.std, strict=True)]
        far = max(abs(value) for value in moved) > 0.5 or max(scaled) > 1.5 or min(scaled) < 0.67
        yield (
            f"A pretrained backbone keeps the constants it was trained with. Behind ImageNet's, (x - {_numbers(known.mean)}) / "
            f"{_numbers(known.std)}, this data set has mean {_numbers(moved)} and std {_numbers(scaled)}, where ImageNet has about 0 and "
            + (
                "1.2. That is far from what its first layer has seen: fine-tune it; do not change its constants."
                if far
                else "1.2. That is near to what its first layer has seen."
            )
        )


def _pictures_that_are(name: str, kind: Histogram) -> Iterator[str]:
    largest = max(high for _, high in kind.range())
    bits = largest.bit_length()
    narrow = kind.top > 255 and bits < kind.top.bit_length()
    if narrow:
        yield (
            f"The largest value of the {name} pictures is {largest:,}: {bits} bits of 16 are used, and in 0..{kind.top:,} all pictures "
            f'are dark and flat. step = "min_max_scale", low = 0, high = {2**bits - 1} brings what is used to 0..1, and folds.'
        )
    for number, what, why in (
        (
            0 if narrow else kind.flat,
            f"nearly flat (std of at most {FLAT:.0%} of the range)",
            "per-image standardization would blow their noise up",
        ),
        (
            kind.saturated,
            f"saturated (at least {SATURATED:.0%} of a channel's pixels at 0 or {kind.top})",
            "what is cut off there no normalization brings back",
        ),
        (kind.gray, "alike in all channels", "their histograms are the same, as those of grey pictures saved as RGB are"),
    ):
        if number >= MANY * kind.images:
            yield f"{number:,} of {kind.images:,} {name} pictures, {number / kind.images:.0%}, are {what}: {why}."


def _numbers(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:.3f}" for value in values) + ")"
