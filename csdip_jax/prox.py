"""Proximal maps, `prox_f(x) = argmin_z f(z) + 1/2 ||z - x||^2`: the parts that methods of your own are made of.

>>> cs.prox.soft_threshold(jnp.asarray([-2.0, 0.5, 4.0]), 1.0).tolist()
[-1.0, 0.0, 3.0]
"""

import jax.numpy as jnp

from csdip_jax.types import Array

__all__ = ["project_box", "soft_threshold"]


def soft_threshold(x: Array, threshold: Array | float) -> Array:
    """The proximal map of `f = threshold ||z||_1`: each modulus less the threshold, zero at least.

    Args:
        x: real or complex, of any shape.
        threshold: >= 0, a number or an array that broadcasts against x.
    """
    modulus = jnp.abs(x)
    kept = modulus > threshold
    return jnp.where(kept, x * (1 - threshold / jnp.where(kept, modulus, 1)), 0)


def project_box(x: Array, low: Array | float = -1.0, high: Array | float = 1.0) -> Array:
    """The proximal map of the indicator of a box: its nearest point.

    Args:
        x: real, of any shape.
        low, high: bounds of the entries, by default those of images, -1 and 1.
    """
    return jnp.clip(x, low, high)
