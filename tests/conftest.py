"""What the tests share: deterministic hypothesis, pixels that differ everywhere, and one exported bundle per session."""

import functools
import gc
import hashlib
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch.onnx._internal.exporter._registration import ONNXRegistry

from preproc.bundle import Bundle
from preproc.export import export_bundle
from preproc.export import formats as written_by_torch
from preproc.sources import load_recipe
from preproc.sources.backbones.embedded import DigitsNet
from tests import asked_once  # noqa: F401 for what it does

ROOT = Path(__file__).parent.parent
pytest_plugins = ["_hypothesis_pytestplugin", *(["xdist.plugin"] if find_spec("xdist") else [])]
pytest.register_assert_rewrite("tests.normalizing", "tests.serving.asking")  # they assert for test files
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=60, database=None)
hypothesis.settings.load_profile("repeatable")

needs_avx2 = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"),
    reason="torch uses no AVX2 here, without which torchvision resizes uint8 tensors through floats",
)


def pytest_collection_finish() -> None:
    """What torch and the others have imported stays: the collector need not look at it again, a tenth of an export's time; nor at the rest
    for each 700 objects that come, a twentieth."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)


def pytest_sessionfinish() -> None:
    """Libraries in C++ count what is left at the end, and print it."""
    gc.unfreeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A cuda test skips with its reason where there is no device."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("cuda"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device: torch.cuda.is_available() is False"))


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The digits bundle, exported once; nobody changes it."""
    return export_bundle(load_recipe(ROOT / "models" / "digits.toml"), tmp_path_factory.mktemp("export") / "digits")


@pytest.fixture(scope="session", autouse=True)
def written_once() -> Iterator[None]:
    """torch.onnx.export, most of an export's time, writes the embedded network once per session, and networks of tests whose class says
    `written_once = True`, for what they print is all that they are. That the same weights, picture and options give the same bytes is
    test_bundle.py's proof, which goes around this."""
    real, made = written_by_torch.export_backbone, dict[tuple[str, ...], bytes]()

    @functools.wraps(real)
    def export_backbone(backbone: torch.nn.Module, example: torch.Tensor, **options: Any) -> ir.Model:
        network = getattr(backbone, "network", backbone)  # in half precision it is inside
        if type(network) is not DigitsNet and not getattr(network, "written_once", False):
            return real(backbone, example, **options)
        held = hashlib.sha256(b"".join(value.reshape(-1).view(torch.uint8).numpy().tobytes() for value in backbone.state_dict().values()))
        own = {name: str(value) for name, value in vars(backbone).items() if not name.startswith("_")}
        key = (str(type(backbone)), str(backbone), str(own), held.hexdigest(), str(example.shape), str(sorted(options.items())))
        if key not in made:
            made[key] = ir.to_proto(real(backbone, example, **options)).SerializeToString()
        return ir.from_proto(onnx.ModelProto.FromString(made[key]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(written_by_torch, "export_backbone", export_backbone)
        yield


@pytest.fixture(scope="session", autouse=True)
def operators_read_once() -> Iterator[None]:
    """torch.onnx.export reads the source of five hundred operators anew for each network, two thirds of a small one's time: the same for
    an opset, for nothing adds to them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(functools.cache(ONNXRegistry.from_torchlib)))
        yield


@pytest.fixture
def bundle(exported: Bundle, tmp_path: Path) -> Path:
    """A copy of the digits bundle that a test may damage."""
    return Path(shutil.copytree(exported.folder, tmp_path / "digits"))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def libtorch(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The program in C++ around LibTorch, built once."""
    from tests.embed import programs

    return [programs.once(tmp_path_factory, programs.libtorch)]


@pytest.fixture(scope="session")
def openvino(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The program in C++ around OpenVINO, built once."""
    from tests.embed import programs

    return [programs.once(tmp_path_factory, programs.openvino)]


@pytest.fixture(scope="session")
def aoti(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The program in C++ around an AOTInductor package, built once."""
    from tests.embed import programs

    return [programs.once(tmp_path_factory, programs.aoti)]


@pytest.fixture(scope="session")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits bundle with an AOTInductor package, compiled once; nobody changes it."""
    from tests.embed import programs

    if programs.COMPILER:
        pytest.skip(f"not installed: {', '.join(programs.COMPILER)}")
    return programs.once(tmp_path_factory, programs.packaged, "packaged")


@pytest.fixture(scope="session")
def node() -> list[str | Path | None]:
    """The program in Node."""
    from tests.embed import programs

    return [programs.NODE, programs.EMBED / "node" / "classify.mjs"]
