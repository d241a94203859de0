"""Regularizers: functions of an image or of the weights that are small where these are likely."""

import jax
import jax.numpy as jnp

from csdip_jax.types import Array


def total_variation(image: Array) -> Array:
    """Anisotropic total variation: the sum of |horizontal| + |vertical| differences over pixels and channels.

    Args:
        image: [h, w, c].

    Returns:
        Scalar. Its gradient takes sign(0) = 0 as PyTorch's does, so that flat regions feel no pull (`jnp.abs` takes 1).
    """
    return _abs(jnp.diff(image, axis=0)).sum() + _abs(jnp.diff(image, axis=1)).sum()


def _abs(x: Array) -> Array:
    return x * jax.lax.stop_gradient(jnp.sign(x))
