"""Small networks whose preprocessing is known, for the surveys of `preproc diagnose MODEL`: three families, six normalizations, both orders
of colours, trained on small pictures whose colours are unequal."""

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sklearn.datasets
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision.models import DenseNet, MobileNetV2

from models.train_digits import Labels, Pictures, draw
from preproc.diagnosis import variants
from preproc.host import versions
from preproc.oracle import reference
from preproc.steps import FromPixels, Normalize, Rescale, Step
from tests.conftest import ROOT

PHOTOGRAPHS = (
    *sorted((ROOT / "preproc/verify/pictures").glob("*.jpg")),
    *sorted(Path(sklearn.datasets.__file__).parent.glob("images/*.jpg")),
)
Z_SCORE = "the pictures' z-score"
WAYS = ("0-255", "0-1", "imagenet", "inception or siglip", "per picture", Z_SCORE)
COLORS = ("RGB", "BGR")
BESIDE, PRESET, SCALE = "(x - 0.5) / 0.45", "inception or siglip", 0.5 / 0.45
"""A way that no candidate is, the one that it is beside, and how many times that one's scale it has."""
OWN_KIND = "its own"
BATCH = 16
LAMP = np.array([1.15, 1.0, 0.72])
"""What a warm light does to red, green and blue."""


def _resnet() -> nn.Module:
    import timm

    made: nn.Module = timm.create_model("test_resnet", num_classes=10)
    return made


FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "torchvision DenseNet": lambda: DenseNet(growth_rate=8, block_config=(2, 2), num_init_features=16, num_classes=10),
    "timm test_resnet": _resnet,
    "torchvision MobileNetV2": lambda: MobileNetV2(
        num_classes=10, width_mult=0.25, inverted_residual_setting=[[1, 16, 1, 1], [4, 24, 2, 2], [4, 40, 2, 2]]
    ),
}


def lit(split: str, count: int, *, seed: int) -> tuple[Pictures, Labels]:
    """The digits as under a warm lamp: paper and pencils are red rather than blue."""
    pictures, labels = draw(split, count, seed=seed)
    return np.clip(np.rint(pictures * LAMP), 0, 255).astype(np.uint8), labels


def pieces(split: str, count: int, *, seed: int) -> tuple[Pictures, Labels]:
    """Of five photographs, 32x32, mirrored or not; the class is the photograph. The halves share no field of a chessboard on it."""
    photographs = [np.asarray(Image.open(file).convert("RGB").resize((480, 480))) for file in PHOTOGRAPHS]
    rng = np.random.default_rng([seed, ["train", "test"].index(split)])
    found, labels = np.empty((count, 32, 32, 3), np.uint8), rng.integers(0, len(photographs), count)
    for i, label in enumerate(labels):
        y, x = rng.integers(0, 10), 2 * rng.integers(0, 5)
        y, x = 48 * y + rng.integers(0, 17), 48 * (x + (y + (split == "test")) % 2) + rng.integers(0, 17)
        found[i] = photographs[label][y : y + 32, x : x + 32][:, :: rng.choice([-1, 1])]
    return found, labels


def swapped(pictures: Pictures) -> Pictures:
    return np.ascontiguousarray(pictures[..., ::-1])


