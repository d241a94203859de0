"""To half the sides and to twice the sides: the strided 3 x 3 correlation, nearest and bilinear upsampling.

XLA's own forms, `lax.conv_general_dilated` and `jax.image.resize`, have slow gradients on a CPU: here all are slabs of
the image, added up or stacked, and one matrix product.
"""

from functools import partial
from typing import cast

import jax
import jax.numpy as jnp

from csdip_jax.kernels.borders import Border, fold, widen
from csdip_jax.kernels.convolution import pixel_gradient
from csdip_jax.types import Array


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def correlate_halving(image: Array, kernel: Array, border: Border = "zero") -> Array:
    """The 3 x 3 correlation of stride 2, the sum over taps of kernel[i, j] image[2 y + i - 1, 2 x + j - 1].

    Args:
        image: [h, w, in], even sides.
        kernel: [3, 3, in, out].
        border: what lies beyond the image.

    Returns:
        [h / 2, w / 2, out].
    """
    h, w, _ = image.shape
    return (_windows(image, border) @ kernel.reshape(-1, kernel.shape[-1])).reshape(h // 2, w // 2, -1)


def _windows(image: Array, border: Border) -> Array:
    """The neighbourhoods of every other pixel, [h w / 4, 9 channels]."""
    h, w, channels = image.shape
    padded = widen(image, border)
    threes = jnp.concatenate([padded[:, j : j + w : 2] for j in range(3)], axis=-1)
    return jnp.concatenate([threes[i : i + h : 2] for i in range(3)], axis=-1).reshape(h * w // 4, 9 * channels)


def _halving_forward(image, kernel, border):
    return correlate_halving(image, kernel, border), (image, kernel)


def _halving_backward(border, residuals, cotangent):
    # As that of the correlation of stride 1: the windows are gathered again, and their gradient is three slabs an axis.
    image, kernel = residuals
    h, w, channels = image.shape
    cotangent = cotangent.reshape(h * w // 4, -1)
    kernel_gradient = (_windows(image, border).T @ cotangent).reshape(kernel.shape)
    slabs = pixel_gradient(cotangent, kernel.reshape(9 * channels, -1)).reshape(h // 2, w // 2, 3, 3, channels)
    rows = fold(_apart_by_two([slabs[:, :, i] for i in range(3)], 0), border, axis=0)
    pixels = fold(_apart_by_two([rows[:, :, j] for j in range(3)], 1), border, axis=1)
    return pixels.astype(image.dtype), kernel_gradient.astype(kernel.dtype)


correlate_halving.defvjp(_halving_forward, _halving_backward)


def _apart_by_two(taps: list[Array], axis: int) -> Array:
    """The three taps of windows two pixels apart, n each, added up along an axis of 2 n + 2 pixels."""
    first, middle, last = taps

    def shifted(tap, by):
        return jnp.pad(tap, [(by, 1 - by) if a == axis else (0, 0) for a in range(tap.ndim)])

    return _interleaved(shifted(first, 0) + shifted(last, 1), shifted(middle, 0), axis)


def _interleaved(even: Array, odd: Array, axis: int) -> Array:
    """Both, of n along an axis, by turns: 2 n."""
    shape = even.shape
    return jnp.stack([even, odd], axis + 1).reshape(*shape[:axis], 2 * shape[axis], *shape[axis + 1 :])


def double_nearest(image: Array) -> Array:
    """Every pixel of an image [h, w, channels] four times: [2 h, 2 w, channels].

    Example:
        >>> from csdip_jax.kernels.resampling import double_nearest
        >>> double_nearest(jnp.array([[[1.0], [2.0]]]))[..., 0].tolist()
        [[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]
    """
    h, w, channels = image.shape
    return jnp.broadcast_to(image[:, None, :, None], (h, 2, w, 2, channels)).reshape(2 * h, 2 * w, channels)


@jax.custom_vjp
def double_bilinear(image: Array) -> Array:
    """Bilinear upsampling of an image [h, w, channels] to [2 h, 2 w, channels], PyTorch's `align_corners=False`.

    A pixel's two halves along an axis are 3/4 of itself and 1/4 of the neighbour on that side; at an edge, itself.

    Example:
        >>> from csdip_jax.kernels.resampling import double_bilinear
        >>> double_bilinear(jnp.array([[[0.0], [4.0]]]))[..., 0].tolist()
        [[0.0, 1.0, 3.0, 4.0], [0.0, 1.0, 3.0, 4.0]]
    """
    for axis in range(2):
        before, after = _neighbours(image, image, axis)
        image = _interleaved(0.75 * image + 0.25 * before, 0.75 * image + 0.25 * after, axis)
    return image


def _neighbours(first: Array, last: Array, axis: int) -> tuple[Array, Array]:
    """What lies before each entry of `first` and after each of `last`; at the edges, the entry itself."""
    n = first.shape[axis]
    cut = partial(jax.lax.slice_in_dim, axis=axis)
    before = jnp.concatenate([cut(first, 0, 1), cut(first, 0, n - 1)], axis)
    return before, jnp.concatenate([cut(last, 1, n), cut(last, n - 1, n)], axis)


def _doubling_forward(image):
    return double_bilinear(image), None


def _doubling_backward(_, cotangent):
    # By hand: autodiff adds up a padded array for every slab.
    for axis in (1, 0):
        shape = cotangent.shape
        pairs = cotangent.reshape(*shape[:axis], shape[axis] // 2, 2, *shape[axis + 1 :])
        even, odd = (jax.lax.index_in_dim(pairs, i, axis + 1, keepdims=False) for i in range(2))
        n = even.shape[axis]
        cut = partial(jax.lax.slice_in_dim, axis=axis)
        from_after = jnp.concatenate([cut(even, 1, n), cut(odd, n - 1, n)], axis)
        from_before = jnp.concatenate([cut(even, 0, 1), cut(odd, 0, n - 1)], axis)
        cotangent = 0.75 * (even + odd) + 0.25 * (from_after + from_before)
    return (cast(Array, cotangent),)


double_bilinear.defvjp(_doubling_forward, _doubling_backward)
