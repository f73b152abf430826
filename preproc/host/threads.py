"""How many threads the libraries compute with, and that those which wait sleep: in the environment, which they read when imported."""

import os
import sys

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""What OpenMP and the BLAS libraries of torch and NumPy read."""


def yielding() -> None:
    """OpenMP's threads sleep while they wait for each other, unless the user has said otherwise. By default they spin: beside other jobs,
    an export of mobilenet_v3_small on two cores took 128 s of CPU time instead of 37 s."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def use(count: int) -> None:
    """For this process and those that it starts."""
    os.environ.update(dict.fromkeys(VARIABLES, str(count)))
    torch = sys.modules.get("torch")
    if torch is not None:  # it has read them already
        torch.set_num_threads(count)


def asked() -> int:
    """What OMP_NUM_THREADS says, for ONNX Runtime, which does not read it; 0: as many as there are cores."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() else 0
