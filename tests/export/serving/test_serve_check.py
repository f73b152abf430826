"""The check of a server, on one that a test spoils; tests/serving/ has the real ones."""

import contextlib
import json
import socket
import threading

import numpy as np
import pytest

from preproc.errors import PreprocError
from preproc.export.serving import serve_check
from preproc.export.serving.client import Address
from tests.commands import run
from tests.conftest import ROOT
from tests.export.serving.fake import serving

DIGITS = ROOT / "export" / "digits"


@pytest.fixture
def fake():
    """Starts Fake with attributes; answers its URL."""
    with contextlib.ExitStack() as started:
        yield lambda **attributes: started.enter_context(serving(**attributes))


def test_a_server_that_answers_right_passes(fake):
    report, latency = serve_check(fake(), DIGITS, requests=9)
    (result,) = report.results
    assert (report.ok, result.verdict, result.pictures, result.top1) == (True, "passed", 7 + 7 + 9, 1.0)
    assert result.ran == "fake 1, digits version 3, HTTP, binary"
    assert latency.requests == 9
    assert 0 < latency.p50 <= latency.p95


@pytest.mark.parametrize("names", [("pixels", "logits__0"), ("INPUT__0", "OUTPUT__0"), ("pixels__0", "logits__0")], ids=str)
def test_names_that_tritons_pytorch_backend_demands_are_those_of_the_contract(fake, names):
    (result,) = serve_check(fake(names=names), DIGITS, requests=1)[0].results
    assert (result.verdict, result.reason) == ("passed", None)
    wrong = tuple(name.replace("__0", "__1") for name in names)
    assert serve_check(fake(names=wrong), DIGITS, requests=1)[0].results[0].verdict == "failed"


def spoilt(change):
    return {"spoil": staticmethod(change)}


def telling(name="pixels", datatype="UINT8", shape=(-1, 32, 32, 3)):
    return {"metadata": {"inputs": [{"name": name, "datatype": datatype, "shape": list(shape)}]}}


