"""Blur: the image as a camera or a microscope smears it, by its point spread function."""

import math

import jax.numpy as jnp
import numpy as np

from csdip_jax.checks import as_floating, checked_shape, require, require_number
from csdip_jax.operators.base import LinearOperator, Shape
from csdip_jax.operators.kinds import Count, Kind
from csdip_jax.types import Array, InputError, pytree_dataclass, static_field

BOUNDARIES = ("wrap", "zero")


@pytree_dataclass
class Blur(LinearOperator):
    """y = psf * x, the convolution of each channel with one point spread function; as many measurements as pixels.

    Attributes:
        psf: [kh, kw], no larger than the image; what a point at its centre [kh // 2, kw // 2] becomes. It need not sum
            to 1.
        image_shape: (h, w, c).
        boundary: beyond the image: "wrap", the image again, for which A^H A + s I is inverted exactly, or "zero".

    Raises:
        InputError: a point spread function that is not [kh, kw], or larger than the image.

    Example:
        >>> operator = cs.operators.Blur(np.ones((5, 5)) / 25, (64, 64, 1))
        >>> operator.forward(np.ones((64, 64, 1))).shape
        (4096,)
    """

    psf: Array
    image_shape: Shape = static_field()
    boundary: str = static_field("wrap")

    def __post_init__(self):
        object.__setattr__(self, "image_shape", checked_shape(self.image_shape))
        object.__setattr__(self, "psf", as_floating(self.psf, "psf", real=True))
        require(self.boundary in BOUNDARIES, "boundary", self.boundary, " or ".join(BOUNDARIES))
        shape = self.psf.shape
        if len(shape) != 2 or shape[0] > self.image_shape[0] or shape[1] > self.image_shape[1]:
            raise InputError(f"psf of shape {self.psf.shape} for images {self.image_shape}: give [kh, kw], no larger")

    def forward(self, image: Array) -> Array:
        return self._filtered(image, self._transfer(image.dtype)).reshape(-1)

    def regularized_solve(self, image, shift, guess=None, tolerance=1e-6):
        if self.boundary == "zero":
            return super().regularized_solve(image, shift, guess, tolerance)
        return self._filtered(image, 1 / (jnp.square(jnp.abs(self._transfer(image.dtype))) + shift))

    @property
    def _grid(self) -> tuple[int, int]:
        """Of the transforms: room for what is smeared over the edge where nothing wraps round."""
        more = (0, 0) if self.boundary == "wrap" else (side - 1 for side in self.psf.shape)
        h, w = (side + extra for side, extra in zip(self.image_shape[:2], more, strict=True))
        return h, w

    def _transfer(self, dtype) -> Array:
        """The transform of the point spread function, its centre at the first pixel, [grid, 1]."""
        (kh, kw), (h, w) = self.psf.shape, self._grid
        padded = jnp.pad(self.psf.astype(dtype), ((0, h - kh), (0, w - kw)))
        return jnp.fft.rfft2(jnp.roll(padded, (-(kh // 2), -(kw // 2)), (0, 1)))[..., None]

    def _filtered(self, image: Array, transfer: Array) -> Array:
        h, w, _ = self.image_shape
        spectrum = jnp.fft.rfft2(image, self._grid, axes=(0, 1))
        return jnp.fft.irfft2(spectrum * transfer, self._grid, axes=(0, 1))[:h, :w].astype(image.dtype)


def gaussian_psf(width: float, image_shape: Shape) -> np.ndarray:
    """A normal distribution as the point spread function of `Blur`, of sum 1.

    Args:
        width: > 0, its standard deviation in pixels; it is cut off at three of them, or at the image's sides.
        image_shape: (h, w, c) of the images that are to be blurred.

    Returns:
        float32 [kh, kw], both odd.

    Raises:
        InputError: a width that is not a number above 0.
    """
    require_number("blur_width", width, strictly=True)
    sides = [min(2 * math.ceil(3 * width) + 1, side - (side + 1) % 2) for side in image_shape[:2]]
    rows, columns = (np.exp(-((np.arange(side) - side // 2) ** 2) / (2 * width**2)) for side in sides)
    psf = np.outer(rows, columns)
    return (psf / psf.sum()).astype(np.float32)


BLUR = Kind(
    name="blur",
    label="pixel blur",
    about="the image smeared by a normal distribution",
    draw=lambda key, width, image_shape: Blur(jnp.asarray(gaussian_psf(width, image_shape)), image_shape),
    prefix="blur",
    toy=1,
    count=Count("blur_width", "standard deviation of the blur in pixels; None: 2", lambda image_shape: 2),
    is_drawn=False,
)
