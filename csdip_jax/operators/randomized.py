"""Subsampled randomised orthonormal transforms: fast, and hardly any storage."""

import dataclasses
import math
from functools import partial

import jax
import jax.numpy as jnp

from csdip_jax.checks import checked_shape, require_key
from csdip_jax.operators.base import LinearOperator, Shape
from csdip_jax.operators.dense import require_num_measurements
from csdip_jax.operators.inpainting import checked_indices
from csdip_jax.operators.kinds import Kind
from csdip_jax.transforms import ORTHONORMAL
from csdip_jax.types import Array, InputError, pytree_dataclass, static_field


@pytree_dataclass
class RandomizedTransform(LinearOperator):
    """y = scale S T D x: random signs D, an orthonormal transform T, and m of its coefficients, S.

    `subsampled_dct` and `subsampled_hadamard` draw one. A A^T = scale^2 I. The signs spread any image evenly over all
    coefficients, and so any m of them serve. T mixes the channels as well: coefficients of one channel each made TV of
    colour images 19 % worse.

    Attributes:
        signs: [n] int8, +-1, D's diagonal.
        indices: [m] distinct integers into the flattened coefficients.
        scale: > 0.
        transform: name of T in `transforms.ORTHONORMAL`.
        image_shape: (h, w, c) with h w c = n.

    References:
        Do, Gan, Nguyen, Tran: Fast and efficient compressive sensing using structurally random matrices, IEEE Trans.
        Signal Process. 60(1), 2012.
    """

    signs: Array
    indices: Array
    scale: float = static_field()
    transform: str = static_field()
    image_shape: Shape = static_field()

    def __post_init__(self):
        if self.transform not in ORTHONORMAL:
            raise InputError(f"unknown transform {self.transform!r}: choose from {', '.join(ORTHONORMAL)}")
        if not 0 < self.scale < math.inf:
            raise InputError(f"scale = {self.scale}: it must be above 0")
        object.__setattr__(self, "image_shape", checked_shape(self.image_shape))
        size = math.prod(self.image_shape)
        object.__setattr__(self, "indices", checked_indices(self.indices, size, distinct=True))

    @property
    def isometry(self) -> float | None:
        """As `LinearOperator` says: where all coefficients are measured."""
        return self.scale**2 if self.indices.shape[-1] == math.prod(self.image_shape) else None

    def frobenius_norm(self, without: Array | None = None) -> Array:
        """As `LinearOperator` says; exact for all of A."""
        whole = jnp.asarray(self.scale * math.sqrt(self.indices.shape[-1]), jnp.float32)
        return whole if without is None else super().frobenius_norm(without)

    def forward(self, image: Array) -> Array:
        return self.scale * self._coefficients(image).reshape(-1)[self.indices]

    def subset(self, indices: Array) -> "RandomizedTransform":
        """As `Operator` says: fewer coefficients."""
        return dataclasses.replace(self, indices=self.indices[indices])

    def regularized_solve(self, image, shift, guess=None, tolerance=None):
        gains = jnp.zeros(image.size, image.dtype).at[self.indices].set(self.scale**2)
        solved = self._coefficients(image) / (gains.reshape(image.shape) + shift)
        return self._randomized(ORTHONORMAL[self.transform].inverse(solved))

    def _coefficients(self, image: Array) -> Array:
        return ORTHONORMAL[self.transform].forward(self._randomized(image))

    def _randomized(self, image: Array) -> Array:
        return self.signs.reshape(self.image_shape).astype(image.dtype) * image


def subsampled_dct(key: Array, num_measurements: int, image_shape: Shape, scale: float = 1.0) -> RandomizedTransform:
    """Draws m random coefficients of the cosine transform, along all three axes, of the image with random signs.

    Args:
        key: random key.
        num_measurements: m, 1 <= m <= n = h w c.
        image_shape: (h, w, c).
        scale: > 0. At 1 the rows are orthonormal, as the theorem (section 4.1) has them. At sqrt(n / m) the columns
            have norm 1 in the mean, as those of `gaussian` have, and noise and weights mean the same as there.

    Raises:
        InputError: m or scale out of range, or a key of `jax.random.PRNGKey`.

    Example:
        >>> operator = cs.operators.subsampled_dct(jax.random.key(0), 20, (8, 8, 1))
        >>> operator.measurements_like.shape
        (20,)
    """
    return _subsampled("dct", key, num_measurements, image_shape, scale)


def subsampled_hadamard(
    key: Array, num_measurements: int, image_shape: Shape, scale: float = 1.0
) -> RandomizedTransform:
    """Draws m random coefficients of `transforms.hadamard` of the image with random signs.

    Args:
        key: random key.
        num_measurements: m, 1 <= m <= n = h w c.
        image_shape: (h, w, c).
        scale: > 0, as `subsampled_dct` says.

    Raises:
        InputError: m or scale out of range, or a key of `jax.random.PRNGKey`.
    """
    return _subsampled("hadamard", key, num_measurements, image_shape, scale)


def _subsampled(transform, key, num_measurements, image_shape, scale):
    require_key(key)
    require_num_measurements(num_measurements, image_shape, distinct=True)
    pixels = math.prod(image_shape)
    key_signs, key_indices = jax.random.split(key)
    signs = jax.random.rademacher(key_signs, (pixels,), jnp.int8)
    indices = jnp.sort(jax.random.choice(key_indices, pixels, (num_measurements,), replace=False))
    return RandomizedTransform(signs, indices.astype(jnp.int32), float(scale), transform, tuple(image_shape))


def _of_unit_columns(transform: str, key: Array, num_measurements: int, image_shape: Shape) -> RandomizedTransform:
    """Columns of the norm that those of `gaussian` have."""
    require_num_measurements(num_measurements, image_shape, distinct=True)
    scale = math.sqrt(math.prod(image_shape) / num_measurements)
    return _subsampled(transform, key, num_measurements, image_shape, scale)


DCT = Kind(
    name="dct",
    label="randomised DCT",
    about="random coefficients of the cosine transform of the image with random signs: no matrix",
    draw=partial(_of_unit_columns, "dct"),
    prefix="dct-m",
    toy=50,
)
HADAMARD = Kind(
    name="hadamard",
    label="randomised Hadamard",
    about="the same of the Hadamard transform",
    draw=partial(_of_unit_columns, "hadamard"),
    prefix="hadamard-m",
    toy=50,
)
