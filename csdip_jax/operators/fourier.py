"""Samples of k-space: radial lines and Cartesian masks."""

import dataclasses
import math
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from csdip_jax.checks import as_floating, checked_shape
from csdip_jax.operators.base import LinearOperator, Shape
from csdip_jax.operators.inpainting import checked_indices, selected_entries
from csdip_jax.operators.kinds import Count, Kind
from csdip_jax.types import Array, InputError, pytree_dataclass, static_field

CENTRE = 0.04
"""Cycles per pixel along either axis: the square around DC, 8 % of k-space wide as calibration regions are, of which
nothing is held out."""


@pytree_dataclass
class Fourier(LinearOperator):
    """Chosen samples of k-space: coefficients of the unitary 2-D DFT of each channel, y_k = weight_k (F x)_k.

    `cartesian_fourier` makes one of a mask, `radial_fourier` one of radial lines.

    Attributes:
        indices: [m] whole numbers, into the flattened h x w grid of `jnp.fft.fft2` (DC is 0, not centred).
        weights: [m] positive factors (1 for plain samples).
        image_shape: (h, w, c). The measurements are complex and follow each other channel by channel, [c m].

    Raises:
        InputError: an index that is none of the grid's, or weights that are not above 0, or not as many.
    """

    indices: Array
    weights: Array
    image_shape: Shape = static_field()
    is_balanced = True

    def __post_init__(self):
        object.__setattr__(self, "image_shape", checked_shape(self.image_shape))
        size = math.prod(self.image_shape[:2])
        object.__setattr__(self, "indices", checked_indices(self.indices, size, "operators.cartesian_fourier"))
        object.__setattr__(self, "weights", _checked_weights(self.weights, self.indices.shape))

    def forward(self, image: Array) -> Array:
        h, w, c = self.image_shape
        coefficients = jnp.fft.fft2(image, axes=(0, 1), norm="ortho").reshape(h * w, c)
        weights = self.weights.astype(image.dtype)
        return (coefficients[self.indices] * weights[:, None]).T.reshape(-1)

    def frobenius_norm(self, without: Array | None = None) -> Array:
        """As `LinearOperator` says; exact for all of A."""
        whole = jnp.linalg.norm(self.weights) * math.sqrt(self.image_shape[2])
        return whole if without is None else super().frobenius_norm(without)

    def gain(self, frobenius_norm: Array) -> Array:
        """The smallest weight, 1 for the coefficients of the unitary transform as the paper has them.

        Where weights differ by more than that, their root mean square.
        """
        mean, smallest = jnp.sqrt(jnp.mean(jnp.square(self.weights))), self.weights.min()
        return jnp.where(2 * smallest > mean, smallest, mean)

    @property
    def held_together(self) -> int:
        """The channels: each has the same samples."""
        return self.image_shape[2]

    @property
    def may_be_held_out(self) -> Array:
        """All samples outside of the centre of k-space, which holds most of an image's energy: see `CENTRE`."""
        frequencies = jnp.stack(jnp.meshgrid(*map(jnp.fft.fftfreq, self.image_shape[:2]), indexing="ij"))
        return (jnp.abs(frequencies).max(0) > CENTRE).reshape(-1)[self.indices]

    def subset(self, indices: Array) -> LinearOperator:
        """As `Operator` says: fewer samples, and of several channels `Subset`."""
        return self._samples(indices) if self.image_shape[2] == 1 else super().subset(indices)

    def split(self, kept: Array, held: Array) -> "tuple[Fourier, Fourier]":
        """As `Operator` says: fewer samples of all channels."""
        channels = self.image_shape[2]
        return self._samples(kept[: len(kept) // channels]), self._samples(held[: len(held) // channels])

    def _samples(self, indices: Array) -> "Fourier":
        return dataclasses.replace(self, indices=self.indices[indices], weights=self.weights[indices])

    def regularized_solve(self, image, shift, guess=None, tolerance=None):
        h, w, _ = self.image_shape
        gains = jnp.zeros(h * w, image.dtype).at[self.indices].add(jnp.square(self.weights)).reshape(h, w)
        # The adjoint takes the real part: what is measured at k acts by half at k and by half at its mirror image -k.
        gains = (gains + jnp.roll(gains[::-1, ::-1], (1, 1), axis=(0, 1))) / 2
        spectrum = jnp.fft.fft2(image, axes=(0, 1)) / (gains[..., None] + shift)
        return jnp.fft.ifft2(spectrum, axes=(0, 1)).real


def _checked_weights(weights: Any, shape: tuple[int, ...]) -> Array:
    """As floating point of this shape; the values of traced ones are not looked at."""
    weights = as_floating(weights, "weights")
    if jnp.iscomplexobj(weights):
        raise InputError(f"weights are {weights.dtype}: give real ones, above 0")
    if weights.shape != shape:
        raise InputError(f"weights of shape {weights.shape} for indices of shape {shape}: give one for each")
    if not isinstance(weights, jax.core.Tracer):
        values = np.asarray(weights)
        wrong = ~((values > 0) & (values < math.inf))
        if wrong.any():
            told = f"{values[wrong][0]} ({wrong.sum()} of {values.size} are wrong)"
            raise InputError(f"weights: {told}: give finite numbers above 0, and leave out what is not measured")
    return weights


def radial_mask(num_lines: int, size: tuple[int, int]) -> np.ndarray:
    """Radial lines through the centre of k-space, DC excluded, the half plane that a real image needs.

    The classic mask of Candes, Romberg and Tao (l1-magic): angles j pi / L; a flat line has one sample per
    column, a steep one one per row, each rounded to the grid, half away from zero. On 256 x 256, L = 3, 5, 10
    and 20 lines keep 381, 634, 1260 and 2500 coefficients (paper, section 5.2). Sides that differ are
    lines in relative frequency.

    Args:
        num_lines: L >= 1.
        size: (h, w).

    Returns:
        Boolean [h, w], centred (DC at [h // 2, w // 2], as `numpy.fft.fftshift` puts it).

    Raises:
        InputError: fewer than one line.

    Example:
        >>> int(cs.operators.radial_mask(10, (256, 256)).sum())
        1260
    """
    if num_lines < 1:
        raise InputError(f"num_lines = {num_lines}: at least one radial line is needed")
    (h, w), angles = size, np.arange(num_lines) * np.pi / num_lines
    rows, columns = (h - 1) // 2, (w - 1) // 2  # largest frequency with a mirror image on the grid
    full = np.zeros((h, w), bool)
    for angle in angles:
        if angle <= np.pi / 4 or angle > 3 * np.pi / 4:
            x = np.arange(-columns, columns + 1)
            y = _round_half_away(np.tan(angle) * x * (rows / max(columns, 1)))
        else:
            y = np.arange(-rows, rows + 1)
            x = _round_half_away(y * (columns / max(rows, 1)) / np.tan(angle))
        full[y + h // 2, x + w // 2] = True
    half = full.copy()
    half[h // 2 + 1 :] = False
    half[h // 2, w // 2 :] = False
    return half


def _round_half_away(x: np.ndarray) -> np.ndarray:
    return (np.sign(x) * np.floor(np.abs(x) + 0.5)).astype(int)


def radial_fourier(num_lines: int, image_shape: Shape) -> Fourier:
    """Radial Fourier lines (paper, section 5.2) with orthonormal rows: DC, then sqrt(2) times `radial_mask`.

    The coefficients of the half plane and DC hold all that the full lines tell of a real image. The factor
    sqrt(2) stands for the mirrored half: as real rows [DC, sqrt2 Re, sqrt2 Im] A has orthonormal rows, and
    A^H y is the zero-filled image.

    Args:
        num_lines: L >= 1.
        image_shape: (h, w, c).

    Returns:
        Operator with complex measurements [c (1 + k)], k the number of samples of `radial_mask`.

    Raises:
        InputError: fewer than one line, or an `image_shape` that is none.

    Example:
        >>> operator = cs.operators.radial_fourier(10, (256, 256, 1))
        >>> operator.measurements_like.shape
        (1261,)
    """
    image_shape = checked_shape(image_shape)
    h, w, _ = image_shape
    half = np.flatnonzero(np.fft.ifftshift(radial_mask(num_lines, (h, w))))
    indices = np.concatenate([[0], half])
    weights = np.concatenate([[1.0], np.full(half.size, math.sqrt(2.0))])
    return Fourier(jnp.asarray(indices, jnp.int32), jnp.asarray(weights, jnp.float32), image_shape)


def cartesian_fourier(mask: np.ndarray, image_shape: Shape, centred: bool = True) -> Fourier:
    """The samples of k-space that `mask` selects, in row-major order, plain coefficients of the unitary DFT.

    Args:
        mask: [h, w], non-zero = measured.
        image_shape: (h, w, c); the same mask for each channel.
        centred: DC of the mask at [h // 2, w // 2] (as scanners and fftshift put it) or at [0, 0].

    Returns:
        Operator with complex measurements [c k] of k samples, channel by channel.

    Raises:
        InputError: wrong shape, not numbers, NaN, or nothing selected.

    Example:
        >>> mask = np.zeros((8, 8), bool)
        >>> mask[:, 3:6] = True  # columns around DC, which lies at [4, 4]
        >>> operator = cs.operators.cartesian_fourier(mask, (8, 8, 1))
        >>> operator.forward(np.ones((8, 8, 1))).shape
        (24,)
    """
    image_shape = checked_shape(image_shape)
    flat = selected_entries(mask, image_shape[:2], "k-space")
    if centred:  # row-major order of the centred grid, as the user sees it
        grid = np.fft.fftshift(np.arange(math.prod(image_shape[:2])).reshape(image_shape[:2]))
        flat = grid.reshape(-1)[flat]
    return Fourier(jnp.asarray(flat, jnp.int32), jnp.ones(flat.size, jnp.float32), image_shape)


LINES = Count(
    "num_lines",
    "L, radial lines; None: about a tenth of the coefficients",
    lambda image_shape: max(1, round(0.1 * max(image_shape[:2]))),
)
RADIAL_FOURIER = Kind(
    name="radial_fourier",
    label="radial lines",
    about="samples of k-space along radial lines",
    draw=lambda key, num_lines, image_shape: radial_fourier(num_lines, image_shape),
    prefix="lines",
    toy=3,
    count=LINES,
    is_drawn=False,
    unasked=True,
)
