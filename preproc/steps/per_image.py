"""Steps that take their numbers from each picture: never affine, never folded."""

from dataclasses import dataclass
from typing import ClassVar

from ..errors import PreprocError, check_choice
from .base import Step, ValueRange
from .fields import set_number, set_out

PER = ("image", "channel")


@dataclass(frozen=True, kw_only=True)
class MinMaxNormalize(Step):
    """Each picture's own range to `out`: y = (x - lo) / (hi - lo) * (out[1] - out[0]) + out[0]; where hi = lo, the divisor is 1.

    per: "image", one range over all channels, or "channel".
    """

    name: ClassVar[str] = "min_max_normalize"
    per: str = "image"
    out: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        check_choice("per", self.per, PER)
        set_out(self)

    def affine(self, channels: int) -> None:  # noqa: ARG002
        return None

    def value_range(self, incoming: ValueRange) -> ValueRange:
        return ValueRange((self.out[0],) * len(incoming.low), (self.out[1],) * len(incoming.low))


@dataclass(frozen=True, kw_only=True)
class Standardize(Step):
    """Each picture's own mean and standard deviation: y = (x - mean) / max(std, min_std).

    per: "image", over all channels, or "channel".  min_std: None is 1/sqrt(n), n the number of values
    (tf.image.per_image_standardization).  correction: what is taken from n in the variance, 0 or 1 (torch.std's correction).
    """

    name: ClassVar[str] = "standardize"
    per: str = "image"
    min_std: float | None = None
    correction: int = 0

    def __post_init__(self) -> None:
        check_choice("per", self.per, PER)
        if self.min_std is not None:
            set_number(self, "min_std")
            if self.min_std <= 0:
                raise PreprocError(
                    f"standardize: expected min_std > 0, without which a flat picture divides by zero, got {self.min_std:g}",
                    name="step-value",
                )
        if isinstance(self.correction, bool) or self.correction not in (0, 1):
            raise PreprocError(f"standardize: expected correction to be 0 or 1, got {self.correction!r}", name="step-value")

    def affine(self, channels: int) -> None:  # noqa: ARG002
        return None

    def value_range(self, incoming: ValueRange) -> ValueRange:
        """No value is further from the mean than sqrt(n) stds; n is taken to be at most 1e8."""
        return ValueRange((-1e4,) * len(incoming.low), (1e4,) * len(incoming.low))


@dataclass(frozen=True, kw_only=True)
class LocalResponseNorm(Step):
    """Local response normalization, as torch.nn.LocalResponseNorm and Caffe define it.

    region="channels": y[c] = x[c] / (k + alpha/size * sum of x^2 over channels c - size//2 .. c + (size-1)//2)^beta.
    region="spatial" (Caffe's WITHIN_CHANNEL, which fixes k at 1): the sum runs over the zero-padded size x size window of the
    same channel, and alpha is divided by size^2; size is odd.
    Krizhevsky et al. (2012) and tf.nn.local_response_normalization do not divide alpha by size.
    """

    name: ClassVar[str] = "local_response_norm"
    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0
    region: str = "channels"

    def __post_init__(self) -> None:
        check_choice("region", self.region, ("channels", "spatial"))
        if not isinstance(self.size, int) or isinstance(self.size, bool) or self.size < 1:
            raise PreprocError(f"local_response_norm: expected a size of at least 1, got {self.size!r}", name="step-value")
        for field in ("alpha", "beta", "k"):
            set_number(self, field)
        if self.alpha < 0 or self.k <= 0:
            raise PreprocError(
                f"local_response_norm: expected alpha >= 0 and k > 0, got alpha = {self.alpha:g}, k = {self.k:g}", name="step-value"
            )
        if self.region == "spatial" and self.size % 2 == 0:
            raise PreprocError(f"local_response_norm: expected an odd size for region = 'spatial', got {self.size}", name="step-value")

    def affine(self, channels: int) -> None:  # noqa: ARG002
        return None

    def value_range(self, incoming: ValueRange) -> ValueRange:
        """|y| <= |x| / k^beta for beta >= 0; a negative beta has no useful bound and keeps the incoming one."""
        shrink = self.k**-self.beta if self.beta >= 0 else 1.0
        return ValueRange(tuple(min(low, 0.0) * shrink for low in incoming.low), tuple(max(high, 0.0) * shrink for high in incoming.high))
