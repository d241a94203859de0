"""Dense matrices, given or Gaussian."""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from csdip_jax.checks import as_floating, checked_shape, require_key
from csdip_jax.operators import in_place
from csdip_jax.operators.base import LinearOperator, Shape
from csdip_jax.operators.kinds import Kind, of_a_matrix
from csdip_jax.operators.rows import RowOperator, product
from csdip_jax.types import Array, InputError, pytree_dataclass, static_field


def require_num_measurements(num_measurements: int, image_shape: Shape, distinct: bool = False) -> None:
    """Raises InputError unless m is a whole number of at least 1, and at most n = h w c for m distinct of n things."""
    pixels = math.prod(checked_shape(image_shape))
    most = pixels if distinct else math.inf
    if not isinstance(num_measurements, (int, np.integer)) or not 1 <= num_measurements <= most:
        raise InputError(
            f"num_measurements m = {num_measurements} of n = {pixels} pixels: it must be a whole number, "
            + ("1 <= m <= n: there are no more coefficients" if distinct else "at least 1")
        )


DTYPES = ("float32", "float64", "float16", "int8")
"""What a matrix may be stored in; products with the last two are those of float32 all the same."""

STORED = (jnp.bfloat16, jnp.float16, jnp.int8)
"""What stays as it is in a matrix, the last two where a `row_scale` says that they are meant so."""

CACHED_BYTES = 2**25
"""Two products find a matrix up to this size in the caches of a CPU."""


@pytree_dataclass
class Dense(RowOperator):
    """A given matrix, y = A x.

    Attributes:
        matrix: A, [m, n], real or complex, of any type of numbers; column j multiplies pixel j of `image.reshape(-1)`.
            bfloat16, and float16 and int8 beside a `row_scale`, are stored as they are and widened block by block in
            each product: half or a quarter of the memory to read.
        image_shape: (h, w, c) with h w c = n.
        row_scale: [m], row i of A is row_scale[i] matrix[i]; None for 1. `astype` makes both.

    Raises:
        InputError: shapes do not fit, or the matrix holds no numbers.

    Example:
        >>> patterns = np.random.default_rng(0).integers(0, 2, (50, 64))  # of a single-pixel camera
        >>> operator = cs.operators.Dense(patterns, (8, 8, 1))
        >>> operator.forward(np.zeros((8, 8, 1))).shape
        (50,)
    """

    matrix: Array
    image_shape: Shape = static_field()
    row_scale: Array | None = None

    def __post_init__(self):
        object.__setattr__(self, "image_shape", checked_shape(self.image_shape))
        is_stored = getattr(self.matrix, "dtype", None) in (STORED if self.row_scale is not None else STORED[:1])
        object.__setattr__(
            self, "matrix", jnp.asarray(self.matrix) if is_stored else as_floating(self.matrix, "matrix")
        )
        if self.row_scale is not None:
            object.__setattr__(self, "row_scale", as_floating(self.row_scale, "row_scale", real=True))
        shape, pixels = self.matrix.shape, math.prod(self.image_shape)
        if len(shape) not in (2, 3) or shape[-1] != pixels:
            raise InputError(
                f"matrix of shape {shape} does not fit images of shape {self.image_shape}: "
                f"it needs [m, n] with n = {pixels} columns"
            )
        require_num_measurements(shape[-2], self.image_shape)
        if self.row_scale is not None and self.row_scale.shape != shape[:-1]:
            raise InputError(f"row_scale of shape {self.row_scale.shape} does not fit {shape[-2]} rows")

    def astype(self, dtype: str) -> "Dense":
        """The same operator up to rounding, its matrix stored in fewer bits, or in more.

        For float16 and int8 each row is divided by its largest entry first, so that any range fits: float16 rounds an
        entry by at most 2^-11 of itself, int8 by 1/254 of the largest.

        Args:
            dtype: one of `DTYPES`.

        Raises:
            InputError: unknown dtype, or a matrix that is complex or narrow already.
        """
        require_dtype(dtype)
        if self.is_narrow or jnp.iscomplexobj(self.matrix):
            raise InputError(f"matrix has dtype {self.matrix.dtype}: it cannot be stored as {dtype}")
        matrix, row_scale = _stored(self.matrix, dtype)
        return dataclasses.replace(self, matrix=matrix, row_scale=row_scale)

    def subset(self, indices: Array) -> "Dense":
        """As `Operator` says; a copy of the rows."""
        row_scale = None if self.row_scale is None else self.row_scale[indices]
        return dataclasses.replace(self, matrix=self.matrix[indices], row_scale=row_scale)

    @property
    def num_measurements(self) -> int:
        """How many rows A has, m."""
        return self.matrix.shape[-2]

    def rows(self, first: Array | int, size: int, dtype: Any) -> Array:
        rows = jax.lax.dynamic_slice_in_dim(self.matrix, first, size)
        if self.is_narrow:
            rows = rows.astype(dtype)
        if self.row_scale is not None:
            rows *= jax.lax.dynamic_slice_in_dim(self.row_scale, first, size)[:, None].astype(dtype)
        return rows

    def forward(self, image: Array) -> Array:
        return super().forward(image) if self.is_narrow else product(self.matrix, image.reshape(-1))

    def residual_and_adjoint(self, measurements: Array, image: Array) -> tuple[Array, Array]:
        return self._fastest_form()(self, measurements, image)

    def _fastest_form(self) -> Callable:
        """Of `residual_and_adjoint`, as measured for such a matrix on such a device (docs: Performance)."""
        if jax.default_backend() != "cpu":
            return RowOperator.residual_and_adjoint if self.is_narrow else LinearOperator.residual_and_adjoint
        large = self.matrix.size * self.matrix.dtype.itemsize > CACHED_BYTES
        return (in_place if self.is_narrow or large else LinearOperator).residual_and_adjoint

    @property
    def is_narrow(self) -> bool:
        """Whether the matrix is stored in fewer bits than its products have."""
        return self.row_scale is not None or self.matrix.dtype.itemsize < 4


