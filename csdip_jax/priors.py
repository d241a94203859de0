"""Regularizers: functions of an image or of the weights that are small where these are likely."""

import jax.numpy as jnp

from csdip_jax.types import Array


def total_variation(image: Array) -> Array:
    """Anisotropic total variation: the sum of |horizontal| + |vertical| differences over pixels and channels.

    Args:
        image: [h, w, c].

    Returns:
        Scalar. Its gradient takes sign(0) = 0, as PyTorch's does.
    """
    return jnp.abs(jnp.diff(image, axis=0)).sum() + jnp.abs(jnp.diff(image, axis=1)).sum()
