"""Which file each format is, in a bundle."""

FILES = {
    "onnx": "model.onnx",
    "torchscript": "model.pt",
    "pt2": "model.pt2",
    "aoti": "model.aoti.pt2",
    "executorch": "model.pte",
}
"""The file of each format, which its runtimes run."""
BUNDLED = "model.bpte"
"""ExecuTorch's program with the golden samples as its test cases."""
