"""Measurement operators A: image [h, w, c] -> measurements [m], as frozen dataclass pytrees.

Every operator acts on ONE image. Its arrays are data fields (a leading axis on them makes a batch, one
operator per image, to be used under `jax.vmap` or by `reconstruct`); `image_shape` is part of the program.
Pixels are counted row-major over (h, w, c), as `image.reshape(-1)` does.

Any differentiable function serves as an operator too: `Linear` (adjoint by transposition), `Nonlinear`, or
the plain callable itself.
"""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from csdip_jax.types import Array, InputError

Shape = tuple[int, int, int]


def _static(**kwargs) -> Any:
    return dataclasses.field(metadata={"static": True}, **kwargs)


def _operator(cls):
    """Frozen dataclass and pytree in one: fields are data unless declared `_static()`."""
    return jax.tree_util.register_dataclass(dataclasses.dataclass(frozen=True)(cls))


def require_compressed(num_measurements: int, pixels: int) -> None:
    """Raises InputError unless 1 <= m <= n."""
    if not 1 <= num_measurements <= pixels:
        raise InputError(
            f"num_measurements m = {num_measurements} of n = {pixels} pixels: compressed sensing needs 1 <= m <= n"
        )


class Operator:
    """A differentiable map from images to measurements."""

    image_shape: Shape
    unbatched_ndim: ClassVar[dict[str, int]] = {}
    """Data field -> its number of axes in a single operator; one more means a batch of operators."""

    def forward(self, image: Array) -> Array:
        """Measurements [m] (real or complex) of `image` [h, w, c]."""
        raise NotImplementedError

    @property
    def batch_size(self) -> int | None:
        """Number of operators in this batch; None for a single operator."""
        for name, ndim in self.unbatched_ndim.items():
            field = getattr(self, name)
            if field.ndim == ndim + 1:
                return field.shape[0]
        return None

    @property
    def measurements_like(self) -> jax.ShapeDtypeStruct:
        """Shape and dtype of the measurements of one float32 image."""
        image = jax.ShapeDtypeStruct(self.image_shape, jnp.float32)
        single = self if self.batch_size is None else jax.tree.map(lambda leaf: leaf[0], self)
        return jax.eval_shape(lambda operator, x: operator.forward(x), single, image)


class LinearOperator(Operator):
    """An operator with an adjoint: Re <A x, y> = <x, A^H y> for every real image x."""

    def adjoint(self, measurements: Array) -> Array:
        """A^H y, a real image [h, w, c], by transposing `forward` (so the two cannot disagree)."""
        measurements = jnp.asarray(measurements)
        image = jax.ShapeDtypeStruct(self.image_shape, jnp.finfo(measurements.dtype).dtype)
        (transposed,) = jax.linear_transpose(self.forward, image)(measurements.conj())
        return transposed


@_operator
class Dense(LinearOperator):
    """A given matrix, y = A x.

    Attributes:
        matrix: A, [m, n] with m <= n, real or complex; column j multiplies pixel j of `image.reshape(-1)`.
        image_shape: (h, w, c) with h w c = n.

    Raises:
        InputError: shapes do not fit, or there are more measurements than pixels.
    """

    matrix: Array
    image_shape: Shape = _static()
    unbatched_ndim = {"matrix": 2}

    def __post_init__(self):
        object.__setattr__(self, "image_shape", tuple(self.image_shape))
        if not hasattr(self.matrix, "dtype"):  # a placeholder of a pytree transformation, not an array
            return
        shape, pixels = self.matrix.shape, math.prod(self.image_shape)
        if len(shape) not in (2, 3) or shape[-1] != pixels:
            raise InputError(
                f"matrix of shape {shape} does not fit images of shape {self.image_shape}: "
                f"it needs [m, n] with n = {pixels} columns"
            )
        require_compressed(shape[-2], pixels)
        if not jnp.issubdtype(self.matrix.dtype, jnp.inexact):
            raise InputError(f"matrix has dtype {self.matrix.dtype}: it needs real or complex floating point")

    def forward(self, image: Array) -> Array:
        # Explicit precision: an NVIDIA device may otherwise use TF32, whose error exceeds the residuals sought.
        return jnp.dot(self.matrix, image.reshape(-1), precision=jax.lax.Precision.HIGHEST)


