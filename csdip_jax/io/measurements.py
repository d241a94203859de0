"""A user's own measurements as a problem: y with a matrix or an operator, or samples of k-space with their mask."""

import math
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np

from csdip_jax import operators
from csdip_jax.checks import as_floating, checked_shape
from csdip_jax.data.pixels import checked_range
from csdip_jax.io import kspace_conventions as conventions
from csdip_jax.io.dark_counts import offset_note
from csdip_jax.solve import estimate_pixel_range
from csdip_jax.types import InputError, Problem


class OwnProblem(NamedTuple):
    """A problem in the user's units, as `with_matrix` and `with_mask` make it.

    Attributes:
        problem: operator and measurements, for `reconstruct`.
        pixel_range: (black, white) of its image, for `reconstruct` too.
        unit: what the measurements were divided by.
        notes: what was assumed about the files, for the user to check.
    """

    problem: Problem
    pixel_range: tuple[float, float]
    notes: tuple[str, ...]
    unit: float = 1.0


def with_matrix(
    measurements: np.ndarray,
    matrix: np.ndarray,
    image_shape: tuple | None,
    pixel_range: tuple[float, float] | Literal["auto"] | None,
    matrix_dtype: str = "float32",
    order: str | None = None,
) -> OwnProblem:
    """Makes a problem of measurements and the matrix that made them, y = A x.

    Args:
        measurements: y, [m] (or [m, 1], [1, m]).
        matrix: A, [m, n]; its columns count the pixels of (h, w, c) in `order`.
        image_shape: (h, w, c) with h w c = n.
        pixel_range: (black, white) of the image x that was measured; "auto": as estimated; None: -1 and 1.
        matrix_dtype: what A is stored in, one of `operators.DTYPES`; the rounding of A is then an error of the model.
        order: of the pixels, "C" (row-major, numpy's) or "F" (column by column, MATLAB's). None: C, with a note where
            the matrix is stored column by column.

    Raises:
        InputError: shapes that do not fit, what is no number or not finite, or pixels far from the pixel range.

    Example:
        >>> matrix = np.random.default_rng(0).integers(0, 2, (50, 64))
        >>> y = matrix @ np.linspace(0, 255, 64)
        >>> own = cs.io.with_matrix(y, matrix, (8, 8, 1), pixel_range=(0, 255))
        >>> own.pixel_range, own.notes
        ((0.0, 255.0), ("pixels taken row by row; `order='F'` takes them column by column, as MATLAB's x(:)",))
    """
    _require_numbers(measurements, "measurements")
    _require_numbers(matrix, "matrix")
    if matrix.ndim != 2:
        raise InputError(f"matrix has shape {matrix.shape}: it needs two axes, [m, n]")
    if image_shape is None:
        raise InputError(f"`image_shape=(h, w, c)` is needed beside a matrix (h w c = n = {matrix.shape[1]})")
    measurements = measurements.reshape(-1) if 1 in measurements.shape else measurements
    if measurements.shape != matrix.shape[:1]:
        remedy = ": transpose it" if measurements.shape == matrix.shape[1:] else ""
        raise InputError(
            f"measurements of shape {measurements.shape} do not fit a matrix of shape {matrix.shape}{remedy}"
        )
    _require_finite(measurements, "measurements")
    _require_finite(matrix, "matrix")
    notes = ()
    if order is None and sum(side > 1 for side in image_shape) > 1:
        stored = ", of a matrix stored column by column as in MATLAB" if _by_columns(matrix) else ""
        notes = (f"pixels taken row by row{stored}; `order='F'` takes them column by column, as MATLAB's x(:)",)
    matrix = _row_major(matrix, image_shape) if order == "F" else matrix
    note = None
    if math.prod(image_shape) == matrix.shape[1] and not (np.iscomplexobj(matrix) or np.iscomplexobj(measurements)):
        note = offset_note(measurements, matrix, image_shape)
    if matrix_dtype != "float64":
        matrix = matrix.astype(np.complex64 if np.iscomplexobj(matrix) else np.float32)
    operator = operators.Dense(as_floating(matrix, "matrix"), image_shape)
    if matrix_dtype != "float32":
        operator = operator.astype(matrix_dtype)
    problem = Problem(operator, as_floating(measurements, "measurements"))
    pixel_range, more = _range_of(problem, pixel_range)
    return OwnProblem(problem, pixel_range, (*notes, *more, *filter(None, [note])))


