"""How close two images are: `mse`, `psnr` and `ssim`.

Images are [h, w, c] in [-1, 1], so the data range is 2; say so where yours is another. Any type of numbers is taken,
grey images without c as well. A batch is refused: `jax.vmap(cs.metrics.psnr)(a, b)` gives a number per image, where
all pixels together would give another one than their mean.

>>> image = np.zeros((8, 8, 1))
>>> round(float(cs.metrics.psnr(image + 0.02, image)), 2)
40.0
"""

import math
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from csdip_jax.checks import as_floating, as_numbers
from csdip_jax.switches import without_switches
from csdip_jax.types import Array, InputError

__all__ = [
    "mse",
    "psnr",
    "ssim",
]

SSIM_WINDOW = 7


def _pair(a: Any, b: Any) -> tuple[tuple, tuple, Any]:
    """Each image as two arrays [h, w, c] that add up to it (see `_parts`), and the type to compute in.

    What images share may be large beside what they differ by: it has to cancel before anything is rounded.
    """
    floating = [as_floating(image, "image", real=True) for image in (a, b)]
    shapes = [image.shape for image in floating]
    if shapes[0] != shapes[1]:
        raise InputError(f"images of shapes {shapes[0]} and {shapes[1]} cannot be compared: they must be equal")
    if len(shapes[0]) not in (2, 3):
        raise InputError(f"images of shape {shapes[0]}: give [h, w, c], of a batch one at a time, or by jax.vmap")
    dtype = jnp.result_type(*floating)
    if any(isinstance(image, jax.core.Tracer) for image in floating):
        given = [x if isinstance(x, jax.Array) else y for x, y in zip((a, b), floating, strict=True)]
        first, second = (_parts(jnp, image, dtype) for image in given)
        return first, second, dtype
    given = [np.asarray(as_numbers(image, "image")) for image in (a, b)]
    first, second = (_parts(np, image, np.result_type(image.dtype, np.float64)) for image in given)
    return first, second, dtype


def _parts(numpy: Any, image: Any, dtype: Any) -> tuple[Any, Any]:
    """The image in `dtype`; of integers without their last 12 bits, which no float may have room for, and those."""
    long = jnp.issubdtype(image.dtype, jnp.integer) and image.dtype.itemsize >= 4
    low = image & 0xFFF if long else 0
    return numpy.atleast_3d((image - low).astype(dtype)), numpy.atleast_3d(numpy.asarray(low, dtype))


def _difference(a: Any, b: Any, unit: Any = 1.0) -> Array:
    """(a - b) / unit."""
    (a, low_a), (b, low_b), dtype = _pair(a, b)
    with np.errstate(invalid="ignore", over="ignore"):
        return jnp.asarray(((a - b) + (low_a - low_b)) / unit, dtype)


def _shifted(parts: tuple, unit: Any, dtype: Any) -> tuple[Array, Array]:
    """An image without the means of its channels, and these, in units of `unit`."""
    high, low = parts
    with np.errstate(invalid="ignore", over="ignore"):
        offset = high.mean((0, 1), keepdims=True)
        return jnp.asarray(((high - offset) + low) / unit, dtype), jnp.asarray(offset / unit, dtype)


def _checked_range(data_range: Any) -> Any:
    if not isinstance(data_range, jax.core.Tracer):
        is_number = np.ndim(data_range) == 0 and np.asarray(data_range).dtype.kind in "iuf"
        if not (is_number and 0 < float(data_range) < math.inf):
            raise InputError(f"data_range = {data_range!r}: it must be a number above 0, 255 for pixels of 0 to 255")
        return float(data_range)
    return data_range


@without_switches
def mse(a: Array, b: Array) -> Array:
    """Mean squared error per pixel and channel, the paper's `||x - x*||^2 / n`.

    Args:
        a, b: images [h, w, c] or [h, w], in the same units; the order of the two does not matter.

    Returns:
        Scalar, in squared units of the pixels.

    Raises:
        InputError: shapes that differ, a batch, or no real numbers.
    """
    return jnp.mean(jnp.square(_difference(a, b)))


@without_switches
def psnr(a: Array, b: Array, data_range: float = 2.0) -> Array:
    """Peak signal-to-noise ratio, 10 log10(data_range^2 / MSE).

    Args:
        a, b: images [h, w, c] or [h, w]; the order of the two does not matter.
        data_range: largest minus smallest possible pixel value: 2 for [-1, 1], 1 for [0, 1], 255 for 8 bits.

    Returns:
        Scalar, in dB; inf for equal images.

    Raises:
        InputError: as for `mse`, or a `data_range` that is no number above 0.
    """
    return -10.0 * jnp.log10(jnp.mean(jnp.square(_difference(a, b, _checked_range(data_range)))))


@without_switches
def ssim(a: Array, b: Array, data_range: float = 2.0, window: int = SSIM_WINDOW) -> Array:
    """Mean structural similarity, uniform window, averaged over channels.

    Equals `skimage.metrics.structural_similarity(..., channel_axis=-1)` with its defaults: sample covariance
    (divided by N - 1), K1 = 0.01, K2 = 0.03, windows that lie wholly inside the image.

    Args:
        a, b: [h, w, c] or [h, w], both sides at least `window`.
        data_range: largest minus smallest possible pixel value.
        window: odd side of the square window.

    Returns:
        Scalar, at most 1, which equal images have.

    Raises:
        InputError: as for `psnr`, or images smaller than the window.

    References:
        Wang, Bovik, Sheikh, Simoncelli: Image quality assessment, IEEE TIP 13(4), 2004.
    """
    *images, dtype = _pair(a, b)
    unit = _checked_range(data_range)
    # Variances cancel under an offset: they are those of the image without its own.
    (a, offset_a), (b, offset_b) = (_shifted(parts, unit, dtype) for parts in images)
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
    c1, c2 = 0.01**2, 0.03**2
    similarity = 2 * covariance + c2
    mean_a, mean_b = mean_a + offset_a, mean_b + offset_b
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return jnp.mean(luminance * similarity / (var_a + var_b + c2))
