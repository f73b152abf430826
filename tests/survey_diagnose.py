"""python -m tests.survey_diagnose [FOLDER]: which preprocessing `preproc diagnose` names for small networks whose own is known, into
tests/survey/diagnose.md.

Three families, six normalizations, both orders of colours: each is trained on the digits, and asked for with pictures of its own kind that
it has not seen, and with others. Ten minutes on 2 cores; FOLDER keeps the networks and the answers, and only those that it lacks are made.
"""

import dataclasses
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision.models import DenseNet, MobileNetV2

from models.train_digits import draw
from preproc.diagnosis import variants
from preproc.diagnosis.models import OWN_CONSTANTS, diagnose_model
from preproc.host import versions
from preproc.oracle import reference
from preproc.steps import FromPixels, Normalize, Rescale, Step
from tests.conftest import ROOT

PAGE = ROOT / "tests/survey/diagnose.md"
STATS = ROOT / "models/digits.stats.json"
PHOTOGRAPHS = ROOT / "preproc/verify/pictures"
Z_SCORE = "the digits' z-score"
WAYS = ("0-255", "0-1", "imagenet", "inception or siglip", "per picture", Z_SCORE)
COLORS = ("RGB", "BGR")
COUNT = 60
"""Pictures that a network is asked for with."""


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


@dataclass(frozen=True)
class Row:
    """left: the names of the candidates that are.  nearest, noise: of the first candidate.  apart: the divergence of the next that is not
    left."""

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
    def truth(self) -> str:
        return OWN_CONSTANTS if self.way == Z_SCORE else f"{self.way}, {self.color}"

    @property
    def right(self) -> bool:
        return self.truth in self.left


def steps_of(way: str, color: str) -> tuple[Step, ...]:
    if way == Z_SCORE:
        return (FromPixels(layout="NHWC", to=color), Rescale(), Normalize.from_stats(STATS, color=color))
    return next(variant.steps for variant in variants(None) if variant.name == f"{way}, {color}")


def trained(family: str, way: str, color: str, folder: Path) -> nn.Module:
    """From the folder, or trained and put there."""
    file = folder / f"{family}, {way}, {color}.safetensors".replace("/", "-")
    torch.manual_seed(0)
    net = FAMILIES[family]()
    if file.is_file():
        net.load_state_dict(load_file(file))
        return net.eval()
    pictures, labels = draw("train", 2560, seed=1)
    x, y = torch.from_numpy(reference.apply(steps_of(way, color), pictures).astype(np.float32)), torch.from_numpy(labels)
    epochs, batch, rate = 4, 32, 0.05
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=epochs * (len(x) // batch))
    for _ in range(epochs):
        for part in torch.randperm(len(x)).split(batch):
            loss = nn.functional.cross_entropy(net(x[part]), y[part])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    save_file(net.state_dict(), file)
    return net.eval()


def photographs() -> np.ndarray:
    """Pieces of the package's photographs."""
    found = []
    for file in sorted(PHOTOGRAPHS.glob("*.jpg")):
        with Image.open(file) as image:
            small = np.asarray(image.convert("RGB").resize((160, 160)))
        found += [small[y : y + 32, x : x + 32] for y in range(0, 160, 32) for x in range(0, 160, 32)]
    return np.stack(found)[:COUNT]


def blurred(pictures: np.ndarray) -> np.ndarray:
    return np.stack([np.asarray(Image.fromarray(each).resize((12, 12)).resize((32, 32))) for each in pictures])


OTHERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "a tenth darker": lambda x: np.rint(x * 0.9).astype(np.uint8),
    "a quarter darker": lambda x: np.rint(x * 0.75).astype(np.uint8),
    "half the contrast": lambda x: np.rint((x - 176.0) * 0.5 + 176).astype(np.uint8),
    "a tenth less contrast": lambda x: np.rint((x - 176.0) * 0.9 + 176).astype(np.uint8),
    "negatives": lambda x: 255 - x,
    "blurred": blurred,
    "photographs": lambda _: photographs(),
}
"""Of the digits pictures of another kind."""


