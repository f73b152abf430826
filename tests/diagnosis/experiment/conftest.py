"""A network whose answers are known: the channel that is brightest on average; and pictures for it."""

import numpy as np
import pytest
from PIL import Image

from preproc.diagnosis.experiment import timing

NETWORK = """
import torch
from torch import nn

class Brightest(nn.Module):
    def forward(self, x):
        return x.mean(dim=(2, 3)) - 0.5

class Map(nn.Module):
    def forward(self, x):
        return torch.stack([x, x], dim=1)

class Two(nn.Module):
    def forward(self, x):
        return {"a": x.mean(dim=(2, 3)), "b": x.amax(dim=(2, 3))}

class Sure(nn.Module):
    def forward(self, x):
        return torch.softmax(10 * x.mean(dim=(2, 3)), dim=1)

def raising(prepare):
    raise RuntimeError("no data at hand")

def nothing(prepare):
    return 3

def reading_red(prepare):
    class Red(nn.Module):
        def forward(self, x):
            return x.mean(dim=(2, 3)) * torch.tensor([1.0, 0.0, 0.0])
    return Red()

def counting(prepare, calls=[]):
    calls.append(prepare)
    return Brightest()
"""
RECIPE = """
name = "colours"
labels = ["red", "green", "blue"]
[backbone]
source = "import"
name = "brightest_of_tests:NET"
color = "RGB"
[pixels]
layout = "NHWC"
color = "RGB"
dtype = "uint8"
size = [8, 10]
[[steps]]
step = "rescale"
"""
COLORS = {"red": (200, 90, 60), "green": (60, 190, 100), "blue": (70, 90, 180)}


def save(place, color, number, *, size=(8, 10)):
    """A picture of that colour, with noise that is another for each number."""
    noise = np.random.default_rng(number).integers(-20, 20, (*size, 3))
    place.mkdir(parents=True, exist_ok=True)
    Image.fromarray((np.array(COLORS[color]) + noise).astype(np.uint8)).save(place / f"{number}.png")


@pytest.fixture(scope="session", autouse=True)
def _timed_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "MOST_PICTURES", 1)
        patch.setattr(timing, "FEWEST", 2)
        patch.setattr(timing, "SECONDS", 0)
        yield


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """The folder of a module with networks, in which recipes may lie."""
    place = tmp_path_factory.mktemp("network")
    (place / "brightest_of_tests.py").write_text(NETWORK)
    return place


@pytest.fixture(scope="session")
def recipe_of(network):
    """Writes a recipe with one of the networks, and other text in place of some."""

    def write(net="Brightest", **changes):
        text = RECIPE.replace("NET", net)
        for old, new in changes.values():
            text = text.replace(old, new)
        file = network / f"{net}-{'-'.join(changes)}.toml"
        file.write_text(text)
        return file

    return write


@pytest.fixture(scope="session")
def recipe(recipe_of):
    return recipe_of()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Four red ones, three green, two blue, and a red one that is called blue."""
    place = tmp_path_factory.mktemp("colours")
    red, green, blue = (("red", "red", range(4)), ("green", "green", range(10, 13)), ("blue", "blue", (20, 21)))
    for label, color, numbers in (red, green, blue, ("blue", "red", [30])):
        for number in numbers:
            save(place / label, color, number)
    return place
