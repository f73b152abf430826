"""The fields of transformers' image processors: which flag each belongs to, and which say nothing of the pixels."""

import math
from collections.abc import Mapping

from ...errors import PreprocError

VALUES: Mapping[str, tuple[str, ...]] = {
    "do_resize": ("size", "resample", "crop_pct", "size_divisor"),
    "do_center_crop": ("crop_size",),
    "do_rescale": ("rescale_factor", "rescale_offset"),
    "do_normalize": ("image_mean", "image_std"),
    "do_pad": ("pad_size",),
    "do_flip_channel_order": (),
    "include_top": (),
}
"""Each flag, and the fields that say something only where it is on."""
FLAG_OF = {name: flag for flag, names in VALUES.items() for name in names}
FIELDS = (*VALUES, *FLAG_OF)
HARMLESS = frozenset(
    {
        "processor_class",
        "image_processor_type",
        "feature_extractor_type",
        "_valid_processor_keys",
        "data_format",
        "input_data_format",
        "return_tensors",
        "device",
        "disable_grouping",
        "default_to_square",
        "do_convert_rgb",
        "do_reduce_labels",
        "reduce_labels",
        "num_labels",
        "format",
        "do_convert_annotations",
        "ignore_index",
        "apply_ocr",
        "ocr_lang",
        "tesseract_config",
    }
)
"""Fields that say nothing more of the pixels of one RGB picture."""


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def wrong(told: str) -> PreprocError:
    return PreprocError(told, name="published-value")
