"""Draws models/digits.png, the picture in the README: what the exported file reads, and what it reads when its input is prepared wrongly.

    python models/draw_picture.py        (make picture)

runs export/digits/model.onnx on models/digits.images, with raw pixels and with mistakes that people make in front of such a file. How many
of the digits each row reads right stands in the picture, and in its file: a test counts them again.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from preproc.verify.runtimes import OrtCpu

HERE = Path(__file__).parent
CELL, LEFT, TOP, RIGHT = 76, 262, 8, 84
INK, GOOD, BAD, FAINT = (36, 41, 47), (26, 127, 55), (207, 34, 46), (101, 109, 118)
MEAN, STD = 0.69, 0.05
"""Of the network's training pictures, in 0-1 (digits.stats.json), for all channels."""


def pictures() -> NDArray[np.uint8]:
    """One of each digit, (10, 32, 32, 3) RGB."""
    return np.stack([np.asarray(Image.open(HERE / "digits.images" / f"{digit}.png")) for digit in range(10)])


def rows(pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.uint8]]:
    """What somebody hands to the file, as uint8, by the name of what they did. pixels: (N, H, W, 3)."""
    grey = [np.asarray(Image.fromarray(picture).convert("L").convert("RGB")) for picture in pixels]
    return {
        "raw RGB pixels, as the contract says": pixels,
        "BGR for RGB": np.ascontiguousarray(pixels[..., ::-1]),
        "grey, three times": np.stack(grey),
        "divided by 255 already": np.round(pixels / 255).astype(np.uint8),
        "normalized already": np.clip(np.round((pixels / 255 - MEAN) / STD), 0, 255).astype(np.uint8),
    }


def read() -> dict[str, list[int]]:
    """The digits that the file reads, per row."""
    runtime = OrtCpu()
    runtime.open(HERE.parent / "export" / "digits" / "model.onnx")
    return {name: runtime.run(given)["logits"].argmax(axis=1).tolist() for name, given in rows(pictures()).items()}


def right(answers: list[int]) -> int:
    """How many are the digit that is drawn."""
    return sum(answer == digit for digit, answer in enumerate(answers))


def draw(answers: dict[str, list[int]]) -> Image.Image:
    width, height = LEFT + CELL * 10 + RIGHT, TOP + CELL + 30 * len(answers) + 8
    image = Image.new("RGB", (width, height), "white")
    canvas, font, bold = ImageDraw.Draw(image), ImageFont.load_default(14), ImageFont.load_default(18)
    for column, picture in enumerate(pictures()):
        enlarged = Image.fromarray(picture).resize((CELL - 8, CELL - 8), Image.Resampling.NEAREST)
        image.paste(enlarged, (LEFT + CELL * column, TOP))
    canvas.text((12, TOP + CELL // 2 - 12), "the model file is given", font=font, fill=FAINT)
    canvas.text((width - RIGHT + 8, TOP + CELL // 2 - 12), "right", font=font, fill=FAINT)
    for row, (name, read_as) in enumerate(answers.items()):
        y = TOP + CELL + 30 * row
        canvas.text((12, y + 3), name, font=font, fill=INK)
        for digit, answer in enumerate(read_as):
            place = (LEFT + CELL * digit + CELL // 2 - 10, y)
            canvas.text(place, str(answer), font=bold, fill=GOOD if answer == digit else BAD)
        canvas.text((width - RIGHT + 8, y + 3), f"{right(read_as)} of 10", font=font, fill=INK)
    return image


def main() -> None:
    answers = read()
    counts = PngInfo()
    for name, read_as in answers.items():
        counts.add_text(name, f"{right(read_as)} of 10")
    draw(answers).save(HERE / "digits.png", optimize=True, pnginfo=counts)


if __name__ == "__main__":
    main()
