"""What a processor has, read from what Linux says of it."""

import pytest

from preproc.host import instructions, level_of, needed
from preproc.host.processor import LEVELS

V3 = " ".join(LEVELS["x86-64-v3"])
AVX512 = " ".join(LEVELS["x86-64-v4"])


def cpuinfo(tmp_path, monkeypatch, *processors):
    text = "".join(f"processor\t: {number}\nmodel name\t: A CPU\n{line}\n\n" for number, line in enumerate(processors))
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr("preproc.host.processor.CPUINFO", tmp_path / "cpuinfo")


def test_what_all_processors_have(tmp_path, monkeypatch):
    cpuinfo(tmp_path, monkeypatch, f"flags\t\t: fpu {AVX512}", f"flags\t\t: fpu {V3} avx_vnni")
    assert instructions() == {"fpu", *LEVELS["x86-64-v3"]}
    cpuinfo(tmp_path, monkeypatch, "Features\t: fp asimd sve")
    assert instructions() == {"fp", "asimd", "sve"}


def test_nothing_is_known_where_the_system_does_not_say(tmp_path, monkeypatch):
    monkeypatch.setattr("preproc.host.processor.CPUINFO", tmp_path / "none")
    assert instructions() == frozenset()
    cpuinfo(tmp_path, monkeypatch, "bogomips\t: 4000")
    assert instructions() == frozenset()


def test_native_is_what_compilers_use_of_a_processor(tmp_path, monkeypatch):
    cpuinfo(tmp_path, monkeypatch, f"flags\t\t: fpu tsc hypervisor sse sse2 {AVX512} avx512_vnni amx_tile rdrand")
    assert set(needed("native")) == {"sse", "sse2", *LEVELS["x86-64-v4"], "avx512_vnni", "amx_tile"}
    cpuinfo(tmp_path, monkeypatch, "Features\t: fp asimd sve")
    assert needed("native") == ["asimd", "fp", "sve"]


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_is_enough_for_itself(level):
    assert level_of(needed(level)) == level
    assert level_of(needed(level)[1:]) in {None, *LEVELS} - {level}


def test_the_portable_level_has_no_avx512():
    assert {"avx2", "fma"} <= set(needed("x86-64-v3"))
    assert not [name for name in needed("x86-64-v3") if name.startswith(("avx512", "amx"))]
