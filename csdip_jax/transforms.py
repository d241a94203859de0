"""Orthonormal transforms of images and their inverses: cosine and wavelet of each channel, Hadamard of all entries.

Each keeps the norm, and its inverse is its transpose, for images [h, w, c] of any size. The coefficients form one array
of the image's shape.

>>> flat = jnp.ones((8, 8, 1))
>>> coefficients = cs.transforms.hadamard(flat)
>>> float(coefficients[0, 0, 0]), int(jnp.count_nonzero(coefficients))
(8.0, 1)
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pywt
import scipy.linalg

from csdip_jax.types import Array, InputError

__all__ = [
    "ORTHONORMAL",
    "WAVELETS",
    "Orthonormal",
    "dct",
    "default_levels",
    "hadamard",
    "inverse_dct",
    "inverse_hadamard",
    "inverse_wavelet",
    "wavelet",
]

WAVELETS = (
    "haar",
    *(f"db{order}" for order in range(1, 39)),
    *(f"sym{order}" for order in range(2, 21)),
    *(f"coif{order}" for order in range(1, 18)),
)
"""Names of the orthonormal wavelets: Haar, Daubechies, symlets, coiflets."""

HADAMARD_LOG = 6
"""log2 of the largest matrix that `hadamard` multiplies with."""


def dct(image: Array) -> Array:
    """The 2-D DCT-II of each channel, as `scipy.fft.dctn(..., norm="ortho")`.

    Args:
        image: [h, w, c].

    Returns:
        Coefficients [h, w, c], the lowest frequency first.
    """
    return jax.scipy.fft.dctn(image, axes=(0, 1), norm="ortho")


def inverse_dct(coefficients: Array) -> Array:
    """The image [h, w, c] whose `dct` the coefficients [h, w, c] are."""
    return jax.scipy.fft.idctn(coefficients, axes=(0, 1), norm="ortho")


def hadamard(image: Array) -> Array:
    """The Walsh-Hadamard transform of all entries of an `image` [h, w, c] as one vector, orthonormal.

    Where their number is q 2^k, q odd, it is the Kronecker product of the DCT-II of length q and the transform of
    length 2^k (in Sylvester's order). Computed by products with small matrices, in O(n log n) operations.
    """
    return _hadamard(image, partial(jax.scipy.fft.dct, axis=0, norm="ortho"))


def inverse_hadamard(coefficients: Array) -> Array:
    """The image [h, w, c] whose `hadamard` the coefficients [h, w, c] are."""
    return _hadamard(coefficients, partial(jax.scipy.fft.idct, axis=0, norm="ortho"))


def _hadamard(image, transform_odd):
    power = (image.size & -image.size).bit_length() - 1
    sizes = [2 ** min(HADAMARD_LOG, power - done) for done in range(0, power, HADAMARD_LOG)]
    x = image.reshape(-1, *sizes)
    if len(x) > 1:
        x = transform_odd(x)
    for axis, size in enumerate(sizes, 1):
        matrix = jnp.asarray(scipy.linalg.hadamard(size) / math.sqrt(size), image.dtype)
        products = jnp.tensordot(matrix, x, (1, axis), precision=jax.lax.Precision.HIGHEST)
        x = jnp.moveaxis(products, 0, axis)
    return x.reshape(image.shape)


class Orthonormal(NamedTuple):
    """A transform of images [h, w, c] and its inverse.

    Attributes:
        forward: image -> coefficients of its shape.
        inverse: the way back, also the transpose.
    """

    forward: Callable[[Array], Array]
    inverse: Callable[[Array], Array]


ORTHONORMAL = {
    "dct": Orthonormal(partial(jax.scipy.fft.dctn, norm="ortho"), partial(jax.scipy.fft.idctn, norm="ortho")),
    "hadamard": Orthonormal(hadamard, inverse_hadamard),
}
"""Transforms that mix all entries, channels too, by name."""


def wavelet(image: Array, name: str = "db4", levels: int | None = None) -> Array:
    """Periodised 2-D wavelet transform of each channel.

    On sides that can be halved as often as asked for it is `pywt.wavedec2(..., mode="periodization")`. A side of odd
    length is transformed but for its last sample, which goes on with the approximation: a direct sum of two
    orthonormal maps, and so one itself.

    Args:
        image: [h, w, c].
        name: one of `WAVELETS`.
        levels: how often the approximation is transformed again; None for `default_levels`.

    Returns:
        Coefficients [h, w, c] in Mallat's layout: after each level the approximation, of half the sides (rounded up),
        at the top left, details below it and to its right.

    Raises:
        InputError: unknown wavelet, or a negative number of levels.

    References:
        Mallat: A Wavelet Tour of Signal Processing, 3rd ed., sections 7.3 and 7.5.3 (periodised), 7.7 (images).
    """
    filters = analysis_filters(name)
    levels = default_levels(image.shape) if levels is None else levels
    if levels < 0:
        raise InputError(f"levels = {levels}: it must be at least 0")
    return _transform(image, filters, levels)


def inverse_wavelet(coefficients: Array, name: str = "db4", levels: int | None = None) -> Array:
    """The image whose `wavelet` transform this is, by transposition.

    Args:
        coefficients: [h, w, c], in Mallat's layout.
        name: one of `WAVELETS`.
        levels: as for `wavelet`.

    Returns:
        [h, w, c].

    Raises:
        InputError: as for `wavelet`.
    """
    transform = partial(wavelet, name=name, levels=levels)
    (image,) = jax.linear_transpose(transform, coefficients)(coefficients)
    return image


def default_levels(shape: tuple[int, ...]) -> int:
    """The number of levels, at least one, after which the approximation of an image of this shape is a single sample.

    Fewer leave many approximation coefficients, all of them large where the mean of an image is not 0: they are not
    sparse, and few measurements do not fix them (docs: The baselines).
    """
    return max(1, math.ceil(math.log2(max(shape[:2]))))


def analysis_filters(name: str) -> np.ndarray:
    """[2, taps], low-pass and high-pass."""
    if name not in WAVELETS:
        raise InputError(f"wavelet = {name!r}: choose haar, db1 to db38, sym2 to sym20, or coif1 to coif17")
    found = pywt.Wavelet(name)  # pyright: ignore[reportAttributeAccessIssue] (compiled, and comes without types)
    return np.array([found.dec_lo, found.dec_hi])


def _transform(image: Array, filters: np.ndarray, levels: int) -> Array:
    if levels == 0:
        return image
    for axis in (0, 1):
        image = jnp.swapaxes(_halve(jnp.swapaxes(image, 0, axis), filters), 0, axis)
    h, w = -(-image.shape[0] // 2), -(-image.shape[1] // 2)
    approximation = _transform(image[:h, :w], filters, levels - 1)
    return jnp.concatenate([jnp.concatenate([approximation, image[:h, w:]], axis=1), image[h:]])


def _halve(x: Array, filters: np.ndarray) -> Array:
    """One level along axis 0: low_k = sum_j low-pass_j x_(2k + taps/2 - j), the odd sample out, high_k likewise."""
    even, reach = x.shape[0] // 2 * 2, filters.shape[1] // 2 - 1
    if even == 0:
        return x
    columns = jnp.moveaxis(x[:even], 0, -1).reshape(-1, 1, even)
    both = jax.lax.conv_general_dilated(
        jnp.pad(columns, ((0, 0), (0, 0), (reach, reach)), mode="wrap"),
        jnp.asarray(filters[:, None, ::-1], x.dtype),
        window_strides=(2,),
        padding="VALID",
        precision=jax.lax.Precision.HIGHEST,
    )
    low, high = jnp.moveaxis(both, 0, -1).reshape(2, even // 2, *x.shape[1:])
    return jnp.concatenate([low, x[even:], high])