def require_dtype(dtype: str) -> None:
    """Raises InputError unless it is one of DTYPES, and one that JAX makes as it is set."""
    if dtype == "float64" and jax.dtypes.canonicalize_dtype(dtype) != dtype:
        raise InputError("a matrix in float64 needs JAX_ENABLE_X64=1 in the environment")
    if dtype not in DTYPES:
        raise InputError(f"unknown dtype {dtype!r} of a matrix: choose from {', '.join(DTYPES)}")


def gaussian(key: Array, num_measurements: int, image_shape: Shape, dtype: str = "float32") -> Dense:
    """A random matrix with independent N(0, 1/m) entries (paper, section 5.1).

    Args:
        key: random key.
        num_measurements: m >= 1; more than the n = h w c pixels are allowed.
        image_shape: (h, w, c).
        dtype: one of DTYPES, see `Dense.astype`; the same key draws the same matrix up to its rounding, but for
            float64, which draws another one.

    Returns:
        The operator; its matrix takes 4 m n bytes in float32.

    Raises:
        InputError: m or dtype out of range, or a key of `jax.random.PRNGKey`.

    Example:
        >>> operator = cs.operators.gaussian(jax.random.key(0), 20, (8, 8, 1))
        >>> operator.matrix.shape
        (20, 64)
    """
    require_key(key)
    require_num_measurements(num_measurements, image_shape)
    require_dtype(dtype)
    matrix, row_scale = _normal_matrix(key, num_measurements, math.prod(image_shape), dtype)
    return Dense(matrix, image_shape, row_scale)


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
    row_scale = jnp.where(largest == 0, 1, largest).astype(jnp.float32) / (127 if dtype == "int8" else 1)
    entries = rows / row_scale[..., None]
    return (jnp.round(entries) if dtype == "int8" else entries).astype(dtype), row_scale


GAUSSIAN = Kind(
    name="gaussian",
    label="Gaussian",
    about="a dense random matrix",
    draw=gaussian,
    prefix="m",
    toy=30,
    takes_dtype=True,
    unasked=True,
    matrix_bytes=of_a_matrix,
)