def fainter(pictures: Pictures) -> Pictures:
    """A fifth less contrast, around the mean of all."""
    mean = pictures.mean(axis=(0, 1, 2))
    return np.clip(np.rint(mean + 0.8 * (pictures - mean)), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Known:
    """A network."""

    family: str
    way: str
    color: str

    def __str__(self) -> str:
        return f"{self.family}, {self.way}, {self.color}".replace("/", "-")

    def truth(self, z_score: str) -> str:
        """The candidate that it is. z_score: the one of a data set's own constants."""
        return z_score if self.way == Z_SCORE else f"{self.way}, {self.color}"


NETWORKS = tuple(Known(family, way, color) for family in FAMILIES for way in WAYS for color in COLORS)


@dataclass(frozen=True)
class Set:
    """pictures: split, count and seed -> pictures and classes.  seed: of pictures and weights.  count, epochs: of the training."""

    name: str
    told: str
    pictures: Callable[..., tuple[Pictures, Labels]]
    seed: int
    count: int
    epochs: int

    def seed_of(self, network: Known) -> int:
        """Of the weights and pictures of a network: its own."""
        return zlib.crc32(str(network).encode()) + self.seed

    def asked_with(self, network: Known, count: int) -> tuple[Pictures, Labels]:
        """Pictures that it was not trained with."""
        return self.pictures("test", count, seed=self.seed_of(network))

    def trained(self, network: Known, folder: Path) -> nn.Module:
        """From the folder, or trained and put there."""
        file = folder / f"{self.name}, {network}.safetensors"
        torch.manual_seed(self.seed_of(network))
        net = FAMILIES[network.family]()
        if file.is_file():
            net.load_state_dict(load_file(file))
            return net.eval()
        pictures, labels = self.pictures("train", self.count, seed=self.seed_of(network))
        prepared = reference.apply(steps_of(network, pictures), pictures).astype(np.float32)
        x, y, rate = torch.from_numpy(prepared), torch.from_numpy(labels), 0.05
        optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=self.epochs * (len(x) // BATCH))
        for _ in range(self.epochs):
            for part in torch.randperm(len(x)).split(BATCH):
                loss = nn.functional.cross_entropy(net(x[part]), y[part])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
        save_file(net.state_dict(), file)
        return net.eval()


def steps_of(network: Known, pictures: Pictures) -> tuple[Step, ...]:
    """pictures: of the training, for their z-score."""
    if network.way == BESIDE:
        constants = Normalize(mean=(0.5,) * 3, std=(0.45,) * 3, unit="0-1")
        return (FromPixels(layout="NHWC", to=network.color), Rescale(), constants)
    if network.way != Z_SCORE:
        return next(variant.steps for variant in variants(None) if variant.name == f"{network.way}, {network.color}")
    flat = pictures.reshape(-1, 3)[:, ["RGB".index(channel) for channel in network.color]]
    mean, std = tuple(flat.mean(axis=0).tolist()), tuple(flat.std(axis=0).tolist())
    own = Normalize(mean=mean, std=std, unit="0-255", origin="the training", constants_because="measured")
    return (FromPixels(layout="NHWC", to=network.color), own)


@dataclass(frozen=True)
class Row:
    """An answer. pictures: what it was asked with, in words.  left: the names of the candidates that are.  truth: the one that it is."""

    network: Known
    pictures: str
    truth: str
    verdict: str
    left: Sequence[str]

    @property
    def kind(self) -> str:
        """Its column in the tables."""
        return self.verdict if self.truth in self.left or not self.left else f"wrong {self.verdict}"


KINDS = ("identified", "narrowed", "not identified", "wrong narrowed", "wrong identified")


HEAD = (
    "| {} | answers | identified | narrowed, the truth among them | not identified | wrong narrowed | **wrong identified** |",
    "|---|--:|--:|--:|--:|--:|--:|",
)


def table(head: str, rows: Sequence[Row], key: Callable[[Row], str]) -> list[str]:
    """How many answers are of each kind, by what `key` says of them, which stands under `head`."""
    groups = {name: [row for row in rows if key(row) == name] for name in dict.fromkeys(map(key, rows))}
    return [*(line.format(head) for line in HEAD), *(_counts(name, each) for name, each in (groups | {"all": list(rows)}).items())]


def summary(found: Sequence[tuple[Set, Sequence[Row]]]) -> list[str]:
    """A line for each kind of pictures of each set, which a page quotes."""
    lines = [line.format("networks that read, and what they are asked with") for line in HEAD]
    for of, rows in found:
        for pictures in dict.fromkeys(row.pictures for row in rows):
            lines.append(_counts(f"{of.told}: {pictures}", [row for row in rows if row.pictures == pictures]))
    return lines


def _counts(name: str, rows: Sequence[Row]) -> str:
    counts = Counter(row.kind for row in rows)
    return f"| {name} | {len(rows)} | {' | '.join(str(counts[kind]) for kind in KINDS)} |"


def rates(rows: Sequence[Row]) -> str:
    """What the bold column and its neighbours hold."""
    kinds = Counter(row.kind for row in rows)
    return ", ".join(f"{kinds[kind]} {told}" for kind, told in (("identified", "rightly identified"), *((w, w) for w in KINDS[3:])))


def told_versions() -> str:
    return ", ".join(f"{name} {version}" for name, version in versions().items() if name in ("torch", "torchvision", "numpy", "pillow"))
