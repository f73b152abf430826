"""An experiment as one page: its answer, every variant with its interval, the pictures that tell most, calibration, and how it was done."""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from . import drawing
from .pictures import read
from .result import Accuracy, Compared, Picture, Row
from .scores import BINS

TITLE = "<title>preproc compare</title>"
"""What stands in a page of ours."""
PACKAGES = ("preproc", "torch", "onnxruntime", "onnxruntime-gpu", "pillow")
"""That compute and decode what is compared; to_json() has more."""
SHOWN, EACH = 10, 3
"""Pictures, at most, and of each variant, as long as others have some."""


def page(compared: Compared) -> str:
    """In HTML, without a reference to anything outside of it."""
    order = _order(compared)
    body = [
        f"<h1>Does the preprocessing matter for <em>{escape(compared.model)}</em>?</h1>",
        f'<p class="answer">{escape(compared.answer)}</p>',
        f'<p class="meta">{_facts(compared)}</p>',
        "<h2>Every variant, against the first, on the same pictures</h2>",
        _table(compared, order),
        f"<p class='note'>{_legend(compared)}</p>",
        *_pictures(compared, order),
        *_calibration(compared, order),
        "<h2>How to read this</h2>",
        f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in _method(compared))}</ul>",
    ]
    return _PAGE.replace("{body}", "\n".join(body)).encode("utf-8", "replace").decode()


def _facts(compared: Compared) -> str:
    told = [
        f"{compared.images:,} pictures of {len(compared.classes.number_of)} classes in {compared.data}",
        f"classes told {compared.classes.how}",
        f"scores read as {compared.kind}",
        ", ".join(f"{name} {version}" for name, version in compared.versions.items() if name in PACKAGES),
    ]
    return escape(" · ".join(told))


def _order(compared: Compared) -> list[int]:
    """The first one first, then by accuracy."""
    return [0, *sorted(range(1, len(compared.rows)), key=lambda number: -compared.rows[number].accuracy.difference)]


def _color(accuracy: Accuracy) -> str:
    if not accuracy.differs:
        return drawing.SAME
    return drawing.WORSE if accuracy.difference < 0 else drawing.BETTER


def _table(compared: Compared, order: Sequence[int]) -> str:
    rows = [compared.rows[number] for number in order]
    limits = [limit for row in rows for limit in row.accuracy.difference_interval]
    scale = drawing.Scale(min(*limits, -0.01), max(*limits, 0.01))
    with_training = any(row.trained is not None for row in rows)
    head = ["variant", "right", f"difference in points {scale.axis()}", "", "changed", "ECE", "NLL", "ms", "bytes"]
    numbers = [_cells(row, scale, compared.images, first=number == 0) for row, number in zip(rows, order, strict=True)]
    if with_training:
        head.insert(4, "trained and served with it")
        for cells, row in zip(numbers, rows, strict=True):
            cells.insert(4, "" if row.trained is None else _trained(row.trained))
    lines = [
        f'<tr class="{"first" if number == 0 else "mistake" if row.mistake else ""}">'
        + "".join(f"<td>{cell}</td>" for cell in cells)
        + "</tr>"
        for cells, row, number in zip(numbers, rows, order, strict=True)
    ]
    heads = "".join(f"<th>{each}</th>" for each in head)
    return f'<div class="wide"><table class="all"><thead><tr>{heads}</tr></thead>{"".join(lines)}</table></div>'


