"""Serves a model repository on this machine with the Triton of the tests, until Ctrl-C: `make serve REPOSITORY=...`.

Its core and protocols are Triton's own, its onnxruntime and pytorch backends are the stand-ins in backends/: to try a repository, not to
measure or deploy one.
"""

import contextlib
import signal
import socket
import sys
import tempfile
from pathlib import Path

from tests.serving.servers import AOTI, Triton, why_not

PORTS = (8000, 8001, 8002)
"""Triton's own: of HTTP, gRPC and metrics."""


def main(repository: str) -> None:
    if why_not():
        sys.exit(why_not())
    if not repository or not any(Path(repository).glob("*/config.pbtxt")):
        sys.exit(f"expected a model repository, as `preproc package` writes it, got {repository or 'none'}; make serve REPOSITORY=...")
    if any(AOTI in file.read_text(encoding="utf-8") for file in Path(repository).glob("*/config.pbtxt")):
        sys.exit(f"expected models for {Triton.name}, whose core knows no {AOTI}; package them with --backend onnxruntime or pytorch")
    for port in PORTS:
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError as error:
            sys.exit(f"port {port}: expected a free one, got: {error.strerror}")
    for end in (signal.SIGINT, signal.SIGTERM):
        signal.signal(end, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        server = Triton(repository, folder, poll=True, ports=PORTS)
        try:
            with contextlib.suppress(KeyboardInterrupt), server:
                print(f"{server.name}, Python stand-ins for its backends: {', '.join(server.urls.values())} (Ctrl-C ends it)", flush=True)
                server.process.wait()
                sys.exit(f"it has ended:\n{server.log.read_text()[-1000:]}")
        except RuntimeError as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
