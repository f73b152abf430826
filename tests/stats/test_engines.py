"""Whoever counts: the same bits however the work is split, whoever dies of it, and whenever Ctrl-C comes."""

import hashlib
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

import preproc
from preproc.errors import PreprocError
from preproc.host.engines import choice, local
from preproc.stats import Stats, StatsInterruptedError, compute, compute_stats
from tests.conftest import ROOT
from tests.stats.making import of_array, pictures, run, save_all, total


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("chunk", [1, 7, 200])
def test_workers_and_chunks_do_not_change_a_bit(folder, expected, monkeypatch, workers, chunk):
    monkeypatch.setattr(choice, "CHUNK", chunk)
    assert compute_stats(folder, workers=workers).accumulator.to_bytes() == expected


def alive(*, beside=()):
    """The workers; beside those of these pids, which may be dead and not yet waited for."""
    children = [child for child in psutil.Process().children(recursive=True) if child.pid not in beside]
    return [child for child in children if any("preproc.host.engines.worker" in word for word in child.cmdline())]


def test_a_killed_worker_costs_nothing_but_time(folder, expected, monkeypatch):
    monkeypatch.setattr(choice, "CHUNK", 2)
    killed = []

    def kill(done, _):
        if done in (10, 30):
            killed.append(alive(beside=killed)[0].pid)
            os.kill(killed[-1], signal.SIGKILL)

    stats = compute_stats(folder, workers=2, progress=kill)
    assert len(set(killed)) == 2
    assert stats.accumulator.to_bytes() == expected
    assert not stats.broken
    assert not alive()


DEADLY = """
import os
from preproc.host.engines import worker
from preproc.stats.counting import chunk
real = chunk.count_file
chunk.count_file = lambda data, **options: os._exit(1) if str(data).endswith("007.png") else real(data, **options)
worker.main()
"""


def test_a_picture_that_decoders_die_of_is_told(tmp_path, monkeypatch):
    arrays = pictures(20)
    monkeypatch.setattr(local, "PROGRAM", DEADLY)
    stats = compute_stats(save_all(tmp_path / "p", arrays), workers=2)
    assert stats.broken == (
        (str(tmp_path / "p" / "007.png"), "expected a picture that can be decoded, got one that a worker process died of, twice"),
    )
    assert stats.accumulator.to_bytes() == total([of_array(array) for number, array in enumerate(arrays) if number != 7]).to_bytes()


def test_workers_that_cannot_start_end_it_with_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "PROGRAM", "import os; os._exit(9)")
    done = run("stats", save_all(tmp_path / "p", pictures(3)), "--workers", "2", check=1)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("preproc: error")]
    assert "expected worker processes that begin, got one that ended with code 9 before it had" in line
    assert "[worker-failed]" in line


def test_dask_gives_the_same_bytes_though_a_worker_is_killed(folder, expected):
    """In a process of its own: distributed starts threads and event loops that do not end at once."""
    code = f"""
import os, signal, psutil
from preproc.stats import compute_stats
from preproc.host.engines import choice

def kill(done, total, killed=[]):
    if not killed:
        killed.append(next(c.pid for c in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(c.cmdline())))
        os.kill(killed[0], signal.SIGKILL)

if __name__ == "__main__":
    for choice.CHUNK, progress in ((50, lambda done, total: None), (3, kill)):
        stats = compute_stats({str(folder)!r}, workers=2, engine="dask", progress=progress)
        assert not stats.broken
        print(stats.accumulator.sha256())
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == [hashlib.sha256(expected).hexdigest()] * 2, done.stderr


INTERRUPTED = """
import os, signal, sys, time
from preproc.stats import compute
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs, as these tests may be, are born ignoring it
real = compute.perform

def perform(*arguments, **options):
    for number, found in enumerate(real(*arguments, **options)):
        yield found
        if number == 1:
            os.killpg(0, signal.SIGINT)  # as a terminal does
            time.sleep(20)

compute.perform = perform
from preproc.cli import main
main()
"""


def test_ctrl_c_leaves_a_valid_partial_file(folder, expected, tmp_path):
    out = tmp_path / "s.json"
    command = [sys.executable, "-c", INTERRUPTED, "stats", folder, "-o", out, "--workers", "2"]
    start = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, start_new_session=True)
    assert time.monotonic() - start < 15
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    stats = Stats.load(out)
    assert f"interrupted; {stats.images} pictures are counted, in {out}, which says so" in done.stderr
    assert (stats.partial, stats.images - 2 * stats.stacks, len(stats.remaining)) == (True, 64, 56)  # one file has three frames
    with pytest.raises(PreprocError, match="got those of an interrupted run"):
        preproc.Normalize.from_stats(out)
    run("stats", out, folder, "-o", out)
    assert Stats.load(out).accumulator.to_bytes() == expected
    assert not Stats.load(out).partial


def test_ctrl_c_in_python_keeps_what_was_done_and_the_rest_can_follow(folder, expected, tmp_path):
    def interrupt(done, _):
        if done >= 40:
            raise KeyboardInterrupt

    with pytest.raises(StatsInterruptedError) as caught:
        compute_stats(folder, workers=1, progress=interrupt)
    assert caught.value.stats.partial
    assert 40 <= caught.value.stats.images < 120
    assert not alive()
    caught.value.stats.save(tmp_path / "s.json")
    assert compute_stats([tmp_path / "s.json", folder / "b" / "c"]).partial
    with pytest.raises(PreprocError, match=r"expected some of the .* pictures that remain, got none"):
        compute_stats([tmp_path / "s.json", save_all(tmp_path / "others", pictures(1))])
    whole = compute_stats([tmp_path / "s.json", folder])
    assert whole.accumulator.to_bytes() == expected
    assert not whole.partial


def test_dask_is_needed_before_the_search(monkeypatch):
    monkeypatch.setattr(compute, "search", lambda *_: pytest.fail("it was searched"))
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(PreprocError, match=r"expected dask\.distributed"):
        preproc.compute_stats("anything", engine="dask")
