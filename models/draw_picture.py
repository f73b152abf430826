"""Draws models/digits.png, the picture in the README: what the exported file reads, and what it reads when its input is prepared wrongly.

    python models/draw_picture.py        (make picture)

runs export/digits/model.onnx on models/digits.images, with raw pixels and with three mistakes that people make in front of such a file.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from preproc.verify.runtimes import OrtCpu

HERE = Path(__file__).parent
CELL, LEFT, TOP = 76, 250, 8
INK, GOOD, BAD, FAINT = (36, 41, 47), (26, 127, 55), (207, 34, 46), (101, 109, 118)


def main() -> None:
    runtime = OrtCpu()
    runtime.open(HERE.parent / "export" / "digits" / "model.onnx")
    files = sorted((HERE / "digits.images").glob("*.png"))
    pixels = np.stack([np.asarray(Image.open(file)) for file in files])
    rescaled = np.clip(np.round((pixels / 255 - 0.45) / 0.225 * 127), 0, 255).astype(np.uint8)
    rows = {
        "raw RGB pixels, as the contract says": pixels,
        "BGR for RGB": pixels[..., ::-1],
        "already normalized by the caller": rescaled,
        "one channel three times": np.repeat(pixels.mean(axis=3, keepdims=True), 3, axis=3).astype(np.uint8),
    }
    image = Image.new("RGB", (LEFT + CELL * len(files) + 8, TOP + CELL + 30 * len(rows) + 8), "white")
    draw, font, bold = ImageDraw.Draw(image), ImageFont.load_default(14), ImageFont.load_default(18)
    for column, picture in enumerate(pixels):
        enlarged = Image.fromarray(picture).resize((CELL - 8, CELL - 8), Image.Resampling.NEAREST)
        image.paste(enlarged, (LEFT + CELL * column, TOP))
    draw.text((12, TOP + CELL // 2 - 12), "the model file is given", font=font, fill=FAINT)
    for row, (name, given) in enumerate(rows.items()):
        y = TOP + CELL + 30 * row
        draw.text((12, y + 3), name, font=font, fill=INK)
        for column, answer in enumerate(runtime.run(np.ascontiguousarray(given))["logits"].argmax(axis=1)):
            right = str(answer) == files[column].stem
            draw.text((LEFT + CELL * column + CELL // 2 - 10, y), str(answer), font=bold, fill=GOOD if right else BAD)
    image.save(HERE / "digits.png", optimize=True)


if __name__ == "__main__":
    main()
