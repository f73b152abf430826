"""The Python pipeline itself that published steps are said to be, run where its library is installed."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import NotAtHandError, PreprocError, first_line
from .base import check_torchvision, title
from .huggingface import BACKEND_NAMES, class_name


def original(origin: str) -> Callable[[Any], NDArray[np.float32]]:
    """The Python pipeline itself that these steps are said to be: a PIL image (RGB) -> (1, C, H, W) float32.

    Raises NotAtHandError where there is none to run here, with the reason, and PreprocError for weights that are not published any more.
    """
    try:
        if origin.startswith("Hugging Face"):
            return _hf_processor(origin)
        check_torchvision()
        if origin.startswith("timm "):
            from timm import data
            from timm.models import get_pretrained_cfg

            library: Any = data
            text = origin.removeprefix(title(origin))
            named: Any = get_pretrained_cfg(origin.removeprefix("timm ")) if not text else None
            config = json.loads(text) if named is None else named.to_dict()
            transform = library.create_transform(**library.resolve_data_config({}, pretrained_cfg=config))
        else:
            from torchvision import models

            transform = models.get_weight(origin).transforms()
    except ImportError as error:
        raise NotAtHandError(f"{error.name} is not installed; pip install {error.name}, and verify again", name="not-installed") from error
    except PreprocError:
        raise
    except (ValueError, KeyError, AttributeError, RuntimeError) as error:
        raise PreprocError(f"expected weights that are published, got {origin!r}: {first_line(error)}", name="unknown-weights") from error
    return lambda image: np.asarray(transform(image).numpy()[None])


def _hf_processor(origin: str) -> Callable[[Any], NDArray[np.float32]]:
    """transformers' own image processor, of the backend that the steps are read for."""
    import transformers

    config = json.loads(origin.removeprefix(title(origin)) or "{}")
    kind, on_tensors = class_name(config), title(origin).endswith(f"({BACKEND_NAMES['torchvision']} backend)")
    made = getattr(transformers, kind if on_tensors else f"{kind}Pil", None)
    if made is None or int(transformers.__version__.partition(".")[0]) < 5:
        which = BACKEND_NAMES["torchvision" if on_tensors else "pil"]
        raise NotAtHandError(f"transformers {transformers.__version__} has no {kind} for {which}; 5.4 and newer have")
    processor, tensors = made.from_dict(config), "pt" if on_tensors else "np"
    return lambda image: np.asarray(processor(images=image, return_tensors=tensors)["pixel_values"], np.float32)
