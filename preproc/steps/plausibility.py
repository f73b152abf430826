"""Whether numbers can be a mean and a std of pixels: judged together, and in their unit.

What is taken for a std and is none: 1/std (ncnn's norm_vals, DeepStream's net-scale-factor), a variance, a std of another unit than the
mean's. Some of these could be the statistics of very dark or very flat pictures: those of known data sets are recognized all the same, by
the mean beside them.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import PreprocError
from .presets import PRESETS, UNITS

Numbers = NDArray[np.float64]
Published = tuple[tuple[float, ...], tuple[float, ...]]

KNOWN: Mapping[str, Published] = MappingProxyType(
    {
        **{name: (known.mean, known.std) for name, known in PRESETS.items() if known.unit == "0-1"},
        "cifar10, stds per picture": (PRESETS["cifar10"].mean, (0.2023, 0.1994, 0.2010)),
        "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
        "fashion-mnist": ((0.2860,), (0.3530,)),
        "kinetics": ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)),
        "svhn": ((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
        "tiny-imagenet": ((0.4802, 0.4481, 0.3975), (0.2770, 0.2691, 0.2821)),
    }
)
"""Published means and stds, in 0-1, RGB."""
CAFFE = tuple(value / 255 for value in PRESETS["caffe"].mean[::-1])
NEAR_MEAN, NEAR_STD = 0.01, 0.03
"""As near as numbers of two or three digits are to those that they stand for."""
PRINTED = 1e-3
"""As near as the same numbers are in three digits; and three times that, the inverses of such."""
LEAST = 0.0038
"""Of full brightness: Caffe's std of one grey level in 255, in two digits."""
MOST = 1.1
"""Of full brightness: what divides by more leaves less than any published normalization."""
DARK = 20
"""stds in the mean of nearly black pictures, whose std is below one grey level of 255."""
NARROW = 2000
"""stds in the mean of pictures that still show something, in 16 bits."""
FLAT = 5
"""stds in the mean of pictures of little contrast: from here on it may as well be something else."""
LITTLE = 0.05
"""Of full brightness: the std of pictures that are hardly more than black, whose mean nobody leaves out."""
BECAUSE = 'constants_because = "the reason"'
"""How recipes and Python say why numbers are right that are doubted."""
BECAUSE_OPTION = '--constants-because "the reason"'
"""How commands say it."""
SPREAD = 1.1
"""How far above sqrt(m (1 - m)), which no std of values in 0..1 exceeds, rounded numbers may be."""


