"""The tests. Several workers share the cores: with a thread each per core they wait for each other, spinning, and an export takes four to
eight times as long. The libraries read it when they are imported."""

import os

from preproc.host import threads

_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0"))
if _WORKERS:
    threads.yielding()
if _WORKERS and not threads.asked():
    threads.use(max((os.cpu_count() or 1) // _WORKERS, 1))
