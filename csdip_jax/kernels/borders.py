"""One pixel more on every side of an image, as a 3 x 3 kernel asks for, and the transpose of that."""

from typing import Literal, get_args

import jax.numpy as jnp

from csdip_jax.types import Array

Border = Literal["zero", "reflect"]
"""What lies beyond an image: zeros, or its mirror image about the outermost pixels, as PyTorch's `padding_mode`."""
BORDERS: tuple[str, ...] = get_args(Border)


def widen(image: Array, border: Border) -> Array:
    """An image [h, w, ...] as [h + 2, w + 2, ...].

    Example:
        >>> from csdip_jax.kernels.borders import widen
        >>> widen(jnp.arange(6).reshape(2, 3), "reflect")[1]
        Array([1, 0, 1, 2, 1], dtype=int32)
    """
    sides = ((1, 1), (1, 1)) + ((0, 0),) * (image.ndim - 2)
    return jnp.pad(image, sides) if border == "zero" else jnp.pad(image, sides, mode="reflect")


def fold(padded: Array, border: Border, axis: int) -> Array:
    """The transpose of `widen` along one axis: n + 2 entries become n, the outermost ones added to what they mirror."""
    n = padded.shape[axis] - 2

    def part(first, size):
        return padded[tuple(slice(first, first + size) if a == axis else slice(None) for a in range(padded.ndim))]

    inner = part(1, n)
    if border == "zero":
        return inner
    for edge, at in ((0, min(1, n - 1)), (n + 1, max(n - 2, 0))):
        inner += jnp.pad(part(edge, 1), [(at, n - 1 - at) if a == axis else (0, 0) for a in range(padded.ndim)])
    return inner
