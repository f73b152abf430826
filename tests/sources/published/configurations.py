"""Configurations of image processors as their publishers write them."""

from timm.models import get_pretrained_cfg
from torchvision import transforms

from preproc.layers import Pipeline

CLIP = {
    "image_processor_type": "CLIPImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": 224},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "do_convert_rgb": True,
}


def without(*keys, **changes):
    return {key: value for key, value in CLIP.items() if key not in keys} | changes


MOBILEVIT = without("do_normalize", "image_mean", "image_std", image_processor_type="MobileViTImageProcessor")
VIT = without("do_center_crop", "crop_size", image_processor_type="ViTImageProcessor", size={"height": 32, "width": 40})
CONVNEXT = without("do_center_crop", "crop_size", image_processor_type="ConvNextImageProcessor")
FACTORS, WHY = [1 / 0.229, 1 / 0.224, 1 / 0.225], "measured so"
"""ncnn's norm_vals where stds belong."""
DOUBTED = {
    "torchvision": (
        Pipeline.from_torchvision,
        transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], FACTORS)]),
    ),
    "timm": (Pipeline.from_timm, get_pretrained_cfg("resnet50.a1_in1k").to_dict() | {"std": FACTORS}),
    "huggingface": (Pipeline.from_huggingface, without(image_mean=[0.485, 0.456, 0.406], image_std=FACTORS)),
}
