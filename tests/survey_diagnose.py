"""python -m tests.survey_diagnose [FOLDER]: which preprocessing `preproc diagnose` names for small networks whose own is known, into
tests/survey/diagnose.md.

Three families, six normalizations, both orders of colours, pictures whose colours are unequal: each network is trained on small pictures
and asked for with others of its own kind that it has not seen, and with channels swapped. The rules of the answers were chosen on other
networks (CHOSEN), and frozen. FOLDER keeps the networks and the answers, and only those that it lacks are made: five minutes of one core.
"""

import dataclasses
import itertools
import json
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
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
from preproc.diagnosis.models import OWN_CONSTANTS, diagnose_model
from preproc.host import versions
from preproc.oracle import reference
from preproc.steps import FromPixels, Normalize, Step
from tests.conftest import ROOT

PAGE = ROOT / "tests/survey/diagnose.md"
PHOTOGRAPHS = (
    *sorted((ROOT / "preproc/verify/pictures").glob("*.jpg")),
    *sorted(Path(sklearn.datasets.__file__).parent.glob("images/*.jpg")),
)
Z_SCORE = "the pictures' z-score"
WAYS = ("0-255", "0-1", "imagenet", "inception or siglip", "per picture", Z_SCORE)
COLORS = ("RGB", "BGR")
OWN_KIND = "its own"
COUNT = 60
"""Pictures that a network is asked for with."""
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


OTHERS: dict[str, Callable[[Pictures], Pictures]] = {"channels swapped": lambda pictures: np.ascontiguousarray(pictures[..., ::-1])}
"""Of a set's pictures others of another kind, for networks of RGB."""


@dataclass(frozen=True)
class Row:
    """left: the names of the candidates that are.  nearest, noise: of the first candidate.  apart: the divergence of the next that is not
    left.  pictures: "its own", or one of OTHERS."""

    family: str
    way: str
    color: str
    pictures: str
    verdict: str = ""
    left: Sequence[str] = ()
    nearest: float = 0.0
    noise: float = 0.0
    apart: float = 0.0

    @property
    def network(self) -> str:
        return f"{self.family}, {self.way}, {self.color}".replace("/", "-")

    @property
    def truth(self) -> str:
        return OWN_CONSTANTS if self.way == Z_SCORE else f"{self.way}, {self.color}"

    @property
    def kind(self) -> str:
        """Its column in the tables."""
        return self.verdict if self.truth in self.left or not self.left else f"wrong {self.verdict}"


@dataclass(frozen=True)
class Set:
    """pictures: split, count and seed -> pictures and classes.  seed: of pictures and weights."""

    name: str
    told: str
    pictures: Callable[..., tuple[Pictures, Labels]]
    seed: int

    def seed_of(self, row: Row) -> int:
        """Of the weights and pictures of a network: its own."""
        return zlib.crc32(row.network.encode()) + self.seed


PICTURES, EPOCHS, BATCH = 512, 3, 16
SETS = (Set("lamp", "digits as under a warm lamp", lit, 22), Set("pieces", "pieces of five photographs, by photograph", pieces, 23))
CHOSEN = """## Networks that the rules were chosen on

Faint digits on grey paper, as blue as they are red, by which no order of colours can be told; four epochs. These answers are of that time,
and not made again.

| pictures | answers | identified | narrowed, the truth among them | not identified | wrong narrowed | **wrong identified** |
|---|--:|--:|--:|--:|--:|--:|
| its own kind | 36 | 0 | 36 | 0 | 0 | 0 |
| a tenth darker | 18 | 0 | 6 | 12 | 0 | 0 |
| a quarter darker | 18 | 0 | 6 | 12 | 0 | 0 |
| half the contrast | 18 | 0 | 12 | 6 | 0 | 0 |
| a tenth less contrast | 18 | 0 | 18 | 0 | 0 | 0 |
| negatives | 18 | 0 | 6 | 12 | 0 | 0 |
| blurred | 18 | 0 | 18 | 0 | 0 | 0 |
| photographs | 18 | 0 | 0 | 17 | 1 | 0 |
"""


def steps_of(way: str, color: str, pictures: Pictures) -> tuple[Step, ...]:
    """pictures: of the training, for their z-score."""
    if way != Z_SCORE:
        return next(variant.steps for variant in variants(None) if variant.name == f"{way}, {color}")
    flat = pictures.reshape(-1, 3)[:, ["RGB".index(channel) for channel in color]]
    mean, std = tuple(flat.mean(axis=0).tolist()), tuple(flat.std(axis=0).tolist())
    own = Normalize(mean=mean, std=std, unit="0-255", origin="the training", constants_because="measured")
    return (FromPixels(layout="NHWC", to=color), own)


