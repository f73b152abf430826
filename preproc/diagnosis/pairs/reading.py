"""Where pairs are: a folder, an .npz file, or a function of the user's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import PreprocError
from .calling import of_function
from .files import of_folder, of_npz
from .functions import find
from .pairs import Pairs

HOW = "a folder of pictures with a .npy or .pt of the same name beside each, an .npz file, or package.module:function with --images"
"""Of what pairs are read."""


def read_pairs(place: str | Path | Callable[..., Any], *, images: Path | None = None) -> Pairs:
    """The pairs of a folder (a.png beside a.npy or a.pt, and so on below it), of an .npz file, or, with `images`, pictures, of a function
    that makes a tensor of a picture: itself, or package.module:function.

    An .npz file has `pictures`, (N, H, W, 3) uint8 RGB, and `tensors`, or NAME.picture and NAME.tensor for each pair. A .pt file is what
    torch.save() wrote of one tensor. A function gets a PIL image, or, where it fails with that, an array (H, W, 3) uint8 RGB. Tensors are
    (C, H, W) or (H, W, C), C 3 or 1, with or without a batch of one in front, or (H, W). Raises PreprocError: for pictures without a tensor
    and the other way round, for what cannot be read, for another rank, for values that are not finite, and with the function's own message
    where it raises.
    """
    if callable(place) or (":" in str(place) and not Path(place).exists()):
        return of_function(place if callable(place) else find(str(place)), str(getattr(place, "__name__", place)), images)
    if images is not None:
        raise PreprocError(
            "--images: expected beside a function only, which makes tensors of them, got it beside files", name="option-without-effect"
        )
    path = Path(place)
    if path.suffix.lower() == ".npz":
        return of_npz(path)
    if not path.is_dir():
        raise PreprocError(f"{path}: expected {HOW}, got {'another file' if path.exists() else 'nothing there'}", name="nothing-there")
    return of_folder(path)
