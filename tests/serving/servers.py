"""Real servers on the loopback interface, as processes of the venv that `make setup-serve` makes."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
import urllib.request
from pathlib import Path

from tests.conftest import ROOT

VENV = Path(os.environ.get("PREPROC_SERVE_VENV", ROOT / ".venv-serve"))
HERE = Path(__file__).parent
AOTI = "torch_aoti"
"""A platform of Triton's pytorch backend since release 26.03. The core here is older: it takes it with a backend of that name only."""
PATIENCE = 60.0
"""Seconds until a server that does not answer has failed."""


def why_not():
    """Why no server can be started here, or None."""
    if not (VENV / "bin" / "python").exists():
        return f"no {VENV.name}: make setup-serve"
    return None


def free_port():
    """Below those that the system gives to connections, which might take it before the server does."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


class Triton:
    """Triton's own core and protocols (the binary in nvidia-pytriton), strict about config.pbtxt; backends/ stands in for its C++ ones."""

    name = "Triton 2.51.0"

    def __init__(self, repository, folder, *, poll=False, ports=None):
        """folder: for its backends and log.  ports: of HTTP, gRPC and metrics; None: any that are free."""
        self.repository, self.folder, self.poll = Path(repository), Path(folder), poll
        self.http, self.grpc, self.metrics = ports or (free_port(), free_port(), free_port())
        self.log, self.shared = self.folder / "triton.log", f"preproc_{self.http}_"

    @property
    def urls(self):
        return {"http": f"http://127.0.0.1:{self.http}", "grpc": f"grpc://127.0.0.1:{self.grpc}"}

    def start(self, *, ready=True):
        packages = next((VENV / "lib").glob("python3.*")) / "site-packages"
        triton, backends = packages / "pytriton" / "tritonserver", self.folder / "backends"
        if not backends.exists():
            shutil.copytree(triton / "backends" / "python", backends / "python")
            stub = triton / "python_backend_stubs" / sysconfig.get_python_version() / "triton_python_backend_stub"
            shutil.copy(stub, backends / "python")
            for own in (HERE / "backends").iterdir():
                shutil.copytree(own, backends / own.name, ignore=shutil.ignore_patterns("__pycache__"))
            shutil.copytree(backends / "pytorch", backends / AOTI)
        libraries = f"{packages / 'nvidia_pytriton.libs'}:{sysconfig.get_config_var('LIBDIR')}"
        environment = {
            "PATH": f"{VENV / 'bin'}:/usr/bin:/bin",
            "LD_LIBRARY_PATH": libraries,
            "ORT_DISABLE_TELEMETRY": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
        }
        arguments = {
            "model-repository": self.repository,
            "backend-directory": backends,
            "http-address": "127.0.0.1",
            "http-port": self.http,
            "grpc-address": "127.0.0.1",
            "grpc-port": self.grpc,
            "metrics-address": "127.0.0.1",
            "metrics-port": self.metrics,
            "allow-gpu-metrics": "false",
            "model-control-mode": "poll" if self.poll else "none",
            "repository-poll-secs": 1,
            "exit-on-error": "true",
            "exit-timeout-secs": 5,
            "backend-config": f"python,shm-region-prefix-name={self.shared}",
        }
        command = [triton / "bin" / "tritonserver", *(f"--{key}={value}" for key, value in arguments.items())]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--disable-auto-complete-config"], env=environment, stdout=log, stderr=log, start_new_session=True
            )
        if ready:
            try:
                self.wait()
            except BaseException:
                self.kill()
                raise
        return self

    def wait(self):
        wait_for(f"{self.urls['http']}/v2/health/ready", self.process, self.log)

    def kill(self):
        """SIGKILL, and what that leaves in shared memory."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for left in Path("/dev/shm").glob(f"{self.shared}*"):
            with contextlib.suppress(OSError):
                left.unlink()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(15)
        self.kill()


def for_this_core(config):
    """The one change to the config.pbtxt of an AOTInductor package that lets a core serve it which is older than the platform."""
    text = config.read_text()
    assert text.count(f'platform: "{AOTI}"') == text.count('backend: "pytorch"') == 1
    config.write_text(text.replace('backend: "pytorch"', f'backend: "{AOTI}"'))


class KServe:
    """KServe's own gRPC server around ONNX Runtime: a second implementation of the Open Inference Protocol."""

    name = "KServe 0.21.0"

    def __init__(self, bundle, folder):
        self.bundle, self.log, self.grpc = Path(bundle), Path(folder) / "kserve.log", free_port()

    @property
    def urls(self):
        return {"grpc": f"grpc://127.0.0.1:{self.grpc}"}

    def __enter__(self):
        environment = {"PATH": f"{VENV / 'bin'}:/usr/bin:/bin", "ORT_DISABLE_TELEMETRY": "1", "HOME": str(self.log.parent)}
        command = [VENV / "bin" / "python", HERE / "kserve_server.py", self.bundle, str(self.grpc)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        wait_for_port(self.grpc, self.process, self.log)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def wait_for(url, process, log):
    """Until the URL answers 200."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def answers():
        with opener.open(url, timeout=5) as response:
            return response.status == 200

    _until(answers, process, log)


def wait_for_port(port, process, log):
    def answers():
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            return True

    _until(answers, process, log)


def _until(answers, process, log):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            if answers() and process.poll() is None:  # else another one answers there
                return
        time.sleep(0.1)
    lines = log.read_text().splitlines()
    told = [line for line in lines if line.startswith("E") or "error" in line.lower()] or lines
    raise RuntimeError("the server did not start:\n" + "\n".join(told[-20:]))