def with_operator(
    measurements: np.ndarray,
    operator: operators.Operator,
    pixel_range: tuple[float, float] | Literal["auto"] | None,
) -> OwnProblem:
    """y = A x with an operator of one's own, which need not be linear.

    Args:
        measurements: y, real or complex as the operator's are, and of their shape; axes of length 1 may be there or
            missing.
        operator: A of images in the user's units.
        pixel_range: (black, white) of the image x that was measured; "auto": as estimated, for a linear operator;
            None: -1 and 1, or 0 and 1 where A x and A (-x) are the same, as in phase retrieval.

    Raises:
        InputError: numbers that are none, NaN, or a shape that does not fit.
    """
    _require_numbers(measurements, "measurements")
    _require_finite(measurements, "measurements")
    expected = operator.measurements_like.shape
    if measurements.squeeze().shape != tuple(size for size in expected if size > 1):
        raise InputError(
            f"measurements of shape {measurements.shape} do not fit the operator: it makes {expected} of an image of "
            f"shape {operator.image_shape}"
        )
    problem = Problem(operator, as_floating(measurements.reshape(expected), "measurements"))
    if pixel_range is None and not isinstance(operator, operators.LinearOperator) and _is_blind_to_the_sign(operator):
        note = "pixel range 0 to 1 taken, since the operator measures x and -x alike; `pixel_range` sets it"
        return OwnProblem(problem, (0.0, 1.0), (note,))
    return OwnProblem(problem, *_range_of(problem, pixel_range))


def _is_blind_to_the_sign(operator: operators.Operator) -> bool:
    """Whether it measures an image and its negative alike."""
    image = np.random.default_rng(0).uniform(-1, 1, operator.image_shape).astype(np.float32)
    measured, negative = (np.asarray(operator.forward(jnp.asarray(x))) for x in (image, -image))
    return bool(np.linalg.norm(measured - negative) <= 1e-3 * np.linalg.norm(measured))


def _range_of(problem: Problem, pixel_range) -> tuple[tuple[float, float], tuple[str, ...]]:
    """(black, white) as given, as estimated or by default, and what to say of it."""
    if pixel_range == "auto":
        pixel_range = estimate_pixel_range(problem)
        told = "{:.3g} to {:.3g}".format(*pixel_range)
        return pixel_range, (f"pixel range {told} estimated from the measurements; `pixel_range` sets it",)
    if pixel_range is None:
        return conventions.DEFAULT_RANGE, ("pixel range -1 to 1 taken; `pixel_range` sets it",)
    return checked_range(pixel_range), ()


def _row_major(matrix: np.ndarray, image_shape: tuple) -> np.ndarray:
    """Columns that count the pixels column by column over (h, w, c), as x(:) in MATLAB -> row by row."""
    if math.prod(image_shape) != matrix.shape[1]:
        return matrix  # which the operator refuses
    return matrix[:, np.arange(matrix.shape[1]).reshape(image_shape, order="F").reshape(-1)]


