"""Dense matrices, given or Gaussian."""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any

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


DTYPES = ("float32", "float64", "float16", "int8")
"""What a matrix may be stored in; products with the last two are those of float32 all the same."""

BLOCK_ROWS = {"cpu": 40}
OTHER_BLOCK_ROWS = 512
"""Rows of A that are taken at once, by the kind of device: on a CPU as many as stay in its cache between two products
(20 to 40 measured best), elsewhere as many as make a product worth its launch."""


@pytree_dataclass
class Dense(LinearOperator):
    """A given matrix, y = A x.

    Attributes:
        matrix: A, [m, n] with m <= n, real or complex; column j multiplies pixel j of `image.reshape(-1)`. float16,
            bfloat16 and int8 are widened block by block in each product: half or a quarter of the memory to read.
        image_shape: (h, w, c) with h w c = n.
        row_scale: [m], row i of A is row_scale[i] matrix[i]; None for 1, int8 needs it. `astype` makes both.

    Raises:
        InputError: shapes do not fit, or there are more measurements than pixels.
    """

    matrix: Array
    image_shape: Shape = static_field()
    row_scale: Array | None = None
    unbatched_ndim = {"matrix": 2, "row_scale": 1}

    def __post_init__(self):
        object.__setattr__(self, "image_shape", tuple(self.image_shape))
        if getattr(self.matrix, "dtype", jax.dtypes.float0) == jax.dtypes.float0:
            return  # a placeholder of a pytree transformation, or the derivative of whole numbers
        shape, pixels = self.matrix.shape, math.prod(self.image_shape)
        if len(shape) not in (2, 3) or shape[-1] != pixels:
            raise InputError(
                f"matrix of shape {shape} does not fit images of shape {self.image_shape}: "
                f"it needs [m, n] with n = {pixels} columns"
            )
        require_compressed(shape[-2], pixels)
        scaled = self.row_scale is not None
        if scaled and self.row_scale.shape != shape[:-1]:
            raise InputError(f"row_scale of shape {self.row_scale.shape} does not fit {shape[-2]} rows")
        dtype = self.matrix.dtype
        if not jnp.issubdtype(dtype, jnp.inexact) and not (scaled and dtype == jnp.int8):
            raise InputError(
                f"matrix has dtype {dtype}: it needs real or complex floating point, or int8 with a row_scale"
            )

    def astype(self, dtype: str) -> "Dense":
        """The same operator up to rounding, its matrix stored as one of DTYPES.

        For float16 and int8 each row is divided by its largest entry first, so that any range fits: float16 rounds an
        entry by at most 2^-11 of itself, int8 by 1/254 of the largest.

        Raises:
            InputError: unknown dtype, or a matrix that is complex or narrow already.
        """
        require_dtype(dtype)
        if self._is_narrow or jnp.iscomplexobj(self.matrix):
            raise InputError(f"matrix has dtype {self.matrix.dtype}: it cannot be stored as {dtype}")
        matrix, row_scale = _stored(self.matrix, dtype)
        return dataclasses.replace(self, matrix=matrix, row_scale=row_scale)

    def forward(self, image: Array) -> Array:
        x = image.reshape(-1)
        if not self._is_narrow:
            return _product(self.matrix, x)
        return self._over_rows(x.dtype, None, lambda _, rows: (None, _product(rows, x)))[1]

    def residual_and_adjoint(self, measurements: Array, image: Array) -> tuple[Array, Array]:
        """As `LinearOperator` says, in one pass over A: a block of rows is multiplied twice while it is at hand."""
        if not self._is_narrow and jax.default_backend() != "cpu":
            return super().residual_and_adjoint(measurements, image)
        x = image.reshape(-1)

        def both(back, rows, measured):
            # The barrier matters where images share A under vmap: without it XLA fuses a transposition into the
            # difference, the next product meets its operand in the wrong order, and both take twice the time.
            residual = measured - jax.lax.optimization_barrier(_product(rows, x))
            return back + _product(residual.conj(), rows).real, residual

        real = jnp.finfo(jnp.promote_types(measurements.dtype, jnp.promote_types(x.dtype, self.matrix.dtype))).dtype
        back, residual = self._over_rows(x.dtype, jnp.zeros(x.shape, real), both, measurements)
        return residual, back.reshape(self.image_shape)

    def frobenius_norm(self) -> Array:
        """The root of the sum of |A_ij|^2."""

        def energies(_, rows):
            return None, jnp.sum(jnp.square(jnp.abs(rows)), axis=1)

        return jnp.sqrt(self._over_rows(jnp.float32, None, energies)[1].sum())

    @property
    def _is_narrow(self) -> bool:
        return self.row_scale is not None or self.matrix.dtype.itemsize < 4

    def _over_rows(self, widened: Any, start: Any, visit: Callable, *along: Array) -> tuple[Any, Array]:
        """Calls visit(carry, rows of A, the same part of each of `along`) -> (carry, [rows]) block by block.

        Args:
            widened: dtype of the rows, where they are stored narrowly.
            start: the first carry.
            visit: as said.
            along: arrays [m].

        Returns:
            The last carry, and what was made of each row, [m].
        """
        m = len(self.matrix)
        size = min(m, BLOCK_ROWS.get(jax.default_backend(), OTHER_BLOCK_ROWS))

        def block(carry, first, size=size):
            def cut(array):
                return jax.lax.dynamic_slice_in_dim(array, first, size)

            rows = cut(self.matrix)
            if self._is_narrow:
                rows = rows.astype(widened)
            if self.row_scale is not None:
                rows *= cut(self.row_scale)[:, None].astype(widened)
            return visit(carry, rows, *map(cut, along))

        carry, made = jax.lax.scan(block, start, size * jnp.arange(m // size))
        made = made.reshape(-1)
        if m % size:
            carry, last = block(carry, m - m % size, m % size)
            made = jnp.concatenate([made, last])
        return carry, made


def require_dtype(dtype: str) -> None:
    """Raises InputError unless it is one of DTYPES."""
    if dtype not in DTYPES:
        raise InputError(f"unknown dtype {dtype!r} of a matrix: choose from {', '.join(DTYPES)}")


def gaussian(key: Array, num_measurements: int, image_shape: Shape, dtype: str = "float32") -> Dense:
    """Dense A with i.i.d. N(0, 1/m) entries (paper, section 5.1).

    Args:
        key: random key.
        num_measurements: m, 1 <= m <= n = h w c.
        image_shape: (h, w, c).
        dtype: one of DTYPES, see `Dense.astype`; the same key draws the same matrix up to its rounding, but for
            float64, which draws another one.
    """
    pixels = math.prod(image_shape)
    require_compressed(num_measurements, pixels)
    require_dtype(dtype)
    matrix, row_scale = _normal_matrix(key, num_measurements, pixels, dtype)
    return Dense(matrix, tuple(image_shape), row_scale)


@partial(jax.jit, static_argnames=("num_measurements", "pixels", "dtype"))
def _normal_matrix(key, num_measurements, pixels, dtype):
    # Row by row: the random bits of a whole matrix would be three more arrays of its size. Compiled here, though that
    # is the business of csdip_jax.solve, since the loop would otherwise be compiled anew for every matrix.
    drawn = "float64" if dtype == "float64" else "float32"

    def row(i):
        entries = jax.random.normal(jax.random.fold_in(key, i), (pixels,), drawn) / math.sqrt(num_measurements)
        return _stored(entries, dtype)

    return jax.lax.map(row, jnp.arange(num_measurements))


def _stored(rows: Array, dtype: str) -> tuple[Array, Array | None]:
    """`rows` [..., n] in this dtype, and what each is to be multiplied by; None for nothing."""
    if dtype in ("float32", "float64"):
        return rows.astype(dtype), None
    largest = jnp.abs(rows).max(-1)
    row_scale = jnp.where(largest > 0, largest, 1).astype(jnp.float32) / (127 if dtype == "int8" else 1)
    entries = rows / row_scale[..., None]
    return (jnp.round(entries) if dtype == "int8" else entries).astype(dtype), row_scale


def _product(a: Array, b: Array) -> Array:
    # Explicit precision: an NVIDIA device may otherwise use TF32, whose error exceeds the residuals sought.
    return jnp.dot(a, b, precision=jax.lax.Precision.HIGHEST)
