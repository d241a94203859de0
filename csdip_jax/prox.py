"""Proximal maps, prox_f(x) = argmin_z f(z) + 1/2 ||z - x||^2."""

import jax.numpy as jnp

from csdip_jax.types import Array

__all__ = ["project_box", "soft_threshold"]


def soft_threshold(x: Array, threshold: Array | float) -> Array:
    """Of f = threshold ||z||_1, for real or complex x of any shape: each modulus less the threshold, zero at least.

    Args:
        x: any shape.
        threshold: >= 0, a number or an array that broadcasts against x.
    """
    modulus = jnp.abs(x)
    kept = modulus > threshold
    return jnp.where(kept, x * (1 - threshold / jnp.where(kept, modulus, 1)), 0)


def project_box(x: Array, low: Array | float = -1.0, high: Array | float = 1.0) -> Array:
    """Of the indicator of {low <= z <= high}: the nearest point of the box, by default that of images."""
    return jnp.clip(x, low, high)
