"""Simulated measurements of an image that is known."""

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
    """Simulates the measurements of a known image, y = A x + noise (paper, section 5.1).

    Args:
        key: random key of the noise, `jax.random.key(seed)`; another one for each image.
        operator: A, one of `csdip_jax.operators`, or a function of the image.
        image: x, [h, w, c], of any type of numbers. Pixels are taken as they are: in [-1, 1] unless `reconstruct` is
            told another `pixel_range`.
        noise_variance: s >= 0, the variance of the WHOLE noise vector, the expected `||noise||^2`. The noise of one
            of the m measurements is N(0, s / m): for a standard deviation sigma of each, give `m * sigma**2`. Of
            complex measurements real and imaginary part share it equally. 0, the default, for none.

    Returns:
        y, as A makes it: [m], real or complex.

    Raises:
        InputError: a key of `jax.random.PRNGKey`, an operator for images of another shape, complex pixels, or a
            `noise_variance` that is no number of at least 0.

    Example:
        >>> operator = cs.operators.gaussian(jax.random.key(0), 20, (8, 8, 1))
        >>> image = jnp.zeros((8, 8, 1))
        >>> sigma = 0.1
        >>> y = cs.operators.measure(jax.random.key(1), operator, image, noise_variance=20 * sigma**2)
        >>> y.shape
        (20,)
    """
    require_key(key)
    x = as_floating(image, "image", real=True)
    if not isinstance(noise_variance, jax.Array) and not 0 <= noise_variance < math.inf:
        raise InputError(f"noise_variance = {noise_variance}: it must be a number of at least 0")
    clean = as_operator(operator, x.shape).forward(x)
    return clean + jnp.sqrt(noise_variance / clean.size) * jax.random.normal(key, clean.shape, clean.dtype)
