"""How close two images are. Images are [h, w, c] in [-1, 1], so the data range is 2 (stated where it counts).

Any type of numbers is taken, grey images without c as well. A batch is refused: `jax.vmap(metrics.psnr)(a, b)` gives a
number per image, where all pixels together would give another one than their mean.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from csdip_jax.switches import without_switches
from csdip_jax.types import Array, InputError, as_floating

SSIM_WINDOW = 7


def _pair(a: Any, b: Any) -> tuple[Array, Array]:
    """Both as [h, w, c], floating point."""
    a, b = (as_floating(image, "image", real=True) for image in (a, b))
    if a.shape != b.shape:
        raise InputError(f"images of shapes {a.shape} and {b.shape} cannot be compared: they must be equal")
    if a.ndim not in (2, 3):
        raise InputError(f"images of shape {a.shape}: give [h, w, c], of a batch one at a time, or by jax.vmap")
    return jnp.atleast_3d(a), jnp.atleast_3d(b)


def _checked_range(data_range: Any) -> Any:
    if not isinstance(data_range, jax.core.Tracer):
        is_number = np.ndim(data_range) == 0 and np.asarray(data_range).dtype.kind in "iuf"
        if not (is_number and 0 < float(data_range) < math.inf):
            raise InputError(f"data_range = {data_range!r}: it must be a number above 0, 255 for pixels of 0 to 255")
        return float(data_range)
    return data_range


@without_switches
def mse(a: Array, b: Array) -> Array:
    """Mean squared error per pixel and channel in [-1, 1] units, the paper's ||x - x*||^2 / n.

    Raises:
        InputError: shapes that differ, a batch, or no real numbers; `psnr` and `ssim` likewise.
    """
    a, b = _pair(a, b)
    return jnp.mean(jnp.square(a - b))


@without_switches
def psnr(a: Array, b: Array, data_range: float = 2.0) -> Array:
    """Peak signal-to-noise ratio in dB, 10 log10(data_range^2 / MSE); inf for equal images."""
    return 10.0 * jnp.log10(_checked_range(data_range) ** 2 / mse(a, b))


@without_switches
def ssim(a: Array, b: Array, data_range: float = 2.0, window: int = SSIM_WINDOW) -> Array:
    """Mean structural similarity, uniform window, averaged over channels.

    Equals `skimage.metrics.structural_similarity(..., channel_axis=-1)` with its defaults: sample covariance
    (divided by N - 1), K1 = 0.01, K2 = 0.03, windows that lie wholly inside the image.

    Args:
        a, b: [h, w, c], both sides at least `window`.
        data_range: largest minus smallest possible pixel value.
        window: odd side of the square window.

    References:
        Wang, Bovik, Sheikh, Simoncelli: Image quality assessment, IEEE TIP 13(4), 2004.
    """
    (a, b), data_range = _pair(a, b), _checked_range(data_range)
    if min(a.shape[:2]) < window:
        raise InputError(f"images of shape {a.shape} are smaller than the SSIM window, {window} x {window}")

    def local_mean(x):
        sums = jax.lax.reduce_window(x, 0.0, jax.lax.add, (window, window, 1), (1, 1, 1), "VALID")
        return sums / window**2

    unbiased = window**2 / (window**2 - 1.0)
    mean_a, mean_b = local_mean(a), local_mean(b)
    var_a = unbiased * (local_mean(a * a) - mean_a**2)
    var_b = unbiased * (local_mean(b * b) - mean_b**2)
    covariance = unbiased * (local_mean(a * b) - mean_a * mean_b)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return jnp.mean(similarity / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)))
