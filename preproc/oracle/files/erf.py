"""The error function in float64 for arrays, of which NumPy has none: Taylor series around places 1/64 apart, where math.erf says it."""

import math

import numpy as np

from .reading import Array

STEP, END = 1 / 64, 6.0
"""Of the places; from 6 on it is 1 to the last bit."""
ORDER = 7
"""Of the series: what is left out, (1/128)^8 times the eighth derivative / 8!, is below 1e-17."""
PIECE = 1 << 15
"""Values at a time, which stay in the processor's cache."""
WORK = 256
"""About as many multiply-adds as one value takes time."""


def erf(x: Array) -> Array:
    flat, made = x.reshape(-1), np.empty(x.size)
    for start in range(0, x.size, PIECE):
        made[start : start + PIECE] = _erf(flat[start : start + PIECE])
    return made.reshape(x.shape)


def _erf(x: Array) -> Array:
    size = np.fmin(np.abs(x), END)
    place = np.rint(size / STEP).astype(np.intp)
    apart, made = size - place * STEP, _SERIES[ORDER][place]
    for terms in _SERIES[ORDER - 1 :: -1]:
        made = made * apart + terms[place]
    return np.where(np.isnan(x), x, np.copysign(made, x))


def _series() -> Array:
    """(ORDER + 1, places): the derivatives by the factorials; the nth is (-1)^(n-1) H_(n-1)(x) exp(-x^2) 2 / sqrt(pi), of Hermite's
    polynomials."""
    x = np.arange(0, END + STEP, STEP)
    slope = 2 / math.sqrt(math.pi) * np.exp(-x * x)
    terms = [np.array([math.erf(place) for place in x])]
    for n in range(1, ORDER + 1):
        terms.append((-1) ** (n - 1) * np.polynomial.hermite.hermval(x, [0.0] * (n - 1) + [1.0]) * slope / math.factorial(n))
    return np.array(terms)


_SERIES = _series()
