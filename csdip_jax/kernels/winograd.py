"""3 x 3 correlation by Winograd's F(4, 3) along both axes, with a quarter of the direct sum's products.

The image is cut into 6 x 6 tiles, four pixels apart. Tiles and kernel are transformed, multiplied entry by entry of the
6 x 6 (36 matrix products over the channels for 16 outputs, instead of 144), and transformed back to 4 x 4 outputs:

    Y = A' [(G w G') * (B' d B)] A      (Lavin and Gray, Fast algorithms for convolutional neural networks, 2016)

The gradients run through the same transposed steps, so that they too take as few products.
"""

from functools import partial
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np

from csdip_jax.kernels.borders import Border, fold, widen
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

HALF = TILE // 2
PARTS = TILE * TILE // HALF
"""Arrays that the 36 entries of all tiles lie in, half a row in each, for the sake of a CPU's cores: XLA gives a small
batch of products to one, and shares out operations that do not need each other where more than eight are ready."""

MANY_TILES = 1024
"""From so many on XLA divides a batch among the cores itself, and all entries lie in one array."""


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def correlate(image: Array, kernel: Array, border: Border = "zero") -> Array:
    """The 3 x 3 correlation, the sum over taps of kernel[i, j] image[y + i - 1, x + j - 1].

    Args:
        image: [h, w, in], sides that 4 divides.
        kernel: [3, 3, in, out].
        border: what lies beyond the image.

    Returns:
        [h, w, out]. The rounding error in float32 is about 7e-7 of the norm, of the gradient by the image 1.5e-6, where
        the direct sum's is 3e-7.

    Raises:
        ValueError: other sides.
    """
    h, w, _ = image.shape
    if h % STEP or w % STEP:
        raise ValueError(f"an image of {h} x {w} pixels: {STEP} has to divide its sides")
    products = _multiply(_tiles(image, border), _apart(G, kernel, _parts(h, w)), (2, 1))
    outputs = _together(A, products).reshape(STEP, STEP, h // STEP, w // STEP, -1)
    return outputs.transpose(2, 0, 3, 1, 4).reshape(h, w, -1)


def _forward(image, kernel, border):
    return correlate(image, kernel, border), (image, kernel)


def _backward(border, residuals, cotangent):
    # The tiles are made again rather than kept: they are twice the image.
    image, kernel = residuals
    h, w, _ = image.shape
    outputs = cotangent.reshape(h // STEP, STEP, w // STEP, STEP, -1).transpose(1, 3, 0, 2, 4)
    products = _apart(A, outputs.reshape(STEP, STEP, h * w // STEP**2, -1), _parts(h, w))
    kernel_gradient = _together(G, _multiply(_tiles(image, border), products, (1, 1))).reshape(kernel.shape)
    tile_gradient = _multiply(products, _apart(G, kernel, _parts(h, w)), (2, 2))
    return _add_tiles(tile_gradient, image.shape, border), kernel_gradient


correlate.defvjp(_forward, _backward)


def _parts(h: int, w: int) -> int:
    return PARTS if h * w < MANY_TILES * STEP**2 else 1


def _multiply(a: list[Array], b: list[Array], contracted: tuple[int, int]) -> list[Array]:
    """The entries' matrix products, over these axes. In full precision: the transforms enlarge rounding errors."""
    first, second = contracted
    dimensions = (((first,), (second,)), ((0,), (0,)))
    highest = jax.lax.Precision.HIGHEST
    return [jax.lax.dot_general(x, y, dimensions, precision=highest) for x, y in zip(a, b, strict=True)]


def _tiles(image: Array, border: Border) -> list[Array]:
    """B' d B of every tile, in parts of [36 / parts, h w / 16, in], by rows of the 6 x 6."""
    h, w, channels = image.shape
    padded = widen(image, border)
    columns = _combined(B.T, [padded[:, j : j + w : STEP] for j in range(TILE)])
    halves = [jnp.stack(columns[:HALF]), jnp.stack(columns[HALF:])]
    rows = [_combined(B.T, [half[:, i : i + h : STEP] for i in range(TILE)]) for half in halves]
    parts = [half.reshape(HALF, -1, channels) for row in zip(*rows, strict=True) for half in row]
    return parts if _parts(h, w) > 1 else [jnp.concatenate(parts)]


def _add_tiles(parts: list[Array], shape: tuple[int, int, int], border: Border) -> Array:
    """The transpose of `_tiles`, for an image of this shape."""
    h, w, channels = shape
    half_rows = [half for part in parts for half in part.reshape(-1, HALF, h // STEP, w // STEP, channels)]
    halves = [_overlapped(_combined(B, half_rows[k::2]), border) for k in range(2)]
    return _overlapped(_combined(B, [column for half in halves for column in half]), border)


def _apart(matrix: np.ndarray, x: Array, parts: int) -> list[Array]:
    """M x M' of matrices x [k, k, ..., c], for M [6, k], in so many parts of [36 / parts, ..., c]."""
    k, shape = matrix.shape[1], x.shape[2:]
    products = _products(np.split(np.kron(matrix, matrix), parts), x.reshape(k * k, -1))
    return [product.reshape(-1, *shape) for product in products]


def _together(matrix: np.ndarray, parts: list[Array]) -> Array:
    """The transpose of `_apart`: M' x M of matrices x in parts of [36 / parts, ...] -> [k k, ...]."""
    x = jnp.concatenate(parts)
    (product,) = _products([np.kron(matrix, matrix).T], x.reshape(len(x), -1))
    return product.reshape(-1, *x.shape[1:])


def _combined(matrix: np.ndarray, parts) -> list[Array]:
    """matrix @ parts as sums written out: parts that overlap would have to be gathered for a product."""
    sums = [sum(float(entry) * part for entry, part in zip(row, parts, strict=True) if entry) for row in matrix]
    return cast(list[Array], sums)


def _overlapped(taps: list[Array], border: Border) -> Array:
    """The six taps of tiles four pixels apart, placed along axis 1 and added, the pixels beyond the image folded in."""

    def shifted(tap, tiles):
        return jnp.pad(tap, [(tiles, 1 - tiles) if axis == 1 else (0, 0) for axis in range(tap.ndim)])

    pixels = [shifted(tap, 0) for tap in taps[:STEP]]
    for i, tap in enumerate(taps[STEP:]):
        pixels[i] += shifted(tap, 1)
    first, tiles, *rest = pixels[0].shape
    placed = jnp.stack(pixels, axis=2).reshape(first, STEP * tiles, *rest)
    return fold(placed[:, : STEP * (tiles - 1) + 2], border, axis=1)


@jax.custom_vjp
def _products(matrices: list[np.ndarray], x: Array) -> list[Array]:
    """Transforms as products of matrices: they compile at once, where sums written out are large loops."""
    return _stacked_products([jnp.asarray(matrix, x.dtype) for matrix in matrices], x)


def _products_forward(matrices, x):
    return _products(matrices, x), matrices


def _products_backward(matrices, cotangents):
    (product,) = _products([jnp.concatenate(matrices).T], jnp.concatenate(cotangents))
    return [jnp.zeros_like(matrix) for matrix in matrices], product  # the transforms are constants


_products.defvjp(_products_forward, _products_backward)


@jax.custom_batching.custom_vmap
def _stacked_products(matrices, x):
    return [jnp.matmul(matrix, x, precision=jax.lax.Precision.HIGHEST) for matrix in matrices]


@_stacked_products.def_vmap
def _batch_of_products(size, batched, matrices, x):
    # JAX's own rule would join the batch to one product, with the batch in the middle of its result: a copy to undo.
    stacks = [
        matrix if is_batched else jnp.broadcast_to(matrix, (size, *matrix.shape))
        for matrix, is_batched in zip(matrices, batched[0], strict=True)
    ]
    return _stacked_products(stacks, x), [True] * len(matrices)
