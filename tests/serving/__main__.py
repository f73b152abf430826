"""Serves a model repository on this machine with the Triton of the tests, until Ctrl-C: `make serve REPOSITORY=...`.

Its core and protocols are Triton's own, its onnxruntime and pytorch backends are the stand-ins in backends/: to try a repository, not to
measure or deploy one.
"""

import contextlib
import signal
import sys
import tempfile
from pathlib import Path

from tests.serving.servers import Triton, why_not

if __name__ == "__main__":
    if why_not() or len(sys.argv) != 2 or not sys.argv[1] or not Path(sys.argv[1]).is_dir():
        sys.exit(why_not() or f"expected a model repository, as `preproc package` writes it, got {sys.argv[1:]}; make serve REPOSITORY=...")
    for end in (signal.SIGINT, signal.SIGTERM):
        signal.signal(end, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        server = Triton(sys.argv[1], folder, poll=True, ports=(8000, 8001, 8002))
        try:
            with contextlib.suppress(KeyboardInterrupt), server:
                print(f"{server.name}, Python stand-ins for its backends: {', '.join(server.urls.values())} (Ctrl-C ends it)", flush=True)
                signal.pause()
        except RuntimeError as error:
            sys.exit(str(error))
