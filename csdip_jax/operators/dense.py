"""Dense matrices, given or Gaussian."""

import math
from functools import partial

import jax
import jax.numpy as jnp

from csdip_jax.operators.base import LinearOperator, Shape
from csdip_jax.types import Array, InputError, pytree_dataclass, static_field


def require_compressed(num_measurements: int, pixels: int) -> None:
    """Raises InputError unless 1 <= m <= n."""
    if not 1 <= num_measurements <= pixels:
        raise InputError(
            f"num_measurements m = {num_measurements} of n = {pixels} pixels: compressed sensing needs 1 <= m <= n"
        )


@pytree_dataclass
class Dense(LinearOperator):
    """A given matrix, y = A x.

    Attributes:
        matrix: A, [m, n] with m <= n, real or complex; column j multiplies pixel j of `image.reshape(-1)`.
        image_shape: (h, w, c) with h w c = n.

    Raises:
        InputError: shapes do not fit, or there are more measurements than pixels.
    """

    matrix: Array
    image_shape: Shape = static_field()
    unbatched_ndim = {"matrix": 2}

    def __post_init__(self):
        object.__setattr__(self, "image_shape", tuple(self.image_shape))
        if not hasattr(self.matrix, "dtype"):  # a placeholder of a pytree transformation, not an array
            return
        shape, pixels = self.matrix.shape, math.prod(self.image_shape)
        if len(shape) not in (2, 3) or shape[-1] != pixels:
            raise InputError(
                f"matrix of shape {shape} does not fit images of shape {self.image_shape}: "
                f"it needs [m, n] with n = {pixels} columns"
            )
        require_compressed(shape[-2], pixels)
        if not jnp.issubdtype(self.matrix.dtype, jnp.inexact):
            raise InputError(f"matrix has dtype {self.matrix.dtype}: it needs real or complex floating point")

    def forward(self, image: Array) -> Array:
        # Explicit precision: an NVIDIA device may otherwise use TF32, whose error exceeds the residuals sought.
        return jnp.dot(self.matrix, image.reshape(-1), precision=jax.lax.Precision.HIGHEST)


def gaussian(key: Array, num_measurements: int, image_shape: Shape, dtype=jnp.float32) -> Dense:
    """Dense A with i.i.d. N(0, 1/m) entries (paper, section 5.1).

    Args:
        key: random key.
        num_measurements: m, 1 <= m <= n = h w c.
        image_shape: (h, w, c).
        dtype: of the entries.
    """
    pixels = math.prod(image_shape)
    require_compressed(num_measurements, pixels)
    return Dense(_normal_matrix(key, num_measurements, pixels, dtype), tuple(image_shape))


@partial(jax.jit, static_argnames=("num_measurements", "pixels", "dtype"))
def _normal_matrix(key, num_measurements, pixels, dtype):
    # Row by row: the random bits of a whole matrix would be three more arrays of its size. Compiled here, though that
    # is the business of csdip_jax.solve, since the loop would otherwise be compiled anew for every matrix.
    def row(i):
        return jax.random.normal(jax.random.fold_in(key, i), (pixels,), dtype) / math.sqrt(num_measurements)

    return jax.lax.map(row, jnp.arange(num_measurements))
