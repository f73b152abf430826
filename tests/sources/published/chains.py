"""Random chains of torchvision's transforms, of both of its generations."""

import warnings

import torch
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms as v1
from torchvision import tv_tensors
from torchvision.transforms import v2

F32, MODE = torch.float32, v1.InterpolationMode
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    OLD_TO_TENSOR = v2.ToTensor()  # deprecated
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
constants = st.sampled_from([(MEAN, STD), ([0.5], [0.5]), ([0.0] * 3, [1.0] * 3), ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])])
sides = st.sampled_from([8, 24, [20], [18, 31], [40, 33]])
dtypes = st.sampled_from([F32, F32, F32, torch.uint8, torch.int32, torch.int16, torch.int64, torch.float64, torch.float16])
of_kinds = st.sampled_from(
    [
        {tv_tensors.Image: F32, "others": None},
        {torch.Tensor: F32, "others": None},
        {"others": F32},
        {tv_tensors.Image: torch.uint8, "others": F32},
    ]
)
modes = st.sampled_from(
    [MODE.BILINEAR, MODE.BILINEAR, MODE.BICUBIC, MODE.LANCZOS, MODE.NEAREST, MODE.NEAREST_EXACT, MODE.BOX, MODE.HAMMING]
)
resizes = st.builds(
    lambda kit, size, mode, antialias: kit.Resize(size, interpolation=mode, antialias=antialias),
    st.sampled_from([v1, v2]),
    sides,
    modes,
    st.sampled_from([True, True, True, False]),
)
limited = st.builds(lambda kit, more: kit.Resize(20, max_size=20 + more), st.sampled_from([v1, v2]), st.integers(1, 12))
by_kind = st.builds(
    lambda padding, fills: v2.Pad(padding, fill=dict(fills)),
    st.sampled_from([1, [2, 3], [4]]),
    st.sampled_from(
        [{Image.Image: 3, "others": 0}, {tv_tensors.Image: 1, "others": 5}, {Image.Image: [2, 2, 2], "others": None}, {torch.Tensor: 3}]
    ),
)
crops = st.builds(lambda kit, size: kit.CenterCrop(size), st.sampled_from([v1, v2]), sides)
pads = st.builds(
    lambda kit, padding, fill: kit.Pad(padding, fill=fill),
    st.sampled_from([v1, v2]),
    st.sampled_from([1, [2, 3], [1, 2, 3, 4]]),
    st.sampled_from([0, 0, 7, 255, 1.0, 0.5, 300, [7, 7, 7], (1, 2, 3), [9]]),
)
conversions = st.one_of(
    st.sampled_from([v1.ToTensor(), OLD_TO_TENSOR, v1.PILToTensor(), v2.PILToTensor(), v2.ToImage(), v2.ToPureTensor()]),
    st.builds(lambda kit, dtype: kit.ConvertImageDtype(dtype), st.sampled_from([v1, v2]), dtypes),
    st.builds(lambda dtype, scale: v2.ToDtype(dtype, scale=scale), st.one_of(dtypes, dtypes, of_kinds), st.booleans()),
)
normalizes = st.builds(
    lambda kit, told, inplace: kit.Normalize(*told, inplace=inplace), st.sampled_from([v1, v2]), constants, st.booleans()
)
anything = st.lists(st.one_of(resizes, limited, crops, pads, by_kind, conversions, conversions, normalizes), min_size=1, max_size=6)
"""Most are refused, or fail in torchvision."""
to_tensor = st.sampled_from([[v1.ToTensor()], [v2.PILToTensor()], [v2.ToImage()], [v2.ToImage(), v2.ToPureTensor()]])
moved = st.lists(st.one_of(resizes, limited, crops, pads, by_kind), max_size=2)
to_floats = st.one_of(
    st.builds(lambda kit: [kit.ConvertImageDtype(F32)], st.sampled_from([v1, v2])),
    st.builds(lambda scale: [v2.ToDtype(F32, scale=scale)], st.booleans()),
    st.builds(lambda first, scale: [v2.ToDtype(F32, scale=first), v2.ToDtype(F32, scale=scale)], st.booleans(), st.booleans()),
    st.builds(lambda told, scale: [v2.ToDtype(told, scale=scale)], of_kinds, st.booleans()),
)
usual = st.builds(
    lambda *parts: [step for part in parts for step in part],
    moved, to_tensor, moved, to_floats, moved, st.lists(normalizes, max_size=1), st.lists(crops, max_size=1),
)  # fmt: skip
"""Chains as people write them."""