def _cells(row: Row, scale: drawing.Scale, count: int, *, first: bool) -> list[str]:
    accuracy = row.accuracy
    color = _color(accuracy)
    low, high = (100 * limit for limit in accuracy.difference_interval)
    told = "" if first else f'<b style="color:{color}">{100 * accuracy.difference:+.1f}</b> <small>({low:+.1f} to {high:+.1f})</small>'
    drawn = scale.interval(
        accuracy.difference,
        accuracy.difference_interval,
        "#222" if first else color,
        f"{escape(row.name)}: {100 * accuracy.difference:+.1f} points",
    )
    mistake = ' <small class="tag">mistake</small>' if row.mistake else ""
    return [
        f'<b title="{escape(row.what)}">{escape(row.name)}</b>{mistake}',
        f"{100 * accuracy.share:.1f}% <small>{accuracy.right:,}/{count:,}</small>",
        drawn,
        told,
        "" if first else f"{row.changed:,}",
        "" if row.calibration_error is None else f"{100 * row.calibration_error:.1f}%",
        "" if row.loss is None else f"{row.loss:.3f}",
        "" if row.cost.took is None else "{} <small>({})</small>".format(*row.cost.took.words()),
        f"{row.cost.sent:,.0f}",
    ]


def _trained(accuracy: Accuracy) -> str:
    low, high = (100 * limit for limit in accuracy.difference_interval)
    behind = "" if low == high == 0 else f" <small>({low:+.1f} to {high:+.1f})</small>"
    return f"<b>{100 * accuracy.share:.1f}%</b>{behind}"


def _legend(compared: Compared) -> str:
    words = [
        "Dots are differences of accuracy, bars their 95 % intervals.",
        f'<span style="color:{drawing.WORSE}">Red</span> reads fewer pictures right than the first, '
        f'<span style="color:{drawing.BETTER}">green</span> more; grey may be chance.',
        "<b>changed</b>: pictures whose answer is another than the first variant's. <b>ECE</b>: expected calibration error. <b>NLL</b>: "
        "mean negative log-likelihood of the right class. <b>ms</b>: one picture through steps and network here, the median of rounds, and "
        "what half of them lie in; nothing where they differ by too much. <b>bytes</b>: of one request.",
    ]
    if any(row.trained is not None for row in compared.rows):
        words.append("<b>trained and served with it</b>: a network that was trained with that variant, in brackets against the first.")
    return " ".join(words)


def _pictures(compared: Compared, order: Sequence[int]) -> Iterator[str]:
    """The most telling ones in columns, what each variant answers in rows."""
    chosen = _telling(compared)
    if not chosen:
        return
    yield "<h2>The pictures that tell most</h2>"
    yield (
        "<p class='note'>Those that lose most of their own class when another variant is used, the least conspicuous variants first. Below "
        "each its class; in the rows what each variant reads.</p>"
    )
    columns = [_heading(compared, each) for each in chosen]
    lines = []
    for number in order:
        cells = [_read_as(compared, each, number) for each in chosen]
        lines.append(f"<tr><td><b>{escape(compared.rows[number].name)}</b></td>{''.join(cells)}</tr>")
    yield f'<div class="wide"><table class="grid"><tr><th></th>{"".join(columns)}</tr>{"".join(lines)}</table></div>'


def _telling(compared: Compared) -> list[Picture]:
    """EACH from every variant that changes an answer, those that change fewest first; then all that are left in that order."""
    queues = sorted(filter(None, (compared.changed(number) for number in range(1, len(compared.rows)))), key=len)
    found: dict[str, Picture] = {}
    for most in (EACH, SHOWN):
        for queue in queues:
            new = [each for each in queue if each.name not in found]
            found |= {each.name: each for each in new[: min(most, SHOWN - len(found))]}
    return list(found.values())


def _heading(compared: Compared, shown: Picture) -> str:
    source = drawing.picture(read(Path(shown.name), compared.pixels), compared.pixels)
    name = escape(Path(shown.name).name)
    return f'<th><img src="{source}" alt="{name}" title="{name}"><br>{escape(compared.classes.name(shown.label))}</th>'


def _read_as(compared: Compared, shown: Picture, number: int) -> str:
    outcome = shown.outcomes[number]
    kind, answer = "right" if outcome.answer == shown.label else "wrong", escape(compared.classes.name(outcome.answer))
    return f'<td class="{kind}" title="{outcome.confidence:.0%} sure">{answer}</td>'


