"""KServe answers the same."""

import pytest

from preproc.export.serving import serve_check
from tests.serving.asking import CLIENTS, DIGITS, judge_golden, many
from tests.serving.servers import KServe, why_not

pytestmark = [pytest.mark.serve, pytest.mark.skipif(why_not() is not None, reason=str(why_not()))]


def test_kserve_answers_the_same(tmp_path, capsys):
    with KServe(DIGITS, tmp_path) as server:
        result = judge_golden(server, "grpc")
        outcomes, _, wall = many(server, "grpc", 400, sizes=(1, 2, 5))
        assert outcomes == {"right": 400, "wrong": 0, "lost": 0}
        report, latency = serve_check(server.urls["grpc"], DIGITS)
        assert report.ok
    with capsys.disabled():
        p50 = f"p50 {latency.p50 * 1e3:.1f} ms, {400 / wall:.0f} requests/s from {CLIENTS} clients"
        print(f"\n  {server.name}, gRPC: error {result.error:.1e}, {p50}", end="")
