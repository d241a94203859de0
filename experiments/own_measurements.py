"""A user's own measurements, from files: y with a matrix A, or samples of k-space with their mask."""

import math
import mmap
import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import scipy.io
import scipy.sparse

from csdip_jax import estimate_pixel_range, operators
from csdip_jax.data import sources
from csdip_jax.data.decode import read_npy
from csdip_jax.data.kinds import first_bytes, foreign_kind
from csdip_jax.data.pixels import checked_range
from csdip_jax.solve import memory
from csdip_jax.types import InputError, Problem, as_floating, checked_shape
from csdip_jax.io import kspace_conventions as conventions


class OwnProblem(NamedTuple):
    """A problem in the user's units, as `csdip_jax.reconstruct` takes it.

    Attributes:
        problem: operator and measurements.
        pixel_range: (black, white) of its image.
        unit: what the measurements were divided by.
        notes: what was assumed about the files, for the user to check.
    """

    problem: Problem
    pixel_range: tuple[float, float]
    notes: tuple[str, ...]
    unit: float = 1.0


def read_array(path: str | os.PathLike) -> np.ndarray:
    """The array of a .npy, .npz or .mat file; `file.mat:name` chooses among several.

    A sparse matrix, of .mat or as scipy.sparse.save_npz writes it, comes as a dense one; bytes come in the machine's
    order.

    Raises:
        InputError: no such file, not readable, several arrays and no name, what is no array of numbers, or one that is
            larger than the memory.
    """
    path = os.path.expanduser(sources.path_of(path, "the file of an array"))
    file, _, name = path.partition(":") if not os.path.exists(path) else (path, "", "")
    suffix = Path(file).suffix.lower()
    try:
        head = first_bytes(Path(file))
        own_kind = next((each for each, begins in _BEGINNINGS.items() if head.startswith(begins)), None)
        kind, suffix = None if own_kind else foreign_kind(head), own_kind or suffix
        if kind or suffix not in _READERS:
            found = f", and this is {kind}" if kind else ""
            raise InputError(f"{file}: measurements, matrix and mask are read from .npy, .npz or .mat files{found}")
        array = _READERS[suffix](file, name)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{file}: no such file") from None
    except Exception as error:  # the readers raise anything on a broken file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{file}: not a readable {suffix} file ({reason}); save an array of numbers anew") from error
    if array.dtype.kind not in "biufc":
        held = _HELD.get(array.dtype.kind, "no numbers")
        raise InputError(f"{path}: holds {held}, dtype {array.dtype}; save an array of numbers")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _read_npy(file: str, name: str) -> np.ndarray:
    array = read_npy(file)
    _require_room(array.nbytes, file)
    return np.array(array)


def _read_npz(file: str, name: str) -> np.ndarray:
    with np.load(file, allow_pickle=False) as archive:
        sizes = {info.filename.removesuffix(".npy"): info.file_size for info in archive.zip.infolist()}
        if not name and _SPARSE <= set(archive.files):
            _require_room(sum(sizes.values()), file)
            return _dense(scipy.sparse.load_npz(file), file)
        name = _chosen(name, archive.files, file)
        _require_room(sizes[name], file)
        return np.asarray(archive[name])


def _read_mat(file: str, name: str) -> np.ndarray:
    _require_sound_tags(file)
    shapes = {each: shape for each, shape, _ in scipy.io.whosmat(file) if each[:2] != "__"}
    name = _chosen(name, list(shapes), file)
    if min(shapes[name], default=0) < 0:
        raise ValueError(f"{name} of shape {shapes[name]}")
    _require_room(8 * math.prod(shapes[name]), file)
    value = scipy.io.loadmat(file, variable_names=[name])[name]
    return _dense(value, file) if scipy.sparse.issparse(value) else np.asarray(value)


