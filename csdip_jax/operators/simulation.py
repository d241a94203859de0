"""Simulated measurements."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from csdip_jax.operators.base import Operator
from csdip_jax.operators.functions import as_operator
from csdip_jax.types import Array, InputError, require_key


def measure(key: Array, operator: Operator | Callable, image: Array, noise_variance: float = 0.0) -> Array:
    """y = A x + eta, the entries of eta i.i.d. N(0, noise_variance / m) (paper, section 5.1).

    Args:
        key: random key of the noise.
        operator: A.
        image: x, [h, w, c] in [-1, 1].
        noise_variance: s >= 0; the variance of one entry is s / m. Complex where the measurements are
            (real and imaginary part share the variance equally).

    Returns:
        Measurements, [m].
    """
    require_key(key)
    image = jnp.asarray(image)
    if not isinstance(noise_variance, jax.Array) and noise_variance < 0:
        raise InputError(f"noise_variance = {noise_variance}: it cannot be negative")
    clean = as_operator(operator, image.shape).forward(image)
    return clean + jnp.sqrt(noise_variance / clean.size) * jax.random.normal(key, clean.shape, clean.dtype)
