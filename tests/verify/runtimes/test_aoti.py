"""Whether a package runs here is told from its metadata, before anything of it is loaded."""

import json
import os
import platform
import sys
import zipfile

import numpy as np
import pytest

from preproc.bundle.inspection import describe
from preproc.errors import BundleError, RuntimeAbsentError, VerificationError
from preproc.host import instructions
from preproc.host.processor import LEVELS
from preproc.verify.runtimes import RUNTIMES, made, package_metadata, those_for
from preproc.verify.runtimes.aoti import LARGEST, METADATA, AotiCpu, AotiCuda, check_capability, check_release, check_runs_here
from preproc.verify.runtimes.elsewhere import Elsewhere

V3 = LEVELS["x86-64-v3"]
HERE = {
    "device": "cpu",
    "system": sys.platform,
    "machine": platform.machine(),
    "cpu": "x86-64-v3",
    "instructions": list(V3),
    "torch": "2.15.0",
}
TORCH = {"AOTI_DEVICE_KEY": "cpu", "AOTI_PLATFORM": sys.platform, "AOTI_MACHINE": platform.machine(), "AOTI_CPU_ISA": "AVX2"}


def metadata(promised=None, **torchs):
    contract = {"input": {"shape": ["N", 4, 4, 3]}, "compiled": {"aoti": HERE | (promised or {})}}
    return TORCH | {"preproc.contract": json.dumps(contract)} | torchs


@pytest.fixture(autouse=True)
def processor(monkeypatch):
    """One of the level x86-64-v3, and no more."""
    monkeypatch.setattr("preproc.verify.runtimes.aoti.instructions", lambda: frozenset(V3))


def test_what_is_compiled_for_this_level_runs_here(tmp_path):
    check_runs_here(metadata(), tmp_path, "cpu")
    check_runs_here(metadata(AOTI_CPU_ISA="INVALID_VEC_ISA"), tmp_path, "cpu")


@pytest.mark.parametrize(
    ("promised", "torchs", "said"),
    [
        (
            {"cpu": "native", "instructions": [*V3, "avx512f", "amx_tile"]},
            {},
            "for the instructions native, and this processor has no amx_tile",
        ),
        ({}, {"AOTI_CPU_ISA": "AVX512 AVX512_VNNI"}, "this processor has no avx512_vnni, avx512bw, avx512dq, avx512f, avx512vl"),
        ({"instructions": ["sse2"], "cpu": "native"}, {"AOTI_CPU_ISA": "AMX_TILE"}, "this processor has no amx_tile, sse2"),
        ({}, {"AOTI_CPU_ISA": "AVX2 AVX1024"}, "compiled for AVX1024, which is none of the instructions AVX2, AVX512"),
        ({"device": "cuda"}, {}, "compiled for cpu and cuda"),
        ({"device": "cuda"}, {"AOTI_DEVICE_KEY": "cuda"}, "compiled for cuda"),
        ({}, {"AOTI_DEVICE_KEY": "cuda"}, "compiled for cpu and cuda"),
        ({"machine": "vax"}, {}, f"compiled for vax, and this machine is {platform.machine()}"),
        ({}, {"AOTI_MACHINE": "vax"}, f"compiled for vax, and this machine is {platform.machine()}"),
        ({"system": "plan9"}, {}, f"compiled for plan9, and this system is {sys.platform}"),
        ({}, {"AOTI_PLATFORM": "plan9"}, f"compiled for plan9, and this system is {sys.platform}"),
    ],
)
def test_what_is_missing_here_is_told_and_neither_word_is_believed_alone(tmp_path, promised, torchs, said):
    """The contract's and torch's: whichever asks for more counts."""
    with pytest.raises(RuntimeAbsentError, match=said):
        check_runs_here(metadata(promised, **torchs), tmp_path, "cpu")


def test_a_processor_that_is_not_told_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("preproc.verify.runtimes.aoti.instructions", frozenset)
    with pytest.raises(RuntimeAbsentError, match="this processor does not tell which it has"):
        check_runs_here(metadata(), tmp_path, "cpu")


def test_another_compute_capability_is_absent(tmp_path):
    gpu = {"device": "cuda", "gpu": "NVIDIA H100", "compute_capability": [9, 0]}
    check_capability(metadata(gpu, AOTI_COMPUTE_CAPABILITY="90"), tmp_path, (9, 0))
    for promised, torchs, said in [
        (gpu, {"AOTI_COMPUTE_CAPABILITY": "90"}, r"9\.0 \(NVIDIA H100\), and this device has 8\.6"),
        (gpu | {"compute_capability": [8, 6]}, {"AOTI_COMPUTE_CAPABILITY": "100"}, r"10\.0"),
        (gpu, {"AOTI_COMPUTE_CAPABILITY": "86"}, r"9\.0"),
        ({"device": "cuda"}, {}, "this device has"),
    ]:
        with pytest.raises(RuntimeAbsentError, match=said):
            check_capability(metadata(promised, **torchs), tmp_path, (8, 6))


