"""AOTInductor packages: their instructions are those that were asked for, they look at their input, and name nothing of this machine."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import zipfile

import numpy as np
import pytest
import torch
from packaging.version import Version
from torch import nn

from preproc.bundle import open_bundle
from preproc.errors import PreprocError
from preproc.export.compiling import compiled_for
from preproc.export.formats import aoti, compile_aoti, export_program
from preproc.export.writing import fold_module
from preproc.host import compiler, instructions
from preproc.layers import FromPixels, Normalize, Pipeline, Rescale, Resize, prepend
from preproc.sources import ExportSpec, load_recipe
from preproc.sources.backbones import load_backbone
from tests.conftest import ROOT

PIXELS = torch.randint(0, 256, (2, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
DIGITS = load_recipe(ROOT / "models" / "digits.toml")
needs_objdump = pytest.mark.skipif(shutil.which("objdump") is None, reason="objdump is not installed")


def model():
    torch.manual_seed(0)
    pipeline = Pipeline(FromPixels(layout="NHWC"), Rescale(), Normalize.preset("imagenet"))
    return prepend(pipeline, nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Flatten(), nn.Linear(144, 3))).eval()


def compiled(path, network, pixels, command=None, contract="{}", size=None, layout="NHWC", **spec):
    size = size or tuple(pixels.shape[1:3])
    program = export_program(network, pixels, layout=layout, size=size)
    promised = compiled_for(ExportSpec(formats=("aoti",), **spec))
    command = command or compiler()
    compile_aoti(program, pixels, path, size=size, compiler=command, promised=promised, metadata={"preproc.contract": contract})
    return path


def loaded(path):
    return torch._C._aoti.AOTIModelPackageLoader(str(path), "model", False, 1, -1)


def library(path, folder):
    """The shared library in a package."""
    with zipfile.ZipFile(path) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".so")]
        (folder / "library.so").write_bytes(archive.read(name))
    return folder / "library.so"


def registers(path, folder):
    """Which vector registers the instructions name, and how often."""
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", library(path, folder)], capture_output=True, text=True, check=True).stdout
    return {kind: len(re.findall(rf"%{kind}\d", text)) for kind in ("xmm", "ymm", "zmm", "tmm")}


@needs_objdump
def test_the_portable_level_has_no_instruction_beyond_it(packaged, tmp_path):
    found = registers(packaged / "model.aoti.pt2", tmp_path)
    assert found["ymm"] > 100, "no AVX2 in it: the test tests nothing"
    assert found["zmm"] == found["tmm"] == 0


@pytest.mark.skipif(shutil.which("readelf") is None, reason="readelf is not installed")
def test_linux_is_told_the_level(packaged, tmp_path):
    """glibc refuses to load a library that is marked so where the processor has less."""
    notes = ["readelf", "-n", library(packaged / "model.aoti.pt2", tmp_path)]
    assert "x86 ISA needed: x86-64-v3" in subprocess.run(notes, capture_output=True, text=True, check=True).stdout


class Native:
    """A network behind planes of Y, U and V of any size, which are resized, compiled for this processor; and what that left behind."""

    def __init__(self, folder, patch):
        torch.manual_seed(0)
        nv12 = FromPixels(layout="NHW", color="NV12", matrix="bt709", range="limited")
        pipeline = Pipeline(nv12, Resize(size=(24, 20), interpolation="nearest"), Rescale())
        self.network = prepend(pipeline, nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Flatten(), nn.Linear(1584, 3))).eval()
        self.planes = torch.randint(0, 256, (3, 60, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        home, place, caches = (folder / name for name in ("home", "temporary", "caches"))
        home.mkdir(), place.mkdir()
        patch.setenv("HOME", str(home))
        patch.setenv("TMPDIR", str(place))
        patch.setattr(tempfile, "tempdir", str(place))
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(caches))
        before = dict(os.environ)
        size = {"size": (None, None), "layout": "NHW"}
        self.path = compiled(folder / "native.pt2", self.network, self.planes[:2], cpu="native", **size)
        self.changed = os.environ.items() ^ before.items()
        self.left = [*home.iterdir(), *place.iterdir(), *caches.glob("*")]


@pytest.fixture(scope="module")
def native(packaged, tmp_path_factory):
    """packaged: what else needs a compiler is skipped without one."""
    del packaged
    with pytest.MonkeyPatch.context() as patch:
        return Native(tmp_path_factory.mktemp("native"), patch)


@needs_objdump
@pytest.mark.skipif("avx512f" not in instructions(), reason="this processor has no AVX-512, which native would be seen by")
def test_native_takes_what_this_processor_has(native, tmp_path):
    assert registers(native.path, tmp_path)["zmm"] > 0
    assert "avx512f" in compiled_for(ExportSpec(cpu="native"))["instructions"]


def test_nothing_is_left_where_packages_are_made(native):
    """But for torch's own folder for caches, which is named here, and empty: torch makes it where it is imported."""
    assert not native.changed
    assert not native.left