def _require_sound_tags(file: str) -> None:
    """ValueError where a MATLAB 5 file's elements do not fit into each other: scipy follows them out of its memory."""
    with open(file, "rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content[:10] != _BEGINNINGS[".mat"]:
            return  # of MATLAB 4, without tags, or of 7.3
        order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
        if not order:
            raise ValueError("its byte order is not told")
        start = 128
        while start < len(content):
            start = _end_of_element(content, start, len(content), order)


def _end_of_element(content: bytes | mmap.mmap, start: int, end: int, order: str) -> int:
    """Where an element (a tag of type and length, and so many bytes) ends, and with it all inside, within `end`."""
    kind, length = struct.unpack_from(order + "II", content, start)
    if kind >> 16:  # a short one has both in four bytes, and its own bytes in the other four
        kind, length, start = kind & 0xFFFF, 0, start + 8 if kind >> 16 <= 4 else end + 1
    else:
        start += 8
    if kind not in _MAT_KINDS or start + length > end:
        raise ValueError("damaged or truncated")
    if kind == _MAT_COMPRESSED:
        inside = zlib.decompress(content[start : start + length])
        _end_of_element(inside, 0, len(inside), order)
        return start + length
    inner = start
    while kind == _MAT_MATRIX and inner < start + length:
        inner = _end_of_element(content, inner, start + length, order)
    return start + length + (-length % 8)


_READERS = {".npy": _read_npy, ".npz": _read_npz, ".mat": _read_mat}
_BEGINNINGS = {".npy": b"\x93NUMPY", ".npz": b"PK\3\4", ".mat": b"MATLAB 5.0"}
_MAT_MATRIX, _MAT_COMPRESSED = 14, 15
_MAT_KINDS = {*range(1, 8), 9, 12, 13, _MAT_MATRIX, _MAT_COMPRESSED, 16, 17, 18}
_SPARSE = {"format", "shape", "data"}  # what scipy.sparse.save_npz writes, among others
_HELD = {"O": "cells, structures or other objects", "V": "a structure", "U": "text", "S": "text"}


def _chosen(name: str, names: list[str], file: str) -> str:
    if not name and len(names) == 1:
        return names[0]
    if not names:
        raise InputError(f"{file} holds nothing: save an array in it")
    if not name:
        raise InputError(f"{file} holds {', '.join(names)}: choose one array with {file}:name")
    if name not in names:
        raise InputError(f"{file} holds no {name!r}, only {', '.join(names)}")
    return name


def _dense(matrix: scipy.sparse.spmatrix, file: str) -> np.ndarray:
    """A sparse matrix as an array. Its indices are checked first: numbers are written to where they point."""
    _require_room(matrix.dtype.itemsize * math.prod(matrix.shape), file)
    if hasattr(matrix, "check_format"):
        matrix.check_format(full_check=True)
    return matrix.toarray()


def _require_room(needed: int, file: str) -> None:
    """Refuses an array that the machine cannot hold, before memory is taken for it."""
    room = memory.host_bytes()
    if needed > room:
        raise InputError(f"{file}: its array takes {needed / 1e9:.3g} GB, there are {room / 1e9:.3g} GB of memory")


def with_matrix(
    measurements: np.ndarray,
    matrix: np.ndarray,
    image_shape: tuple | None,
    pixel_range: tuple[float, float] | str | None,
    matrix_dtype: str = "float32",
    order: str | None = None,
) -> OwnProblem:
    """y = A x with a given matrix.

    Args:
        measurements: y, [m] (or [m, 1], [1, m]).
        matrix: A, [m, n]; its columns count the pixels of (h, w, c) in `order`.
        image_shape: (h, w, c) with h w c = n.
        pixel_range: (black, white) of the image x that was measured; "auto": as estimated; None: -1 and 1.
        matrix_dtype: what A is stored in, one of `operators.DTYPES`; the rounding of A is then an error of the model.
        order: of the pixels, "C" (row-major, numpy's) or "F" (column by column, MATLAB's). None: C, with a note where
            the matrix is stored column by column.
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
    notes = ()
    if order is None and sum(side > 1 for side in image_shape) > 1:
        stored = ", of a matrix stored column by column as in MATLAB" if _by_columns(matrix) else ""
        notes = (f"pixels taken row by row{stored}; --order=F takes them column by column, as MATLAB's x(:)",)
    matrix = _row_major(matrix, image_shape) if order == "F" else matrix
    in_stored = np.asarray if matrix_dtype == "float64" else _single
    operator = operators.Dense(in_stored(matrix), image_shape)
    if matrix_dtype != "float32":
        operator = operator.astype(matrix_dtype)
    problem = Problem(operator, as_floating(in_stored(measurements), "measurements"))
    if pixel_range == "auto":
        pixel_range = estimate_pixel_range(problem)
        told = "{:.3g} to {:.3g}".format(*pixel_range)
        notes = (*notes, f"pixel range {told} estimated from the measurements; --pixel_range sets it")
    elif pixel_range is None:
        pixel_range = conventions.DEFAULT_RANGE
        notes = (*notes, "pixel range -1 to 1 taken; --pixel_range sets it")
    return OwnProblem(problem, checked_range(pixel_range), notes)


def _row_major(matrix: np.ndarray, image_shape: tuple) -> np.ndarray:
    """Columns that count the pixels column by column over (h, w, c), as x(:) in MATLAB -> row by row."""
    if math.prod(image_shape) != matrix.shape[1]:
        return matrix  # which the operator refuses
    return matrix[:, np.arange(matrix.shape[1]).reshape(image_shape, order="F").reshape(-1)]


def with_mask(
    measurements: np.ndarray,
    mask: np.ndarray,
    image_shape: tuple | None,
    pixel_range: tuple[float, float] | str | None,
    centre: str = "auto",
    norm: str = "auto",
    origin: str = "auto",
    order: str | None = None,
    force_real: bool = False,
) -> OwnProblem:
    """Cartesian samples of the 2-D DFT of a real image.

    Args:
        measurements: complex, the whole grid [h, w], [h, w, c] or [c, h, w] (unmeasured entries are not looked at),
            or the samples alone in the mask's order: [k], for colour [c, k] or [k, c].
        mask: [h, w], non-zero = measured; [w] or [1, w] chooses columns, [h, 1] rows.
        image_shape: (h, w, c); by default the mask's, grey.
        pixel_range: (black, white) of the image; "auto": as estimated from the samples; None: -1 and 1, refused where
            the samples tell of other pixels.
        centre: where DC lies, "centre" (as scanners and fftshift put it), "corner", or "auto": where the largest sample
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
    """
    _require_numbers(measurements, "measurements")
    _require_numbers(mask, "mask")
    if not np.iscomplexobj(measurements):
        pairs = ": join real and imaginary part, a[..., 0] + 1j * a[..., 1]" if measurements.shape[-1:] == (2,) else ""
        raise InputError(
            f"measurements have dtype {measurements.dtype}: with --mask they are k-space samples, complex{pairs}"
        )
    chosen, shape, notes = _selected(mask, measurements, image_shape)
    grid, listed = _on_grid(measurements, chosen, shape, order)
    whole = np.abs(measurements).reshape(shape[:2]) if measurements.size == chosen.size and not listed else None
    if whole is not None and not chosen[np.unravel_index(np.nan_to_num(whole).argmax(), chosen.shape)]:
        notes.append("the mask leaves out the largest sample: is it shifted against the measurements?")
    if listed and order is None and _by_columns(mask):
        notes.append(
            "samples taken row by row of the mask, which is stored column by column as in MATLAB; --order=F changes it"
        )
    if order and not listed:
        notes.append(f"--order={order} is not needed: these samples are a whole grid, not a list")
    zeros = float((grid[chosen] == 0).mean())
    if zeros > 0.1:
        notes.append(f"{100 * zeros:.0f} % of the samples that the mask chooses are exactly 0: were they measured?")
    if centre == "auto":
        largest = np.unravel_index(np.where(chosen, np.abs(grid).sum(-1), -1).argmax(), chosen.shape)
        to_centre = math.dist(largest, [side // 2 for side in chosen.shape])
        to_corner = math.dist([0, 0], [min(i, side - i) for i, side in zip(largest, chosen.shape, strict=True)])
        centre = "centre" if to_centre <= to_corner else "corner"
        notes.append(f"DC taken to lie in the {centre} (largest sample at {tuple(map(int, largest))}); --dc sets it")
    if centre == "centre":
        grid, chosen = np.fft.ifftshift(grid, (0, 1)), np.fft.ifftshift(chosen)
    known_range = None if pixel_range == "auto" else checked_range(pixel_range or conventions.DEFAULT_RANGE)
    grid, noise, phase_notes = conventions.of_real_image(
        grid, chosen, known_range, force_real, "--dc or --order" if listed else "--dc"
    )
    grid, unit, pixel_range, scale_notes = conventions.scaled(grid, chosen, noise, pixel_range, norm)
    grid, origin_notes = conventions.in_natural_place(grid, chosen, origin)
    samples = _single(grid[chosen].T.reshape(-1))
    problem = Problem(operators.cartesian_fourier(chosen, shape, centred=False), jnp.asarray(samples))
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
            raise InputError(f"mask has shape {given}: it needs [h, w], or [w] beside a whole grid or --image_shape")
        if fits and mask.shape != size:
            line = "row" if mask.shape[0] == 1 else "column"
            notes.append(f"mask of shape {given} taken for every {line} of the {size[0]} x {size[1]} grid")
            mask = np.broadcast_to(mask, size)
    shape = checked_shape(image_shape or (*mask.shape, 1))
    if mask.shape != shape[:2]:
        raise InputError(f"mask of shape {given} does not fit --image_shape={','.join(map(str, shape))}")
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