MORE = [{"name": "logits", "datatype": "FP32", "shape": [-1, 10]}, {"name": "more", "datatype": "FP32", "shape": [-1]}]
WRONG = {
    "a shift": (spoilt(lambda logits: logits + 0.001), "error"),
    "other classes": (spoilt(lambda logits: logits[:, ::-1]), "error"),
    "fewer classes": (spoilt(lambda logits: logits[:, :9]), "expected logits of shape"),
    "no numbers": (spoilt(lambda logits: logits * np.float32("nan")), "error inf"),
    "an error": ({"status": 500}, "on image-0"),
    "other rows": (spoilt(lambda logits: logits[::-1]), "on 7 samples together, tolerance"),
    "fewer rows": (spoilt(lambda logits: logits[:1]), "on 7 samples together: expected logits of shape"),
    "more outputs": ({"metadata": {"outputs": MORE}}, "expected logits on the server, got logits, more"),
    "no name": ({"metadata": {"outputs": [{}]}}, "expected metadata of the Open Inference Protocol"),
    "no table": ({"metadata": {"inputs": ["pixels"]}}, "expected metadata of the Open Inference Protocol"),
    "another dtype": (telling(datatype="FP32"), "in UINT8, got FP32"),
    "another shape": (telling(shape=(-1, 3, 32, 32)), "of shape"),
    "another name": (telling("image"), "expected pixels on the server, got image"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_server_that_answers_wrong_fails(fake, wrong):
    attributes, message = WRONG[wrong]
    report, latency = serve_check(fake(**attributes), DIGITS)
    (result,) = report.results
    assert (result.verdict, report.ok, latency) == ("failed", False, None)
    assert message in result.reason


@pytest.mark.parametrize(
    ("misread", "named"),
    [
        (lambda pixels: pixels[..., ::-1], "channels swapped"),
        (lambda pixels: np.rot90(pixels, -1, (1, 2)), "turned by 90 degrees clockwise"),
        (lambda pixels: 255 - pixels, None),
    ],
    ids=["swapped", "turned", "negative"],
)
def test_a_server_that_feeds_the_model_wrongly_is_told_how(fake, misread, named):
    (result,) = serve_check(fake(misread=staticmethod(lambda pixels: np.ascontiguousarray(misread(pixels)))), DIGITS, requests=1)[0].results
    assert (result.verdict, result.explained) == ("failed", (named,) if named else ())
    assert ("answers the same to a wrong input" in result.reason) == (named is not None)


def test_an_answer_of_another_version_and_late_mistakes_fail(fake):
    report, _ = serve_check(fake(), DIGITS, version="7")
    assert "expected an answer of version 7, got one of version 3" in report.results[0].reason
    calls = []

    def late(logits):
        calls.append(1)
        return logits if len(calls) <= 9 else np.zeros_like(logits)

    report, latency = serve_check(fake(spoil=staticmethod(late)), DIGITS)
    assert (report.results[0].verdict, latency) == ("failed", None)


@pytest.mark.parametrize("limit", [1, 3, 8, 0])
def test_no_more_pictures_at_once_than_the_server_takes(fake, limit):
    """As Triton tells it; 0 there is a model that takes what it is given."""
    sizes = []

    def seen(logits):
        sizes.append(len(logits))
        return logits

    attributes = {"limit": limit} if limit else {"limit": 1000, "metadata": {}}
    (result,) = serve_check(fake(spoil=staticmethod(seen), **attributes), DIGITS, requests=1)[0].results
    assert result.verdict == "passed", result
    assert sizes == [*[1] * 7, *{1: [1] * 7, 3: [3, 3, 1], 8: [7], 0: [7]}[limit], 1]
    assert f"up to {limit or 1000} picture{'' if limit == 1 else 's'} a request" in result.ran


def test_a_server_without_the_binary_extension_gets_json(fake):
    (result,) = serve_check(fake(extensions=()), DIGITS, requests=2)[0].results
    assert (result.verdict, result.ran) == ("passed", "fake 1, digits version 3, HTTP, JSON")


def test_a_server_that_tells_no_values_is_judged_by_its_answers(fake):
    assert serve_check(fake(metadata={"inputs": [], "outputs": []}), DIGITS)[0].ok


def test_the_command(fake):
    url = fake()
    done = run("serve-check", url, "--bundle", DIGITS, "--requests", "5")
    assert done.returncode == 0, done.stderr
    assert "latency of a golden sample: p50" in done.stdout
    told = json.loads(run("serve-check", url, "--bundle", DIGITS, "--json").stdout)
    assert (told["ok"], told["latency"]["requests"]) == (True, 50)
    for arguments, message in (
        ([url, "--bundle", DIGITS, "--model", "nothing"], "the model nothing on fake 1 (--model), got: unknown model (status 404)"),
        (["http://127.0.0.1:1", "--bundle", DIGITS], "Connection refused"),
        (["grpc://127.0.0.1:1", "--bundle", DIGITS], "absent: expected a server at grpc://127.0.0.1:1"),
        (["127.0.0.1:8000", "--bundle", DIGITS], "expected the URL of a server"),
        ([url, "--bundle", DIGITS / "golden"], "expected a bundle"),
        ([url, "--bundle", DIGITS, "--requests", "0"], "at least one request"),
        ([url, "--bundle", DIGITS, "--requests", "1000000000"], "100,000 at most"),
        ([url.replace("http", "grpc"), "--bundle", DIGITS], "is it its port for HTTP?"),
    ):
        done = run("serve-check", *arguments)
        assert done.returncode == 1
        assert message in done.stderr
        assert "Traceback" not in done.stderr
        assert (done.stdout, len(done.stderr.splitlines())) == ("", 1)


REPLIES = {
    "garbage": b"garbage\r\n\r\n",
    "nothing": b"",
    "a page": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhtml",
    "not found": b"HTTP/1.1 404 Not Found\r\nContent-Length: 15\r\n\r\n<html>no</html>",
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
    "a part": b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\nhtml",
}


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("scheme", ["http", "https", "grpc", "grpcs"])
def test_what_is_no_server_of_the_protocol_is_absent(reply, scheme, capfd):
    with socket.create_server(("127.0.0.1", 0)) as line:

        def answer():
            while True:
                try:
                    client, _ = line.accept()
                    with client:
                        client.recv(65536)
                        client.sendall(REPLIES[reply])
                except OSError:
                    return

        threading.Thread(target=answer, daemon=True).start()
        url = f"{scheme}://127.0.0.1:{line.getsockname()[1]}"
        (result,) = serve_check(url, DIGITS)[0].results
        line.shutdown(socket.SHUT_RDWR)
    assert (result.verdict, url in result.reason) == ("absent", True), result
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "url", ["", "host:8000", "ftp://host", "http://", "grpc://host", "grpc://host:8001/x", "http://h:x", "http://u@h:1"]
)
def test_what_is_no_url(url):
    with pytest.raises(PreprocError, match=r"URL of a server|grpc://host:port"):
        Address.of(url)


def test_urls():
    assert Address.of("https://host/base/") == Address("http", "host/base", True)
    assert Address.of("grpc://host:8001") == Address("grpc", "host:8001", False)
