"""Pixels themselves, all or chosen ones."""

import math
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from csdip_jax.checks import as_numbers, checked_shape
from csdip_jax.operators.base import LinearOperator, Shape
from csdip_jax.types import Array, InputError, pytree_dataclass, static_field


@pytree_dataclass
class Identity(LinearOperator):
    """Every pixel is measured, y = x: denoising.

    Attributes:
        image_shape: (h, w, c).
    """

    image_shape: Shape = static_field()
    is_balanced = True

    def __post_init__(self):
        object.__setattr__(self, "image_shape", checked_shape(self.image_shape))

    def forward(self, image: Array) -> Array:
        return image.reshape(-1)

    def gain(self, frobenius_norm: Array) -> Array:
        """1: pixels are what they are; `frobenius_norm` does not matter."""
        return jnp.ones(())

    def subset(self, indices: Array) -> "Inpainting":
        """As `Operator` says: these pixels."""
        return Inpainting(indices, self.image_shape)

    def regularized_solve(self, image, shift, guess=None, tolerance=None):
        return image / (1 + shift)

    @property
    def isometry(self) -> float:
        """1, since A is the identity."""
        return 1.0


@pytree_dataclass
class Inpainting(LinearOperator):
    """Chosen entries of the flattened image are measured; `inpainting` makes it of a mask.

    Attributes:
        indices: [m] whole numbers, pixels of `image.reshape(-1)` counted from 0.
        image_shape: (h, w, c).

    Raises:
        InputError: an index that is none of the image's.
    """

    indices: Array
    image_shape: Shape = static_field()
    is_balanced = True

    def __post_init__(self):
        object.__setattr__(self, "image_shape", checked_shape(self.image_shape))
        indices = checked_indices(self.indices, math.prod(self.image_shape), "operators.inpainting")
        object.__setattr__(self, "indices", indices)

    def forward(self, image: Array) -> Array:
        return image.reshape(-1)[self.indices]

    def gain(self, frobenius_norm: Array) -> Array:
        """1: pixels are what they are; `frobenius_norm` does not matter."""
        return jnp.ones(())

    def subset(self, indices: Array) -> "Inpainting":
        """As `Operator` says: fewer pixels."""
        return Inpainting(self.indices[indices], self.image_shape)

    def regularized_solve(self, image, shift, guess=None, tolerance=None):
        counts = jnp.zeros(image.size, image.dtype).at[self.indices].add(1.0)
        return image / (counts.reshape(image.shape) + shift)


def inpainting(mask: np.ndarray, image_shape: Shape) -> Inpainting:
    """The pixels that a mask selects, row by row.

    Args:
        mask: [h, w] (all channels of a pixel) or [h, w, c]; non-zero = measured.
        image_shape: (h, w, c).

    Raises:
        InputError: wrong shape, not numbers, NaN, or nothing selected.

    Example:
        >>> mask = np.arange(64).reshape(8, 8) % 2  # every other pixel
        >>> cs.operators.inpainting(mask, (8, 8, 3)).forward(np.ones((8, 8, 3))).shape
        (96,)
    """
    mask, image_shape = checked_mask(mask), checked_shape(image_shape)
    if mask.shape == image_shape[:2]:
        mask = np.broadcast_to(mask[..., None], image_shape)
    return Inpainting(jnp.asarray(selected_entries(mask, image_shape, "the image"), jnp.int32), image_shape)


def checked_indices(indices: Any, size: int, of_mask: str = "", distinct: bool = False) -> Array:
    """Indices into a flat array of `size` entries as int32; the values of traced ones are not looked at.

    Args:
        indices: [m], of a batch of operators [b, m]: whole numbers of any type.
        size: of what they point into.
        of_mask: the recipe that takes a mask, for the error.
        distinct: whether none may come twice.

    Raises:
        InputError: other axes, none at all, no whole numbers, or some outside of 0 to size - 1.
    """
    indices = as_numbers(indices, "indices")
    if jnp.issubdtype(indices.dtype, jnp.bool_):
        raise InputError("indices are bool: give whole numbers" + (f", or the mask to {of_mask}" if of_mask else ""))
    if indices.ndim not in (1, 2) or not indices.size:
        raise InputError(f"indices of shape {indices.shape}: give [m], or [b, m] of a batch, m at least 1")
    if isinstance(indices, jax.core.Tracer):
        if not jnp.issubdtype(indices.dtype, jnp.integer):
            raise InputError(f"indices are {indices.dtype}: give whole numbers")
        return indices.astype(jnp.int32)
    values = np.asarray(indices)
    real = np.real(values)
    inside = (real >= 0) & (real < size) & (values == np.floor(real))
    if not inside.all():
        told = f"{values[~inside][0]} ({values.size - inside.sum()} of {values.size} are wrong)"
        raise InputError(f"indices: {told}: give whole numbers from 0 to {size - 1}")
    values = real.astype(np.int32)
    if distinct and not np.diff(np.sort(values)).all():
        raise InputError("indices: some come twice: give each once")
    return jnp.asarray(values)


def checked_mask(mask: Any) -> np.ndarray:
    """Where it is not zero; InputError unless it is of real numbers, without NaN: it is neither zero nor not."""
    mask = np.asarray(as_numbers(mask, "mask"))
    if jnp.issubdtype(mask.dtype, jnp.complexfloating):
        raise InputError(f"mask is {mask.dtype}: give 0 or 1, real")
    bad = int((~np.isfinite(mask)).sum())
    if bad:
        raise InputError(f"mask: {bad} of {mask.size} entries are NaN or infinite: give 0 or 1")
    return mask != 0  # before it is rounded: float32 may make 0 of it


def selected_entries(mask: np.ndarray, shape: tuple[int, ...], where: str) -> np.ndarray:
    """Flat, row-major indices of the non-zero entries; InputError for a wrong shape, NaN, or none."""
    mask = checked_mask(mask)
    if mask.shape != tuple(shape):
        raise InputError(f"mask of shape {mask.shape} does not fit {where} of shape {tuple(shape)}")
    flat = np.flatnonzero(mask)
    if not flat.size:
        raise InputError(f"the mask selects nothing: all {mask.size} entries are zero")
    return flat