class Constants(NamedTuple):
    """mean, std: one number per channel.  unit: what they are given in."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    unit: str

    def shares(self) -> tuple[Numbers, Numbers]:
        """Of full brightness."""
        return np.array(self.mean) / UNITS[self.unit], np.array(self.std) / UNITS[self.unit]

    def as_recipe(self) -> str:
        return f'mean = {_list(self.mean)}, std = {_list(self.std)}, unit = "{self.unit}"'

    def as_options(self) -> str:
        """Of `preproc attach`."""
        mean, std = (",".join(f"{value:.6g}" for value in values) for values in (self.mean, self.std))
        return f"--mean {mean} --std {std} --units {self.unit}"


class Doubt(NamedTuple):
    """reason: why numbers are no mean and std, with what they probably are.  meant: what to write in their place, or None."""

    reason: str
    meant: Constants | None


@lru_cache
def doubt(given: Constants) -> Doubt | None:
    """Why these are no mean and std of pixels in their unit; None if they can be."""
    wrong, found = _impossible(given), _recognized(given)
    if wrong is None and found is None:
        return None
    found = found or next((reading for reading in _readings(given) if _usual(reading[1])), None)
    top = UNITS[given.unit]
    ends = [(end - mean) / std for mean, std in zip(given.mean, given.std, strict=True) for end in (0.0, top)]
    what = found[0] if found else f"{wrong}; check the unit that they are given in, and that std is no factor"
    told = f"got mean {_list(given.mean)} and std {_list(given.std)}, which make {min(ends):.4g}..{max(ends):.4g} of 0..{top:g}: {what}"
    return Doubt(f"expected a mean and a std of pixels in the unit {given.unit}, {told}", found and found[1])


def check(mean: tuple[float, ...], std: tuple[float, ...], unit: str | None, *, options: bool = False) -> None:
    """Raises PreprocError with what to write instead: as in a recipe, or as options of `preproc attach`. unit: None for any."""
    with np.errstate(all="ignore"):  # of numbers that are none
        found = doubt_in_any_unit(mean, std) if unit is None else doubt(Constants(mean, std, unit))
    if found is None:
        return
    write = "" if found.meant is None else f"; write {found.meant.as_options() if options else found.meant.as_recipe()}"
    raise PreprocError(
        f"{found.reason}{write}; or say why they are right in {BECAUSE_OPTION if options else BECAUSE}", name="implausible-constants"
    )


def doubt_in_any_unit(mean: tuple[float, ...], std: tuple[float, ...]) -> Doubt | None:
    """As doubt(), of constants that do not say their unit: only what is wrong in each that the means fit."""
    units = [unit for unit, top in UNITS.items() if min(mean) >= 0 and max(mean) <= top]
    doubts = [found for unit in units if (found := doubt(Constants(mean, std, unit)))]
    return doubts[0] if doubts and len(doubts) == len(units) else None


def notes(given: Constants, *, color: str) -> list[str]:
    """What is possible, but may surprise, of constants given by hand for a model of that colour order."""
    told, (mean, std) = list[str](), given.shares()
    name, order = _by_mean(given) or ("", "")
    if {order, color} == {"RGB", "BGR"}:
        turned = Constants(given.mean[::-1], given.std[::-1], given.unit)
        told.append(
            f"the means {_list(given.mean)} are {name}'s in the order {order}, and the model is said to take {color}: "
            f"for {color} write {turned.as_recipe()}"
        )
    theirs = np.array(KNOWN[name][1][:: 1 if order == "RGB" else -1]) if name in KNOWN else std
    if len(set(theirs)) > 1 == len(set(given.std)):
        told.append(
            f"one std of {given.std[0]:.6g} for all channels, where {name}, whose means these are, has {_list(theirs * UNITS[given.unit])}"
        )
    elif _near(std, theirs[::-1], 1e-3) and not _near(std, theirs, 1e-3):
        told.append(f"the means are {name}'s in the order {order}, and the stds in the other one")
    if given.unit == "0-1" and not mean.any() and _near(std, [1 / 255], 0.02):
        told.append("a std of 1/255 hands the network grey levels of 0..255 again: for 0..1 write std = 1")
    else:
        told += _otherwise(given)
    return told


def _otherwise(given: Constants) -> Iterator[str]:
    """What numbers that few pictures have may be instead."""
    mean, std = given.shares()
    if _is_one_level(given):
        return
    if (mean > FLAT * std).all():
        what = "the stds {} are those of pictures of little contrast only"
    elif not mean.any() and (std < LITTLE).all():
        what = "without a mean, and divided by the stds {}, most pictures are far outside of what networks are trained with"
    elif given.unit == "0-65535" and 1 < max(given.mean) <= 255 and max(given.std) <= 128:
        what = "the stds {} are those of nearly black pictures only"
    else:
        return
    meant = [reading for reading in _readings(given) if _usual(reading[1])][:2]
    if meant:
        instead = "; ".join(f"if {words}, write {constants.as_recipe()}" for words, constants in meant)
        yield f"{what.format(_list(given.std))}: {instead}"


def _impossible(given: Constants) -> str | None:
    """What is wrong whatever the pictures are."""
    (mean, std), top, ones = given.shares(), UNITS[given.unit], np.array(given.std) == 1
    if min(given.mean) < 0 or max(given.mean) > top:
        return f"means are between 0 and {top:g}"
    if top > 1 and 0 < max(given.mean) <= 1 and max(given.std) <= 1:
        return "they are numbers of the unit 0-1"
    if (std > MOST).any():
        return "a std above full brightness leaves next to nothing of a picture"
    tiny = (std < LEAST) & ~ones & ((mean == 0) | (mean > (DARK if given.unit == "0-255" else NARROW) * std))
    if tiny.any():
        return "no picture has so small a std around such a mean"
    if ((mean > 0) & (mean * 255 < 1.001) & (std > SPREAD * _most_std(mean)) & ~ones).any():
        return "no picture has so large a std around such a mean"
    return None


def _recognized(given: Constants) -> tuple[str, Constants] | None:
    """The known data set whose mean and std these are, one of them written as something else; None for what is as it should be."""
    if _is_one_level(given):
        return None
    own = [name for name, constants in _published(given.unit) if _same(given, constants)]
    for what, meant in () if own else _readings(given):
        for name, constants in _published(meant.unit):
            common = "variance" in what and len(set(constants.mean)) == 1 < len(constants.mean)  # 0.25 around 0.5 may be a std
            if _same(meant, constants) and not common:
                printed = _near(meant.mean, constants.mean, PRINTED) and _near(meant.std, constants.std, 3 * PRINTED)
                return (f"{what}: they are {name}'s", constants) if printed else (f"{what}: they are about {name}'s", meant)
    return None


@cache
def _published(unit: str) -> tuple[tuple[str, Constants], ...]:
    """KNOWN in that unit, in both orders of channels."""
    found = []
    for name, (mean, std) in KNOWN.items():
        for step in (1, -1):
            mean_there, std_there = (tuple(value * UNITS[unit] for value in values[::step]) for values in (mean, std))
            found.append((name, Constants(mean_there, std_there, unit)))
    return tuple(found)


def _readings(given: Constants) -> Iterator[tuple[str, Constants]]:
    """In words what numbers may be that are not what they are said to be, and what they then stand for: those of their unit first."""
    x, factor = np.array(given.std), "a factor (ncnn's norm_vals, DeepStream's net-scale-factor)"
    for unit in sorted(UNITS, key=lambda unit: unit != given.unit):
        top, own = UNITS[unit], unit == given.unit
        if min(given.mean) < 0 or max(given.mean) > top:
            continue
        if not own:
            yield f"they are numbers of the unit {unit}", Constants(given.mean, given.std, unit)
        forms = [(f"in {other}", x / size) for other, size in UNITS.items() if other != unit]
        forms += [(f"1/std of {other}, {factor}", 1 / x / UNITS[other]) for other in sorted(UNITS, key=lambda other: other != unit)]
        forms += [(f"a variance of {other}", np.sqrt(x) / size) for other, size in UNITS.items()] + [("a variance", np.sqrt(x / top))]
        for what, share in forms:
            told = "the std is" if own else f"the mean is in {unit}, the std"
            yield f"{told} {what}", Constants(given.mean, tuple((share * top).tolist()), unit)
    mean = np.array(given.mean)
    yield "they are divided by 255 twice", Constants(tuple((mean * 255).tolist()), tuple((x * 255).tolist()), given.unit)
    yield "the mean is divided by the std, a bias", Constants(tuple(np.abs(mean * x).tolist()), given.std, given.unit)
    yield "mean and std are exchanged", Constants(given.std, given.mean, given.unit)


def _usual(given: Constants) -> bool:
    """Whether nobody would wonder at them."""
    mean, std = given.shares()
    usual = (mean >= 0.02) & (mean <= 0.98) & ((std >= 0.08) & (std <= SPREAD * _most_std(mean)) | np.isclose(std, 1, rtol=0.02))
    return bool(np.where(mean == 0, (std > 0.1) & (std < 1.02), usual).all())


def _most_std(mean: Numbers) -> Numbers:
    """Of values in 0..1 with that mean (Bhatia and Davis, 2000)."""
    return np.asarray(np.sqrt((mean * (1 - mean)).clip(0)))


def _is_one_level(given: Constants) -> bool:
    """Caffe's: means of grey levels are taken away, and nothing is divided."""
    return len(set(given.std)) == 1 and (given.std[0] == 1 or _near(given.shares()[1], [1 / 255], 0.02))