def test_a_package_of_a_newer_torch_is_absent_with_both_versions(tmp_path):
    """Of an older one it is not: torch's C interface is to grow only."""
    for own in ("2.15.0", "2.15.1+cu132", "2.16.0a0+git1234", "3.0.0"):
        check_release(metadata(), tmp_path, own)
    for own in ("2.14.1", "2.9.1", "1.99.0"):
        with pytest.raises(RuntimeAbsentError, match=f"compiled by torch 2.15.0, and this one is {own}: older ones may lack"):
            check_release(metadata(), tmp_path, own)
    with pytest.raises(RuntimeAbsentError, match=r"compiled by torch 2\.100\.3"):
        check_release(metadata({"torch": "2.100.3"}), tmp_path, "2.99.0")


@pytest.mark.parametrize(
    "contract",
    [
        None,
        "no JSON",
        "{}",
        '{"compiled": {}}',
        json.dumps({"compiled": {"aoti": HERE | {"instructions": []}}}),
        '{"compiled": {"aoti": 1}}',
        json.dumps({"compiled": {"aoti": HERE | {"instructions": ["sse2"]}}}),
        json.dumps({"compiled": {"aoti": HERE | {"cpu": "x86-64-v9"}}}),
        *(json.dumps({"compiled": {"aoti": HERE | {"torch": version}}}) for version in (None, 2.15, "2", "new.er", "0.0")),
    ],
)
def test_a_package_that_does_not_say_what_it_needs_is_none_of_ours(tmp_path, contract):
    own = TORCH if contract is None else TORCH | {"preproc.contract": contract}
    with pytest.raises(BundleError, match="expected a package of preproc"):
        check_runs_here(own, tmp_path / "m.pt2", "cpu")


