"""python -m tests.survey_yuv: which matrix, range and chroma other libraries have where they make RGB of a camera's Y, U and V, and how far
they are from float64 and from preproc's conversions, into tests/survey/yuv.md."""

from collections.abc import Iterable, Iterator
from textwrap import fill

from tests.conftest import ROOT
from tests.survey.yuv.measuring import DECIDED, SIZE, Distance, Found, measured, photographs
from tests.survey.yuv.peers import Peer, absent, peers, versions

PAGE = ROOT / "tests/survey/yuv.md"
REASONS = (
    "What is called yuv has analogue video's U and V, where B - Y is 2.03 U and R - Y is 1.14 V; scikit-image subtracts in uint8, where "
    "15 - 16 is 255, and takes what is left for 0..1."
)
Rows = list[tuple[Peer, Found]]
TAKEN = [("bt709", "limited"), ("bt601", "limited"), ("bt601", "full")]
"""HD video, SD video and most cameras, JPEG and MJPEG."""


def what(found: Found) -> str:
    name = f"{found.nearest.matrix} {found.nearest.range}"
    return name if found.decided else f"none of the six; nearest {name}"


def chroma(peer: Peer, found: Found) -> str:
    return "" if peer.color == "YUV444" else found.nearest.chroma


def most(distances: list[Distance]) -> str:
    return f"{max(each.largest for each in distances):.2f} (mean {max(each.mean for each in distances):.2f})"