@pytest.mark.parametrize(("rows", "width", "count"), [(60, 64, 2), (36, 20, 1), (3, 50, 3)])
def test_planes_of_y_u_and_v_of_any_size(native, rows, width, count):
    given = native.planes[:count, :rows, :width].contiguous()
    with torch.no_grad():
        torch.testing.assert_close(loaded(native.path).run([given])[0], native.network(given), rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(Version(torch.__version__) < Version("2.15"), reason="older torch writes constants by what it has compiled before")
def test_the_same_network_gives_the_same_bytes(packaged, tmp_path):
    contract = open_bundle(packaged).contract
    pixels = torch.from_numpy(np.load(packaged / "golden" / "image-1" / "pixels.npy")).expand(2, -1, -1, -1).contiguous()
    folded = fold_module(DIGITS, load_backbone(DIGITS).module, pixels)
    text = json.dumps(contract, separators=(",", ":"))
    again = compiled(tmp_path / "model.aoti.pt2", folded.model, pixels, contract=text)
    assert again.read_bytes() == (packaged / "model.aoti.pt2").read_bytes()


def test_nothing_of_this_machine_is_in_it(packaged):
    with zipfile.ZipFile(packaged / "model.aoti.pt2") as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
        assert [name for name in archive.namelist() if name.endswith(".cpp") and len(archive.read(name)) > 100] == []
    for word in (str(ROOT), tempfile.gettempdir(), torch.__path__[0].rpartition("/torch")[0]):
        assert word.encode() not in content, word


def test_the_contract_is_what_get_metadata_answers(packaged):
    told = loaded(packaged / "model.aoti.pt2").get_metadata()
    assert json.loads(told["preproc.contract"]) == open_bundle(packaged).contract
    assert told["AOTI_DEVICE_KEY"] == "cpu"
    assert told["AOTI_CPU_ISA"] == "AVX2"


def test_any_batch_and_nothing_but_pixels_of_the_size(packaged):
    """torch's own packages would read each of the others as if it were what they expect."""
    run, pixels = loaded(packaged / "model.aoti.pt2").run, torch.zeros(4, 32, 32, 3, dtype=torch.uint8)
    for batch in (1, 2, 4, 40):
        assert run([pixels[:1].repeat(batch, 1, 1, 1)])[0].shape == (batch, 10)
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    alone = torch.from_numpy(picture[None])
    assert alone.stride()[0] == 0
    torch.testing.assert_close(run([alone])[0], run([torch.from_numpy(np.stack([picture]))])[0])
    others = [
        pixels.float(),
        pixels[:, :16],
        pixels.repeat(1, 2, 2, 1),
        pixels.permute(0, 3, 1, 2).contiguous(),
        pixels.transpose(1, 2),
        pixels[0],
        pixels[..., :1],
    ]
    for other in others:
        with pytest.raises(RuntimeError, match=r"unmatched|API call failed"):  # older torch says the first on stderr
            run([other])


class Cast(nn.Module):
    def __init__(self, dtype):
        super().__init__()
        self.dtype = dtype

    def forward(self, x):
        return x.to(self.dtype)


class Sums(nn.Module):
    def forward(self, x):
        wide, half = x.float(), x.half().mean((2, 3))
        pooled = nn.functional.adaptive_avg_pool2d(wide, 1).flatten(1) + nn.functional.adaptive_avg_pool2d(wide, 2).flatten(1)[:, :3]
        return pooled + wide.mean((2, 3)) + wide.sum(3).sum(2) + x.sum((2, 3)) + half + wide.sum((2, 3), dtype=torch.float32)


def test_sums_of_float32_are_made_in_float64():
    """torch's compiler adds number to number, where torch itself adds sums of parts: 4e-5 off for a flat picture of 160x112."""
    x = torch.randint(0, 256, (2, 3, 9, 7), dtype=torch.uint8)
    program = torch.export.export(Sums(), (x,))
    exact = program.run_decompositions(aoti.EXACT)
    summed = [node for node in exact.graph.nodes if node.target in (torch.ops.aten.mean.dim, torch.ops.aten.sum.dim_IntList)]
    dtypes = [node.args[0].meta["val"].dtype for node in summed]
    assert sorted(map(str, dtypes)) == sorted(map(str, [*[torch.float64] * 4, torch.uint8, torch.float16, torch.float32]))
    torch.testing.assert_close(exact.module()(x), Sums()(x))


@pytest.mark.parametrize(
    ("shape", "dtype", "via"),
    [
        ((2, 9, 7, 3), torch.float32, [torch.int16, torch.float32]),
        ((2, 9, 7, 4), torch.float32, [torch.int16, torch.float32]),
        ((2, 9, 7, 1), torch.float32, [torch.float32]),
        ((2, 3, 9, 8), torch.float32, [torch.float32]),
        ((2, 9, 3), torch.float32, [torch.float32]),
        ((2, 9, 7, 3), torch.float16, [torch.float16]),
    ],
)
def test_colours_beside_each_other_are_cast_by_way_of_int16(shape, dtype, via):
    """Of which torch's compiler makes no vectors: one for each pixel is slower than its three numbers. All levels stay what they are."""
    x = torch.arange(int(np.prod(shape))).remainder(256).to(torch.uint8).reshape(shape)
    program = torch.export.export(Cast(dtype), (x,)).run_decompositions(aoti.PIXELS)
    casts = [node.kwargs["dtype"] for node in program.graph.nodes if node.target == torch.ops.aten._to_copy.default]
    assert casts == via
    torch.testing.assert_close(program.module()(x), x.to(dtype), rtol=0, atol=0)


def test_a_free_width_is_not_asked_whether_it_is_short():
    x, free = torch.zeros(2, 3, 9, 8, dtype=torch.uint8), torch.export.Dim("width", min=2, max=64)
    program = torch.export.export(Cast(torch.float32), (x,), dynamic_shapes=({3: free},)).run_decompositions(aoti.PIXELS)
    assert [node.kwargs["dtype"] for node in program.graph.nodes if node.target == torch.ops.aten._to_copy.default] == [torch.float32]
    for width in (2, 3, 64):
        assert program.module()(x[..., :1].repeat(1, 1, 1, width)).shape[-1] == width


def test_sizes_that_take_too_long_are_refused(tmp_path, monkeypatch):
    """A letterbox of pictures of any size would take hours: torch simplifies what it computes of their sides."""
    monkeypatch.setattr(aoti, "SECONDS", 0.01)
    pixels = PIXELS.repeat(1, 2, 3, 1)
    network = prepend(Pipeline(FromPixels(layout="NHWC"), Rescale()), nn.Conv2d(3, 4, 3, padding=1)).eval()
    with pytest.raises(PreprocError, match=r"got no result after 0\.01 seconds, for pictures of any size"):
        compiled(tmp_path / "m.pt2", network, pixels, size=(None, None))
    assert not (tmp_path / "m.pt2").exists()


FULL = f"^{re.escape(tempfile.gettempdir())}/preproc: expected a place that can be written to, got: No space left on device"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("x.h:1:2: error: no such header", r"can compile, got: its C\+\+ compiler: no such header; the format pt2 holds it"),
        ("as: fatal error: /tmp/x.s: No space left on device", FULL),
    ],
)
def test_what_the_compiler_says_is_one_line(tmp_path, said, told):
    fake = tmp_path / "c++"
    asked = 'case "$1" in --version|-v|-dump*) exec g++ "$@" ;; esac'
    fake.write_text(f'#!/bin/sh\n{asked}\necho "{said}" >&2\nexit 1\n')
    fake.chmod(0o700)
    with pytest.raises(PreprocError, match=told):
        compiled(tmp_path / "m.pt2", model(), PIXELS, command=str(fake))
    assert not (tmp_path / "m.pt2").exists()
