"""A recipe for a network that timm makes, which a test changes."""

from preproc.sources import parse_recipe
from tests.conftest import ROOT

TABLE = {
    "name": "net",
    "backbone": {"source": "timm", "name": "vit_tiny_patch16_224", "weights": "random", "seed": 0, "color": "RGB"},
    "pixels": {"layout": "NHWC", "color": "RGB", "size": [224, 224]},
    "steps": [{"step": "rescale"}, {"step": "normalize", "preset": "inception"}],
}


def recipe(folder=ROOT / "models", **backbone):
    table = {key: value for key, value in (TABLE["backbone"] | backbone).items() if value is not None}
    return parse_recipe(TABLE | {"backbone": table}, folder=folder)