def merged(rows: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """Lines of a table, of libraries, calls and what follows; calls of a library with the same beside them in one."""
    calls: dict[tuple[str, str], list[str]] = {}
    for library, call, cells in rows:
        calls.setdefault((library, cells), []).append(call)
    for (library, cells), names in calls.items():
        yield f"| {library} | {'; '.join(names)} | {cells} |"


def together(rows: Rows) -> Iterator[tuple[str, str, str]]:
    """For each call; once for all that it may be told, where it is what it is told."""
    calls: dict[tuple[str, str, str], Rows] = {}
    for peer, found in rows:
        calls.setdefault((peer.library, peer.call, chroma(peer, found)), []).append((peer, found))
    for (library, call, shared), same in calls.items():
        told = all(is_told(*row) for row in same)
        kinds = "as it is told" if told else ", ".join(dict.fromkeys(what(found) for _, found in same))
        own, rgb8 = ([getattr(found, name) for _, found in same] for name in ("own", "rgb8"))
        yield library, call, f"{kinds} | {shared} | {most(own)} | {most(rgb8)}"


def is_told(peer: Peer, found: Found) -> bool:
    return found.decided and peer.named == (found.nearest.matrix, found.nearest.range)


def fed(rows: Rows) -> Iterator[tuple[str, str, str]]:
    for peer, found in rows:
        if peer.named is None:
            yield peer.library, peer.call, " | ".join(most([found.taken[each]]) for each in TAKEN)


def in_full(rows: Rows) -> Iterator[str]:
    shown = ("largest", "mean", "over 1 level", "too bright by", "of any bytes", "from linear", "from rgb8", "differ")
    yield f"| library | call | told | is | next | {' | '.join(shown)} |"
    yield f"|---|---|---|---{'|--:' * 9}|"
    for peer, found in rows:
        told = "" if peer.named is None else " ".join(peer.named)
        own = f"{found.own.largest:.2f} | {found.own.mean:.2f} | {found.own.over_one:.1%} | {found.own.bias:+.2f}"
        linear, rgb8 = (f"{each.largest:.2f} ({each.mean:.2f})" for each in (found.linear, found.rgb8))
        yield (
            f"| {peer.library} | {peer.call} | {told} | {what(found)} | {1 / found.ratio:.1f} | {own} | {found.any_bytes.largest:.2f} "
            f"| {linear} | {rgb8} | {found.rgb8.differ:.1%} |"
        )


def between(values: Iterable[float]) -> str:
    known = sorted(values)
    return f"{known[0]:.1f} to {known[-1]:.1f}"


def findings(rows: Rows) -> Iterator[str]:
    """Sentences of what was measured."""
    named = [row for row in rows if row[0].named]
    yield f"Of {len(named)} calls that are told a matrix and a range, {sum(is_told(*row) for row in named)} have these."
    plain = [(peer, found) for peer, found in rows if not peer.named and peer.color != "YUV444" and found.decided]
    kinds, hd = sorted({what(found) for _, found in plain}), [found.taken["bt709", "limited"] for _, found in plain]
    yield (
        f"Those of 4:2:0 and 4:2:2 that are told nothing are {' and '.join(kinds)}, whatever the bytes are: of HD video, bt709 limited, "
        f"they are wrong by up to {between(each.largest for each in hd)} levels, "
        f"{between(each.mean for each in hd)} on average."
    )
    fast = [found.own for peer, found in rows if peer.library in ("PyAV", "torchcodec") and "FULL_CHR" not in peer.call]
    full = [found.own for peer, found in rows if "POINT, FULL_CHR" in peer.call and found.nearest.chroma == "replicated"]
    yield (
        f"FFmpeg's own choice, PyAV's and torchcodec's, is {between(each.mean for each in fast)} levels away on average, up to "
        f"{max(each.largest for each in fast):.1f}, and mostly too dark, by up to {-min(each.bias for each in fast):.1f} on average; "
        f"`interpolation=Interpolation.POINT | Interpolation.FULL_CHR_H_INT` is {max(each.largest for each in full):.2f} away at most, "
        "chroma replicated: preproc's definition, rounded."
    )
    opencv = [found for peer, found in rows if peer.library == "OpenCV" and peer.color != "YUV444"]
    yield (
        f"OpenCV's of 4:2:0 and 4:2:2 differ from rgb8 by {max(found.rgb8.largest for found in opencv):g}; of bytes of another range they "
        f"are up to {max(found.any_bytes.largest for found in opencv):.1f} from float64: Y below black is black to them, as to rgb8."
    )
    none = [f"{peer.library}'s {peer.call}" for peer, found in rows if not found.decided]
    yield f"{len(none)} are none of the six: {'; '.join(none)}. {REASONS}"


def page(rows: Rows) -> str:
    missing = absent()
    names = " | ".join(" ".join(each) for each in TAKEN)
    return f"""# Other libraries' RGB of Y, U and V

| library | call | is | chroma | largest difference from float64 | from rgb8 |
|---|---|---|---|--:|--:|
{chr(10).join(merged(together(rows)))}

In grey levels, of photographs that are encoded in the matrix and range that the call *is*; largest, and the mean of all values, the largest
over all matrices and ranges that a call is told. float64 is the standard's formula with that chroma, clipped to 0..255 and not rounded: an
exact conversion to whole levels is 0.50 away, 0.25 on average. rgb8 is preproc's `conversion = "rgb8"` of that matrix and range, whose
chroma is replicated. Interpolated chroma lies in the middle of a block ("center") or on its first column ("left"): preproc's `siting`.

{chr(10).join(fill(f"- {sentence}", 140, subsequent_indent="  ", break_long_words=False) for sentence in findings(rows))}

## What it costs to tell a call nothing

How far its RGB is from float64 of what the bytes are, with the call's own chroma: largest, and the mean.

| library | call | {names} |
|---|---|--:|--:|--:|
{chr(10).join(merged(fed(rows)))}

## In full

Told: what the call, the frame or the video says. Next: how many times further away the nearest definition of another matrix or range is,
each channel's mean difference aside; under {1 / DECIDED:.1f} it is none of the six. Over 1 level: the share of such values. Of any bytes:
the largest difference from float64 where the photographs are encoded in all six ways, so that more values clip, and Y is below black, too.
From linear and rgb8: of preproc's two conversions of that matrix and range, with replicated chroma, largest and mean; linear is not
clipped. Differ: the share of the values that differ from rgb8's by more than half a level.

{chr(10).join(in_full(rows))}

Written by `python -m tests.survey_yuv`, a part of `make survey` ({versions()}), of {len(photographs())}
photographs of {SIZE[1]}x{SIZE[0]}, each encoded in float64 in the six ways, U and V being the means of the pixels that share them. What a
call is, is found by its output alone: the nearest of the six matrices and ranges, with U and V replicated, or interpolated between the
middles or the firsts of blocks, along each side. kornia and torchcodec are no part of this project and have rows where they are installed,
torchcodec with FFmpeg's shared libraries{f" (not here: {', '.join(missing)})" if missing else ""}; its videos are of one picture, lossless
(FFV1). torchvision has no such conversion. libswscale's arithmetic depends on the processor.
"""


def main() -> None:
    rows = []
    for peer in peers():
        found = measured(peer.run, peer.color, photographs())
        rows.append((peer, found))
        print(f"{peer.library}, {peer.call}, {peer.named}: {what(found)}, {found.own.largest:.2f}", flush=True)
    PAGE.write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
