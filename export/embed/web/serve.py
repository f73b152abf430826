"""Serves a folder on the loopback interface, for `make web`. The browser keeps nothing, so that a new bundle is seen at once."""

import functools
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer


class Handler(SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that hangs up is none."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def serve(folder: str, port: int) -> ThreadingHTTPServer:
    """port: 0 for any that is free. Raises OSError where it is taken."""
    return Server(("127.0.0.1", port), functools.partial(Handler, directory=folder))


def main(folder: str, port: str) -> None:
    if not port.isdecimal() or not 0 < int(port) < 65536:
        sys.exit(f"expected a port, 1 to 65535, got {port!r}; make web PORT=8080")
    try:
        server = serve(folder, int(port))
    except OSError as error:
        sys.exit(f"port {port}: expected a free one, got: {error.strerror}; try make web PORT={int(port) + 1}")
    print(f"open 127.0.0.1:{port}/embed/web/ in a browser (Ctrl-C ends it)", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