def _calibration(compared: Compared, order: Sequence[int]) -> Iterator[str]:
    if compared.rows[0].calibration_error is None:
        return
    yield "<h2>How sure it is, and how often right</h2>"
    yield (
        "<p class='note'>Across: the probability that the model gives its answer, 0 to 1. Up: the share of such answers that are right. On "
        "the dashed line it is as sure as it should be; a dot's area is its share of the pictures.</p>"
    )
    plots = [
        f"<figure>{drawing.reliability(compared.reliability(number), escape(compared.rows[number].name))}"
        f"<figcaption>{escape(compared.rows[number].name)}</figcaption></figure>"
        for number in order
    ]
    yield f'<div class="plots">{"".join(plots)}</div>'


def _method(compared: Compared) -> Iterator[str]:
    yield from compared.notes
    yield (
        "Every variant saw every picture, so differences are paired: their intervals are Tango's score intervals for the difference of two "
        "shares on the same pictures, 95 % each. Accuracy alone has Wilson's."
    )
    yield (
        "A variant is said to differ where McNemar's exact test says so after the correction of Benjamini and Hochberg for looking at all "
        "of them: of those that are said to differ, at most 5 % are expected to be chance."
    )
    yield (
        "The pictures stand for others like them only: what other pictures, another camera or another class would do is not measured here."
    )
    yield (
        "Times are of one picture at a time on this machine, in this process, with the steps computed by torch in float32, not folded: "
        "rounds through all variants, in another order each, the first not counted. "
        f"Calibration is over {BINS} bins of equal width."
    )
    if any(row.no_answer for row in compared.rows):
        yield "Scores that were not finite count as a wrong answer of no confidence."


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>preproc compare</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 80rem; margin: 2rem auto; padding: 0 1.2rem; color: #1f2328; }
h1 { font-size: 1.5rem; margin-bottom: .6rem; } h1 em { font-style: normal; color: #2c5fb3; } h2 { font-size: 1.1rem; margin-top: 2.4rem; }
.answer { font-size: 1.08rem; background: #f3f6fb; border-left: 4px solid #2c5fb3; padding: .8rem 1rem; margin: 0; }
.meta, .note, small { color: #656d76; } .meta, .note { font-size: .87rem; } small { font-size: .82em; white-space: nowrap; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.all td, .all th { text-align: right; padding: .18rem .4rem; white-space: nowrap; border-bottom: 1px solid #eef0f2; }
.all th { font-size: .8rem; font-weight: 600; vertical-align: bottom; border-bottom: 1px solid #9aa1a9; white-space: normal; }
.all td:first-child, .all th:first-child { text-align: left; padding-left: 0; white-space: normal; min-width: 11rem; }
.all td:nth-child(3), .all th:nth-child(3) { padding: 0 .9rem; text-align: center; line-height: 1.2; } .all svg { display: block; }
.all td:nth-child(2) small { display: inline-block; min-width: 3.6em; }
.all td:nth-child(4) small { display: inline-block; min-width: 7.6em; }
.all b { font-weight: 500; } .all .first b { font-weight: 700; }
.tag { border: 1px solid #d5d9de; border-radius: 3px; padding: 0 .25rem; }
svg { overflow: visible; } svg text { font: 10px system-ui, sans-serif; fill: #656d76; }
.grid td, .grid th { text-align: center; padding: .15rem .35rem; font-weight: 500; font-size: .88rem; max-width: 90px; }
.grid td, .grid th { overflow-wrap: anywhere; vertical-align: bottom; }
.grid td:first-child { text-align: left; max-width: none; min-width: 13rem; }
.grid b { font-weight: 500; } .grid img { max-width: 76px; max-height: 76px; border-radius: 3px; }
.right { color: #1a7f37; } .wrong { color: #c0392b; background: #fdf1ef; font-weight: 600 !important; }
.plots { display: flex; flex-wrap: wrap; gap: .8rem; } figure { margin: 0; width: 104px; }
figcaption { font-size: .75rem; color: #656d76; line-height: 1.25; }
li { margin: .3rem 0; }
</style>
</head>
<body>
{body}
</body>
</html>
"""
