"""3 x 3 correlation by Winograd's F(4, 3) along both axes, with a quarter of the direct sum's products.

The image is cut into 6 x 6 tiles, four pixels apart. Tiles and kernel are transformed, multiplied entry by entry of the
6 x 6 (36 matrix products over the channels for 16 outputs, instead of 144), and transformed back to 4 x 4 outputs:

    Y = A' [(G w G') * (B' d B)] A      (Lavin and Gray, Fast algorithms for convolutional neural networks, 2016)

The gradients run through the same transposed steps, so that they too take as few products.
"""

import jax
import jax.numpy as jnp
import numpy as np

from csdip_jax.types import Array

STEP, TILE = 4, 6
"""Outputs and inputs of a tile along an axis."""

POINTS = np.array([0, 5 / 8, -5 / 8, 3 / 2, -3 / 2])
"""Where the polynomials of F(4, 3) are evaluated, besides infinity. The usual 0, 1, -1, 2, -2 err twice as much."""


def _transforms(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A [6, 4], G [6, 3] and B [6, 6] of F(4, 3), by interpolation at five points and infinity (Toom and Cook)."""
    others = [np.delete(points, i) for i in range(TILE - 1)]
    scales = [np.prod(point - rest) for point, rest in zip(points, others, strict=True)]
    a = np.vstack([np.vander(points, STEP, increasing=True), np.eye(STEP)[-1]])
    g = np.vstack([np.vander(points, 3, increasing=True) / np.array(scales)[:, None], np.eye(3)[-1]])
    b = np.column_stack([*(np.append(np.poly(rest)[::-1], 0) for rest in others), np.poly(points)[::-1]])
    return a, g, b


A, G, B = _transforms(POINTS)


@jax.custom_vjp
def correlate(image: Array, kernel: Array) -> Array:
    """Zero-padded 3 x 3 correlation, the sum over taps of kernel[i, j] image[y + i - 1, x + j - 1].

    Args:
        image: [h, w, in], sides that 4 divides.
        kernel: [3, 3, in, out].

    Returns:
        [h, w, out]. The rounding error in float32 is about 7e-7 of the norm, of the gradient by the image 1.5e-6, where
        the direct sum's is 3e-7.

    Raises:
        ValueError: other sides.
    """
    h, w, _ = image.shape
    if h % STEP or w % STEP:
        raise ValueError(f"an image of {h} x {w} pixels: {STEP} has to divide its sides")
    products = _multiply("tpi,tio->tpo", _tiles(image), _transform_kernel(kernel))
    return _from_products(products.reshape(TILE, TILE, h // STEP, w // STEP, -1))


def _forward(image, kernel):
    return correlate(image, kernel), (image, kernel)


def _backward(residuals, cotangent):
    # The tiles are made again rather than kept: they are twice the image.
    image, kernel = residuals
    tiles, products = _tiles(image), _to_products(cotangent)
    entries = _multiply("tpi,tpo->tio", tiles, products)
    kernel_gradient = _product(np.kron(G, G).T, entries.reshape(TILE * TILE, -1)).reshape(kernel.shape)
    tile_gradient = _multiply("tpo,tio->tpi", products, _transform_kernel(kernel)).reshape(tiles.shape)
    return _add_tiles(tile_gradient), kernel_gradient


correlate.defvjp(_forward, _backward)


def _multiply(formula: str, a: Array, b: Array) -> Array:
    """The 36 matrix products, flattened to one axis t of entries and one p of tiles (XLA copies operands with more).

    In full precision on every device: the transforms enlarge the rounding errors.
    """
    a, b = (x.reshape(TILE * TILE, -1, x.shape[-1]) for x in (a, b))
    return jnp.einsum(formula, a, b, precision=jax.lax.Precision.HIGHEST)


def _tiles(image: Array) -> Array:
    """B' d B of every tile, [6, 6, h / 4, w / 4, in]."""
    h, w, _ = image.shape
    padded = jnp.pad(image, ((1, 1), (1, 1), (0, 0)))
    rows = jnp.stack(_combined(B.T, [padded[i : i + h : STEP] for i in range(TILE)]))
    return jnp.stack(_combined(B.T, [rows[:, :, j : j + w : STEP] for j in range(TILE)]), axis=1)


def _add_tiles(tiles: Array) -> Array:
    """The transpose of `_tiles`: [6, 6, h / 4, w / 4, in] -> [h, w, in]."""
    rows = _overlapped(_combined(B, jnp.moveaxis(tiles, 1, 0)), axis=2)
    return _overlapped(_combined(B, rows), axis=0)


def _combined(matrix: np.ndarray, parts) -> list[Array]:
    """matrix @ parts as sums written out: parts that overlap would have to be gathered for a product."""
    return [sum(float(entry) * part for entry, part in zip(row, parts, strict=True) if entry) for row in matrix]


def _overlapped(taps: list[Array], axis: int) -> Array:
    """The six taps of tiles four pixels apart, placed along `axis` and added, without the padding of a pixel."""

    def shifted(tap, tiles):
        return jnp.pad(tap, [(tiles, 1 - tiles) if a == axis else (0, 0) for a in range(tap.ndim)])

    pixels = [shifted(tap, 0) for tap in taps[:STEP]]
    for i, tap in enumerate(taps[STEP:]):
        pixels[i] += shifted(tap, 1)
    shape = list(pixels[0].shape)
    shape[axis] *= STEP
    placed = jnp.stack(pixels, axis=axis + 1).reshape(shape)
    return jax.lax.slice_in_dim(placed, 1, shape[axis] - STEP + 1, axis=axis)


def _transform_kernel(kernel: Array) -> Array:
    """G w G', [6, 6, in, out]."""
    return _product(np.kron(G, G), kernel.reshape(9, -1)).reshape(TILE, TILE, *kernel.shape[2:])


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
    """A' m A of every tile, put together: [6, 6, h / 4, w / 4, out] -> [h, w, out]."""
    _, _, h, w, channels = m.shape
    outputs = _product(np.kron(A, A).T, m.reshape(TILE * TILE, -1)).reshape(STEP, STEP, h, w, channels)
    return outputs.transpose(2, 0, 3, 1, 4).reshape(STEP * h, STEP * w, channels)


def _to_products(y: Array) -> Array:
    """The transpose of `_from_products`."""
    h, w, channels = y.shape
    outputs = y.reshape(h // STEP, STEP, w // STEP, STEP, channels).transpose(1, 3, 0, 2, 4)
    products = _product(np.kron(A, A), outputs.reshape(STEP * STEP, -1))
    return products.reshape(TILE, TILE, h // STEP, w // STEP, channels)
