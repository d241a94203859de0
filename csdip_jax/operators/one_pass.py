"""y - A x and A^H (y - A x) of a stored matrix in one read of it, for CPUs.

XLA copies a block of rows before it multiplies it, which costs as much as reading it again. Sums of slices that are
written out become loops instead, which read a few rows where they lie, widen them on the way where they are stored
narrowly, and find them in the caches of the cores the second time.
"""

import jax
import jax.numpy as jnp

from csdip_jax.operators.base import LinearOperator
from csdip_jax.operators.rows import RowOperator, over_rows, product
from csdip_jax.types import Array

ROWS = 8
"""So many at a time; 8 to 16 measured alike, from 64 x 64 to 1024 x 1024 pixels, 2 and 4 slower."""

PIECES = 16
"""A row is cut into so many, which are added before the entries of their sum are; 8 to 24 measured alike."""

SHARED = 4
"""From so many images that share a matrix on, products with blocks of it are faster."""


@jax.custom_jvp
def residual_and_adjoint(operator: RowOperator, measurements: Array, image: Array) -> tuple[Array, Array]:
    """As `LinearOperator.residual_and_adjoint`, for a `Dense` operator."""
    return _in_sums(operator, measurements, image)


@residual_and_adjoint.defjvp
def _derivative(primals, tangents):
    _, tangent = jax.jvp(LinearOperator.residual_and_adjoint, primals, tangents)
    return residual_and_adjoint(*primals), tangent


@jax.custom_batching.custom_vmap
def _in_sums(operator, measurements, image):
    matrix, x = operator.matrix, image.reshape(-1)
    m, n = matrix.shape
    dtype = jnp.result_type(matrix, x)
    count = min(PIECES, n)
    length, main = n // count, n - n % count
    pieces, last_x = x[:main].reshape(count, length), x[main:]
    ones = jnp.ones(length, dtype)

    def entries(row, rows, column, columns):
        return jax.lax.dynamic_slice(matrix, (row, column), (rows, columns)).astype(dtype)

    def both(back, first, size, measured, *scale):
        back, last_back = back
        scale = scale[0] if scale else 1
        last = entries(first, size, main, n - main)  # the columns that are left over
        added = sum(entries(first, size, i * length, length) * piece for i, piece in enumerate(pieces))
        residual = measured - scale * (product(added, ones) + product(last, last_x))
        weights = (scale * residual).conj()
        for i in range(size):
            # In two axes, so that the inner loop has a fixed length however many threads share the outer one.
            back += (weights[i] * entries(first + i, 1, 0, main).reshape(back.shape)).real
        return (back, last_back + product(weights, last).real), residual

    real = jnp.finfo(jnp.result_type(measurements, dtype)).dtype
    start = jnp.zeros((count, length), real), jnp.zeros(n - main, real)
    along = [measurements] if operator.row_scale is None else [measurements, operator.row_scale]
    (back, last_back), residual = over_rows(m, ROWS, start, both, *along)
    return residual, jnp.concatenate([back.reshape(-1), last_back]).reshape(image.shape)


@_in_sums.def_vmap
def _batch(batch_size, batched, operator, measurements, image):
    """Several images that share a matrix make products of matrices, for which a block of rows is worth its copy."""
    axes = jax.tree.map(lambda is_batched: 0 if is_batched else None, batched)
    shared = not batched[0].matrix and batch_size >= SHARED
    form = RowOperator.residual_and_adjoint if shared else _in_sums.fun
    return jax.vmap(form, axes, axis_size=batch_size)(operator, measurements, image), (True, True)
