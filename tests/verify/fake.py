"""A runtime that answers as a test says, and what it is asked."""

import numpy as np

from preproc.verify import Case, Power
from preproc.verify.power import Control
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
