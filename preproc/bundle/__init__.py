"""What lies on disk: the contract that each file carries, the manifest, golden samples, and how a folder is published.

In: files that were verified, with their report. Out: a folder that is whole or is not there; or its contents, every byte checked.
Never: torch; a file that is not what the manifest says.
"""

from . import contract
from .contract import EIGHT, KEY, outputs_of, precision_of, steps_of
from .golden import golden_files, write_golden
from .manifest import (
    Bundle,
    equal_bundle,
    executorch_contract,
    hashes,
    open_bundle,
    package_contract,
    sha256,
    strays,
    torch_contract,
    write_manifest,
)
from .publishing import MANIFEST, check_target, publishing
from .recipes import front_of, further_of, precisions_of, to_recipe

__all__ = [
    "EIGHT",
    "KEY",
    "MANIFEST",
    "Bundle",
    "check_target",
    "contract",
    "equal_bundle",
    "executorch_contract",
    "front_of",
    "further_of",
    "golden_files",
    "hashes",
    "open_bundle",
    "outputs_of",
    "package_contract",
    "precision_of",
    "precisions_of",
    "publishing",
    "sha256",
    "steps_of",
    "strays",
    "to_recipe",
    "torch_contract",
    "write_golden",
    "write_manifest",
]
