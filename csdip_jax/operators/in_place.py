"""y - A x and A^H (y - A x) of a matrix that is read once and where it lies, for CPUs.

XLA copies a block of rows before it multiplies it, which costs as much as reading it again. Sums of slices that are
written out become loops instead, which read a few rows in place, widen them on the way where they are stored narrowly,
and find them in the caches of the cores the second time.
"""

from typing import cast

import jax
import jax.numpy as jnp

from csdip_jax.operators.base import LinearOperator
from csdip_jax.operators.rows import RowOperator, over_rows, product
from csdip_jax.types import Array

ROWS = 8
"""Rows that are read at a time; 6 to 12 measured alike, 4 and 16 slower."""

PIECES = 8
"""Pieces that a row is cut into and that are added before their entries are; more are slower on AMD's processors."""

SHARING = 4
"""Images that share a matrix: from so many on, products with copied blocks of its rows are faster."""


@jax.custom_jvp
def residual_and_adjoint(operator: LinearOperator, measurements: Array, image: Array) -> tuple[Array, Array]:
    """As `LinearOperator.residual_and_adjoint`, for a `Dense` operator; added up in float32 at least."""
    residuals, backs = _of_images(operator, measurements[None], image[None])
    return residuals[0], backs[0]


@residual_and_adjoint.defjvp
def _derivative(primals, tangents):
    _, tangent = jax.jvp(LinearOperator.residual_and_adjoint, primals, tangents)
    return residual_and_adjoint(*primals), tangent


@jax.custom_batching.custom_vmap
def _of_images(operator, measurements, images):
    if len(images) == 1:  # an axis of one would cost a fit 2 % of its time
        return jax.tree.map(lambda x: x[None], _in_sums(operator, measurements[0], images[0]))
    form = RowOperator.residual_and_adjoint if len(images) >= SHARING else _in_sums
    return jax.vmap(form, (None, 0, 0))(operator, measurements, images)


@_of_images.def_vmap
def _of_more_images(batch_size, batched, operator, *arrays):
    """Whatever axes images come along that share a matrix, they are counted together.

    What `csdip_jax.solve` batches arrives here: `vmap` in this file only says how that is computed.
    """
    if any(jax.tree.leaves(batched[0])):
        axes = jax.tree.map(lambda is_batched: 0 if is_batched else None, tuple(batched))
        return jax.vmap(_of_images.fun, axes, axis_size=batch_size)(operator, *arrays), (True, True)
    every = (x if b else jnp.stack([x] * batch_size) for x, b in zip(arrays, batched[1:], strict=True))
    results = _of_images(operator, *(x.reshape(-1, *x.shape[2:]) for x in every))
    return tuple(x.reshape(batch_size, -1, *x.shape[1:]) for x in results), (True, True)


def _in_sums(operator, measurements, image):
    matrix, x = operator.matrix, image.reshape(-1)
    m, n = matrix.shape
    dtype = jnp.result_type(matrix, x, jnp.float32)
    count = min(PIECES, n)
    length, main = n // count, n - n % count
    pieces, last_x = x[:main].reshape(count, length), x[main:]
    ones = jnp.ones(length, dtype)

    def entries(row, rows, column, columns):
        return jax.lax.dynamic_slice(matrix, (row, column), (rows, columns)).astype(dtype)

    def both(back, first, size, measured, *row_scale):
        back, last_back = back
        scale = row_scale[0].astype(dtype) if row_scale else 1
        last = entries(first, size, main, n - main)  # the columns that are left over
        added = sum(entries(first, size, i * length, length) * piece for i, piece in enumerate(pieces))
        residual = measured - scale * (product(cast(Array, added), ones) + product(last, last_x))
        weights = (scale * residual).conj()
        for i in range(size):
            # In two axes, so that the inner loop has a fixed length however many threads share the outer one.
            back += (weights[i] * entries(first + i, 1, 0, main).reshape(back.shape)).real
        return (back, last_back + product(weights, last).real), residual

    real = jnp.finfo(jnp.result_type(measurements, dtype)).dtype
    start = jnp.zeros((count, length), real), jnp.zeros(n - main, real)
    along = [measurements] if operator.row_scale is None else [measurements, operator.row_scale]
    (back, last_back), residual = over_rows(m, ROWS, start, both, *along)
    back = jnp.concatenate([back.reshape(-1), last_back]).reshape(image.shape)
    in_products = jax.eval_shape(lambda: measurements[:1] - product(operator.rows(0, 1, x.dtype), x)).dtype
    return residual.astype(in_products), back.astype(jnp.finfo(in_products).dtype)
