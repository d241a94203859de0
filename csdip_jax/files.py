"""Files that survive a kill: written beside their place, then renamed into it.

They are checked when they are read, here and nowhere else: what is damaged is a `DamagedFile`.
"""

import errno
import hashlib
import io
import json
import math
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from csdip_jax.checks import in_one_line
from csdip_jax.types import InputError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

DEEPEST = 100
"""Of nested lists and objects in JSON: what we write has less than ten, Python's reader stops at about a thousand."""

ANEW = "the same command makes it anew"


class DamagedFile(InputError):
    """A file of a run that is not as it was written, or is missing."""


def content_digest(*arrays: ArrayLike, text: str = "") -> str:
    """A short checksum of the contents of arrays, and of a text."""
    digest = hashlib.sha256(text.encode())
    for array in map(np.asarray, arrays):
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()[:16]


def write_atomically(path: Path, write: Callable) -> None:
    """Calls `write(file)` on a temporary binary file in the folder of `path`, then renames it to `path`.

    Raises:
        InputError: the disk is full.
    """
    path = Path(path)
    with room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


@contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Turns a disk, quota or file size that is used up into one line that names the file."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise InputError(
            f"{path} cannot be written ({os.strerror(error.errno)}): make room, then the same command goes on"
        ) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: Path, value) -> None:
    """A .json file; NaN and infinities, which JSON does not have, become null."""
    text = json.dumps(finite(value), indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def finite(value: Any) -> Any:
    """The same with None for numbers that are not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: finite(inner) for name, inner in value.items()}
    return [finite(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def read_json(content: bytes | str):
    """What a JSON text says.

    Raises:
        ValueError: it is none, or nested deeper than `DEEPEST`.
    """
    try:
        value = json.loads(content)
    except RecursionError:
        raise ValueError("too many nested brackets") from None
    _require_shallow(value, DEEPEST)
    return value


def _require_shallow(value, levels: int) -> None:
    if isinstance(value, (dict, list)):
        if not levels:
            raise ValueError("too many nested brackets")
        for inner in value.values() if isinstance(value, dict) else value:
            _require_shallow(inner, levels - 1)


def write_arrays(path: Path, **arrays) -> None:
    """An uncompressed .npz of the given arrays."""
    write_atomically(path, lambda file: np.savez(file, **arrays))


def write_array(path: Path, array: np.ndarray) -> None:
    """A .npy file."""
    content = io.BytesIO()  # straight into a file numpy would not say why it cannot write
    np.save(content, array)
    write_atomically(path, lambda file: file.write(content.getbuffer()))


def read_arrays(path: Path, **expected: tuple[str, tuple | None]) -> dict[str, np.ndarray]:
    """All arrays of an .npz that `write_arrays` wrote.

    Args:
        path: of the file.
        expected: name of an array that has to be there -> (kinds, shape): letters of `numpy.dtype.kind` ("f" for
            floats), and its sides, None for any.

    Raises:
        DamagedFile: missing, cut off, changed anywhere, without one of these arrays, or with one of another kind.
        InputError: it may not be read.
    """
    try:
        require_file(path)
        with open(path, "rb") as file, np.load(file) as saved:  # numpy leaves open what it opens and cannot read
            if sum(part.file_size for part in saved.zip.infolist()) > path.stat().st_size:
                raise ValueError("compressed, as none of ours is")  # and may unfold to any size
            arrays = {name: saved[name] for name in saved.files}
    except PermissionError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): change its permissions") from error
    except FileNotFoundError as error:
        raise DamagedFile(f"{path} is missing: {ANEW}") from error
    except Exception as error:  # numpy and zipfile fail in many ways on bytes that are not their own
        reason = in_one_line(error)
        raise DamagedFile(f"{path} is damaged ({reason}): remove it, {ANEW}") from error
    for name, (kinds, shape) in expected.items():
        array = arrays.get(name)
        if array is None or array.dtype.kind not in kinds or not _fits(array.shape, shape):
            found = f"no {name}" if array is None else f"{name} of shape {array.shape}, type {array.dtype}"
            raise DamagedFile(f"{path} is damaged (it holds {found}): remove it, {ANEW}")
    return arrays


def _fits(shape: tuple, allowed: tuple | None) -> bool:
    return allowed is None or (
        len(shape) == len(allowed) and all(most in (None, side) for side, most in zip(shape, allowed, strict=True))
    )


def is_whole(path: Path, **expected: tuple[str, tuple | None]) -> bool:
    """Whether this .npz is there, undamaged, and with the arrays expected of it."""
    try:
        read_arrays(path, **expected)
    except DamagedFile:
        return False
    return True


def require_file(path: Path) -> None:
    """Raises OSError unless it is a regular file: a pipe would be waited for, a device may have no end."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "no regular file", str(path))


def open_own(path: Path, flags: int):
    """A file of ours to write to, binary, made if need be.

    Raises:
        InputError: it is a link, which may lead to anybody's file, or no regular file.
    """
    try:
        handle = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise InputError(f"{path} is a symbolic link, which is not written through: remove it") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise InputError(f"{path} is no regular file: remove it")
    return os.fdopen(handle, "ab+" if flags & os.O_APPEND else "rb+")
