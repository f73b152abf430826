"""A model as one TorchScript file: the pipeline scripted, the backbone traced, together in one module."""

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..errors import PreprocError
from ..pipeline import Model

MODEL = "model.pt"


def export_torchscript(model: Model, example: Tensor, path: Path, *, extra: Mapping[str, str]) -> None:
    """Writes `path`, loadable without preproc. Not frozen, so that it can still move to a device; one dtype per file.

    example: pixels, a batch of at least 2.  extra: TorchScript extra files by name.
    Raises PreprocError if the backbone cannot be traced.
    """
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.")  # deprecated in torch 2.15; LibTorch and Triton load nothing else
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]  # verification runs other batches, and other sizes
        try:
            pipeline = torch.jit.script(model.pipeline)
            backbone = torch.jit.trace(model.backbone, model.pipeline(example), check_trace=False)
            whole = torch.jit.script(Model(pipeline, backbone))
        except (RuntimeError, TypeError, ValueError) as error:
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise PreprocError(f"expected a backbone that torch.jit.trace can record, got: {reason}") from error
        with tempfile.TemporaryDirectory() as folder:
            raw = Path(folder) / MODEL
            torch.jit.save(whole, str(raw), _extra_files=dict(extra))
            _without_debug_files(raw, path)


def _without_debug_files(source: Path, target: Path) -> None:
    """Copies the archive without its .debug_pkl members, which hold the paths and source lines of this machine."""
    reader = torch._C.PyTorchFileReader(str(source))
    writer = torch._C.PyTorchFileWriter(str(target))
    writer.set_min_version(int(reader.get_record("version")))  # which operators' meaning the code was written with
    own = ("version", ".data/version", "byteorder", ".data/serialization_id")  # the writer makes these itself
    for name in reader.get_all_records():
        if name.endswith(".debug_pkl") or name in own:
            continue
        record = reader.get_record(name)
        writer.write_record(name, record, len(record))
    writer.write_end_of_file()
