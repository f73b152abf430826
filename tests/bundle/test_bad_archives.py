"""Archives of torch that are damaged or made to hurt: one clear line, whatever Python's zipfile makes of them."""

import json
import shutil
import zipfile

import numpy as np
import pytest

from preproc.bundle import open_bundle, torch_contract
from preproc.bundle.inspection import describe
from preproc.bundle.manifest import LARGEST
from preproc.errors import BundleError
from tests.conftest import ROOT
from tests.damage import edit_manifest, rehash

DIGITS = ROOT / "export" / "digits"
WHOLE = (DIGITS / "model.pt").read_bytes()
CONTRACT = next(name for name in zipfile.ZipFile(DIGITS / "model.pt").namelist() if name.endswith("/extra/contract.json"))


def archive(path, content=None, name="m/extra/contract.json", compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("m/constants.pkl", b"")
        if content is not None:
            file.writestr(name, content)
    return path


def with_contract(text):
    return lambda path: archive(path, text)


def deflated(path):
    archive(path, json.dumps({"format": "preproc-contract"} | {"notes": ["x"] * 99}), compression=zipfile.ZIP_DEFLATED)
    return path.read_bytes()


def edited(place, content):
    """A deflated contract's bytes changed: at a distance behind the last local header, or of the last entry of the directory."""

    def edit(path):
        data = bytearray(deflated(path))
        start = data.rindex(b"PK\x03\x04" if place[0] == "local" else b"PK\x01\x02") + place[1]
        data[start : start + len(content)] = content
        path.write_bytes(data)

    return edit


NO_ARCHIVE = {
    "nothing in it": lambda path: path.write_bytes(b""),
    "no zip file": lambda path: path.write_bytes(b"MZ" * 99),
    "half of it": lambda path: path.write_bytes(WHOLE[: len(WHOLE) // 2]),
    "without its end": lambda path: path.write_bytes(WHOLE[:-30]),
    "another compression": edited(("directory", 10), b"\x63\x00"),
    "encrypted": edited(("directory", 8), b"\x01\x00"),
    "no stream": edited(("local", 30 + len("m/extra/contract.json")), b"\xff" * 9),
    "a longer one": edited(("directory", 24), (LARGEST + 1).to_bytes(4, "little")),
    "beyond its end": edited(("directory", 42), b"\xff\xff\xff\x7e"),
    "another sum": edited(("directory", 16), b"\x00" * 4),
}
NO_CONTRACT = {
    "no JSON": with_contract("{"),
    "not UTF-8": with_contract(b"\xff\xfe\xfd"),
    "no table": with_contract("[]"),
    "deep": with_contract("[" * 100_000),
    "another version": with_contract('{"format": "preproc-contract", "version": 2}'),
    "nothing behind": with_contract('{"format": "preproc-contract", "version": 1}'),
    "infinite": with_contract('{"format": "preproc-contract", "version": 1, "steps": Infinity}'),
}


@pytest.mark.parametrize("kind", NO_ARCHIVE)
def test_what_is_no_whole_archive_is_told_in_one_line(kind, tmp_path):
    path = tmp_path / "m.pt"
    NO_ARCHIVE[kind](path)
    with pytest.raises(BundleError, match=r"m\.pt: expected a TorchScript or pt2 file, got: .") as caught:
        torch_contract(path)
    assert (caught.value.name, str(caught.value).count("\n")) == ("not-a-model", 0)
    with pytest.raises(BundleError):
        describe(path)


@pytest.mark.parametrize("name", ["m.pt", "m.pt2", "m.aoti.pt2"])
def test_an_archive_that_is_cut_off_is_told_as_such(name, tmp_path):
    (tmp_path / name).write_bytes(WHOLE[: len(WHOLE) // 2])
    said = "an AOTInductor package, a checkpoint or .safetensors, got an archive that is cut off or damaged, .*: copy or export it again"
    with pytest.raises(BundleError, match=said):
        describe(tmp_path / name)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(BundleError, match="got nothing in it"):
        describe(tmp_path / name)


@pytest.mark.parametrize("kind", NO_CONTRACT)
def test_an_archive_with_something_else_for_a_contract_is_told_in_one_line(kind, tmp_path):
    path = tmp_path / "m.pt"
    NO_CONTRACT[kind](path)
    for read in (torch_contract, describe):
        with pytest.raises(BundleError, match=r"m\.pt: expected a (whole )?contract of (preproc|version 1), got ") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_an_archive_without_a_contract_is_nobodys(tmp_path):
    assert torch_contract(archive(tmp_path / "m.pt")) is None
    assert torch_contract(archive(tmp_path / "m.pt", "{}", name="m/contract.json")) is None
    assert describe(tmp_path / "m.pt")["contract"] is None


def test_bytes_changed_anywhere_give_the_contract_or_a_refusal(tmp_path):
    generator, path, refused = np.random.default_rng(0), tmp_path / "m.pt", list[str]()
    ends = zipfile.ZipFile(DIGITS / "model.pt").getinfo(CONTRACT).header_offset, WHOLE.index(b"PK\x01\x02")
    places = np.concatenate([generator.integers(ends[0], ends[0] + 3000, 60), generator.integers(ends[1], len(WHOLE), 60)])
    for place in places:
        data = bytearray(WHOLE)
        data[place] ^= int(generator.integers(1, 256))
        path.write_bytes(data)
        try:
            torch_contract(path)
        except BundleError as error:
            refused.append(str(error))
    assert len(refused) > 30
    assert not [message for message in refused if "\n" in message]


@pytest.mark.parametrize(
    ("key", "value"), [("report", {"power": ["a"]}), ("golden", {"a": 1}), ("files", [1]), ("report", {"results": 1e999}), ("golden", [[]])]
)
def test_a_manifest_of_wrong_values_is_told_in_one_line(key, value, tmp_path):
    copy = shutil.copytree(DIGITS, tmp_path / "digits")
    known = json.loads((copy / "manifest.json").read_text())[key]
    edit_manifest(copy, key, known | value if isinstance(known, dict) and isinstance(value, dict) else value)
    with pytest.raises(BundleError, match=r"manifest\.json: expected ") as caught:
        open_bundle(copy)
    assert "\n" not in str(caught.value)


def test_a_manifest_too_deep_to_read_is_told(tmp_path):
    (tmp_path / "manifest.json").write_text("[" * 100_000)
    with pytest.raises(BundleError, match=r"manifest\.json: expected JSON, got: maximum recursion depth"):
        open_bundle(tmp_path)


def test_a_bundle_with_a_damaged_archive_is_told(tmp_path):
    """Whose manifest agrees with it."""
    copy = shutil.copytree(DIGITS, tmp_path / "digits")
    packed = bytearray(WHOLE)
    start = packed.index(CONTRACT.encode()) + len(CONTRACT)
    packed[packed.index(b"preproc-contract", start)] ^= 1
    (copy / "model.pt").write_bytes(packed)
    rehash(copy)
    with pytest.raises(BundleError, match=r"model\.pt: expected a TorchScript or pt2 file, got: Bad CRC-32"):
        open_bundle(copy)
