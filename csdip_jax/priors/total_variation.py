"""Total variation of an image, and the differences it is made of."""

import jax
import jax.numpy as jnp

from csdip_jax.types import Array


def total_variation(image: Array, isotropic: bool = False, coupled: bool = False) -> Array:
    """Total variation: the sum over pixels and channels of the size of the differences between neighbours.

    Anisotropic: `|vertical| + |horizontal|`; isotropic: the length of the two. Coupled channels enter by their
    Euclidean norm, so that they prefer to have their edges in the same places: isotropic and coupled is the vectorial
    total variation of Bresson and Chan, Inverse Problems and Imaging 2(4), 2008.

    Args:
        image: [h, w, c].
        isotropic: both differences of a pixel as one vector.
        coupled: all channels of a pixel as one vector.

    Returns:
        Scalar. Its gradient takes sign(0) = 0 as PyTorch's does, so that flat regions feel no pull (`jnp.abs` takes 1).
    """
    return difference_norms(image_gradient(image), isotropic, coupled).sum()


def image_gradient(image: Array) -> Array:
    """Differences of an image [h, w, c] to the pixel below and to the right, [2, h, w, c]; zero where there is none."""
    vertical = jnp.pad(jnp.diff(image, axis=0), ((0, 1), (0, 0), (0, 0)))
    horizontal = jnp.pad(jnp.diff(image, axis=1), ((0, 0), (0, 1), (0, 0)))
    return jnp.stack([vertical, horizontal])


def image_gradient_adjoint(differences: Array) -> Array:
    """The transpose of `image_gradient`, the negative divergence: `differences` [2, h, w, c] -> [h, w, c]."""
    image = jax.ShapeDtypeStruct(differences.shape[1:], differences.dtype)
    return jax.linear_transpose(image_gradient, image)(differences)[0]


def difference_norms(differences: Array, isotropic: bool, coupled: bool) -> Array:
    """The norms that total variation sums, with axes of length 1 kept.

    Args:
        differences: [2, h, w, c], as `image_gradient` gives them.
        isotropic: both differences of a pixel as one vector.
        coupled: all channels of a pixel as one vector.
    """
    axes = (0,) * isotropic + (3,) * coupled
    if not axes:
        return differences * jax.lax.stop_gradient(jnp.sign(differences))
    squares = jnp.sum(jnp.square(differences), axis=axes, keepdims=True)
    flat = squares == 0  # where the root has no derivative, but 0 is a subgradient of the norm
    return jnp.where(flat, 0.0, jnp.sqrt(jnp.where(flat, 1.0, squares)))
