"""Pixels themselves, all or chosen ones."""

import jax.numpy as jnp
import numpy as np

from csdip_jax.operators.base import LinearOperator, Shape
from csdip_jax.types import Array, InputError, as_floating, checked_shape, pytree_dataclass, static_field


@pytree_dataclass
class Identity(LinearOperator):
    """Every pixel is measured (denoising), y = x."""

    image_shape: Shape = static_field()
    is_balanced = True

    def __post_init__(self):
        object.__setattr__(self, "image_shape", checked_shape(self.image_shape))

    def forward(self, image: Array) -> Array:
        return image.reshape(-1)

    def gain(self, frobenius_norm: Array) -> Array:
        """1: pixels are what they are."""
        return jnp.ones(())

    def regularized_solve(self, image, shift, guess=None, tolerance=None):
        return image / (1 + shift)


@pytree_dataclass
class Inpainting(LinearOperator):
    """Chosen entries of the flattened image are measured.

    Attributes:
        indices: [m] integers into `image.reshape(-1)`.
        image_shape: (h, w, c).
    """

    indices: Array
    image_shape: Shape = static_field()
    is_balanced = True
    unbatched_ndim = {"indices": 1}

    def forward(self, image: Array) -> Array:
        return image.reshape(-1)[self.indices]

    def gain(self, frobenius_norm: Array) -> Array:
        """1: pixels are what they are."""
        return jnp.ones(())

    def regularized_solve(self, image, shift, guess=None, tolerance=None):
        counts = jnp.zeros(image.size, image.dtype).at[self.indices].add(1.0)
        return image / (counts.reshape(image.shape) + shift)


def inpainting(mask: np.ndarray, image_shape: Shape) -> Inpainting:
    """The pixels that `mask` selects, row-major.

    Args:
        mask: [h, w] (all channels of a pixel) or [h, w, c]; non-zero = measured.
        image_shape: (h, w, c).

    Raises:
        InputError: wrong shape, not numbers, NaN, or nothing selected.
    """
    mask, image_shape = checked_mask(mask), checked_shape(image_shape)
    if mask.shape == image_shape[:2]:
        mask = np.broadcast_to(mask[..., None], image_shape)
    return Inpainting(jnp.asarray(selected_entries(mask, image_shape, "the image"), jnp.int32), image_shape)


def checked_mask(mask: np.ndarray) -> np.ndarray:
    """As numbers; InputError for anything else, NaN included: it is neither zero nor not."""
    mask = np.asarray(as_floating(mask, "mask"))
    bad = int((~np.isfinite(mask)).sum())
    if bad:
        raise InputError(f"mask: {bad} of {mask.size} entries are NaN or infinite: give 0 or 1")
    return mask


def selected_entries(mask: np.ndarray, shape: tuple[int, ...], where: str) -> np.ndarray:
    """Flat, row-major indices of the non-zero entries; InputError for a wrong shape, NaN, or none."""
    mask = checked_mask(mask)
    if mask.shape != tuple(shape):
        raise InputError(f"mask of shape {mask.shape} does not fit {where} of shape {tuple(shape)}")
    flat = np.flatnonzero(mask)
    if not flat.size:
        raise InputError(f"the mask selects nothing: all {mask.size} entries are zero")
    return flat
