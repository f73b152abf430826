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


def serve(folder: str, port: int) -> ThreadingHTTPServer:
    """port: 0 for any that is free. Raises OSError where it is taken."""
    return ThreadingHTTPServer(("127.0.0.1", port), functools.partial(Handler, directory=folder))


if __name__ == "__main__":
    folder, port = sys.argv[1], int(sys.argv[2])
    try:
        server = serve(folder, port)
    except OSError as error:
        sys.exit(f"port {port}: expected a free one, got: {error.strerror}; try make web PORT={port + 1}")
    print(f"open 127.0.0.1:{port}/embed/web/ in a browser (Ctrl-C ends it)", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()
