"""A bundle in a Python service: onnxruntime, numpy and pillow, no preproc. See README.md."""

import json
import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime as ort  # noqa: TID251 - a service has no preproc to import it through


class Classifier:
    """Raw uint8 RGB pictures in, labels out."""

    def __init__(self, bundle: Path) -> None:
        self.bundle = bundle
        self.manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
        self.session = ort.InferenceSession(str(bundle / "model.onnx"), providers=["CPUExecutionProvider"])
        self.output = self.manifest["contract"]["outputs"][0]["name"]

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        """pixels: as manifest["contract"]["input"] says, here (N, H, W, 3) uint8 RGB.  Returns (N, classes) float32."""
        return self.session.run([self.output], {"pixels": pixels})[0]

    def label(self, picture: Image.Image) -> str:
        pixels = np.asarray(picture.convert("RGB"))[None]
        best, labels = int(self.logits(pixels).argmax()), self.manifest["contract"]["labels"]
        return labels[best] if labels else str(best)

    def check(self) -> float:
        """The largest error over the bundle's golden samples, relative as the tolerance is. Raises RuntimeError where it is above that."""
        power, errors = self.manifest["report"]["power"], []
        for name in self.manifest["golden"]:
            folder = self.bundle / "golden" / name
            expected = np.load(folder / self.manifest["golden_files"][self.output])
            found = self.logits(np.load(folder / "pixels.npy"))
            errors.append(np.abs(found - expected).max() / power["scale"][self.output] if found.shape == expected.shape else np.inf)
        worst = float(np.max(errors))  # a NaN stays one
        if not 0 <= worst <= power["tolerance"]:
            raise RuntimeError(f"golden samples: expected errors up to {power['tolerance']:.1e}, got {worst:.1e}")
        return worst


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python service.py BUNDLE PICTURE")
    try:
        classifier = Classifier(Path(sys.argv[1]))
        print(f"golden samples: error {classifier.check():.1e}", file=sys.stderr)
        print(classifier.label(Image.open(sys.argv[2])))
    except Exception as error:  # noqa: BLE001 - those of onnxruntime have no other base
        sys.exit(f"error: {' '.join(str(error).split()):.400}")
