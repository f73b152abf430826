"""How far what pictures give is from what a network's BatchNorms hold, and which scale and mean bring it nearest."""

import functools
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from .. import student
from .networks import Array
from .responses import Responses

RUN = 300
"""Pictures that running statistics are taken to be made of, at least: an average over some 20 batches of 16. They have their own noise."""
DRAWS = 400
CONFIDENCE = 0.95
"""Of the intervals."""
_ENDS = (0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2)
_ROUNDS = 60
_SEEN = 1e-4
"""Of the largest singular value: what is below is told by rounding alone."""


@functools.lru_cache(maxsize=1)
def draws(count: int) -> Array:
    """(DRAWS, count): how often each picture counts in samples with replacement, over count; the same every time, not to be changed."""
    drawn: Array = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), DRAWS) / count
    drawn.flags.writeable = False
    return drawn


def pooled(first: Array, second: Array, weights: Array, eps: Array) -> tuple[Array, Array]:
    """Mean, and variance as the norm uses it, eps added, of features over pictures. weights: (N,) or (D, N), of sum 1."""
    mean = weights @ first
    return mean, np.maximum(weights @ second - mean * mean, 0) + eps


def divergence(mean: Array, var: Array, of_mean: Array, of_var: Array) -> Array:
    """KL(N(mean, var) || N(of_mean, of_var)), the mean over features, which are the last axis."""
    ratio = np.maximum(var, 1e-300) / of_var
    each: Array = 0.5 * (ratio + (mean - of_mean) ** 2 / of_var - 1 - np.log(ratio))
    return np.asarray(each.mean(axis=-1))


@dataclass(frozen=True)
class Distance:
    """value: the divergence of the pictures from the norms.  noise: what it is in 99 of 100 samples of so many pictures of the network's
    own."""

    value: float
    noise: float


def distance(responses: Responses, parts: Array) -> Distance:
    """Of the candidate with these factors, as Responses.moments() takes them."""
    first, second = responses.moments(parts)
    count, held = len(first), (responses.mean, responses.var + responses.eps)
    mean, var = pooled(first, second, np.full(count, 1 / count), responses.eps)
    spread = divergence(*pooled(first, second, draws(count), responses.eps), mean, var)
    return Distance(float(divergence(mean, var, *held)), float(np.quantile(spread, 0.99)) * (1 + count / RUN))


@dataclass(frozen=True)
class Fit:
    """By least squares, without candidates. parts: (B,).  mean, std: (C,), in grey levels, as (x - mean) / std.  intervals: (2, C) each,
    that 95 of 100 samples of pictures lie in; wider by what so few samples understate, as Student's t is than the normal distribution, and
    by the noise of the running statistics; None where these do not tell all of the numbers.  distance: as distance()."""

    parts: Array
    mean: Array
    std: Array
    mean_interval: Array | None
    std_interval: Array | None
    distance: Distance


def nearest(responses: Responses, start: Array) -> tuple[Array, float]:
    """The factors, (B,), that come nearest by least squares, and how near. start: (B,), where to begin: the nearest candidate."""
    parts, _ = _solved(responses, start)
    return parts, distance(responses, parts).value


def fit(responses: Responses, start: Array) -> Fit:
    """start: as nearest() gives it."""
    count = len(responses.means)
    parts, told = _solved(responses, start)
    mean, std = _as_constants(parts)
    others = _as_constants(_solve(responses, draws(count)[: DRAWS // 4], parts)[0]) if told else None
    few = student(count - 1, CONFIDENCE) / NormalDist().inv_cdf(_ENDS[1]) * np.sqrt(count / (count - 1))
    wider = few * np.sqrt(1 + count / RUN)

    def within(place: int, middle: Array) -> Array | None:
        if others is None:
            return None
        ends: Array = np.quantile(others[place], _ENDS, axis=0)
        return np.asarray(middle + (ends - middle) * wider)

    return Fit(parts, mean, std, within(0, mean), within(1, std), distance(responses, parts))


def _as_constants(parts: Array) -> tuple[Array, Array]:
    scale, offset = np.split(parts[..., :-1], 2, axis=-1)
    return -offset / scale, 1 / scale


def _solved(responses: Responses, start: Array) -> tuple[Array, bool]:
    """Of all pictures alike: the factors, (B,), and whether all of them are told."""
    count = len(responses.means)
    parts, jacobian = _solve(responses, np.full((1, count), 1 / count), start)
    singular = np.linalg.svd(jacobian[0], compute_uv=False)
    return parts[0], bool(jacobian.shape[1] >= jacobian.shape[2] and singular[-1] > _SEEN * singular[0])


def _solve(responses: Responses, weights: Array, start: Array) -> tuple[Array, Array]:
    """Levenberg and Marquardt's least squares of r(parts), whose squares sum to the divergences in their first order, of each sample of
    pictures by itself, weights: (D, N). The factors, (D, B), and the slopes of r there. The unit of each factor is what it begins with."""
    means = np.einsum("dn,nkb->dkb", weights, responses.means)
    products = np.einsum("dn,nkbc->dkbc", weights, responses.products)
    held = responses.var + responses.eps
    unit = np.full(len(start) - 1, np.abs(start[: len(start) // 2]).mean())
    unit[len(start) // 2 :] = 1.0

    def factors(free: Array) -> Array:
        return np.concatenate([free * unit, np.ones((len(free), 1))], axis=1)

    def residuals(free: Array) -> tuple[Array, Array]:
        parts = factors(free)[..., None]
        mean, by = (means @ parts)[..., 0], (products @ parts[:, None])[..., 0]
        var = np.maximum((by @ parts)[..., 0] - mean * mean, 0) + responses.eps + 1e-300
        to_mean = means[..., :-1] * unit
        to_var = 2 * (by[..., :-1] * unit - mean[..., None] * to_mean)
        r = np.concatenate([(mean - responses.mean) / np.sqrt(2 * held), np.log(var / held) / 2], axis=1)
        return r, np.concatenate([to_mean / np.sqrt(2 * held)[:, None], to_var / (2 * var)[..., None]], axis=1)

    free, damping = np.tile(start[:-1] / unit, (len(weights), 1)), np.full(len(weights), 1e-3)
    (r, jacobian), left, eye = residuals(free), np.full(len(weights), fill_value=True), np.eye(len(unit))
    for _ in range(_ROUNDS):
        turned = jacobian.transpose(0, 2, 1)
        normal = turned @ jacobian
        damped = normal + damping[:, None, None] * (normal * eye + 1e-12 * eye)
        step = np.linalg.solve(damped, -turned @ r[..., None])[..., 0]
        tried, slopes = residuals(free + step)
        better = left & (np.square(tried).sum(axis=1) < np.square(r).sum(axis=1))
        free[better], r[better], jacobian[better] = (free + step)[better], tried[better], slopes[better]
        damping = np.where(better, damping / 4, damping * 6)
        left &= np.where(better, np.abs(step).max(axis=1) >= 1e-7, damping <= 1e9)
        if not left.any():
            break
    return factors(free), jacobian
