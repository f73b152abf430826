"""A pt2 archive with anything but tensors is not loaded."""

import io
import json
import shutil
import warnings
import zipfile

import pytest
import torch

from preproc.errors import BundleError
from preproc.export import export_bundle
from preproc.sources import load_recipe
from preproc.verify.runtimes.pytorch import load_pt2
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def pt2(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pt2")
    return export_bundle(load_recipe(ROOT / "models" / "digits.toml"), folder / "digits", formats=["pt2"]).folder / "model.pt2"


def damaged(source, target, change, extra=None):
    """A copy of an archive, its JSON tables changed, and perhaps one member more."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("_config.json"):
                data = json.dumps(change(json.loads(data))).encode()
            new.writestr(name, data)
        if extra:
            new.writestr(old.namelist()[0].partition("/")[0] + extra, b"garbage")
    return target


def with_entry(**entry):
    def change(table):
        for value in table["config"].values():
            value |= entry
        return table

    return change


@pytest.mark.parametrize(
    ("change", "extra"),
    [
        (with_entry(use_pickle=True), None),
        (with_entry(use_pickle=0), None),
        (with_entry(path_name="opaque_obj_0"), None),
        (with_entry(path_name="custom_obj_0"), None),
        (lambda table: table, "/data/weights/model.pt"),
        (lambda table: table, "/models/model.json"),
    ],
)
def test_a_pt2_archive_with_anything_but_tensors_is_not_loaded(pt2, tmp_path, monkeypatch, change, extra):
    load_pt2(pt2)
    monkeypatch.setattr(torch.export, "load", lambda _: pytest.fail("torch has been asked to load it"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's, of two members of one name
        file = damaged(pt2, tmp_path / "bad.pt2", change, extra)
    with pytest.raises(BundleError, match=r"bad\.pt2: expected a pt2 archive of tensors, without pickles"):
        load_pt2(file)


class Evil:
    def __reduce__(self):
        return print, ("a pickle ran",)


def test_sample_inputs_with_a_pickle_are_not_loaded(pt2, tmp_path, capsys):
    file, buffer = tmp_path / "bad.pt2", io.BytesIO()
    torch.save(Evil(), buffer)
    with zipfile.ZipFile(pt2) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            new.writestr(name, buffer.getvalue() if "sample_inputs" in name else old.read(name))
    with pytest.raises(BundleError, match=r"without pickles, got .*sample_inputs/model\.pt"):
        load_pt2(file)
    assert "a pickle ran" not in capsys.readouterr().out


def test_what_is_no_pt2_archive_is_one_line(exported, pt2, tmp_path):
    shutil.copy(exported.folder / "model.onnx", tmp_path / "other.pt2")
    damaged(pt2, tmp_path / "empty.pt2", lambda _: {})
    for name in ("other", "empty"):
        with pytest.raises(BundleError, match="expected a pt2 archive, got") as caught:
            load_pt2(tmp_path / f"{name}.pt2")
        assert "\n" not in str(caught.value)
