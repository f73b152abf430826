"""What lies on disk: the contract that each file carries, the manifest, golden samples, and how a folder is published.

In: files that were verified, with their report. Out: a folder that is whole or is not there; or its contents, every byte checked.
Never: torch; a file that is not what the manifest says.
"""

from . import contract
from .contract import KEY, front_of, steps_of, to_recipe
from .files import (
    MANIFEST,
    Bundle,
    check_target,
    equal_bundle,
    golden_files,
    hashes,
    open_bundle,
    publishing,
    sha256,
    strays,
    torch_contract,
    write_golden,
    write_manifest,
)

__all__ = [
    "KEY",
    "MANIFEST",
    "Bundle",
    "check_target",
    "contract",
    "equal_bundle",
    "front_of",
    "golden_files",
    "hashes",
    "open_bundle",
    "publishing",
    "sha256",
    "steps_of",
    "strays",
    "to_recipe",
    "torch_contract",
    "write_golden",
    "write_manifest",
]
