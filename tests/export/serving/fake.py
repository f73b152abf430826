"""A server of a bundle that a test may spoil."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType

import numpy as np

from preproc.verify.runtimes import OrtCpu
from tests.conftest import ROOT

DIGITS = ROOT / "export" / "digits"


class Fake(BaseHTTPRequestHandler):
    """The protocol's HTTP side around ONNX Runtime, with what a test spoils."""

    spoil = staticmethod(lambda logits: logits)
    misread = staticmethod(lambda pixels: pixels)
    metadata = MappingProxyType({})
    names = ("pixels", "logits")
    extensions = ("binary_tensor_data",)
    limit = None
    status = 200

    def log_message(self, *_):
        pass

    def do_GET(self):
        model = {"name": "digits", "versions": ["3"], "platform": "x"}
        model["inputs"] = [{"name": self.names[0], "datatype": "UINT8", "shape": [-1, 32, 32, 3]}]
        model["outputs"] = [{"name": self.names[1], "datatype": "FP32", "shape": [-1, 10]}]
        if self.path == "/v2":
            self.answer({"name": "fake", "version": "1", "extensions": list(self.extensions)})
        elif self.path.endswith("/config") and self.limit is not None:
            self.answer({"name": "digits", "max_batch_size": self.limit})
        elif self.path.endswith("/config"):
            self.answer({"error": "no such extension"}, 404)
        elif self.path.startswith("/v2/models/digits"):
            self.answer(model | dict(self.metadata))
        else:
            self.answer({"error": "unknown model"}, 404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert ("Inference-Header-Content-Length" in self.headers) == ("binary_tensor_data" in self.extensions)
        length = int(self.headers.get("Inference-Header-Content-Length", len(body)))
        (told,) = json.loads(body[:length])["inputs"]
        pixels = np.array(told["data"], np.uint8) if "data" in told else np.frombuffer(body[length:], np.uint8)
        pixels = pixels.reshape(told["shape"])
        if self.limit is not None and len(pixels) > self.limit:
            self.answer({"error": f"expected at most {self.limit}"}, 400)
            return
        (logits,) = self.server.runtime.run(self.misread(pixels)).values()
        logits = self.spoil(logits)
        assert told["name"] == self.names[0]
        output = {"name": self.names[1], "datatype": "FP32", "shape": list(logits.shape), "data": logits.ravel().tolist()}
        self.answer({"model_name": "digits", "model_version": "3", "outputs": [output]}, self.status)

    def answer(self, document, status=200):
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextlib.contextmanager
def serving(model=DIGITS / "model.onnx", **attributes):
    """Fake with these attributes around a model; gives its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Spoilt", (Fake,), attributes))
    server.daemon_threads = True
    server.runtime = OrtCpu()
    server.runtime.open(model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
