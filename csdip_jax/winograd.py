"""3 x 3 correlation by Winograd's F(2, 3), along both axes or along one, with fewer products than the direct sum.

Along both, the image is cut into 4 x 4 tiles, two pixels apart. Tiles and kernel are transformed, multiplied entry by
entry of the 4 x 4 (16 matrix products over the channels, instead of 36), and transformed back to 2 x 2 outputs:

    Y = A' [(G w G') * (B' d B)] A      (Lavin and Gray, Fast algorithms for convolutional neural networks, 2016)

Along one, four pixels of a row give two outputs, y = A' [(G w) * (B' d)]: 4 products instead of 6, and fewer
transforms than along both.
The gradients run through the same transposed steps, so that they too take as few products.
"""

import jax
import jax.numpy as jnp
import numpy as np

from csdip_jax.types import Array

G = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]], np.float32) / 2
A = np.array([[1, 1, 1, 0], [0, 1, -1, -1]], np.float32).T
"""The matrices of F(2, 3); B is written out, in `_four`."""


@jax.custom_vjp
def correlate(image: Array, kernel: Array) -> Array:
    """Zero-padded 3 x 3 correlation, the sum over taps of kernel[i, j] image[y + i - 1, x + j - 1].

    Args:
        image: [h, w, in], even sides.
        kernel: [3, 3, in, out].

    Returns:
        [h, w, out], to a rounding error about as large as the direct sum's.
    """
    products = _multiply("tpi,tio->tpo", _tiles(_stored(image)), _transform_kernel(kernel))
    h, w, _ = image.shape
    return _stored(_from_products(products.reshape(4, 4, h // 2, w // 2, -1)))


def _forward(image, kernel):
    return correlate(image, kernel), (image, kernel)


def _backward(residuals, cotangent):
    # The tiles are made again rather than kept: they are four times the image.
    image, kernel = residuals
    tiles, products = _tiles(_stored(image)), _to_products(_stored(cotangent))
    entries = _multiply("tpi,tpo->tio", tiles, products)
    kernel_gradient = _product(np.kron(G, G).T, entries.reshape(16, -1)).reshape(kernel.shape)
    tile_gradient = _multiply("tpo,tio->tpi", products, _transform_kernel(kernel)).reshape(tiles.shape)
    return _stored(_add_tiles(tile_gradient)), kernel_gradient


correlate.defvjp(_forward, _backward)


@jax.custom_vjp
def correlate_one_axis(image: Array, kernel: Array) -> Array:
    """What `correlate` computes, by F(2, 3) along the rows of pixels; the taps across them are gathered.

    Args:
        image: [h, w, in], w even.
        kernel: [3, 3, in, out].
    """
    h, w, _ = image.shape
    products = (a @ b for a, b in zip(_segments(_stored(image)), _transform_taps(kernel), strict=True))
    return _stored(jnp.stack(_two(*(m.reshape(h, w // 2, -1) for m in products)), axis=2).reshape(h, w, -1))


def _forward_one_axis(image, kernel):
    return correlate_one_axis(image, kernel), (image, kernel)


def _backward_one_axis(residuals, cotangent):
    image, kernel = residuals
    h, w, channels = image.shape
    pairs = _stored(cotangent.reshape(h, w // 2, 2, -1).transpose(2, 0, 1, 3)).reshape(2, h * w // 2, -1)
    products = _transposed_two(*pairs)
    entries = jnp.stack([a.T @ m for a, m in zip(_segments(_stored(image)), products, strict=True)])
    taps_gradient = _product(G.T, entries.reshape(4, -1)).reshape(3, 3, channels, -1)
    taps = _transform_taps(kernel)
    rows = ((m @ b.T).reshape(h, w // 2, 3, channels) for m, b in zip(products, taps, strict=True))
    sums = (sum(jnp.pad(r[:, :, i], ((i, 2 - i), (0, 0), (0, 0))) for i in range(3))[1:-1] for r in rows)
    return _stored(_interleave(_transposed_four(*sums), axis=1)), taps_gradient.swapaxes(0, 1)


correlate_one_axis.defvjp(_forward_one_axis, _backward_one_axis)


def _segments(image: Array) -> list[Array]:
    """B' d of four pixels of each three rows, two apart: 4 of [h w / 2, 3 in].

    Four arrays, not one: a CPU takes twice as long for a batched product as for its parts.
    """
    h, w, channels = image.shape
    padded = jnp.pad(image, ((1, 1), (1, 1), (0, 0)))
    transformed = _four(*(padded[:, j : j + w : 2] for j in range(4)))
    return [
        jnp.concatenate([d[i : i + h] for i in range(3)], axis=-1).reshape(h * w // 2, 3 * channels)
        for d in transformed
    ]


def _transform_taps(kernel: Array) -> tuple[Array, ...]:
    """G w along the rows, 4 of [3 in, out]."""
    return tuple(_product(G, jnp.moveaxis(kernel, 1, 0).reshape(3, -1)).reshape(4, -1, kernel.shape[-1]))


def _stored(x: Array) -> Array:
    # Otherwise XLA fuses the layer before or after into the transforms, and computes it once for each overlapping tile.
    return jax.lax.optimization_barrier(x)


def _multiply(formula: str, a: Array, b: Array) -> Array:
    """The 16 matrix products, flattened to one axis t of entries and one p of tiles (XLA copies operands with more)."""
    a, b = (x.reshape(16, -1, x.shape[-1]) for x in (a, b))
    return jnp.einsum(formula, a, b)


def _tiles(image: Array) -> Array:
    """B' d B of every tile, [4, 4, h / 2, w / 2, in]."""
    h, w, _ = image.shape
    padded = jnp.pad(image, ((1, 1), (1, 1), (0, 0)))
    rows = _stored(jnp.stack(_four(*(padded[i : i + h : 2] for i in range(4)))))
    return jnp.stack(_four(*(rows[:, :, j : j + w : 2] for j in range(4))), axis=1)


def _four(d0, d1, d2, d3):
    """B' along one axis."""
    return d0 - d2, d1 + d2, d2 - d1, d1 - d3


def _add_tiles(tiles: Array) -> Array:
    """The transpose of `_tiles`: [4, 4, h / 2, w / 2, in] -> [h, w, in]."""
    rows = _interleave(_transposed_four(*jnp.moveaxis(tiles, 1, 0)), axis=2)
    return _interleave(_transposed_four(*rows), axis=0)


def _transposed_four(v0, v1, v2, v3):
    return v0, v1 - v2 + v3, v1 + v2 - v0, -v3


def _interleave(d, axis):
    """Four sequences of taps 2 i + k placed and added, without the padding of one pixel on either side."""
    first, last = [(0, 0)] * d[0].ndim, [(0, 0)] * d[0].ndim
    first[axis], last[axis] = (0, 1), (1, 0)
    even = jnp.pad(d[0], first) + jnp.pad(d[2], last)
    odd = jnp.pad(d[1], first) + jnp.pad(d[3], last)
    pairs = jnp.stack([even, odd], axis=axis + 1)
    shape = list(even.shape)
    shape[axis] *= 2
    return jax.lax.slice_in_dim(pairs.reshape(shape), 1, shape[axis] - 1, axis=axis)


def _transform_kernel(kernel: Array) -> Array:
    """G w G', [4, 4, in, out]."""
    _, _, inputs, outputs = kernel.shape
    return _product(np.kron(G, G), kernel.reshape(9, -1)).reshape(4, 4, inputs, outputs)


@jax.custom_vjp
def _product(matrix: Array, x: Array) -> Array:
    """A transform as a product of matrices: it compiles at once, where its sums written out are large loops."""
    return _stacked_product(jnp.asarray(matrix, x.dtype), x)


def _product_forward(matrix, x):
    return _product(matrix, x), matrix


def _product_backward(matrix, cotangent):
    return jnp.zeros_like(matrix), _product(matrix.T, cotangent)  # the transforms are constants


_product.defvjp(_product_forward, _product_backward)


@jax.custom_batching.custom_vmap
def _stacked_product(matrix, x):
    return jnp.matmul(matrix, x, precision=jax.lax.Precision.HIGHEST)


@_stacked_product.def_vmap
def _batch_of_products(size, batched, matrix, x):
    # JAX's own rule would join the batch to one product, with the batch in the middle of its result: a copy to undo.
    matrices = matrix if batched[0] else jnp.broadcast_to(matrix, (size, *matrix.shape))
    return _stacked_product(matrices, x), True


def _from_products(m: Array) -> Array:
    """A' m A of every tile, put together: [4, 4, h / 2, w / 2, out] -> [h, w, out]."""
    _, _, h, w, channels = m.shape
    outputs = _product(np.kron(A, A).T, m.reshape(16, -1)).reshape(2, 2, h, w, channels)
    return outputs.transpose(2, 0, 3, 1, 4).reshape(2 * h, 2 * w, channels)


def _to_products(y: Array) -> Array:
    """The transpose of `_from_products`."""
    h, w, channels = y.shape
    outputs = y.reshape(h // 2, 2, w // 2, 2, channels).transpose(1, 3, 0, 2, 4)
    return _product(np.kron(A, A), outputs.reshape(4, -1)).reshape(4, 4, h // 2, w // 2, channels)


def _two(m0, m1, m2, m3):
    """A' along one axis."""
    return m0 + m1 + m2, m1 - m2 - m3


def _transposed_two(y0, y1):
    return y0, y0 + y1, y0 - y1, -y1
