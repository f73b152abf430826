"""Triton and its repository: new versions under load, killed servers, the warm-up, and how strict it is."""

import shutil
import threading
import time

import pytest

from preproc.errors import PreprocError
from preproc.export.serving import package, serve_check
from tests.embed.programs import COMPILER
from tests.serving.asking import CLIENTS, DIGITS, LOGITS, PIXELS, connected, wrong
from tests.serving.servers import Triton, for_this_core, why_not

pytestmark = [pytest.mark.serve, pytest.mark.skipif(why_not() is not None, reason=str(why_not()))]


def test_a_new_version_under_load(tmp_path, monkeypatch):
    """Written slowly, and looked for every second: the version that is served is not loaded again."""
    package(DIGITS, tmp_path / "repo")
    copyfile = shutil.copyfile

    def slowly(source, target, **options):
        time.sleep(2.5)
        copyfile(source, target, **options)

    with Triton(tmp_path / "repo", tmp_path, poll=True) as server:
        stop, versions, faults = threading.Event(), [], []

        def client():
            with connected(server, "grpc") as served:
                while not stop.is_set():
                    try:
                        if wrong(served.run(PIXELS)["logits"], LOGITS):
                            faults.append("wrong")
                    except PreprocError as error:
                        faults.append(str(error))
                    versions.append(served.served)

        threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        monkeypatch.setattr(shutil, "copyfile", slowly)
        package(DIGITS, tmp_path / "repo")
        end = time.monotonic() + 40
        while time.monotonic() < end and versions[-CLIENTS:].count("2") < CLIENTS:
            time.sleep(0.2)
        stop.set()
        for thread in threads:
            thread.join()
    assert not faults, faults[:3]
    assert {"1", "2"} == set(versions)
    log = server.log.read_text()
    assert (log.count("loading: digits:1"), log.count("loading: digits:2"), "ignore" in log) == (1, 1, False)


def test_killed_and_restarted(tmp_path):
    package(DIGITS, tmp_path / "repo")
    server = Triton(tmp_path / "repo", tmp_path)
    with server, connected(server, "http") as served:
        assert not wrong(served.run(PIXELS)["logits"], LOGITS)
        server.kill()
        with pytest.raises(PreprocError, match="expected a server"):
            served.run(PIXELS)
        assert serve_check(server.urls["http"], DIGITS)[0].results[0].verdict == "absent"
        server.start()
        assert not wrong(served.run(PIXELS)["logits"], LOGITS)


@pytest.mark.parametrize("max_batch", [8, 0])
def test_the_model_is_warmed_up(tmp_path, max_batch):
    """With the golden sample: bytes that are none keep it from starting."""
    warmup = package(DIGITS, tmp_path / "repo", max_batch=max_batch).parent / "warmup" / "pixels"
    warmup.write_bytes(warmup.read_bytes()[:-1])
    server = Triton(tmp_path / "repo", tmp_path)
    with pytest.raises(RuntimeError, match="did not start"), server:
        pass
    assert "warmup" in server.log.read_text()


def test_what_a_killed_run_leaves_in_a_model_is_passed_over(tmp_path):
    (package(DIGITS, tmp_path / "repo").parent / ".digits.new-1-x" / "digits").mkdir(parents=True)
    with Triton(tmp_path / "repo", tmp_path) as server:
        assert serve_check(server.urls["http"], DIGITS)[0].ok


@pytest.mark.parametrize(
    ("old", "new"),
    [('name: "digits"', 'name: "other"'), ("TYPE_FP32", "TYPE_FP16"), ("dims: 10", "dims: 11"), ("max_batch_size: 8", "max_batch_size: 3")],
)
def test_the_server_is_strict_about_the_configuration(tmp_path, old, new):
    """What our own configuration passes, a wrong one does not."""
    config = package(DIGITS, tmp_path / "repo").parent / "config.pbtxt"
    text = config.read_text()
    assert text.count(old) == 1
    config.write_text(text.replace(old, new))
    server = Triton(tmp_path / "repo", tmp_path)
    with pytest.raises(RuntimeError, match="did not start"), server:
        pass


@pytest.mark.skipif(bool(COMPILER), reason="no C++ compiler")
@pytest.mark.parametrize(("old", "new"), [("INPUT__0", "pixels"), ("OUTPUT__0", "OUTPUT__1")])
def test_names_that_a_package_has_not_are_refused(tmp_path, packaged, old, new):
    config = package(packaged, tmp_path / "repo", backend="aoti").parent / "config.pbtxt"
    for_this_core(config)
    config.write_text(config.read_text().replace(old, new))
    server = Triton(tmp_path / "repo", tmp_path)
    with pytest.raises(RuntimeError, match="did not start"), server:
        pass