def rows_of(family: str, folder: Path, pictures: np.ndarray) -> Iterator[Row]:
    for way in WAYS:
        for color in COLORS:
            net = trained(family, way, color, folder)
            kinds = {"digits": lambda x: x} | (OTHERS if color == "RGB" else {})
            yield from (asked(net, Row(family, way, color, kind), change(pictures), folder) for kind, change in kinds.items())


def asked(net: nn.Module, row: Row, pictures: np.ndarray, folder: Path) -> Row:
    """The row with the answer, from the folder where that has it."""
    file = folder / f"{row.family}, {row.way}, {row.color}, {row.pictures}.json".replace("/", "-")
    if not file.is_file():
        with tempfile.TemporaryDirectory() as place:
            for number, each in enumerate(pictures):
                Image.fromarray(each).save(Path(place, f"{number:03}.png"))
            found = diagnose_model(net, images=place)
        best, second = found.candidates[0].measured, found.second
        apart = np.nan if second is None else second.measured["divergence"]
        left = [each.name for each in found.fits]
        told = {"verdict": found.verdict, "left": left, "nearest": best["divergence"], "noise": best["noise"], "apart": apart}
        file.write_text(json.dumps(told), encoding="utf-8")
        print(file.stem, found.verdict, *left, sep="; ", flush=True)
    return dataclasses.replace(row, **json.loads(file.read_text(encoding="utf-8")))


def tables(rows: list[Row]) -> Iterator[str]:
    own, others = ([row for row in rows if (row.pictures == "digits") == is_own] for is_own in (True, False))
    yield "| trained with | networks | identified | narrowed, the truth among them | not identified | **wrong** |"
    yield "|---|--:|--:|--:|--:|--:|"
    for way in WAYS:
        yield f"| {way} | " + " | ".join(map(str, _counts([row for row in own if row.way == way]))) + " |"
    yield f"| all | {' | '.join(map(str, _counts(own)))} |"
    yield ""
    yield "With pictures of another kind, networks of RGB:"
    yield ""
    yield "| pictures | networks | identified | narrowed, the truth among them | not identified | **wrong** |"
    yield "|---|--:|--:|--:|--:|--:|"
    for kind in OTHERS:
        yield f"| {kind} | " + " | ".join(map(str, _counts([row for row in others if row.pictures == kind]))) + " |"
    yield ""
    yield "| family | trained with | pictures | verdict | left | nearest | noise | next that is ruled out |"
    yield "|---|---|---|---|---|--:|--:|--:|"
    for row in (*own, *others):
        told = f"{row.verdict} | {'; '.join(row.left)} | {row.nearest:.2g} | {row.noise:.2g} | {row.apart:.2g}"
        yield f"| {row.family} | {row.way}, {row.color} | {row.pictures} | {told} |"


def _counts(rows: list[Row]) -> tuple[int, ...]:
    """All; identified rightly; narrowed with the truth; not identified; left without the truth."""
    kinds = Counter((row.verdict if row.right or not row.left else "wrong") for row in rows)
    return len(rows), kinds["identified"], kinds["narrowed"], kinds["not identified"], kinds["wrong"]


def main() -> None:
    torch.set_num_threads(1)
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
    folder.mkdir(exist_ok=True)
    pictures, _ = draw("test", 500, seed=1)
    rows = [row for family in FAMILIES for row in rows_of(family, folder, pictures[:COUNT])]
    write(rows)


def write(rows: list[Row]) -> None:
    told = ", ".join(f"{name} {version}" for name, version in versions().items() if name in ("torch", "torchvision", "numpy", "pillow"))
    wrong = sum(row.verdict == "identified" and not row.right for row in rows)
    PAGE.write_text(
        f"""# Which preprocessing was a network trained with?

Written by `python -m tests.survey_diagnose` ({told}). Small networks, trained on the digits for four epochs with one way of preprocessing,
and asked for with {COUNT} pictures, without their recipe: `preproc diagnose MODEL --images DIR`. {len(rows)} answers, {wrong} wrong
`identified`. "Wrong" is whatever is left without the truth. {Z_SCORE} is no candidate: "{OWN_CONSTANTS}" is right there.

"""
        + "\n".join(tables(rows))
        + "\n",
        encoding="utf-8",
    )
    assert not wrong, f"{wrong} wrong answers: see {PAGE}"


if __name__ == "__main__":
    main()
