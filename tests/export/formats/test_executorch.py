"""Programs of ExecuTorch: they answer what the model does, for every batch up to the largest; hold the contract and nothing of this
machine; and their samples are tested by ExecuTorch itself."""

import getpass
import json
import runpy
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import preproc
from preproc.bundle import hashes, open_bundle
from preproc.errors import PreprocError
from preproc.export import export_bundle
from preproc.export.formats.executorch import BATCH, at_most
from preproc.export.proving import prove
from preproc.export.resolving import with_outputs
from preproc.layers import (
    CenterCrop,
    FromPixels,
    LocalResponseNorm,
    MinMaxNormalize,
    Normalize,
    Pipeline,
    Rescale,
    Resize,
    Standardize,
    prepend,
)
from preproc.sources import load_recipe, replace
from preproc.sources.backbones import load_backbone
from preproc.verify import inputs
from preproc.verify.runtimes import read_program
from tests.conftest import ROOT
from tests.damage import edit_manifest
from tests.in_executorch import answers, needed, once, written

PIXELS = torch.randint(0, 256, (BATCH, 40, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return once(tmp_path_factory)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.head = nn.Conv2d(3, 8, 3, padding=1, stride=2), nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.stem(x).relu().mean((2, 3)))


def largest(got, want):
    return float((torch.from_numpy(got) - want).abs().max() / want.abs().max())


def test_it_is_published_with_the_contract_in_both_files(bundle):
    contract = bundle.contract
    assert contract["at_most"] == {"executorch": {"N": BATCH}}
    assert contract["fold"].keys() == {"executorch"}
    results = {result.runtime: result for result in bundle.report.results}
    result = results["executorch-cpu"]
    assert (result.verdict, result.pictures) == ("passed", results["torch-cpu"].pictures)
    assert result.error < result.tolerance < 1e-5
    assert "in XnnpackBackend" in result.ran
    assert result.ran.endswith("in a process of its own")
    assert {"model.pte", "model.bpte"} <= bundle.manifest["files"].keys()
    assert bundle.manifest["versions"]["executorch"]


def test_the_program_answers_its_contract_itself(bundle):
    from executorch.runtime import Runtime

    (text,) = Runtime.get().load_program(bundle.folder / "model.pte").load_method("preproc_contract").execute([])
    assert text == read_program(bundle.folder / "model.pte").text("preproc_contract")


def test_nothing_of_this_machine_is_in_it(bundle):
    for name in ("model.pte", "model.bpte"):
        data = (bundle.folder / name).read_bytes()
        for word in (sys.prefix, str(ROOT), "site-packages", ".py", f"/{getpass.getuser()}"):
            assert word.encode() not in data, word


def test_the_samples_inside_are_the_golden_ones(bundle):
    found = read_program(bundle.folder / "model.bpte")
    assert found.data == (bundle.folder / "model.pte").read_bytes()
    golden = bundle.golden()
    assert len(found.cases) == len(golden) > 3
    for inside, case in zip(found.cases, golden, strict=True):
        (pixels,), (logits,) = inside.inputs, inside.expected
        assert (pixels.dtype, pixels.shape, pixels.data) == ("uint8", case.pixels.shape, case.pixels.tobytes())
        assert (logits.dtype, logits.data) == ("float32", case.expected["logits"].astype(np.float32).tobytes())


CHECK = ROOT / "export" / "embed" / "executorch" / "check.py"


def test_executorch_itself_tests_the_samples(bundle, tmp_path):
    """And sees other answers, and a file that is none."""
    done = subprocess.run([sys.executable, CHECK, bundle.folder], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, f"{len(bundle.golden())} golden samples in model.bpte: passed\n"), done.stderr
    check = runpy.run_path(str(CHECK))["check"]
    shutil.copy(bundle.folder / "manifest.json", tmp_path)
    with pytest.raises(RuntimeError, match="got nothing there: export the bundle with the format executorch"):
        check(tmp_path)
    data = bytearray((bundle.folder / "model.bpte").read_bytes())
    expected = bundle.golden()[0].expected["logits"].astype(np.float32).tobytes()
    assert data.count(expected) == 1
    data[data.index(expected) + 3] ^= 1  # another exponent
    (tmp_path / "model.bpte").write_bytes(data)
    with pytest.raises(RuntimeError, match="Result verification failed"):
        check(tmp_path)
    (tmp_path / "model.bpte").write_bytes(b"x" * 64)
    with pytest.raises(RuntimeError, match="got another file"):
        check(tmp_path)
    shutil.copy(bundle.folder / "model.bpte", tmp_path)
    edit_manifest(tmp_path, "golden", [])
    with pytest.raises(RuntimeError, match="expected golden samples"):
        check(tmp_path)


def test_every_batch_up_to_the_largest(bundle):
    model, pixels = preproc.build(load_recipe(ROOT / "models" / "digits.toml")), PIXELS[:, :32]
    with torch.no_grad():
        want = model(pixels)
    for got, count in zip(answers(bundle.folder / "model.pte", *(pixels[:count] for count in (1, 3, BATCH))), (1, 3, BATCH), strict=True):
        assert largest(got, want[:count]) < 1e-5
    with pytest.raises(
        PreprocError, match=r"^model.pte: expected an answer to pixels of shape \[9, 32, 32, 3\], got: Attempted to resize a bounded"
    ):
        answers(bundle.folder / "model.pte", torch.cat([pixels, pixels[:1]]))


def test_every_kind_of_step(tmp_path):
    """Sums over pictures, windows of channels and pixels, roundings to whole numbers: in kernels of ExecuTorch where XNNPACK has none."""
    steps = [
        FromPixels(layout="NHWC", color="BGR"),
        Resize(size=(24, 30), pillow=13),
        CenterCrop(size=(20, 34)),
        MinMaxNormalize(per="channel"),
        LocalResponseNorm(size=3, alpha=0.5, region="channels"),
        LocalResponseNorm(size=3, alpha=0.5, region="spatial"),
        Standardize(per="image"),
    ]
    model = prepend(Pipeline(*steps), Net()).eval()
    (got,) = answers(written(model, tmp_path / "m.pte", PIXELS), PIXELS)
    with torch.no_grad():
        assert largest(got, model(PIXELS)) < 1e-5


def test_planes_of_y_u_and_v(tmp_path):
    """As they are: the conversion is in the program."""
    model = prepend(Pipeline(FromPixels(layout="NHW", color="NV12", matrix="bt709", range="limited"), Rescale()), Net()).eval()
    planes = PIXELS[:, :30, :, 0].contiguous()  # 20x32, and U and V below
    (got,) = answers(written(model, tmp_path / "m.pte", planes, size=(20, 32), layout="NHW"), planes)
    with torch.no_grad():
        assert largest(got, model(planes)) < 1e-5


def test_pixels_of_16_bits_are_refused_for_it_has_no_kernel(tmp_path):
    needed()
    pipeline = Pipeline(FromPixels(layout="NHWC", pixel_dtype="uint16"), Rescale(scale=1 / 65535), Normalize.preset("imagenet"))
    model, pixels = prepend(pipeline, Net()).eval(), PIXELS.to(torch.uint16)
    with pytest.raises(
        PreprocError, match="the format executorch, whose runtime has no kernel that casts others, got uint16; the formats onnx"
    ) as caught:
        export_bundle(model, tmp_path / "m", example=pixels, formats=["onnx", "executorch"])
    assert caught.value.name == "pixel-dtype"
    assert not (tmp_path / "m").exists()
    path = written(model, tmp_path / "m.pte", pixels)
    with pytest.raises(PreprocError, match="Unhandled dtype UInt16"):
        answers(path, pixels)


class Wherever(nn.Module):
    """The largest value of each map: of a picture of any size."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x):
        return self.stem(x).relu().amax((2, 3))


def test_sides_may_be_free_up_to_the_largest_that_is_verified(tmp_path):
    model = prepend(Pipeline(FromPixels(layout="NHWC"), CenterCrop(size=24)), Wherever()).eval()
    path = written(model, tmp_path / "m.pte", PIXELS, size=(None, 32), sizes=[(40, 32), (48, 32)])
    assert read_program(path).method("forward").inputs[0].shape == (BATCH, 48, 32, 3)
    tall = PIXELS.repeat(1, 2, 1, 1)
    sides = (48, 25, 1)
    with torch.no_grad():
        for side, got in zip(sides, answers(path, *(tall[:2, :side] for side in sides)), strict=True):
            assert largest(got, model(tall[:2, :side])) < 1e-5
    with pytest.raises(PreprocError, match="Attempted to resize a bounded tensor"):
        answers(path, tall[:, :49])


def test_own_pictures_are_verified_in_the_sizes_that_the_program_takes(tmp_path):
    """However large they are."""
    recipe = load_recipe(ROOT / "models" / "digits.toml")
    recipe = replace(recipe, steps=(recipe.steps[0], CenterCrop(size=32).step, *recipe.steps[1:]), pixels={"size": (None, None)})
    for side in (9, 300):
        Image.new("RGB", (side, 2 * side), "red").save(tmp_path / f"{side}.png")
    recipe, backbone = with_outputs(recipe, load_backbone(recipe))
    proof = prove(recipe, backbone, images=tmp_path, quick=True)
    most = at_most((None, None), proof.sizes)
    assert len([case for case in proof.cases if case.name.startswith(inputs.OWN)]) == 2
    assert {case.size("NHWC") for case in proof.cases} == {(most["height"], most["width"])}
    assert max(len(case.pixels) for case in proof.cases) <= most["N"]


def test_a_resize_of_free_sides_is_refused(tmp_path):
    model = prepend(Pipeline(FromPixels(layout="NHWC"), Resize(size=8, interpolation="nearest")), Wherever()).eval()
    with pytest.raises(
        PreprocError, match=r'got "dynamic", which ExecuTorch refuses: .*; the formats onnx, torchscript and pt2 may'
    ) as caught:
        written(model, tmp_path / "m.pte", PIXELS, size=(None, None), sizes=[(40, 32)])
    assert caught.value.name == "not-exportable"


class Sorted(Net):
    def forward(self, x):
        return super().forward(x).sort(1).values


def test_an_operator_without_a_kernel_is_told_with_the_formats_that_have_it(tmp_path):
    pipeline = Pipeline(FromPixels(layout="NHWC"), Rescale(), Normalize.preset("imagenet"))
    with pytest.raises(PreprocError, match=r"ExecuTorch can export, got: .*sort.*; the formats onnx, torchscript and pt2 may") as caught:
        written(prepend(pipeline, Sorted()).eval(), tmp_path / "m.pte", PIXELS)
    assert caught.value.name == "not-exportable"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (None, "executorch is not installed; pip install executorch"),
        ("other", "the executorch that is installed does not go with this torch: 1 . 1 is no number there .undefined symbol"),
    ],
)
def test_without_executorch_nothing_is_begun(module, said, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "executorch"]:
        monkeypatch.delitem(sys.modules, name)
    if module is None:
        monkeypatch.setitem(sys.modules, "executorch", None)
    else:
        (tmp_path / "executorch").mkdir()
        (tmp_path / "executorch" / "__init__.py").write_text("raise OSError('undefined symbol')")
        monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PreprocError, match=f"^expected executorch for the format executorch, got: {said}") as caught:
        export_bundle(load_recipe(ROOT / "models" / "digits.toml"), tmp_path / "m", formats=["executorch"])
    assert caught.value.name == "not-installed"
    assert not (tmp_path / "m").exists()


def test_another_contract_inside_is_noticed(bundle, tmp_path):
    for name in ("model.pte", "model.bpte"):
        copy = shutil.copytree(bundle.folder, tmp_path / name)
        data = (copy / name).read_bytes()
        assert data.count(b'"name":"digits"') >= 1
        (copy / name).write_bytes(data.replace(b'"name":"digits"', b'"name":"digots"', 1))
        manifest = json.loads((copy / "manifest.json").read_text())
        manifest["files"] = hashes(copy)
        (copy / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(PreprocError, match="expected the manifest's contract inside, got another one"):
            open_bundle(copy)