@_operator
class Fourier(LinearOperator):
    """Chosen coefficients of the unitary 2-D DFT of each channel, y_k = weight_k (F x)_k.

    Attributes:
        indices: [m] integers into the flattened h x w grid of `jnp.fft.fft2` (DC is 0, not centred).
        weights: [m] positive factors (1 for plain samples).
        image_shape: (h, w, c); measurements of c channels follow each other channel by channel, [c m].
    """

    indices: Array
    weights: Array
    image_shape: Shape = _static()
    unbatched_ndim = {"indices": 1, "weights": 1}

    def forward(self, image: Array) -> Array:
        h, w, c = self.image_shape
        coefficients = jnp.fft.fft2(image, axes=(0, 1), norm="ortho").reshape(h * w, c)
        weights = self.weights.astype(image.dtype)
        return (coefficients[self.indices] * weights[:, None]).T.reshape(-1)


@_operator
class Identity(LinearOperator):
    """Every pixel is measured (denoising), y = x."""

    image_shape: Shape = _static()

    def forward(self, image: Array) -> Array:
        return image.reshape(-1)


@_operator
class Inpainting(LinearOperator):
    """Chosen entries of the flattened image are measured.

    Attributes:
        indices: [m] integers into `image.reshape(-1)`.
        image_shape: (h, w, c).
    """

    indices: Array
    image_shape: Shape = _static()
    unbatched_ndim = {"indices": 1}

    def forward(self, image: Array) -> Array:
        return image.reshape(-1)[self.indices]


def _as_partial(fn: Callable) -> Callable:
    # Partial is a pytree: arrays bound to it are traced, not baked into the compiled program.
    return fn if isinstance(fn, jax.tree_util.Partial) else jax.tree_util.Partial(fn)


@_operator
class Linear(LinearOperator):
    """Any linear function of the image, traceable by JAX.

    Attributes:
        fn: image [h, w, c] -> measurements, linear. Bind large arrays with `jax.tree_util.Partial(fn, array)`
            rather than in a closure: bound arrays are arguments of the compiled program, closed-over ones
            constants of it.
        image_shape: (h, w, c).
    """

    fn: Callable
    image_shape: Shape = _static()

    def __post_init__(self):
        object.__setattr__(self, "image_shape", tuple(self.image_shape))
        if callable(self.fn):
            object.__setattr__(self, "fn", _as_partial(self.fn))

    def forward(self, image: Array) -> Array:
        return self.fn(image)


@_operator
class Nonlinear(Operator):
    """Any differentiable function of the image, e.g. |A x| (phase retrieval). It has no adjoint.

    Attributes:
        fn: image [h, w, c] -> measurements. Bind large arrays as `Linear` says.
        image_shape: (h, w, c).
    """

    fn: Callable
    image_shape: Shape = _static()
    __post_init__ = Linear.__post_init__

    def forward(self, image: Array) -> Array:
        return self.fn(image)


def as_operator(operator: Operator | Callable, image_shape: Shape) -> Operator:
    """`operator` itself, or a plain callable wrapped as `Nonlinear`.

    Raises:
        InputError: neither an operator nor callable, or made for images of another shape.
    """
    if not isinstance(operator, Operator):
        if not callable(operator):
            raise InputError(f"operator is a {type(operator).__name__}: give a csdip_jax operator or a function")
        operator = Nonlinear(operator, image_shape)
    if operator.image_shape != tuple(image_shape):
        raise InputError(
            f"the operator measures images of shape {operator.image_shape}, the method makes {tuple(image_shape)}"
        )
    return operator


def gaussian(key: Array, num_measurements: int, image_shape: Shape, dtype=jnp.float32) -> Dense:
    """Dense A with i.i.d. N(0, 1/m) entries (paper, section 5.1).

    Args:
        key: random key.
        num_measurements: m, 1 <= m <= n = h w c.
        image_shape: (h, w, c).
        dtype: of the entries.
    """
    pixels = math.prod(image_shape)
    require_compressed(num_measurements, pixels)
    return Dense(_normal_matrix(key, num_measurements, pixels, dtype), tuple(image_shape))


