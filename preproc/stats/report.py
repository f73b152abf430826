"""A page about a data set: histograms, what each normalization makes of its pictures, and advice with its arithmetic. One file."""

import base64
import html
import importlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import PreprocError
from ..host import targets
from ..oracle import reference
from ..steps import PRESETS, MinMaxNormalize, Normalize, Rescale, Standardize, Step
from .histogram import FLAT, SATURATED, Histogram
from .pictures import channel_names
from .result import INDICES, Stats
from .sources import find, sampled
from .work import read_pictures

COLORS = {"R": "#c0392b", "G": "#27803b", "B": "#2c5fb3", "A": "#777777", "GRAY": "#333333"}
PICTURES, SIDE = 3, 220
"""How many pictures are shown, and the longer side to which they are made smaller first, in pixels."""
MANY = 0.05
"""The share of pictures from which on it is worth a sentence that they are flat, saturated or grey."""


def check_target(path: Path) -> None:
    """Raises PreprocError where no report can be written or drawn, or something else would be lost."""
    targets.check_file(path, endings=(".html", ".htm"), what="a report", ours=b"<title>preproc stats</title>")
    _pyplot()


def page(stats: Stats, sources: Sequence[str] = ()) -> str:
    """The report in HTML. sources: where the pictures are, for those that are shown. Raises PreprocError without matplotlib."""
    pyplot = _pyplot()
    parts = [f"<h1>{html.escape(', '.join(stats.sources) or 'Statistics')}</h1>", _summary(stats)]
    parts += ["<h2>Advice</h2>", "<ul>", *(f"<li>{html.escape(sentence)}</li>" for sentence in advice(stats)), "</ul>"]
    for name, kind in stats.accumulator.kinds.items():
        if isinstance(kind, Histogram) and name not in INDICES:
            parts += [f"<h2>{html.escape(name)}: how often each value occurs</h2>", _histogram(pyplot, name, kind)]
    shown = list(_shown(sources))
    if shown:
        parts += ["<h2>What each normalization makes of some pictures</h2>", _NOTE, _pictures(pyplot, stats, shown)]
    return _PAGE.replace("{body}", "\n".join(parts)).encode("utf-8", "replace").decode()


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


def _summary(stats: Stats) -> str:
    rows = []
    for name, kind in stats.accumulator.kinds.items():
        if name in INDICES or not isinstance(kind, Histogram):
            rows.append(f"<tr><td>{html.escape(name)}</td><td>{kind.images:,}</td>" + "<td></td>" * 5 + "</tr>")
            continue
        numbers = zip(channel_names(name, kind.channels), kind.mean(), kind.std(), kind.range(), kind.saturation(), strict=True)
        for channel, mean, std, (low, high), (zero, full) in numbers:
            cells = [f"{name} {channel}", f"{kind.images:,}", f"{mean / kind.top:.4f} ({mean:.2f})", f"{std / kind.top:.4f} ({std:.2f})"]
            cells += [f"{low}..{high}", f"{zero:.2%}", f"{full:.2%}"]
            rows.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
    head = "".join(
        f"<th>{word}</th>" for word in ("channel", "pictures", "mean 0-1 (levels)", "std 0-1 (levels)", "range", "at 0", "at the top")
    )
    notes = [f"Decoded by {'; '.join(stats.decoder)}. Accumulator sha256 {stats.accumulator.sha256()[:16]}."]
    if stats.sample is not None:
        what = "files, with all their pages and frames" if stats.stacks else "pictures"
        notes.append(f"A sample of {stats.sample.images:,} of {stats.sample.population:,} {what}, seed {stats.sample.seed}.")
    if stats.skipped:
        notes.append(f"{len(stats.skipped):,} pages or frames are not counted; stats.json says which and why.")
    if stats.partial:
        notes.append("Interrupted: not all pictures are counted.")
    return f"<table><tr>{head}</tr>{''.join(rows)}</table><p>{html.escape(' '.join(notes))}</p>"


