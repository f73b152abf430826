"""Networks from Python behind ImageNet's pipeline, exported, and what ran of them."""

import torch

from preproc.export import export_bundle
from preproc.layers import FromPixels, Normalize, Pipeline, Rescale, prepend


def published(net, out, size=24, **options):
    torch.manual_seed(0)
    pipeline = Pipeline(FromPixels(layout="NHWC"), Rescale(), Normalize.preset("imagenet"))
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    return export_bundle(prepend(pipeline, net.eval()), out, example=example, **options)


def ran(report):
    return {result.runtime: result for result in report.results if result.verdict != "absent"}
