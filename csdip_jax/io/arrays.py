"""An array of numbers from a .npy, .npz or .mat file, checked before memory is taken for it."""

import math
import mmap
import os
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from csdip_jax.data import sources
from csdip_jax.data.decode import read_npy
from csdip_jax.data.file_kinds import first_bytes, foreign_kind
from csdip_jax.solve import memory
from csdip_jax.types import InputError


def read_array(path: str | os.PathLike) -> np.ndarray:
    """The array of a .npy, .npz or .mat file; `file.mat:name` chooses among several.

    A sparse matrix, of .mat or as scipy.sparse.save_npz writes it, comes as a dense one; bytes come in the machine's
    order.

    Args:
        path: of the file, told apart by its content; "~" is the home folder.

    Returns:
        Numbers, of whatever type and shape the file has.

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
    import scipy.io  # here, for it takes longer to import than the rest of this package

    _require_sound_tags(file)
    shapes = {each: shape for each, shape, _ in scipy.io.whosmat(file) if each[:2] != "__"}
    name = _chosen(name, list(shapes), file)
    if min(shapes[name], default=0) < 0:
        raise ValueError(f"{name} of shape {shapes[name]}")
    _require_room(8 * math.prod(shapes[name]), file)
    with warnings.catch_warnings():  # of whether a sparse one is a matrix or an array: both are made dense here
        warnings.filterwarnings("ignore", "The default value for `spmatrix`", DeprecationWarning)
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


def _dense(matrix: Any, file: str) -> np.ndarray:
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
