"""What is tracked of a value is what arrays of the same shape become, number by number: which channel, and which pixel."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from preproc.errors import NotFoldableError
from preproc.folding import Reader, Tracked, concatenate
from preproc.folding.factors import factors

SHAPE = (2, 3, 8, 12)


class Both:
    """Channels and pixels as arrays that are moved by NumPy, beside what is tracked of them."""

    def __init__(self, channel, pixel, tracked):
        self.channel, self.pixel, self.tracked = channel, pixel, tracked

    @staticmethod
    def picture(shape=SHAPE):
        batch, channels, height, width = shape
        channel = np.broadcast_to(np.arange(channels)[:, None, None], shape)
        pixel = np.broadcast_to(np.arange(batch * height * width).reshape(batch, 1, height, width), shape)
        return Both(channel, pixel, Tracked.picture("NCHW", shape))

    @property
    def shape(self):
        return self.channel.shape

    def move(self, array, track):
        return Both(array(self.channel), array(self.pixel), track(self.tracked))


def permuted(draw, value):
    order = draw(st.permutations(range(len(value.shape))))
    return value.move(lambda array: array.transpose(order), lambda tracked: tracked.permute(order))


def sliced(draw, value):
    axis, start, step = draw(st.integers(0, len(value.shape) - 1)), draw(st.integers(0, 2)), draw(st.sampled_from([1, 2, -1, -2]))
    part = (slice(None),) * axis + (slice(start if step > 0 else None, None, step),)
    assume(0 not in np.empty(value.shape)[part].shape)
    return value.move(lambda array: array[part], lambda tracked: tracked.slice(axis, part[-1].start, None, step))


def gathered(draw, value):
    axis = draw(st.integers(0, len(value.shape) - 1))
    table = np.array(draw(st.lists(st.integers(0, value.shape[axis] - 1), min_size=1, max_size=4)))
    table = draw(st.sampled_from([table, table[:1].reshape(()), table[:, None]]))
    return value.move(lambda array: np.take(array, table, axis), lambda tracked: tracked.gather(axis, table))


def reshaped(draw, value):
    primes = [prime for side in value.shape for prime in (2, 3) for _ in range(20) if _divides(prime, _, side)]
    primes += [side for side in value.shape if side % 2 and side % 3]
    shape = [1]
    for prime in draw(st.permutations(primes)) if draw(st.booleans()) else primes:
        if draw(st.booleans()):
            shape.append(prime)
        else:
            shape[-1] *= prime
    assume(np.prod(shape) == np.prod(value.shape))
    return value.move(lambda array: array.reshape(shape), lambda tracked: tracked.reshape(shape))


def _divides(prime, power, side):
    return side % prime ** (power + 1) == 0


def patched(draw, value):
    """Blocks of two by two, side by side with the channels or behind them: most of what stems do."""
    assume(len(value.shape) == 4 and value.shape[2] % 2 == value.shape[3] % 2 == 0)
    batch, channels, height, width = value.shape
    order = draw(st.sampled_from([(0, 1, 3, 5, 2, 4), (0, 3, 5, 1, 2, 4), (0, 2, 4, 3, 5, 1), (0, 2, 4, 1, 3, 5)]))
    split, whole = (batch, channels, height // 2, 2, width // 2, 2), channels * 4
    last = (batch, whole, height // 2, width // 2) if order[4:] == (2, 4) else (batch, height * width // 4, whole)
    return value.move(
        lambda array: array.reshape(split).transpose(order).reshape(last),
        lambda tracked: tracked.reshape(split).permute(order).reshape(last),
    )


def windowed(draw, value):
    axis, size = draw(st.integers(0, len(value.shape) - 1)), draw(st.integers(1, 3))
    assume(value.shape[axis] >= size)
    return value.move(
        lambda array: np.lib.stride_tricks.sliding_window_view(array, size, axis)[(slice(None),) * axis + (slice(None, None, size),)],
        lambda tracked: tracked.windows(axis, size, size),
    )


def joined(draw, value):
    axis = draw(st.integers(0, len(value.shape) - 1))
    other = draw(st.sampled_from([permuted, sliced, gathered]))(draw, value)
    shapes = [list(each.shape) for each in (value, other)]
    assume(len(shapes[0]) == len(shapes[1]) and all(a == b for at, (a, b) in enumerate(zip(*shapes, strict=True)) if at != axis))
    arrays = [np.concatenate([getattr(value, name), getattr(other, name)], axis) for name in ("channel", "pixel")]
    return Both(*arrays, concatenate([value.tracked, other.tracked], axis))


MOVES = [permuted, sliced, gathered, reshaped, patched, windowed, joined]


def check(value, axis):
    """That what is read along the axis is what stands there, of the same pixels where that is said."""
    reader = Reader.of(value.tracked, weight="w", bias=None, channels=3, axis=axis)
    side = value.shape[axis]
    channel, pixel = (np.moveaxis(array, axis, 0).reshape(side, -1) for array in (value.channel, value.pixel))
    assert len(reader.slots) == side
    assert (channel == reader.slots.channel[:, None]).all()
    for phase in np.unique(reader.slots.phase):
        same = pixel[reader.slots.phase == phase]
        assert (same == same[0]).all()
    return reader


@settings(max_examples=100)
@given(st.data(), st.lists(st.sampled_from(MOVES), min_size=1, max_size=5), st.integers(0, 5))
def test_what_is_tracked_is_what_is_there(data, moves, axis):
    value = Both.picture()
    try:
        for move in moves:
            value = move(data.draw, value)
            assert value.tracked.shape == value.shape
        check(value, min(axis, len(value.shape) - 1))
    except NotFoldableError:
        pass


def focus(value, order=((0, 0), (1, 0), (0, 1), (1, 1))):
    parts = []
    for top, left in order:
        part = value.move(lambda array, top=top: array[:, :, top::2], lambda tracked, top=top: tracked.slice(2, top, None, 2))
        parts.append(part.move(lambda array, left=left: array[..., left::2], lambda tracked, left=left: tracked.slice(3, left, None, 2)))
    arrays = [np.concatenate([getattr(part, name) for part in parts], 1) for name in ("channel", "pixel")]
    return Both(*arrays, concatenate([part.tracked for part in parts], 1))


def test_a_focus_is_four_pixels_of_three_channels():
    reader = check(focus(Both.picture()), 1)
    assert reader.slots.channel.tolist() == [0, 1, 2] * 4
    assert reader.slots.phase.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert reader.order == f"N C H[::2]|H[1::2]|H[::2]|H[1::2] W[::2]|W[::2]|W[1::2]|W[1::2], {reader.slots.digest}"
    gray = check(focus(Both.picture((2, 1, 8, 12))), 1)
    assert gray.slots.channel.tolist() == [0] * 4
    assert len(set(gray.slots.phase.tolist())) == 4


def test_channels_of_different_pixels_are_not_taken_for_one():
    """The red of a pixel beside the green and blue of its neighbour."""
    value = Both.picture()
    parts = [value.tracked.gather(1, np.array([0])).slice(3, 0, 11, 1), value.tracked.gather(1, np.array([1, 2])).slice(3, 1, 12, 1)]
    reader = Reader.of(concatenate(parts, 1), weight="w", bias=None, channels=3)
    assert reader.slots.phase.tolist() == [0, 1, 1]
    turned = concatenate([value.tracked.slice(3, 0, 8, 1), value.tracked.slice(3, 0, 8, 1).permute([0, 1, 3, 2])], 1)
    assert Reader.of(turned, weight="w", bias=None, channels=3).slots.phase.tolist() == [0, 0, 0, 1, 1, 1]


def test_what_is_unfolded_and_folded_back_is_a_picture_again():
    """timm's TNT: blocks as columns, then as pictures."""
    value = Both.picture()
    columns = value.tracked.windows(2, 4, 4).windows(3, 4, 4).permute([0, 1, 4, 5, 2, 3]).reshape([2, 48, 6])
    blocks = columns.permute([0, 2, 1]).reshape([12, 3, 4, 4])
    reader = Reader.of(blocks, weight="w", bias=None, channels=3)
    assert reader.slots.channel.tolist() == [0, 1, 2]
    assert len(set(reader.slots.phase.tolist())) == 1


