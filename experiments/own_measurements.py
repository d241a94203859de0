"""A user's own measurements, from files: y with a matrix A, or samples of k-space with their mask."""

import math
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import scipy.io

from csdip_jax import operators
from csdip_jax.types import Array, InputError, Problem, as_floating


class OwnProblem(NamedTuple):
    """A problem whose image lies in [-1, 1], and the way back to the user's pixel values.

    Attributes:
        problem: the operator, and measurements shifted and scaled as if of an image in [-1, 1].
        pixel_range: (black, white), the user's values of -1 and 1.
        notes: what was assumed about the files, for the user to check.
    """

    problem: Problem
    pixel_range: tuple[float, float]
    notes: tuple[str, ...]

    def to_user(self, image: Array) -> np.ndarray:
        """[-1, 1] -> the user's pixel values."""
        low, high = self.pixel_range
        return np.asarray(low + (high - low) * (np.asarray(image) + 1) / 2, np.float32)


def read_array(path: str) -> np.ndarray:
    """The array of a .npy, .npz or .mat file; `file.mat:name` chooses among several.

    Raises:
        InputError: no such file, not readable, or several arrays and no name.
    """
    file, _, name = path.partition(":") if not Path(path).exists() else (path, "", "")
    suffix = Path(file).suffix.lower()
    if suffix not in (".npy", ".npz", ".mat"):
        raise InputError(f"{path}: measurements, matrix and mask are read from .npy, .npz or .mat files")
    try:
        if suffix == ".npy":
            return np.load(file, allow_pickle=False)
        if suffix == ".npz":
            with np.load(file, allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
        else:
            arrays = {key: value for key, value in scipy.io.loadmat(file).items() if not key.startswith("__")}
    except FileNotFoundError:
        raise InputError(f"{file}: no such file") from None
    except NotImplementedError:
        raise InputError(f"{file}: a MATLAB 7.3 file; save it with the option -v7") from None
    except Exception as error:  # the readers raise anything on a broken file
        raise InputError(f"{file}: not a readable {suffix} file ({' '.join(str(error).split())})") from error
    if name or len(arrays) == 1:
        if name and name not in arrays:
            raise InputError(f"{file} holds no {name!r}, only {', '.join(arrays)}")
        return np.asarray(arrays[name or next(iter(arrays))])
    raise InputError(f"{file} holds {', '.join(arrays) or 'nothing'}: choose one array with {file}:name")


def with_matrix(
    measurements: np.ndarray,
    matrix: np.ndarray,
    image_shape: tuple | None,
    pixel_range: tuple[float, float],
    matrix_dtype: str = "float32",
) -> OwnProblem:
    """y = A x with a given matrix.

    Args:
        measurements: y, [m] (or [m, 1], [1, m]).
        matrix: A, [m, n]; its columns count the pixels row-major over (h, w, c).
        image_shape: (h, w, c) with h w c = n.
        pixel_range: (black, white) of the image x that was measured.
        matrix_dtype: what A is stored in, one of `operators.DTYPES`; the rounding of A is then an error of the model.
    """
    _require_numbers(measurements, "measurements")
    _require_numbers(matrix, "matrix")
    if matrix.ndim != 2:
        raise InputError(f"matrix has shape {matrix.shape}: it needs two axes, [m, n]")
    if image_shape is None:
        raise InputError(f"--image_shape=h,w,c is needed beside --matrix (h w c = n = {matrix.shape[1]})")
    measurements = measurements.reshape(-1) if 1 in measurements.shape else measurements
    if measurements.shape != matrix.shape[:1]:
        raise InputError(f"measurements of shape {measurements.shape} do not fit a matrix of shape {matrix.shape}")
    _require_finite(measurements, "measurements")
    _require_finite(matrix, "matrix")
    in_stored = np.asarray if matrix_dtype == "float64" else _single
    operator = operators.Dense(in_stored(matrix), image_shape)
    if matrix_dtype != "float32":
        operator = operator.astype(matrix_dtype)
    return _shifted(operator, in_stored(measurements), pixel_range, ())


def with_mask(
    kspace: np.ndarray,
    mask: np.ndarray,
    image_shape: tuple | None,
    pixel_range: tuple[float, float],
    centre: str = "auto",
    norm: str = "auto",
) -> OwnProblem:
    """Cartesian samples of the 2-D DFT.

    Args:
        kspace: complex, the whole grid [h, w] or [h, w, c] (unmeasured entries are not looked at), or the samples
            alone in row-major order of the mask: [k], for colour [c, k] or [k, c]. The image's origin is its corner:
            data of a centred image (ifftshift before the transform) gives it shifted by half its size.
        mask: [h, w], non-zero = measured.
        image_shape: (h, w, c); by default the mask's, grey.
        pixel_range: (black, white) of the image.
        centre: where DC lies, "centre" (as scanners and fftshift put it), "corner", or "auto": where the largest sample
            lies nearest to.
        norm: scale of the DFT, "ortho", "backward" (numpy's default, unscaled), or "auto": ortho unless the samples are
            too large for it.
    """
    _require_numbers(kspace, "measurements")
    _require_numbers(mask, "mask")
    if not np.iscomplexobj(kspace):
        raise InputError(f"measurements have dtype {kspace.dtype}: with --mask they are k-space samples, complex")
    mask = mask.squeeze() if mask.ndim > 2 else mask
    if mask.ndim != 2:
        raise InputError(f"mask has shape {mask.shape}: it needs [h, w]")
    shape = image_shape or (*mask.shape, 1)
    channels, chosen = shape[2], mask != 0
    if mask.shape != shape[:2]:
        raise InputError(f"mask of shape {mask.shape} does not fit --image_shape={','.join(map(str, shape))}")
    count = int(chosen.sum())
    if not count:
        raise InputError(f"the mask selects nothing: all {mask.size} entries are zero")
    if kspace.shape == (*mask.shape, channels) or (kspace.shape == mask.shape and channels == 1):
        samples = kspace.reshape(*mask.shape, channels)[chosen].T
    elif kspace.shape == (count, channels):
        samples = kspace.T
    elif kspace.size == channels * count:
        samples = kspace.reshape(channels, count)
    else:
        raise InputError(
            f"measurements of shape {kspace.shape} fit neither the grid {mask.shape} nor the mask's {count} samples"
        )
    _require_finite(samples, "measurements")
    low, high = pixel_range
    largest = np.unravel_index(np.flatnonzero(chosen)[np.abs(samples).sum(0).argmax()], mask.shape)
    notes = []
    if centre == "auto":
        to_centre = math.dist(largest, [side // 2 for side in mask.shape])
        to_corner = math.dist([0, 0], [min(i, side - i) for i, side in zip(largest, mask.shape, strict=True)])
        centre = "centre" if to_centre <= to_corner else "corner"
        notes.append(f"DC taken to lie in the {centre} (largest sample at {tuple(map(int, largest))}); --dc sets it")
    if norm == "auto":
        bound = 1.001 * max(abs(low), abs(high)) * math.sqrt(mask.size)
        norm = "ortho" if np.abs(samples).max() <= bound else "backward"
        largest_value = f"{np.abs(samples).max():.4g}"
        notes.append(
            f"DFT taken to be scaled as numpy's norm={norm!r} (largest |sample| {largest_value}); --norm sets it"
        )
    scale = math.sqrt(mask.size) if norm == "backward" else 1.0
    operator = operators.cartesian_fourier(mask, shape, centred=centre == "centre")
    return _shifted(operator, _single(samples.reshape(-1) / scale), pixel_range, tuple(notes))


def _shifted(operator, measurements, pixel_range, notes) -> OwnProblem:
    """The problem of the image u in [-1, 1] behind x = middle + half u: A u = (y - A middle) / half."""
    low, high = pixel_range
    if low == high:
        raise InputError(f"--pixel_range={low},{high}: black and white must differ")
    middle, half = (low + high) / 2, (high - low) / 2
    measurements = as_floating(measurements, "measurements")
    offset = operator.forward(jnp.full(operator.image_shape, middle, jnp.finfo(measurements.dtype).dtype))
    return OwnProblem(Problem(operator, (measurements - offset) / half), pixel_range, notes)


def _single(array: np.ndarray) -> np.ndarray:
    return array.astype(np.complex64 if np.iscomplexobj(array) else np.float32)


def _require_numbers(array: np.ndarray, name: str) -> None:
    if array.dtype.kind not in "biufc":
        raise InputError(f"{name} has dtype {array.dtype}: it needs numbers")
    if not array.size:
        raise InputError(f"{name} is empty, shape {array.shape}")


def _require_finite(array: np.ndarray, name: str) -> None:
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise InputError(f"{name}: {bad} of {array.size} entries are NaN or infinite; remove or replace them")
