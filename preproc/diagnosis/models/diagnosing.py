"""A network and pictures -> which preprocessing it was trained with."""

from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import PreprocError
from ...host import Progress, silent
from ...sources import Recipe
from ...verify import inputs
from ..experiment import read_data
from .answer import ModelDiagnosis
from .batch_norms import by_batch_norms
from .labelled import by_labels
from .subject import check_enough, subject_of

if TYPE_CHECKING:
    from torch import nn

_WEIGHTS = (".pt", ".pth", ".pt2", ".ckpt", ".bin", ".safetensors", ".tar")


def diagnose_model(
    model: "Recipe | nn.Module | str | Path",
    *,
    images: str | Path | None = None,
    labels: str | Path | None = None,
    size: "int | tuple[int, int] | None" = None,
    progress: Progress = silent,
) -> ModelDiagnosis:
    """Ranks the preprocessings that people use, and those that they use by mistake, for a network.

    model: a recipe or its path, a bundle, an .onnx file that takes prepared floats, or an nn.Module that does.
    images: a folder of pictures like those that it was trained with, without labels: by what its BatchNorms hold.
    labels: a folder of pictures per class, in the order of the classes by name, or called as the model's labels: by its answers.
    One of the two.  size: (height, width), or one number for both, of what a module or a file of free sides takes; None: the pictures'.
    Raises PreprocError for a model or pictures that cannot be read, or that do not fit one another.
    """
    if (images is None) == (labels is None):
        raise PreprocError(
            f"expected images or labels, one of the two, got {'neither' if images is None else 'both'}", name="conflicting-options"
        )
    if isinstance(model, (str, Path)):
        _check_no_weights(Path(model))
    if labels is not None:
        data = read_data(labels)
        check_enough(len(data.pictures))  # in front of the network, which takes the time
        return by_labels(subject_of(model, size, progress), data, progress)
    folder = Path(str(images))
    check_enough(inputs.how_many(folder))
    subject = subject_of(model, size, progress)
    progress(f"reading {folder}")
    return by_batch_norms(subject, [levels for _, levels in subject.read(folder)], progress)


def _check_no_weights(path: Path) -> None:
    if path.suffix in _WEIGHTS and not path.is_dir():
        raise PreprocError(
            f'{path}: expected weights with their network, a recipe with [backbone] source = "checkpoint" that names both '
            "(preproc explain recipe), or an .onnx file, got weights alone",
            name="wrong-object",
        )
