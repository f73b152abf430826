"""Clients of a server of the digits, and whether its answers are right."""

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from preproc.bundle import open_bundle
from preproc.errors import PreprocError
from preproc.export.serving.client import Served
from preproc.oracle import reference
from preproc.sources import load_recipe
from preproc.verify import judge
from tests.conftest import ROOT

DIGITS = ROOT / "export" / "digits"
BUNDLE = open_bundle(DIGITS)
CASES = BUNDLE.golden()
POWER = BUNDLE.report.power
PIXELS = np.concatenate([case.pixels for case in CASES])
LOGITS = np.concatenate([case.expected["logits"] for case in CASES])
CLIENTS = 4
READY = {"name": "preproc_ready", "dtype": "float32", "shape": ["N", 3, 32, 32]}
"""What the bare network takes."""


def prepared(pixels):
    """What a client of the bare network computes itself."""
    return reference.apply(load_recipe(ROOT / "models" / "digits.toml").steps, pixels).astype(np.float32)


def client_of(server, protocol, *, binary=True, model="digits"):
    contract = BUNDLE.contract | ({"input": READY} if model == "bare" else {})
    return Served(server.urls[protocol], contract, model=model, binary=binary)


@contextlib.contextmanager
def connected(server, protocol, *, binary=True, model="digits"):
    served = client_of(server, protocol, binary=binary, model=model)
    try:
        served.open(DIGITS)
        yield served
    finally:
        served.close()


def wrong(logits, expected):
    """Whether an answer is off by more than the bundle's tolerance."""
    return logits.shape != expected.shape or np.abs(logits - expected).max() / POWER.scale["logits"] > POWER.tolerance


def judge_golden(server, protocol, **which):
    """With a client of its own, which judging closes."""
    served = client_of(server, protocol, **which)
    result = judge(served, DIGITS, CASES, POWER)
    assert result.verdict == "passed", result.reason
    assert result.pictures == len(CASES)
    return result


def many(server, protocol, requests, sizes, *, model="digits", binary=True):
    """Requests from CLIENTS clients at once, of mixed batch sizes; how many answers were right, wrong or missing, the latencies, and the
    time that all took."""
    pixels = prepared(PIXELS) if model == "bare" else PIXELS
    outcomes, seconds, lock = {"right": 0, "wrong": 0, "lost": 0}, [], threading.Lock()

    def client(number):
        rng = np.random.default_rng(number)
        with connected(server, protocol, model=model, binary=binary) as served:
            for _ in range(requests // CLIENTS):
                chosen = rng.integers(0, len(PIXELS), rng.choice(sizes))
                try:
                    outcome = "wrong" if wrong(served.run(pixels[chosen])["logits"], LOGITS[chosen]) else "right"
                except PreprocError:
                    outcome = "lost"
                with lock:
                    outcomes[outcome] += 1
            with lock:
                seconds.extend(served.seconds)

    start = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS)))
    return outcomes, seconds, time.perf_counter() - start
