"""The bundle that is packaged, and Triton's own reading of a config.pbtxt."""

from preproc.export.serving import triton
from tests.conftest import ROOT

DIGITS = ROOT / "export" / "digits"


def config_of(version):
    return triton.parse((version.parent / "config.pbtxt").read_text(), "config.pbtxt")
