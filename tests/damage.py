"""Damage to the files of a bundle, so that only running them can tell."""

import json

import onnx_ir as ir

from preproc import graph
from preproc.bundle import hashes


def rehash(bundle):
    """Makes the manifest agree with damaged files, so that only running them can tell."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"] = hashes(bundle)
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def edit_onnx(bundle, change):
    model = graph.load(bundle / "model.onnx")
    change(model)
    graph.save(model, bundle / "model.onnx")
    rehash(bundle)


def replace_weight(model, change):
    """Applies `change` to the first convolution's weight."""
    name = next(node for node in model.graph if node.op_type == "Conv").inputs[1].name
    value = model.graph.initializers[name]
    value.const_value = ir.tensor(change(value.const_value.numpy().copy()), name=name)


def edit_manifest(bundle, key, value):
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(manifest | {key: value}))
