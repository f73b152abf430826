"""A runtime that answers as a test says, and what it is asked."""

import dataclasses

import numpy as np

from preproc.steps import FromPixels, Rescale
from preproc.verify import Case, Part, Power, Report, Result, make_cases
from preproc.verify.power import Control
from preproc.verify.rows import Rows
from preproc.verify.runtimes import Runtime


class Fake(Runtime):
    name, file = "ort-cpu", None

    def __init__(self, answer, *, absent=None, proof=None):
        self.answer, self.absent, self.proven, self.closed = answer, absent, proof, False

    def open(self, path):  # noqa: ARG002
        if self.absent:
            raise self.absent

    def run(self, pixels, others):  # noqa: ARG002
        return self.answer(pixels)

    def proof(self):
        if self.proven:
            raise self.proven
        return "a fake"

    def close(self):
        self.closed = True


EXPECTED = {"y": np.array([[1.0, 2.0]])}
CASES = [Case("one", np.zeros((1, 2, 2, 3), np.uint8), EXPECTED)]
POWER = Power({"y": 2.0}, 1e-7, 1e-6, (Control("mean shifted by one grey level", 0.1),), 0.01)
LISTED = dataclasses.replace(
    POWER,
    scale={"boxes": 2.0, "scores": 1.0},
    groups={"boxes[:, 0:4]": Part("boxes", 2.0, 1, (0, 1, 2, 3)), "boxes[:, 4:5]": Part("boxes", 1.0, 1, (4,))},
    rows=(Rows({"boxes": 0, "scores": 0}, {"scores": (0,)}),),
    numbers={"boxes": 3},
    slack=2e-4,
    slacks={"boxes[:, 0:4]": 2e-4, "boxes[:, 4:5]": 1e-5, "scores": 0.0},
)
LISTING = Report("m", "x", "yes", LISTED, (Result("ort-cpu", "passed", moved=2, rows=40),))
"""Boxes and scores of rows that are sorted by the scores."""


class Answers:
    """A backbone of a few pixels, told as a function."""

    mixed = untouched = frozenset()

    def __init__(self, function, *, per_picture=False):
        self.function, self.per_picture, self.asked = function, per_picture, []

    def __call__(self, x):
        self.asked.append(len(x))
        return {"y": self.function(x)}

    def others(self, batch):  # noqa: ARG002
        return {}


def made_of(truth, count=3):
    rng = np.random.default_rng(1)
    pictures = [(f"p{number}", rng.integers(0, 256, (1, 4, 4, 3), dtype=np.uint8)) for number in range(count)]
    return make_cases((FromPixels(layout="NHWC", color="RGB", to="RGB"), Rescale()), truth, pictures)[0]
