"""Means over images, and how well they are known."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A mean over images.

    Attributes:
        mean: NaN where there is no image.
        standard_error: of the mean; NaN for fewer than two images.
        half_width: of the 95 % interval; NaN for fewer than two images.
        count: of images.
    """

    mean: float
    standard_error: float
    half_width: float
    count: int


def estimate(values: Sequence[float]) -> Estimate:
    """The mean of the images' values (None is NaN) with its 95 % interval by Student's t.

    The interval is one of the mean over further images of this kind; measurements and starts vary with the image.
    """
    values = np.asarray(values, float)
    count = len(values)
    if count < 2:
        return Estimate(float(values.mean()) if count else np.nan, np.nan, np.nan, count)
    error = values.std(ddof=1) / np.sqrt(count)
    half_width = stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * error
    return Estimate(float(values.mean()), float(error), float(half_width), count)


def over_images(images: Sequence[str], values: Sequence[float]) -> Estimate:
    """The same over images of the mean over each image's values (its seeds); over the values of a single image."""
    groups = {}
    for image, value in zip(images, values, strict=True):
        groups.setdefault(image, []).append(value)
    return estimate(values if len(groups) == 1 else [np.mean(np.asarray(group, float)) for group in groups.values()])
