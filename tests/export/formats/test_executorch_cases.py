"""ExecuTorch's programs in a bundle: nobody's but its own is run, and the test cases beside it are the golden samples, by their bytes."""

import shutil

import numpy as np
import pytest

from preproc.bundle import equal_bundle, hashes, open_bundle
from preproc.errors import PreprocError
from preproc.export import export_bundle
from preproc.export.formats import executorch
from preproc.sources import load_recipe
from tests.commands import run
from tests.conftest import ROOT
from tests.damage import rehash
from tests.in_executorch import bundled, needed, once


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return once(tmp_path_factory)


@pytest.mark.parametrize("name", ["model.pte", "model.bpte"])
def test_a_bundle_with_another_programs_bytes_is_another_bundle(bundle, name):
    """It would be run, in place of the one that has just been written."""
    files = {key: entry for key, entry in hashes(bundle.folder).items() if not key.startswith("golden/")}
    assert equal_bundle(bundle.folder, bundle.contract, files, bundle.golden())
    other = files | {name: files[name] | {"sha256": "0" * 64}}
    assert not equal_bundle(bundle.folder, bundle.contract, other, bundle.golden())


def test_a_program_that_nobody_asked_for_is_not_verified(bundle):
    """And the module in Python, which passes, is none of the bundle's files."""
    done = run("verify", bundle.folder, check=1)
    assert "none of the bundle's files ran; --runtime executorch-cpu [runtime-absent]" in done.stderr


def _zeroed(bundle, data):
    expected = bundle.golden()[0].expected["logits"].astype(np.float32).tobytes()
    return data.replace(expected, bytes(len(expected)))


def _other_pixels(bundle, data):
    pixels = bundle.golden()[0].pixels.tobytes()
    return data.replace(pixels, pixels[::-1], 1)


def _other_program(bundle, data):
    inner = (bundle.folder / "model.pte").read_bytes()
    place = data.index(inner) + len(inner) - 1
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_zeroed, r"expected the outputs of golden sample [\w-]+ inside, got others"),
        (_other_pixels, r"expected the pixels of golden sample [\w-]+ inside, got others"),
        (_other_program, r"expected the program of model\.pte inside, got another one"),
        (lambda bundle, _: bundled((bundle.folder / "model.pte").read_bytes()), r"expected the \d golden samples inside, got 0 test cases"),
    ],
)
def test_other_samples_or_another_program_inside_are_noticed(bundle, tmp_path, change, told):
    copy = shutil.copytree(bundle.folder, tmp_path / "digits")
    data = (copy / "model.bpte").read_bytes()
    changed = change(bundle, data)
    assert changed != data
    (copy / "model.bpte").write_bytes(changed)
    rehash(copy)
    with pytest.raises(PreprocError, match=told) as caught:
        open_bundle(copy)
    assert caught.value.name == "bundle-changed"


def test_export_compares_the_samples_too(tmp_path, monkeypatch):
    """Nothing is published whose samples are others."""
    needed()

    def wrong(program, samples, path):
        executorch.bundle_executorch(program, [(pixels, [values * 0 for values in expected]) for pixels, expected in samples], path)

    monkeypatch.setattr("preproc.export.formats.bundle_executorch", wrong)
    with pytest.raises(PreprocError, match=r"expected the outputs of golden sample [\w-]+ inside, got others"):
        export_bundle(load_recipe(ROOT / "models" / "digits.toml"), tmp_path / "m", formats=["executorch"], quick=True)
    assert not (tmp_path / "m").exists()
