"""The ordered layers, and the model they make with a backbone."""

from collections.abc import Iterator, Sequence
from typing import Any, no_type_check

import torch
from torch import Tensor, nn

from .. import steps
from ..errors import PreprocError
from ..sources import Recipe, published
from ..sources.backbones import agreement, load_backbone
from ..steps import FromPixels, Step, collapse_steps
from .base import Layer
from .early import in_order
from .kinds import from_step


class Pipeline(nn.Module):
    """Layers one after another: pixels in, model-ready floats out.

    x: integer pixels as the leading FromPixels takes them (or (N, C, H, W) floats, without one).  y: (N, C, H, W) float.
    Raises PreprocError when units do not fit: 0-1 statistics on grey levels, a second rescale, a normalization applied twice.
    """

    def __init__(self, *sequence: Layer) -> None:
        super().__init__()
        for layer in sequence:
            if not isinstance(layer, Layer):
                raise PreprocError(f"expected layers of preproc, got {type(layer).__name__}", name="wrong-object")
        steps.check([layer.step for layer in sequence])
        self.layers = in_order(*sequence)

    @classmethod
    def from_steps(
        cls, sequence: Sequence[Step], *, device: torch.device | str | int | None = None, dtype: torch.dtype | None = None
    ) -> "Pipeline":
        return cls(*(from_step(step, device=device, dtype=dtype) for step in sequence))

    @classmethod
    def from_torchvision(
        cls, source: Any, *, layout: str = "NHWC", color: str = "RGB", pillow: int | None = None, constants_because: str | None = None
    ) -> "Pipeline":
        """The pipeline that torchvision publishes with weights, or a Compose of its transforms as they run on a PIL image.

        source: a member of a weights enum, its transforms(), or a Compose (v1 or v2).  layout, color: of the uint8 pixels.
        pillow: 12 or 13, whose order of passes the resizes have; default: that of the Pillow which is installed.
        constants_because: the reason why a mean and std that look like something else are right; they are refused without.
        Raises PreprocError, which names the transform, for what files have no word for.
        """
        return cls._published(published.from_torchvision(source, pillow=pillow, constants_because=constants_because), layout, color)

    @classmethod
    def from_timm(
        cls, source: Any, *, layout: str = "NHWC", color: str = "RGB", pillow: int | None = None, constants_because: str | None = None
    ) -> "Pipeline":
        """The evaluation pipeline of timm's weights: of a name as "resnet50.a1_in1k", a config.json (path, folder or table), a
        pretrained_cfg, or a model."""
        return cls._published(published.from_timm(source, pillow=pillow, constants_because=constants_because), layout, color)

    @classmethod
    def from_huggingface(
        cls,
        source: Any,
        *,
        layout: str = "NHWC",
        color: str = "RGB",
        backend: str | None = None,
        pillow: int | None = None,
        constants_because: str | None = None,
    ) -> "Pipeline":
        """The pipeline of an image processor of transformers: of its preprocessor_config.json or processor_config.json (path, folder or
        table), or of the object itself, or of the processor that it is in; as from_torchvision().

        backend: what transformers computes a file with, "pil" (the default) or "torchvision", which resize some grey levels apart; an
        object says its own.
        """
        known = published.from_huggingface(source, backend=backend, pillow=pillow, constants_because=constants_because)
        return cls._published(known, layout, color)

    @classmethod
    def _published(cls, known: published.Published, layout: str, color: str) -> "Pipeline":
        return cls.from_steps([FromPixels(layout=layout, color=color, to=known.color), *known.steps])

    def to_torchvision(self) -> Any:
        """The equivalent torchvision.transforms.v2 transform, from a PIL image of the backbone's kind to a (C, H, W) float tensor: for
        training, so that training and file share one source. Raises PreprocError for steps that torchvision has no transform for."""
        first, *later = self.steps()
        if not isinstance(first, FromPixels) or first.to not in ("RGB", "GRAY"):
            raise PreprocError(
                f"expected a pipeline for a network of RGB or grey pictures, as PIL gives them, got one with {first}",
                name="steps-cannot-say",
            )
        return published.to_torchvision(later)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y

    def steps(self) -> tuple[Step, ...]:
        return tuple(layer.step for layer in self._layers())

    def collapse(self, *, channels: int | None = None) -> "Pipeline":
        """The same pipeline with every run of neighbouring affine steps composed, in float64, into one ChannelAffine.

        FromPixels keeps the cast and the layout, and gives its colour selection to what follows.
        channels: how many the input has, where no step says so (FromPixels(color="ANY") and rescales only).
        Device and dtype are those of this pipeline's buffers.
        """
        sequence = self.steps()
        channels = steps.channels_in(sequence) or channels
        if channels is None:
            raise PreprocError("expected channels=, got a pipeline in which no step tells how many the input has", name="shape-unknown")
        whole = collapse_steps(sequence, channels)
        like = next(self.buffers(), torch.empty(0))
        return Pipeline(*(from_step(step, device=like.device, dtype=_float_dtype(self)) for step in whole))

    def _layers(self) -> Iterator[Layer]:
        for layer in self.layers:
            assert isinstance(layer, Layer)
            yield layer


class Model(nn.Module):
    """A pipeline in front of a backbone: pixels in, the backbone's outputs out. Both stay the modules they were."""

    def __init__(self, pipeline: nn.Module, backbone: nn.Module) -> None:
        super().__init__()
        self.pipeline = pipeline
        self.backbone = backbone

    @no_type_check
    def forward(self, pixels):
        """Without annotations torch.jit.script infers what the backbone answers: a tensor or a tuple of tensors."""
        return self.backbone(self.pipeline(pixels))


def prepend(pipeline: Pipeline, backbone: nn.Module) -> Model:
    """Puts the pipeline in front of the backbone: eager, nothing folded, nothing copied, the backbone's state_dict unchanged."""
    if not isinstance(pipeline, Pipeline):
        raise PreprocError(f"expected a Pipeline first, got {type(pipeline).__name__}", name="wrong-object")
    return Model(pipeline, backbone)


def build(recipe: Recipe) -> Model:
    """The recipe's pipeline in front of its backbone: eager, float32, nothing folded."""
    backbone = load_backbone(recipe)
    agreement(recipe, backbone)
    return prepend(Pipeline.from_steps(recipe.steps), backbone.module)


def _float_dtype(module: nn.Module) -> torch.dtype | None:
    return next((buffer.dtype for buffer in module.buffers() if buffer.is_floating_point()), None)