# Jitted: op by op, the standard normals and their scaled copy would both be in memory, twice the size of A.
@partial(jax.jit, static_argnames=("num_measurements", "pixels", "dtype"))
def _normal_matrix(key, num_measurements, pixels, dtype):
    return jax.random.normal(key, (num_measurements, pixels), dtype) / math.sqrt(num_measurements)


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
    """
    h, w, _ = image_shape
    half = np.flatnonzero(np.fft.ifftshift(radial_mask(num_lines, (h, w))))
    indices = np.concatenate([[0], half])
    weights = np.concatenate([[1.0], np.full(half.size, math.sqrt(2.0))])
    return Fourier(jnp.asarray(indices, jnp.int32), jnp.asarray(weights, jnp.float32), tuple(image_shape))


def cartesian_fourier(mask: np.ndarray, image_shape: Shape, centred: bool = True) -> Fourier:
    """The samples of k-space that `mask` selects, in row-major order, plain coefficients of the unitary DFT.

    Args:
        mask: [h, w], non-zero = measured.
        image_shape: (h, w, c); the same mask for each channel.
        centred: DC of the mask at [h // 2, w // 2] (as scanners and fftshift put it) or at [0, 0].

    Raises:
        InputError: wrong shape, or nothing selected.
    """
    flat = _selected(mask, image_shape[:2], "k-space")
    if centred:  # row-major order of the centred grid, as the user sees it
        grid = np.fft.fftshift(np.arange(math.prod(image_shape[:2])).reshape(image_shape[:2]))
        flat = grid.reshape(-1)[flat]
    return Fourier(jnp.asarray(flat, jnp.int32), jnp.ones(flat.size, jnp.float32), tuple(image_shape))


def inpainting(mask: np.ndarray, image_shape: Shape) -> Inpainting:
    """The pixels that `mask` selects, row-major.

    Args:
        mask: [h, w] (all channels of a pixel) or [h, w, c]; non-zero = measured.
        image_shape: (h, w, c).

    Raises:
        InputError: wrong shape, or nothing selected.
    """
    mask = np.asarray(mask)
    if mask.shape == tuple(image_shape[:2]):
        mask = np.broadcast_to(mask[..., None], image_shape)
    return Inpainting(jnp.asarray(_selected(mask, image_shape, "the image"), jnp.int32), tuple(image_shape))


def _selected(mask: np.ndarray, shape: tuple[int, ...], where: str) -> np.ndarray:
    mask = np.asarray(mask)
    if mask.shape != tuple(shape):
        raise InputError(f"mask of shape {mask.shape} does not fit {where} of shape {tuple(shape)}")
    flat = np.flatnonzero(mask)
    if not flat.size:
        raise InputError(f"the mask selects nothing: all {mask.size} entries are zero")
    return flat


def measure(key: Array, operator: Operator | Callable, image: Array, noise_variance: float = 0.0) -> Array:
    """y = A x + eta, the entries of eta i.i.d. N(0, noise_variance / m) (paper, section 5.1).

    Args:
        key: random key of the noise.
        operator: A.
        image: x, [h, w, c] in [-1, 1].
        noise_variance: s >= 0; the variance of one entry is s / m. Complex where the measurements are
            (real and imaginary part share the variance equally).

    Returns:
        Measurements, [m].
    """
    image = jnp.asarray(image)
    if not isinstance(noise_variance, jax.Array) and noise_variance < 0:
        raise InputError(f"noise_variance = {noise_variance}: it cannot be negative")
    clean = as_operator(operator, image.shape).forward(image)
    return clean + jnp.sqrt(noise_variance / clean.size) * jax.random.normal(key, clean.shape, clean.dtype)


def measurement_loss(operator: Operator, measurements: Array, image: Array) -> Array:
    """||y - A x||^2, the squared modulus summed where y is complex."""
    residual = operator.forward(image) - measurements
    return jnp.sum(jnp.square(residual.real) + jnp.square(residual.imag))
