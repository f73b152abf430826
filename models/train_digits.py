"""Trains the embedded backbone, and measures what each normalization is worth.

    make models            (or: python models/train_digits.py)

draws the pictures from scikit-learn's handwritten digits, computes the statistics of the training set, trains one network per
normalization and writes beside this file: digits.safetensors (the network trained with the data set's z-score),
digits.stats.json, digits.labels.txt, digits.images/ (a few test pictures) and digits.training.md (the table in models/README.md).

A picture shows the digit to read in warm pencil over a distractor digit in cold pencil, both faint, on noisy paper: whoever
swaps the colour channels reads the other digit, and whoever shifts the constants drowns the pencil in an offset.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

from preproc.oracle import reference
from preproc.sources.backbones.embedded import DigitsNet
from preproc.stats import compute_stats
from preproc.steps import MinMaxNormalize, Normalize, Rescale, Standardize, Step

HERE = Path(__file__).parent
SIZE = 32
WARM = np.array([-0.03, -0.10, -0.17])  # what a pencil stroke adds to the paper's red, green and blue, of full brightness 1
COLD = WARM[::-1]
Pictures = NDArray[np.uint8]
Labels = NDArray[np.int64]
Normalization = Callable[[Pictures], NDArray[np.float64]]


def draw(split: str, count: int, *, seed: int) -> tuple[Pictures, Labels]:
    """pixels: (count, 32, 32, 3) uint8 RGB grey levels; labels: (count,). split: "train" or "test", which share no digit."""
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.images))
    held_out = len(order) // 5
    chosen = order[held_out:] if split == "train" else order[:held_out]
    rng = np.random.default_rng([seed, ["train", "test"].index(split)])
    pictures, labels = np.empty((count, SIZE, SIZE, 3), np.uint8), np.empty(count, np.int64)
    for i in range(count):
        read, distractor = rng.choice(chosen, 2, replace=False)
        slope = np.add.outer(*(np.linspace(-1, 1, SIZE) * rng.normal(0, 0.01) for _ in range(2)))
        paper = 0.72 + rng.normal(0, 0.015) + rng.normal(0, 0.006, 3) + slope[..., None]
        strokes = _stroke(digits.images[read], rng)[..., None] * WARM + _stroke(digits.images[distractor], rng)[..., None] * COLD
        picture = paper + strokes * rng.uniform(0.6, 1.0) + rng.normal(0, 0.015, (SIZE, SIZE, 3))
        pictures[i] = np.clip(np.floor(picture * 255 + 0.5), 0, 255)
        labels[i] = digits.target[read]
    return pictures, labels


def _stroke(digit: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """One 8x8 digit, enlarged, turned and moved a little: (32, 32), 0..1."""
    angle, zoom = rng.normal(0, 0.12), rng.uniform(2.6, 3.6)
    cos, sin = np.cos(angle) / zoom, np.sin(angle) / zoom
    x, y = SIZE / 2 + rng.uniform(-3, 3, 2)
    inverse = (cos, sin, 4 - cos * x - sin * y, -sin, cos, 4 + sin * x - cos * y)
    image = Image.fromarray((digit / 16).astype(np.float32))
    drawn = image.transform((SIZE, SIZE), Image.Transform.AFFINE, inverse, resample=Image.Resampling.BILINEAR)
    return np.asarray(drawn, np.float64)


def grey_levels(pictures: Pictures) -> NDArray[np.float64]:
    return np.moveaxis(pictures, 3, 1).astype(np.float64)


def normalizations(stats: Path) -> dict[str, Normalization]:
    def of(*steps: Step) -> Normalization:
        return lambda pictures: reference.apply(steps, grey_levels(pictures))

    return {
        "none (0..255)": grey_levels,
        "Rescale only": of(Rescale()),
        "data set z-score": of(Rescale(), Normalize.from_stats(stats)),
        "ImageNet's constants": of(Rescale(), Normalize.preset("imagenet")),
        "min-max per image": of(MinMaxNormalize()),
        "standardize per image": of(Standardize()),
    }


def train(pictures: NDArray[np.float64], labels: Labels, *, epochs: int = 6, batch: int = 64) -> DigitsNet:
    torch.manual_seed(0)
    net = DigitsNet()
    x, y = torch.from_numpy(pictures.astype(np.float32)), torch.from_numpy(labels)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=epochs * (len(x) // batch))
    for _ in range(epochs):
        for part in torch.randperm(len(x))[: len(x) // batch * batch].split(batch):
            loss = cross_entropy(net(x[part]), y[part], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def train_with(prepare: torch.nn.Module) -> DigitsNet:
    """For `preproc compare digits PICTURES --train models.train_digits:train_with`: the same training behind other steps, which `prepare`
    does to (N, 32, 32, 3) uint8 pixels. DIGITS_EPOCHS and DIGITS_PICTURES in the environment make it shorter."""
    epochs, count = (int(os.environ.get(name, usual)) for name, usual in (("DIGITS_EPOCHS", 6), ("DIGITS_PICTURES", 16_000)))
    pictures, labels = draw("train", count, seed=1)
    with torch.inference_mode():
        prepared = [prepare(part).numpy() for part in torch.from_numpy(pictures).split(500)]
    return train(np.concatenate(prepared), labels, epochs=epochs)


@torch.inference_mode()
def accuracy(net: DigitsNet, pictures: NDArray[np.float64], labels: Labels) -> float:
    answers = [net(part).argmax(1) for part in torch.from_numpy(pictures.astype(np.float32)).split(500)]
    return float((torch.cat(answers).numpy() == labels).mean())


def main() -> None:
    (pictures, labels), (test_pictures, test_labels) = draw("train", 16_000, seed=1), draw("test", 2_000, seed=1)
    stats = HERE / "digits.stats.json"
    compute_stats(pictures).save(stats)
    (HERE / "digits.labels.txt").write_text("".join(f"{digit}\n" for digit in range(10)), encoding="utf-8")
    (HERE / "digits.images").mkdir(exist_ok=True)
    for digit in range(10):
        first = int(np.flatnonzero(test_labels == digit)[0])
        Image.fromarray(test_pictures[first]).save(HERE / "digits.images" / f"{digit}.png")

    ways = normalizations(stats)
    trained, nets = {}, {}
    for name, way in ways.items():
        start = time.perf_counter()
        nets[name] = train(way(pictures), labels)
        trained[name] = accuracy(nets[name], way(test_pictures), test_labels)
        print(f"{name:24} {trained[name]:7.1%}   {time.perf_counter() - start:5.0f} s", flush=True)
    net = nets["data set z-score"]
    published = {"color": "RGB", "steps": [Rescale().spec(), Normalize.from_stats(stats).spec()]}
    save_file(net.state_dict(), HERE / "digits.safetensors", metadata={"preproc": json.dumps(published)})

    right = ways["data set z-score"]
    doubled = reference.apply([Normalize.from_stats(stats)], right(test_pictures))
    served = {name: accuracy(net, way(test_pictures), test_labels) for name, way in ways.items()}
    served |= {
        "z-score, channels swapped": accuracy(net, right(test_pictures[..., ::-1]), test_labels),
        "z-score, applied twice": accuracy(net, doubled, test_labels),
    }
    table = [
        "| normalization | trained and served with it | trained with the z-score, served with it | points lost |",
        "|---|--:|--:|--:|",
    ]
    for name, value in served.items():
        own = f"{trained[name]:.1%}" if name in trained else ""
        table.append(f"| {name} | {own} | {value:.1%} | {100 * (served['data set z-score'] - value):.1f} |")
    (HERE / "digits.training.md").write_text("\n".join(table) + "\n", encoding="utf-8")
    print("\n".join(table))


if __name__ == "__main__":
    main()
