"""Operators that come row by row: stored matrices, and matrices that are made anew in each product."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from csdip_jax.operators.base import LinearOperator
from csdip_jax.types import Array

BLOCK_ROWS = {"cpu": 40}
OTHER_BLOCK_ROWS = 512
"""Rows of A that are taken at once, by the kind of device: on a CPU as many as stay in its cache between two products
(20 to 40 measured best), elsewhere as many as make a product worth its launch."""


class RowOperator(LinearOperator):
    """y = A x for a matrix A of which a block of rows is at hand at a time; column j multiplies pixel j.

    Derive from it where rows of A can be made or read, but A as a whole does not fit into memory: `num_measurements`
    and `rows` are all that it needs.

    Attributes:
        image_shape: (h, w, c) of the images that it measures.
        num_measurements: m, the rows of A.
    """

    num_measurements: int

    def rows(self, first: Array | int, size: int, dtype: Any) -> Array:
        """A block of rows of A.

        Args:
            first: the first of them, from 0; it may be traced.
            size: how many.
            dtype: of the entries, unless A has a dtype of its own.

        Returns:
            [size, n].
        """
        raise NotImplementedError

    def forward(self, image: Array) -> Array:
        x = image.reshape(-1)
        return self._over_rows(x.dtype, None, lambda _, rows: (None, product(rows, x)))[1]

    def residual_and_adjoint(self, measurements: Array, image: Array) -> tuple[Array, Array]:
        """As `LinearOperator` says, in one pass over A: a block of rows is multiplied twice while it is at hand."""
        x = image.reshape(-1)

        def both(back, rows, measured):
            # The barrier matters where images share A under vmap: without it XLA fuses a transposition into the
            # difference, the next product meets its operand in the wrong order, and both take twice the time.
            residual = measured - jax.lax.optimization_barrier(product(rows, x))
            return back + product(residual.conj(), rows).real, residual

        rows = jax.eval_shape(lambda: self.rows(0, 1, x.dtype))
        back = jnp.zeros(x.shape, jnp.finfo(jnp.result_type(measurements, x, rows)).dtype)
        back, residual = self._over_rows(x.dtype, back, both, measurements)
        return residual, back.reshape(self.image_shape)

    def frobenius_norm(self, without: Array | None = None) -> Array:
        """As `LinearOperator` says; exact."""
        if without is None:
            energies = self._over_rows(jnp.float32, None, lambda _, rows: (None, _energies(rows)))[1]
        else:
            row = jax.eval_shape(lambda: self.rows(0, 1, jnp.float32)[0])
            start = jnp.zeros(row.shape, jnp.result_type(row, without))

            def project(image, rows, u):
                return image + product(u.conj(), rows), u

            image = self._over_rows(jnp.float32, start, project, without)[0]

            def visit(_, rows, u):
                return None, _energies(rows - u[:, None] * image)

            energies = self._over_rows(jnp.float32, None, visit, without)[1]
        return jnp.sqrt(energies.sum())

    def subset(self, indices: Array) -> LinearOperator:
        """As `Operator` says; each row is made by itself."""
        from csdip_jax.operators.subsets import PickedRows

        return PickedRows(self, indices)

    def split(self, kept: Array, held: Array) -> tuple[LinearOperator, LinearOperator]:
        """As `Operator` says; nothing is copied of the rows that are kept."""
        from csdip_jax.operators.subsets import without_copies

        return without_copies(self, kept, held)

    def _over_rows(self, dtype: Any, start: Any, visit: Callable, *along: Array) -> tuple[Any, Array]:
        """`over_rows` in blocks for this kind of device, whose rows in `dtype` (see `rows`) `visit` is given."""

        def block(carry, first, size, *parts):
            return visit(carry, self.rows(first, size, dtype), *parts)

        size = BLOCK_ROWS.get(jax.default_backend(), OTHER_BLOCK_ROWS)
        return over_rows(self.num_measurements, size, start, block, *along)


def _energies(rows: Array) -> Array:
    return jnp.sum(jnp.square(jnp.abs(rows)), axis=1)


def over_rows(num_rows: int, size: int, start: Any, visit: Callable, *along: Array) -> tuple[Any, Array]:
    """Calls visit(carry, first row, number of rows, their part of each of `along`) -> (carry, [rows]) block by block.

    Args:
        num_rows: m.
        size: rows of a block; the last has what is left.
        start: the first carry.
        visit: as said.
        along: arrays [m].

    Returns:
        The last carry, and what was made of each row, [m].
    """
    size = min(num_rows, size)

    def block(carry, first, size=size):
        parts = (jax.lax.dynamic_slice_in_dim(array, first, size) for array in along)
        return visit(carry, first, size, *parts)

    carry, made = jax.lax.scan(block, start, size * jnp.arange(num_rows // size))
    made = made.reshape(-1)
    if num_rows % size:
        carry, last = block(carry, num_rows - num_rows % size, num_rows % size)
        made = jnp.concatenate([made, last])
    return carry, made


def product(a: Array, b: Array) -> Array:
    """The matrix product, in full precision: an NVIDIA device may else use TF32, whose error exceeds the residuals."""
    return jnp.dot(a, b, precision=jax.lax.Precision.HIGHEST)
