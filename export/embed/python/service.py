"""A bundle in a Python service: numpy, pillow and onnxruntime, or torch for the AOTInductor package, no preproc. See README.md."""

import json
import os
import platform
import sys
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

CPUINFO = Path("/proc/cpuinfo")


class OnnxFile:
    """model.onnx in ONNX Runtime: pixels in, all outputs out."""

    def __init__(self, bundle: Path, contract: dict) -> None:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime as ort  # noqa: TID251 - a service has no preproc to import it through

        self.input = contract["input"]["name"]
        self.session = ort.InferenceSession(str(bundle / "model.onnx"), providers=["CPUExecutionProvider"])

    def __call__(self, pixels: np.ndarray) -> list[np.ndarray]:
        return self.session.run(None, {self.input: pixels})


class Package:
    """model.aoti.pt2 in torch: machine code, which is loaded where the processor has the instructions that it was compiled for."""

    def __init__(self, bundle: Path, contract: dict) -> None:  # noqa: ARG002 - what it needs stands in the package itself
        file = bundle / "model.aoti.pt2"
        if not file.exists():
            raise RuntimeError(f"{file}: expected an AOTInductor package, got nothing there: export the bundle with the format aoti")
        try:
            with zipfile.ZipFile(file) as package:
                (name,) = [name for name in package.namelist() if name.endswith("_metadata.json")]
                wanted = json.loads(json.loads(package.read(name))["preproc.contract"])["compiled"]["aoti"]
        except Exception as error:
            again = "copy or export it again"
            raise RuntimeError(f"{file}: expected an AOTInductor package of preproc, got a damaged one or another file: {again}") from error
        here = f"{sys.platform}, {platform.machine()}"
        if f"{wanted['system']}, {wanted['machine']}" != here:
            raise RuntimeError(f"expected a package for {here}, got one for {wanted['system']}, {wanted['machine']}")
        if wanted["device"] != "cpu":
            raise RuntimeError(f"expected a package for the cpu, got one for {wanted['device']}")
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
        processors = [set(line.partition(":")[2].split()) for line in lines if line.lower().startswith(("flags\t", "features\t"))]
        missing = sorted(set(wanted["instructions"]).difference(set.intersection(*processors) if processors else ()))
        if missing:
            raise RuntimeError(f"expected a package for this processor, got one that needs its instructions {missing[0]}")
        import torch

        made, own = (tuple(map(int, version.split(".")[:2])) for version in (wanted["torch"], torch.__version__))
        if made > own:  # a newer one loads it: torch's C interface grows only
            raise RuntimeError(f"expected a package of torch {torch.__version__} or an older one, got one of torch {wanted['torch']}")
        # what torch._inductor.aoti_load_package has inside: without the compiler, which is seconds to import
        self.torch, self.loader = torch, torch._C._aoti.AOTIModelPackageLoader(str(file), "model", False, 1, -1)

    def __call__(self, pixels: np.ndarray) -> list[np.ndarray]:
        found = self.loader.run([self.torch.from_numpy(pixels.copy())])  # in one piece: a package looks at strides
        return [value.numpy() for value in found]


class Classifier:
    """Raw uint8 RGB pictures in, labels out. model: OnnxFile or Package."""

    def __init__(self, bundle: Path, model: type[OnnxFile | Package] = OnnxFile) -> None:
        self.bundle = bundle
        self.manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
        self.model = model(bundle, self.manifest["contract"])
        self.output = self.manifest["contract"]["outputs"][0]["name"]

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        """pixels: as manifest["contract"]["input"] says, (N, H, W, 3) uint8 RGB, or (N, 3H/2, W) of a camera's NV12.  Returns (N, classes)
        float32."""
        return self.model(pixels)[0]

    def label(self, picture: Image.Image) -> str:
        wanted = self.manifest["contract"]["input"]
        if (wanted["color"], wanted["layout"], wanted["dtype"]) != ("RGB", "NHWC", "uint8"):  # logits() takes any
            of = f"{wanted['dtype']} {wanted['color']} {' x '.join(map(str, wanted['shape']))}"
            raise RuntimeError(
                f"expected a bundle that takes a picture's uint8 RGB pixels, NHWC, got one that takes {of}: give logits() these"
            )
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
    arguments = [argument for argument in sys.argv[1:] if argument != "--aoti"]
    if len(arguments) != 2:
        sys.exit("usage: python service.py [--aoti] BUNDLE PICTURE")
    try:
        classifier = Classifier(Path(arguments[0]), Package if "--aoti" in sys.argv[1:] else OnnxFile)
        print(f"golden samples: error {classifier.check():.1e}", file=sys.stderr)
        print(classifier.label(Image.open(arguments[1])))
    except Exception as error:  # noqa: BLE001 - those of onnxruntime have no other base
        sys.exit(f"error: {' '.join(str(error).split()):.400}")
