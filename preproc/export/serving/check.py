"""Whether a running server answers what a bundle promises: what an operator runs after a deploy."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...bundle import open_bundle
from ...errors import PreprocError
from ...verify import FAILED, INCONCLUSIVE, PASSED, Report, judge
from .. import explained
from .batches import in_one_request
from .client import Served

REQUESTS = 50
"""Requests of one golden sample whose latency is measured, behind the first ones, which warm up."""
MOST = 100_000
"""Requests."""


@dataclass(frozen=True)
class Latency:
    """Of requests of one golden sample each, one after the other, in seconds."""

    requests: int
    p50: float
    p95: float


def serve_check(
    url: str, bundle_dir: str | Path, *, model: str | None = None, version: str | None = None, requests: int = REQUESTS
) -> tuple[Report, Latency | None]:
    """Sends the bundle's golden samples to a server of the Open Inference Protocol and judges its answers as verify does.

    Every sample alone, and all of one size in one request, or in as few as the server takes.
    url: http://host:8000, https://, grpc://host:8001 or grpcs://.  model, version: its name there, by default the bundle's, and the version
    that is served by default.  requests: how many are timed.
    Raises BundleError for a damaged bundle, PreprocError for what is no URL. A server that does not answer, or not for this model, is a
    verdict: absent. Latency is None where the answers are wrong.
    """
    if not 1 <= requests <= MOST:
        raise PreprocError(f"expected at least one request, {MOST:,} at most, got {requests}", name="option-value")
    bundle = open_bundle(bundle_dir)
    cases, power = bundle.golden(), bundle.report.power
    served = Served(url, bundle.contract, model=model, version=version)
    timed = [cases[position % len(cases)] for position in range(requests)]
    together = in_one_request(bundle.contract, cases)
    asked = [*cases, *together, *timed]  # the timed ones, too
    result = judge(served, bundle.folder, asked, power, bare=bundle.report.bare_errors(served), explain=explained(bundle))
    if result.verdict == FAILED and served.served:
        result = replace(result, reason=f"{result.reason}; version {served.served} answered: is the bundle that one?")
    latency = None
    if result.verdict in (PASSED, INCONCLUSIVE):
        p50, p95 = np.percentile(served.seconds[-requests:], (50, 95))
        latency = Latency(requests, float(p50), float(p95))
    agree = str(bundle.contract["backbone"]["constants_agree"])
    return Report(
        str(bundle.contract["name"]), bundle.against_golden(), agree, power, (result,), tuple(case.name for case in cases)
    ), latency


def to_json(report: Report, latency: Latency | None) -> Mapping[str, Any]:
    return report.to_json() | {"latency": None if latency is None else asdict(latency)}
