"""How close two images are. Images are [h, w, c] in [-1, 1], so the data range is 2 (stated where it counts)."""

import jax
import jax.numpy as jnp

from csdip_jax.types import Array, InputError

SSIM_WINDOW = 7


def mse(a: Array, b: Array) -> Array:
    """Mean squared error per pixel and channel in [-1, 1] units, the paper's ||x - x*||^2 / n."""
    a, b = jnp.asarray(a), jnp.asarray(b)
    if a.shape != b.shape:
        raise InputError(f"images of shapes {a.shape} and {b.shape} cannot be compared: they must be equal")
    return jnp.mean(jnp.square(a - b))


def psnr(a: Array, b: Array, data_range: float = 2.0) -> Array:
    """Peak signal-to-noise ratio in dB, 10 log10(data_range^2 / MSE); inf for equal images."""
    return 10.0 * jnp.log10(data_range**2 / mse(a, b))


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
    a, b = jnp.asarray(a), jnp.asarray(b)
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
