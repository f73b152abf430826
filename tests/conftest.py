"""What the tests share: deterministic hypothesis, pixels that differ everywhere, and one exported bundle per session."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch

from preproc.bundle import Bundle
from preproc.export.exporter import export_bundle
from preproc.recipe import load_recipe

ROOT = Path(__file__).parent.parent
pytest_plugins = ["_hypothesis_pytestplugin", *(["xdist.plugin"] if find_spec("xdist") else [])]
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=60, database=None)
hypothesis.settings.load_profile("repeatable")


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

    return [programs.libtorch(tmp_path_factory.mktemp("libtorch"))]


@pytest.fixture(scope="session")
def openvino(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The program in C++ around OpenVINO, built once."""
    from tests.embed import programs

    return [programs.openvino(tmp_path_factory.mktemp("openvino"))]


@pytest.fixture(scope="session")
def node() -> list[str | Path | None]:
    """The program in Node."""
    from tests.embed import programs

    return [programs.NODE, programs.EMBED / "node" / "classify.mjs"]