def _by_mean(given: Constants) -> tuple[str, str] | None:
    """The data set that has these three means, and the order that they are in: the nearest, but for Caffe's where all stds are one."""
    mean, _ = given.shares()
    off = {
        (name, order): float(np.abs(mean / known[::step] - 1).max())
        for name, known in {**{name: known for name, (known, _) in KNOWN.items()}, "caffe": CAFFE}.items()
        if len(mean) == len(set(known)) == 3
        for order, step in (("RGB", 1), ("BGR", -1))
    }
    near = {key: far for key, far in off.items() if far <= NEAR_MEAN}
    if len(set(given.std)) == 1 and near and min(near.values()) > NEAR_MEAN / 10:
        near = {key: far for key, far in near.items() if key[0] == "caffe"} or near
    return min(near, key=lambda key: near[key], default=None)


def _same(some: Constants, others: Constants) -> bool:
    return _near(some.mean, others.mean, NEAR_MEAN) and _near(some.std, others.std, NEAR_STD)


def _near(some: Sequence[float] | Numbers, others: Sequence[float] | Numbers, tolerance: float) -> bool:
    if len(others) not in (1, len(some)):
        return False
    known = others if len(others) == len(some) else [others[0]] * len(some)
    return all(abs(a - b) <= tolerance * abs(b) for a, b in zip(some, known, strict=True))


def _list(values: Sequence[float] | Numbers) -> str:
    return "[" + ", ".join(f"{value:.6g}" for value in values) + "]"
