"""3 x 3 correlation by Winograd's F(2 x 2, 3 x 3): 16 products for four outputs instead of 36.

The image is cut into 4 x 4 tiles, two pixels apart. Tiles and kernel are transformed, multiplied entry by entry of the
4 x 4 (16 matrix products over the channels), and transformed back to 2 x 2 outputs:

    Y = A' [(G w G') * (B' d B)] A      (Lavin and Gray, Fast algorithms for convolutional neural networks, 2016)

The gradients run through the same transposed steps, so that they too cost 16 products instead of 36.
"""

import jax
import jax.numpy as jnp

from csdip_jax.types import Array


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
    transformed, to_kernel = jax.vjp(_transform_kernel, kernel)
    (kernel_gradient,) = to_kernel(_multiply("tpi,tpo->tio", tiles, products).reshape(transformed.shape))
    tile_gradient = _multiply("tpo,tio->tpi", products, transformed).reshape(tiles.shape)
    return _stored(_add_tiles(tile_gradient)), kernel_gradient


correlate.defvjp(_forward, _backward)


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
    rows = _four(*(padded[i : i + h : 2] for i in range(4)))
    return jnp.stack([jnp.stack(_four(*(row[:, j : j + w : 2] for j in range(4)))) for row in rows])


def _four(d0, d1, d2, d3):
    """B' along one axis."""
    return d0 - d2, d1 + d2, d2 - d1, d1 - d3


def _add_tiles(tiles: Array) -> Array:
    """The transpose of `_tiles`: [4, 4, h / 2, w / 2, in] -> [h, w, in]."""
    rows = [_interleave(_transposed_four(*tiles[i]), axis=1) for i in range(4)]
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

    def along(w0, w1, w2):
        return jnp.stack([w0, (w0 + w1 + w2) / 2, (w0 - w1 + w2) / 2, w2])

    rows = along(*kernel)  # [4, 3, in, out]
    return jnp.swapaxes(along(*jnp.swapaxes(rows, 0, 1)), 0, 1)


def _from_products(m: Array) -> Array:
    """A' m A of every tile, put together: [4, 4, h / 2, w / 2, out] -> [h, w, out]."""
    _, _, h, w, channels = m.shape

    def two(m0, m1, m2, m3):
        return m0 + m1 + m2, m1 - m2 - m3

    outputs = jnp.stack([jnp.stack(two(*row)) for row in two(*m)])  # [2, 2, h, w, out]
    return outputs.transpose(2, 0, 3, 1, 4).reshape(2 * h, 2 * w, channels)


def _to_products(y: Array) -> Array:
    """The transpose of `_from_products`."""
    h, w, channels = y.shape
    outputs = y.reshape(h // 2, 2, w // 2, 2, channels).transpose(1, 3, 0, 2, 4)

    def four(y0, y1):
        return y0, y0 + y1, y0 - y1, -y1

    return jnp.stack([jnp.stack(four(*row)) for row in four(*outputs)])