def doubled(tracked, times):
    return tracked if times == 0 else doubled(concatenate([tracked, tracked], 1), times - 1)


def test_parts_of_parts_are_followed_to_some_length_only():
    """A file may double a value forty times; nobody has the memory to run it."""
    tracked = Tracked.picture("NCHW", SHAPE)
    for _ in range(40):
        tracked = concatenate([tracked.slice(2, None, None, -1), tracked], 3)
        tracked = tracked.reshape([*tracked.shape[:2], tracked.shape[2] * tracked.shape[3], 1]).reshape(tracked.shape)
    assert len("".join(tracked.order)) < 1000
    with pytest.raises(NotFoldableError, match="parts of the picture are put together"):
        doubled(tracked, 40)


REFUSED = {
    "along other axes": (lambda x: Reader.of(x.permute([0, 2, 3, 1]), weight="w", bias=None, channels=3), "on axis 1"),
    "mixed": (lambda x: x.permute([0, 2, 3, 1]).reshape([2, 8, 18, 2]), "channels are mixed with positions"),
    "another size": (lambda x: x.reshape([2, 3, 8, 13]), r"of the shape \(2, 3, 8, 12\) is reshaped to"),
    "too long": (lambda _: Tracked.picture("NCHW", (1, 3, 2048, 2048)).reshape([1, 3 << 22]), "more than can be told apart"),
    "beyond the end": (lambda x: x.gather(3, np.array([12])), "position 12 is taken of an axis of 12"),
    "no side of one": (lambda x: x.squeeze(3), "an axis of 12 is squeezed"),
    "windows of channels": (lambda x: x.windows(1, 2, 1), "windows of channels"),
    "a resize of channels": (lambda x: x.mixed([2, 6, 8, 12], "resize"), "channels are mixed with each other"),
    "padded channels": (lambda x: x.padded([(0, 0), (0, 1), (0, 0), (0, 0)], 0.0), "channels are padded"),
    "parts that do not fit": (lambda x: concatenate([x, x.slice(3, 1, None, 1)], 1), "are put together"),
    "a division by 0": (lambda x: x.over(0.0), "what is no finite number"),
    "a division of one channel by 0": (lambda x: x.over(np.array([1.0, 0.0, 2.0]).reshape(3, 1, 1)), "what is no finite number"),
    "no number": (lambda x: x.plus(np.nan), "what is no finite number"),
    "too large together": (lambda x: x.times(1e200).times(1e200), "what is no finite number"),
    "a variance below 0": (
        lambda x: x.batch_norm(scale=np.ones(3), bias=np.zeros(3), mean=np.zeros(3), variance=np.array([1.0, -1.0, 0.0]), epsilon=0.0),
        "what is no finite number",
    ),
    "a field": (lambda x: x.then(1.0, np.arange(12.0)), r"a constant of shape \(12,\), which is not one number per channel"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_hold_for_every_pixel_is_refused(name):
    make, reason = REFUSED[name]
    with pytest.raises(NotFoldableError, match=reason):
        make(Tracked.picture("NCHW", SHAPE))


def test_a_padded_border_is_mapped_with_the_picture():
    padded = Tracked.picture("NCHW", SHAPE).padded([(0, 0), (0, 0), (1, 1), (1, 1)], 0.5)
    assert padded.then(2.0, 1.0).slots.borders.tolist() == [[2, 2, 2]]
    assert padded.shape == (2, 3, 10, 14)
    assert padded.then(np.array([1.0, 2.0, 3.0]).reshape(3, 1, 1), -1.0).slots.borders.tolist() == [[-0.5, 0, 0.5]]


def test_where_one_part_has_a_border_another_may_be_in_the_picture():
    picture = Tracked.picture("NCHW", SHAPE)
    padded = picture.padded([(0, 0), (0, 0), (0, 2), (0, 0)], 0.5)
    both = concatenate([padded, picture.padded([(0, 0), (0, 0), (0, 2), (0, 0)], None)], 1)
    np.testing.assert_array_equal(both.slots.borders, [[0.5, 0.5, 0.5, np.nan, np.nan, np.nan]])
    assert concatenate([picture, padded], 2).slots.borders.tolist() == [[0.5, 0.5, 0.5]]


def test_a_field_of_one_value_is_one_number():
    tracked = Tracked.picture("NCHW", SHAPE).then(np.ones((8, 12)), np.full((3, 8, 12), [[[1.0]], [[2.0]], [[3.0]]]))
    assert tracked.slots.offset.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("old", "new", "sizes"),
    [((4, 6), (2, 12), [2, 2, 6]), ((4, 6), (24,), [4, 6]), ((1, 24), (3, 1, 8), [3, 8]), ((2, 4, 6), (2, 6, 4), [2, 6, 4])],
)
def test_a_reshape_is_splits_and_merges(old, new, sizes):
    assert [part.size for part in factors(old, new, mixable=[True] * len(old)) or []] == sizes


def test_axes_that_must_not_be_mixed():
    assert factors((4, 6), (6, 4), mixable=[True, False]) is None