def trained(of: Set, row: Row, folder: Path) -> nn.Module:
    """From the folder, or trained and put there."""
    file = folder / f"{of.name}, {row.network}.safetensors"
    torch.manual_seed(of.seed_of(row))
    net = FAMILIES[row.family]()
    if file.is_file():
        net.load_state_dict(load_file(file))
        return net.eval()
    pictures, labels = of.pictures("train", PICTURES, seed=of.seed_of(row))
    prepared = reference.apply(steps_of(row.way, row.color, pictures), pictures).astype(np.float32)
    x, y, rate = torch.from_numpy(prepared), torch.from_numpy(labels), 0.05
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=EPOCHS * (len(x) // BATCH))
    for _ in range(EPOCHS):
        for part in torch.randperm(len(x)).split(BATCH):
            loss = nn.functional.cross_entropy(net(x[part]), y[part])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    save_file(net.state_dict(), file)
    return net.eval()


def rows_of(of: Set, folder: Path) -> Iterator[Row]:
    """Of every network with its own kind of pictures, then of those of RGB with the others."""
    for kind in (OWN_KIND, *OTHERS):
        for family, way, color in itertools.product(FAMILIES, WAYS, COLORS if kind == OWN_KIND else COLORS[:1]):
            row = Row(family, way, color, kind)
            pictures, _ = of.pictures("test", COUNT, seed=of.seed_of(row))
            yield asked(of, row, OTHERS[kind](pictures) if kind in OTHERS else pictures, folder)


def asked(of: Set, row: Row, pictures: Pictures, folder: Path) -> Row:
    """The row with the answer, from the folder where that has it."""
    file = folder / f"{of.name}, {row.network}, {row.pictures}.json"
    if not file.is_file():
        with tempfile.TemporaryDirectory() as place:
            for number, each in enumerate(pictures):
                Image.fromarray(each).save(Path(place, f"{number:03}.png"))
            found = diagnose_model(trained(of, row, folder), images=place)
        best, second = found.candidates[0].measured, found.second
        apart = np.nan if second is None else second.measured["divergence"]
        left = [each.name for each in found.fits]
        told = {"verdict": found.verdict, "left": left, "nearest": best["divergence"], "noise": best["noise"], "apart": apart}
        file.write_text(json.dumps(told), encoding="utf-8")
        print(file.stem, found.verdict, *left, sep="; ", flush=True)
    return dataclasses.replace(row, **json.loads(file.read_text(encoding="utf-8")))


KINDS = ("identified", "narrowed", "not identified", "wrong narrowed", "wrong identified")
_HEAD = (
    "| {} | answers | identified | narrowed, the truth among them | not identified | wrong narrowed | **wrong identified** |",
    "|---|--:|--:|--:|--:|--:|--:|",
)


def tables(of: Set, rows: Sequence[Row]) -> Iterator[str]:
    own, others = ([row for row in rows if (row.pictures == OWN_KIND) == is_own] for is_own in (True, False))
    yield from (f"## {of.told[0].upper()}{of.told[1:]}", "", *(line.format("trained with") for line in _HEAD))
    yield from (_counts(way, [row for row in own if row.way == way]) for way in WAYS)
    yield from (_counts("all", own), "")
    if others:
        yield from ("The networks of RGB, with pictures of another kind:", "", *(line.format("pictures") for line in _HEAD))
        yield from (_counts(kind, [row for row in others if row.pictures == kind]) for kind in OTHERS)
        yield from (_counts("all", others), "")


def networks(rows: Sequence[Row]) -> Iterator[str]:
    """The answers with pictures of the network's own kind, and those that are wrong."""
    yield "| family | trained with | pictures | verdict | left | nearest | noise | next that is ruled out |"
    yield "|---|---|---|---|---|--:|--:|--:|"
    for row in rows:
        if row.pictures == OWN_KIND or row.kind.startswith("wrong"):
            told = f"{row.kind} | {'; '.join(row.left)} | {row.nearest:.2g} | {row.noise:.2g} | {row.apart:.2g}"
            yield f"| {row.family} | {row.way}, {row.color} | {row.pictures} | {told} |"


def _counts(name: str, rows: Sequence[Row]) -> str:
    found = Counter(row.kind for row in rows)
    return f"| {name} | {len(rows)} | {' | '.join(str(found[kind]) for kind in KINDS)} |"


def main() -> None:
    """The names of sets behind the folder make only these, and no page."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
    folder.mkdir(exist_ok=True)
    found = [(of, list(rows_of(of, folder))) for of in SETS if of.name in (sys.argv[2:] or [each.name for each in SETS])]
    if not sys.argv[2:]:
        PAGE.write_text("\n".join(page(found)) + "\n", encoding="utf-8")


def page(found: Sequence[tuple[Set, Sequence[Row]]]) -> Iterator[str]:
    told = ", ".join(f"{name} {version}" for name, version in versions().items() if name in ("torch", "torchvision", "numpy", "pillow"))
    rows = [row for _, each in found for row in each]
    own, others = ([row for row in rows if (row.pictures == OWN_KIND) == is_own] for is_own in (True, False))
    yield f"""# Which preprocessing was a network trained with?

Written by `python -m tests.survey_diagnose` ({told}). Small networks, trained with one way of preprocessing for {EPOCHS} epochs, are asked
for with {COUNT} pictures, without their recipe: `preproc diagnose MODEL --images DIR`. The rules of the answers were frozen before any of
these networks was made, but for one that came later, by an argument: where the mean and std found without candidates rule out a preset, it
is not `identified` (of a network trained with (x - 0.5) / 0.45 it was). It turned 10 of 30 `identified` here into `narrowed`. What the
rules were chosen on is at the end.

- With pictures of the network's own kind, {len(own)} answers: {_rates(own)}.
- With pictures of another kind, {len(others)} answers: {_rates(others)}.

An answer is wrong if the truth is not among what it leaves. With channels swapped the other order is what serves such pictures rightly; it
counts as wrong, for the network has it not: each `identified` says that it holds if the pictures are like those of the training, in the
order of their colours, too. "{Z_SCORE}" is no candidate: "{OWN_CONSTANTS}" is right there,
in whichever order.
"""
    for of, each in found:
        yield from tables(of, each)
    yield from (CHOSEN, "## Networks", "", "With pictures of their own kind; with others where the answer is wrong.", "")
    for of, each in found:
        yield from (f"### {of.told[0].upper()}{of.told[1:]}", "", *networks(each), "")


def _rates(rows: Sequence[Row]) -> str:
    """What the bold column and its neighbours hold."""
    kinds = Counter(row.kind for row in rows)
    return ", ".join(f"{kinds[kind]} {told}" for kind, told in (("identified", "rightly identified"), *((w, w) for w in KINDS[3:])))


if __name__ == "__main__":
    main()
