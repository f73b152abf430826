"""What steps make of a picture, and whether two of such are equal."""

import numpy as np

from preproc.oracle import reference
from preproc.steps import FromPixels, Normalize


def close(ours, theirs):
    """Equal but for float32's rounding."""
    return ours.shape == theirs.shape and np.abs(ours - theirs).max() < 1e-6 * np.abs(theirs).max()


def ready(steps, image):
    return reference.apply([FromPixels(layout="NHWC"), *steps], np.asarray(image)[None])


def bare(steps):
    """Without where the constants come from, for what went through torch's float32."""
    return [
        (*(np.float32(value).round(6) for value in (*step.mean, *step.std)),) if isinstance(step, Normalize) else step for step in steps
    ]