def _histogram(pyplot: Any, name: str, kind: Histogram) -> str:
    figure, axis = pyplot.subplots(figsize=(8, 2.6))
    for channel, counts in zip(channel_names(name, kind.channels), kind.counts, strict=True):
        shares = counts.reshape(256, -1).sum(axis=1) / kind.pixels
        axis.plot(np.linspace(0, kind.top, 256), shares, label=channel, color=COLORS.get(channel), linewidth=1.2)
    axis.set_xlabel("value")
    axis.set_ylabel("share of the pixels")
    axis.set_xlim(0, kind.top)
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    return _image(pyplot, figure, f"Histogram of {name}")


def _shown(sources: Sequence[str]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """A few pictures, always the same ones."""
    paths = [source for source in sources if not source.endswith(".json")]
    if not paths:
        return
    for name, image in read_pictures(sampled(find(paths), str(PICTURES), seed=0).places, "RGB"):
        image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
        yield name, np.asarray(image)


def _variants(stats: Stats) -> dict[str, list[Step]]:
    found: dict[str, list[Step]] = {"rescale": [Rescale()], "ImageNet's constants": [Rescale(), Normalize.preset("imagenet")]}
    if list(stats.accumulator.kinds) == ["RGB"]:
        mean, std = stats.mean_and_std()
        if all(std):
            own = Normalize(mean=tuple(mean), std=tuple(std), unit="0-1", constants_because="they are counted")
            found["this data set's z-score"] = [Rescale(), own]
    return found | {"min-max per picture": [MinMaxNormalize()], "standardize per picture": [Standardize()]}


def _pictures(pyplot: Any, stats: Stats, shown: Sequence[tuple[str, NDArray[np.uint8]]]) -> str:
    variants = _variants(stats)
    figure, axes = pyplot.subplots(len(shown), 1 + len(variants), figsize=(2.1 * (1 + len(variants)), 2.2 * len(shown)), squeeze=False)
    for row, (name, picture) in zip(axes, shown, strict=True):
        row[0].imshow(picture)
        row[0].set_title(f"{_name(name)}\n{picture.min()}..{picture.max()}", fontsize=7, parse_math=False)
        for axis, (word, steps) in zip(row[1:], variants.items(), strict=True):
            values = reference.apply(steps, np.moveaxis(picture[None], -1, 1).astype(np.float64))[0]
            axis.imshow(np.moveaxis(np.clip((values + VISIBLE) / (2 * VISIBLE), 0, 1), 0, -1))
            axis.set_title(f"{word}\n{values.min():.2f}..{values.max():.2f}", fontsize=7)
    for axis in axes.flat:
        axis.set_axis_off()
    return _image(pyplot, figure, "Pictures before and after each normalization")


def _name(path: str) -> str:
    """The beginning of a file's name, as far as it is text."""
    return "".join(letter if letter.isprintable() else "?" for letter in Path(path).name[:22])


VISIBLE = 2.5
"""Values are drawn from -VISIBLE, black, to VISIBLE, white."""
_NOTE = (
    f"<p>Above each picture its smallest and largest value. All are drawn from {-VISIBLE:g}, black, to {VISIBLE:g}, white, as a network "
    "that expects values around 0 sees them.</p>"
)


def _image(pyplot: Any, figure: Any, text: str) -> str:
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    pyplot.close(figure)
    return f'<img alt="{html.escape(text)}" src="data:image/png;base64,{base64.b64encode(held.getvalue()).decode()}">'


def _pyplot() -> Any:
    try:
        importlib.import_module("matplotlib").use("Agg")
    except ImportError as error:
        raise PreprocError("expected matplotlib for --report, got none installed; pip install matplotlib", name="not-installed") from error
    return importlib.import_module("matplotlib.pyplot")


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>preproc stats</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } th, td { text-align: left; padding: .2rem .9rem .2rem 0; }
th { border-bottom: 1px solid #999; font-weight: 600; } img { max-width: 100%; } li { margin: .4rem 0; }
</style>
</head>
<body>
{body}
</body>
</html>
"""