def package(path, folder="model", **members):
    """members: libraries' names, and their metadata; those of `kernel...` are without a library, as torch writes them."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            if not name.startswith("kernel"):
                archive.writestr(f"m/data/aotinductor/{folder}/{name}.so", "")
            archive.writestr(f"m/data/aotinductor/{folder}/{name}_metadata.json", content)
    return path


def test_metadata_is_read_without_loading(tmp_path):
    assert package_metadata(package(tmp_path / "m.pt2", model='{"a": "b"}')) == {"a": "b"}
    (tmp_path / "garbage").write_bytes(b"no zip file")
    damaged = [package(tmp_path / f"{len(text)}.pt2", model=text) for text in ("[]", '{"a": 1}', "no JSON")]
    for file in (tmp_path / "garbage", tmp_path / "none", *damaged):
        with pytest.raises(BundleError, match="expected an AOTInductor package, got"):
            package_metadata(file)


FOREIGN = {
    "torch's own": {"model": '{"a": "b"}', "kernel": '{"a": "c"}'},
    "another name": {"folder": "encoder", "model": '{"a": "b"}'},
    "two libraries": {"model": '{"a": "b"}', "other": '{"a": "c"}'},
    "none": {},
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_packages_of_others_are_inspected_and_not_opened(tmp_path, kind):
    file = package(tmp_path / "own.pt2", **FOREIGN[kind])
    if kind != "none":
        assert (describe(file)["kind"], describe(file)["contract"]) == ("AOTInductor package", None)
    assert package_metadata(file) == ({"a": "b"} if kind == "torch's own" else None)
    with pytest.raises(BundleError, match="expected an AOTInductor package with one library's metadata"):
        AotiCpu(outputs=["logits"]).open(file)


def encrypted(content):
    """Says so of each member, locally and in the list at the end."""
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(mark)
        while at >= 0:
            content[at + place] |= 1
            at = content.find(mark, at + 1)


def broken(content):
    """The compressed bytes of the metadata, behind its name."""
    at = content.find(METADATA.encode()) + len(METADATA)
    content[at : at + 8] = b"\xff" * 8


@pytest.mark.parametrize("damage", [encrypted, broken])
def test_damaged_packages_are_told_in_one_line(tmp_path, damage):
    file = package(tmp_path / "m.pt2", model=json.dumps({"a": "b" * 999}))
    content = bytearray(file.read_bytes())
    damage(content)
    file.write_bytes(content)
    for read in (package_metadata, describe):
        with pytest.raises(BundleError, match="expected an AOTInductor package, got") as caught:
            read(file)
        assert caught.value.name == "not-a-model"


def test_metadata_that_would_fill_the_memory_is_not_read(tmp_path, monkeypatch):
    file = package(tmp_path / "m.pt2", model=json.dumps({"a": "b" * LARGEST}))
    assert file.stat().st_size < LARGEST / 500
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("read"))
    with pytest.raises(BundleError, match="got: 67,108,873 bytes of metadata"):
        package_metadata(file)


def test_nothing_is_loaded_where_it_would_not_run(tmp_path):
    """The archive holds no library: the loader would say so, and that of torch 2.10 die of it."""
    file = package(tmp_path / "m.pt2", model=json.dumps(metadata({"cpu": "native", "instructions": ["avx1024"]})))
    with pytest.raises(RuntimeAbsentError, match="has no avx1024"):
        AotiCpu(outputs=["logits"]).open(file)
    own = {"cpu": "native", "instructions": sorted(instructions())[:1]}
    file = package(tmp_path / "m.pt2", model=json.dumps(metadata(own, AOTI_CPU_ISA="")))
    with made(RUNTIMES["aoti-cpu"], None, ["logits"]) as runtime, pytest.raises((BundleError, VerificationError)):
        runtime.open(file)


def test_a_package_for_another_device_is_not_loaded(tmp_path, monkeypatch):
    """One for this device is."""

    def load(*_):
        raise RuntimeError("tried")

    monkeypatch.setattr("torch._C._aoti.AOTIModelPackageLoader", load)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda: (8, 6))
    for capability, kind, said in [([9, 0], RuntimeAbsentError, r"capability 9\.0 .*has 8\.6"), ([8, 6], BundleError, "got: tried")]:
        gpu = {"device": "cuda", "gpu": "H100", "compute_capability": capability, "torch": "2.0"}
        file = package(tmp_path / "m.pt2", model=json.dumps(metadata(gpu, AOTI_DEVICE_KEY="cuda")))
        with pytest.raises(kind, match=said):
            AotiCuda(outputs=["logits"]).open(file)


def test_a_package_that_reads_whatever_it_is_given_fails():
    runtime = AotiCpu(outputs=["logits"])
    runtime.module = lambda pixels: (pixels.float().mean((1, 2)),)
    runtime.run(np.zeros((2, 4, 4, 3), np.uint8))
    with pytest.raises(VerificationError, match="expected a package that refuses floats in place of pixels, got one that takes them"):
        runtime.proof()


def test_a_package_is_given_floats_and_another_size_and_refuses_both():
    """By its own words: any other error proves nothing."""
    given = []

    def module(pixels):
        given.append((str(pixels.dtype), tuple(pixels.shape)))
        if pixels.is_floating_point():
            raise RuntimeError(words)
        if pixels.shape[1:] != (4, 4, 3) and checks:
            raise RuntimeError("input_handles[0]: unmatched dim value at 2, expected: 4, but got: 5")
        return (pixels.float().mean((1, 2)),)

    runtime = AotiCpu(outputs=["logits"])
    runtime.module, runtime.shape = module, ["N", "H", 4, 3]
    words, checks = "input_handles[0]: unmatched dtype, expected: 0(uint8), but got: 6(float32)", True
    runtime.run(np.zeros((2, 4, 4, 3), np.uint8))
    assert "on the CPU" in runtime.proof()
    assert given[1:] == [("torch.float32", (2, 4, 4, 3)), ("torch.uint8", (2, 4, 5, 3)), ("torch.uint8", (2, 4, 4, 4))]
    checks = False
    with pytest.raises(VerificationError, match=r"refuses pixels of shape \[2, 4, 5, 3\] in place of \[2, 4, 4, 3\], got one that takes"):
        runtime.proof()
    words = "out of memory"
    with pytest.raises(VerificationError, match="refuses floats in place of pixels, got another error: out of memory"):
        runtime.proof()


def test_a_package_of_an_older_torch_says_on_stderr_alone_what_it_refuses():
    """What torch raises then is of any call that failed."""

    def module(pixels):
        if pixels.is_floating_point():
            os.write(2, said)
            raise RuntimeError("run_func_(...) API call failed at model_container_runner.cpp, line 361")
        return (pixels.float().mean((1, 2)),)

    runtime = AotiCpu(outputs=["logits"])
    runtime.module, said = module, b"Error: input_handles[0]: unmatched dtype, expected: 0(at::kByte), but got: 6\n"
    runtime.run(np.zeros((2, 4, 4, 3), np.uint8))
    assert "on the CPU" in runtime.proof()
    said = b"Error: out of memory\n"
    with pytest.raises(VerificationError, match="refuses floats in place of pixels, got another error: run_func_"):
        runtime.proof()


def test_pixels_that_lie_otherwise_are_laid_row_by_row():
    runtime, strides = AotiCpu(outputs=["logits"]), []
    runtime.module = lambda pixels: (strides.append(pixels.stride()), pixels.float().mean((1, 2)))[1:]
    picture = np.zeros((4, 5, 3), np.uint8)
    for pixels in (picture[None], picture.transpose(1, 0, 2)[None], np.stack([picture])):
        runtime.run(pixels)
    assert strides == [(60, 15, 3, 1), (60, 12, 3, 1), (60, 15, 3, 1)]


def test_what_loads_code_has_a_process_of_its_own_and_runs_by_name_alone():
    files = {kind.file for kind in RUNTIMES.values()}
    assert {"aoti-cpu", "aoti-cuda"} <= set(those_for(files, in_python=False, ours=True)) - set(those_for(files, in_python=False))
    assert isinstance(made(RUNTIMES["aoti-cpu"], None, ["logits"]), Elsewhere)
