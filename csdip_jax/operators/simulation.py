"""Simulated measurements."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from csdip_jax.checks import as_floating, require_key
from csdip_jax.operators.base import Operator
from csdip_jax.operators.functions import as_operator
from csdip_jax.switches import without_switches
from csdip_jax.types import Array, InputError


@without_switches
def measure(key: Array, operator: Operator | Callable, image: ArrayLike, noise_variance: float = 0.0) -> Array:
    """y = A x + eta, the entries of eta i.i.d. N(0, noise_variance / m) (paper, section 5.1).

    Args:
        key: random key of the noise.
        operator: A.
        image: x, [h, w, c] in [-1, 1], of any type of numbers.
        noise_variance: s >= 0; the variance of one entry is s / m. Complex where the measurements are
            (real and imaginary part share the variance equally).

    Returns:
        Measurements, [m].
    """
    require_key(key)
    x = as_floating(image, "image", real=True)
    if not isinstance(noise_variance, jax.Array) and not 0 <= noise_variance < math.inf:
        raise InputError(f"noise_variance = {noise_variance}: it must be a number of at least 0")
    clean = as_operator(operator, x.shape).forward(x)
    return clean + jnp.sqrt(noise_variance / clean.size) * jax.random.normal(key, clean.shape, clean.dtype)