def with_mask(
    measurements: np.ndarray,
    mask: np.ndarray,
    image_shape: tuple | None,
    pixel_range: tuple[float, float] | Literal["auto"] | None,
    dc: str = "auto",
    norm: str = "auto",
    origin: str = "auto",
    order: str | None = None,
    force_real: bool = False,
) -> OwnProblem:
    """Makes a problem of samples of k-space and the mask that chose them: Cartesian samples of a real image's 2-D DFT.

    Args:
        measurements: complex, the whole grid [h, w], [h, w, c] or [c, h, w] (unmeasured entries are not looked at),
            or the samples alone in the mask's order: [k], for colour [c, k] or [k, c].
        mask: [h, w], non-zero = measured; [w] or [1, w] chooses columns, [h, 1] rows.
        image_shape: (h, w, c); by default the mask's, grey.
        pixel_range: (black, white) of the image; "auto": as estimated from the samples; None: -1 and 1, refused where
            the samples tell of other pixels.
        dc: where DC lies, "centre" (as scanners and fftshift put it), "corner", or "auto": where the largest sample
            lies nearest to.
        norm: scale of the DFT, "ortho", "backward" (numpy's default, unscaled), "forward" (1 / n), or "auto": the one
            whose zero-filled image fits the pixel range.
        origin: where the image has its origin, "corner" (numpy's fft2), "centre" (ifftshift before the transform, as
            fastMRI's fft2c), or "auto": as the zero-filled image tells, else the corner. The image comes out in its
            natural place either way.
        order: of samples alone, "C" (row by row, numpy's) or "F" (column by column, MATLAB's). None: C, with a note
            where the mask is stored column by column.
        force_real: fits a real image to samples that no real image explains, which are refused otherwise.

    Raises:
        InputError: not complex, of several coils, shapes that do not fit, NaN, a complex image, far too large pixels.

    Example:
        >>> image = np.zeros((32, 32))
        >>> image[8:20, 10:24] = 1.0
        >>> mask = np.random.default_rng(0).random((32, 32)) < 0.5
        >>> kspace = np.fft.fftshift(np.fft.fft2(image))
        >>> mask[16, 16] = True  # DC
        >>> own = cs.io.with_mask(kspace * mask, mask, (32, 32, 1), pixel_range=(0, 1), dc="centre", norm="backward")
        >>> int(mask.sum()) == own.problem.measurements.size
        True
    """
    _require_numbers(measurements, "measurements")
    _require_numbers(mask, "mask")
    if not np.iscomplexobj(measurements):
        pairs = ": join real and imaginary part, a[..., 0] + 1j * a[..., 1]" if measurements.shape[-1:] == (2,) else ""
        raise InputError(
            f"measurements have dtype {measurements.dtype}: beside a mask they are k-space samples, complex{pairs}"
        )
    chosen, shape, notes = _selected(mask, measurements, image_shape)
    grid, listed = _on_grid(measurements, chosen, shape, order)
    whole = np.abs(measurements).reshape(shape[:2]) if measurements.size == chosen.size and not listed else None
    if whole is not None and not chosen[np.unravel_index(np.nan_to_num(whole).argmax(), chosen.shape)]:
        notes.append("the mask leaves out the largest sample: is it shifted against the measurements?")
    if listed and order is None and _by_columns(mask):
        notes.append(
            "samples taken row by row of the mask, which is stored column by column as in MATLAB; "
            "`order='F'` changes it"
        )
    if order and not listed:
        notes.append(f"`order={order!r}` is not needed: these samples are a whole grid, not a list")
    zeros = float((grid[chosen] == 0).mean())
    if zeros > 0.1:
        notes.append(f"{100 * zeros:.0f} % of the samples that the mask chooses are exactly 0: were they measured?")
    if dc == "auto":
        largest = np.unravel_index(np.where(chosen, np.abs(grid).sum(-1), -1).argmax(), chosen.shape)
        to_centre = math.dist(largest, [side // 2 for side in chosen.shape])
        to_corner = math.dist([0, 0], [min(i, side - i) for i, side in zip(largest, chosen.shape, strict=True)])
        dc = "centre" if to_centre <= to_corner else "corner"
        notes.append(f"DC taken to lie in the {dc} (largest sample at {tuple(map(int, largest))}); `dc` sets it")
    if dc == "centre":
        grid, chosen = np.fft.ifftshift(grid, (0, 1)), np.fft.ifftshift(chosen)
    known_range = None if pixel_range == "auto" else checked_range(pixel_range or conventions.DEFAULT_RANGE)
    grid, noise, phase_notes = conventions.of_real_image(
        grid, chosen, known_range, force_real, "`dc` or `order`" if listed else "`dc`"
    )
    grid, unit, pixel_range, scale_notes = conventions.scaled(grid, chosen, noise, pixel_range, norm)
    grid, origin_notes = conventions.in_natural_place(grid, chosen, origin)
    samples = as_floating(grid[chosen].T.reshape(-1), "measurements")
    problem = Problem(operators.cartesian_fourier(chosen, shape, centred=False), samples)
    return OwnProblem(problem, pixel_range, (*notes, *phase_notes, *scale_notes, *origin_notes), unit)


def _selected(mask, measurements, image_shape) -> tuple[np.ndarray, tuple, list[str]]:
    """Boolean [h, w], the image's shape and notes; a line of the mask stands for all rows or columns."""
    if np.iscomplexobj(mask):
        raise InputError(f"mask has dtype {mask.dtype}: it needs booleans or real numbers, non-zero = measured")
    _require_finite(mask, "mask")
    given, notes = mask.shape, []
    mask = mask.squeeze() if mask.ndim > 2 else mask
    mask = mask[None] if mask.ndim == 1 else mask
    if mask.ndim != 2:
        raise InputError(f"mask has shape {given}: it needs [h, w]")
    if 1 in mask.shape:
        size = image_shape[:2] if image_shape else measurements.squeeze().shape[-2:]
        fits = len(size) == 2 and all(mine in (1, side) for mine, side in zip(mask.shape, size, strict=True))
        if not fits and len(given) != 2:
            raise InputError(f"mask has shape {given}: it needs [h, w], or [w] beside a whole grid or `image_shape`")
        if fits and mask.shape != size:
            line = "row" if mask.shape[0] == 1 else "column"
            notes.append(f"mask of shape {given} taken for every {line} of the {size[0]} x {size[1]} grid")
            mask = np.broadcast_to(mask, size)
    shape = checked_shape(image_shape or (*mask.shape, 1))
    if mask.shape != shape[:2]:
        raise InputError(f"mask of shape {given} does not fit `image_shape={shape}`")
    if not mask.any():
        raise InputError(f"the mask selects nothing: all {mask.size} entries are zero")
    return mask != 0, shape, notes


def _on_grid(measurements, chosen, shape, order) -> tuple[np.ndarray, bool]:
    """complex128 [h, w, c], 0 where nothing is measured, and whether the samples came as a list."""
    (h, w, c), count, bare = shape, int(chosen.sum()), measurements.squeeze()
    grid = np.zeros(shape, np.complex128)
    listed = False
    if bare.shape == np.squeeze(grid).shape:
        samples = bare.reshape(shape)[chosen]
    elif c > 1 and bare.shape == (c, h, w):
        samples = np.moveaxis(bare, 0, -1)[chosen]
    elif measurements.size == c * count and bare.ndim <= 2:
        samples, listed = (bare.reshape(c, count).T if bare.shape != (count, c) else bare), True
    elif (bare.ndim > 2 and (h, w) in (bare.shape[-2:], bare.shape[:2])) or (bare.ndim == 2 and count in bare.shape):
        raise InputError(
            f"measurements of shape {measurements.shape}: "
            "k-space of several coils is not read yet: give one coil's [h, w]"
        )
    else:
        raise InputError(
            f"measurements of shape {measurements.shape} fit neither the grid {chosen.shape} "
            f"nor the mask's {count} samples"
        )
    _require_finite(samples, "measurements")
    if listed and order == "F":
        grid.transpose(1, 0, 2)[chosen.T] = samples
    else:
        grid[chosen] = samples
    return grid, listed


def _by_columns(array: np.ndarray) -> bool:
    """Stored column by column, as MATLAB does: a hint at how its user counts."""
    return array.flags.f_contiguous and not array.flags.c_contiguous


def _require_numbers(array: np.ndarray, name: str) -> None:
    if array.dtype.kind not in "biufc":
        raise InputError(f"{name} has dtype {array.dtype}: it needs numbers")
    if not array.size:
        raise InputError(f"{name} is empty, shape {array.shape}")


def _require_finite(array: np.ndarray, name: str) -> None:
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise InputError(f"{name}: {bad} of {array.size} entries are NaN or infinite; remove or replace them")
