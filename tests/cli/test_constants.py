"""preproc attach refuses constants that cannot be right, and is told why they are."""

import pytest

from preproc.cli import main
from tests.onnx_files import hand_made


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["preproc", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_attach_refuses_and_is_told_why(tmp_path, monkeypatch, capsys):
    file, out = hand_made(tmp_path), tmp_path / "o.onnx"
    options = ["attach", file, "-o", out, "--no-verify", "--units", "0-255", "--mean", "123.675,116.28,103.53"]
    assert run(monkeypatch, *options, "--std", "0.0171,0.0175,0.0174") == 1
    told = capsys.readouterr().err
    assert (
        "write --mean 123.675,116.28,103.53 --std 58.395,57.12,57.375 --units 0-255; or say why they are right in --constants-because"
        in told
    )
    assert not out.exists()
    assert run(monkeypatch, *options, "--std", "0.0171,0.0175,0.0174", "--constants-because", "a test") == 0
    assert "note: normalize: its constants are taken as they are given, because: a test" in capsys.readouterr().err
    assert run(monkeypatch, "inspect", out) == 0
    assert "because: a test" in capsys.readouterr().out
    assert run(monkeypatch, *options[:3], tmp_path / "p.onnx", "--preset", "imagenet", "--constants-because", "a test") == 1
    assert "--constants-because: expected beside --mean" in capsys.readouterr().err


def test_attach_notes_the_other_order(tmp_path, monkeypatch, capsys):
    file = hand_made(tmp_path)
    options = ["attach", file, "--no-verify", "--units", "0-255", "--mean", "103.53,116.28,123.675", "--std", "57.375,57.12,58.395"]
    assert run(monkeypatch, *options, "-o", tmp_path / "a.onnx") == 0
    assert "note: normalize: the means [103.53, 116.28, 123.675] are imagenet's in the order BGR" in capsys.readouterr().err
    assert run(monkeypatch, *options, "-o", tmp_path / "b.onnx", "--model-color", "BGR") == 0
    assert "imagenet's" not in capsys.readouterr().err
