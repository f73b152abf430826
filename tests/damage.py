"""Damage to the files of a bundle, so that only running them can tell; and packages that say that they were compiled for something else."""

import json
import zipfile

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


def recompiled(bundle, **changed):
    """A bundle of an AOTInductor package alone which says that it is compiled for something else. It has no library any more: a program
    that tried to load one would tell another reason."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["contract"]["compiled"]["aoti"].update(changed)
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    file = bundle / "model.aoti.pt2"
    with zipfile.ZipFile(file) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in records.items():
            if name.endswith("_metadata.json"):
                data = json.dumps(json.loads(data) | {"preproc.contract": json.dumps(manifest["contract"])})
            archive.writestr(name, b"" if name.endswith(".so") else data)
    for other in ("model.onnx", "model.pt"):
        (bundle / other).unlink()
    rehash(bundle)
    return bundle
