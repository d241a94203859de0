"""Files that survive a kill: written beside their place, then renamed into it; rows appended whole or not at all.

They are checked when they are read, here and nowhere else: what is damaged is a `DamagedFile`.
"""

import errno
import fcntl
import functools
import hashlib
import importlib.metadata
import io
import json
import math
import os
import platform
import re
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from csdip_jax.methods import METHODS
from csdip_jax.types import InputError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
OWN_FOLDERS = ("reconstructions", "originals", "curves", "weights", "priors")
"""Of a workdir, with a file per cell, image or prior."""

TEMPORARY = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}\.tmp")
OWN_NAMES = re.compile(
    r"config\.json|checkpoint.*\.(npz|msgpack)|(comparison|loss)(-.*)?\.png"
    rf"|({'|'.join(METHODS)})(-\w+=[-+.\w]+)*\.(npy|png)"  # an image, by its method and swept settings
)
"""Files in a workdir itself that a kill may leave half written; those of `OWN_FOLDERS` are .npz, .png and .csv."""

DEEPEST = 100
"""Of nested lists and objects in JSON: what we write has less than ten, Python's reader stops at about a thousand."""


ANEW = "the same command makes it anew"


class DamagedFile(InputError):
    """A file of a run that is not as it was written, or is missing."""


def content_digest(*arrays: np.ndarray, text: str = "") -> str:
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
    text = json.dumps(_finite(value), indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def _finite(value):
    """The same with None for numbers that are not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(inner) for name, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, (list, tuple)) else value


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
        reason = " ".join(f"{type(error).__name__}: {error}".split())
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


def append_row(path: Path, row: dict) -> None:
    """Appends one JSON line; what an earlier kill left of an unfinished line is cut off first.

    NaN and infinities, which JSON does not have, become null.

    Raises:
        InputError: the disk is full, or `path` is a link.
    """
    path = Path(path)
    line = (json.dumps(_finite(row), allow_nan=False) + "\n").encode()
    with room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_own(path, os.O_RDWR | os.O_APPEND) as file:
            file.truncate(_end_of_last_line(file))
            file.write(line)
            file.flush()
            os.fsync(file.fileno())


def _end_of_last_line(file, block: int = 2**16) -> int:
    """Where the last finished line of a binary file ends, looked for from its end: files of rows grow long."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        begin = max(0, end - block)
        file.seek(begin)
        found = file.read(end - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


class Kind(NamedTuple):
    """What a field of a row may be, in words and as a test, and whether it may be missing."""

    words: str
    holds: Callable[[Any], bool]
    optional: bool = False


def _is_number(value) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, float)


def _is_file_name(value) -> bool:
    try:
        return isinstance(value, str) and 0 < len(os.fsencode(value)) < 250 and not {"/", "\0"}.intersection(value)
    except UnicodeEncodeError:
        return False


NAME = Kind("a file name", _is_file_name)
TEXT = Kind("text", lambda value: isinstance(value, str))
WHOLE = Kind("a whole number", lambda value: isinstance(value, int) and _is_number(value))
NUMBER = Kind("a number", _is_number)
NUMBER_OR_NULL = Kind("a number or null", lambda value: value is None or _is_number(value))
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
LIST = Kind("a list of numbers", lambda value: isinstance(value, list) and all(map(NUMBER_OR_NULL.holds, value)))
NUMBERS = Kind(
    "an object of numbers", lambda value: isinstance(value, dict) and all(map(NUMBER_OR_NULL.holds, value.values()))
)


def read_rows(path: Path, fields: Mapping[str, Kind] | None = None, of: str = "row") -> list[dict]:
    """The finished rows of a results.jsonl; none where there is no such file.

    Args:
        path: of the file.
        fields: name -> `Kind` of what every row has to have.
        of: what has such rows, for the error.

    Raises:
        InputError: a line is no JSON, or a row lacks a field or has one of another kind; names the line.
    """
    path = Path(path)
    if not path.exists():
        return []
    try:
        require_file(path)
        finished, _, _ = path.read_bytes().rpartition(b"\n")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): remove it, or choose another --workdir") from error
    rows = []
    for number, line in enumerate(finished.splitlines(), start=1):
        try:
            row = read_json(line)
        except ValueError as error:  # of JSON, or of an encoding
            raise InputError(f"{path}, line {number} is damaged ({error}): remove that line") from None
        if fields is not None:
            wrong = _what_is_wrong(row, fields, of)
            if wrong:
                raise InputError(f"{path}, line {number} is damaged, {wrong}: remove it")
        rows.append(_with_nan(row))
    return rows


def _with_nan(value):
    """A row as it was before it was written: NaN for null among the numbers of a list."""
    if isinstance(value, dict):
        return {name: _with_nan(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [math.nan if inner is None else _with_nan(inner) for inner in value]
    return value


def _what_is_wrong(row, fields: Mapping[str, Kind], of: str) -> str | None:
    known = row if isinstance(row, dict) else {}
    for name, kind in fields.items():
        if name not in known and kind.optional:
            continue
        if name not in known:
            return f"a row that is no {of}'s, without {name}"
        if not kind.holds(known[name]):
            value = json.dumps(known[name])
            return f"{name} = {value if len(value) < 40 else value[:40] + '...'} is not {kind.words}"
    return None


def read_all_rows(folder: Path, fields: Mapping[str, Kind] | None = None, of: str = "row") -> list[dict]:
    """The rows that all processes of a run have finished: results.jsonl, results-1.jsonl, ...; see `read_rows`."""
    return [row for path in sorted(Path(folder).glob("results*.jsonl")) for row in read_rows(path, fields, of)]


class Share(NamedTuple):
    """One of several processes that share a run: which one it is, from 0, and how many there are."""

    index: int
    count: int


ALONE = Share(0, 1)


@contextmanager
def locked(folder: Path, share: Share = ALONE) -> Iterator[None]:
    """Holds a run's folder against a second run by mistake; the operating system lets go when this process ends.

    One of several processes holds its part of it, a process alone holds all.

    Raises:
        InputError: another process holds it.
    """
    mine = folder / f".lock-{share.index}"
    with ExitStack() as stack:
        for path in {mine} if share.count > 1 else {mine, *folder.glob(".lock-*")}:
            file = stack.enter_context(open_own(path, os.O_RDWR))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"another process works in {folder}: wait for it, or choose another --workdir"
                ) from None
            except OSError:
                pass  # a file system without locks
        yield


def read_config(path: Path) -> dict:
    """The contents of a config.json.

    Raises:
        OSError: there is no such file.
        ValueError: it is no JSON, or without settings.
    """
    require_file(path)
    config = read_json(Path(path).read_bytes())
    if not isinstance(config, dict) or not isinstance(config.get("settings"), dict):
        raise ValueError("holds no settings")
    return _finite(config)


def require_same_settings(folder: Path, settings: dict, free: tuple[str, ...]) -> None:
    """Raises InputError if the folder holds a run whose settings differ in others than those named in `free`."""
    path = Path(folder) / "config.json"
    if not path.exists():
        return
    try:
        before = read_config(path)["settings"]
    except (OSError, ValueError) as error:
        reason = f"cannot be read ({error.strerror})" if isinstance(error, OSError) else "is damaged"
        raise InputError(
            f"{path} {reason}: remove it to go on with the settings given, or choose another --workdir"
        ) from None
    changed = [name for name in _differences(before, _as_json(settings)) if name.split(".")[-1] not in free]
    if changed:
        raise InputError(
            f"workdir {folder} holds a run with other settings ({', '.join(changed)}): "
            "choose another --workdir, or remove that one"
        )


def leftovers(folder: Path) -> Iterator[Path]:
    """What killed writes left of this run's own files: not those of other runs, nor hidden files of anybody else."""
    for path in folder.iterdir():
        named = TEMPORARY.fullmatch(path.name)
        if named and OWN_NAMES.fullmatch(named["name"]) and _is_file(path):
            yield path
    for below in map(folder.joinpath, OWN_FOLDERS):
        if below.is_dir() and not below.is_symlink() and not (below / "config.json").exists():  # no run of its own
            for path in below.iterdir():
                named = TEMPORARY.fullmatch(path.name)
                if named and Path(named["name"]).suffix in (".npz", ".png", ".csv") and _is_file(path):
                    yield path


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


class Workdir:
    """A run's folder: config.json (settings, versions, device, commit), results.jsonl, reconstructions, pictures.

    Opening it again with the same settings goes on with the run; with others it is refused. Several processes of one
    run (see docs/clusters.md) share it, each with a file of rows of its own.
    """

    def __init__(
        self,
        path: Path | str,
        settings: dict,
        free: tuple[str, ...] = (),
        fields: Mapping[str, Kind] | None = None,
        of: str = "row",
        share: Share = ALONE,
    ):
        """Makes or reopens the folder.

        Args:
            path: of the folder.
            settings: JSON-able description of the run.
            free: names of settings that may change between reruns (how many images, say).
            fields, of: what its rows have to have, see `read_rows`.
            share: which of several processes this is.

        Raises:
            InputError: the folder cannot be written, holds a run with other settings, or another process works in it.
        """
        self.path, self.share, self.fields, self.of = Path(path), share, fields, of
        settings = _as_json(settings)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            require_same_settings(self.path, settings, free)
            with locked(self.path, share):
                if share.count == 1:
                    for leftover in leftovers(self.path):
                        leftover.unlink(missing_ok=True)
                if share.index == 0:
                    write_json(self.path / "config.json", {"settings": settings, **environment()})
        except OSError as error:
            raise InputError(f"workdir {self.path} cannot be used: {error}; choose another --workdir") from error

    @property
    def rows(self) -> list[dict]:
        """The rows so far, of all processes."""
        return read_all_rows(self.path, self.fields, self.of)

    def append(self, row: dict) -> None:
        name = f"results-{self.share.index}.jsonl" if self.share.index else "results.jsonl"
        append_row(self.path / name, row)


def _as_json(settings: dict) -> dict:
    """As they come back from a file: lists for tuples, text for keys, None for what is not finite."""
    return json.loads(json.dumps(_finite(settings)))


def _differences(a: dict, b: dict, prefix: str = "") -> list[str]:
    """Dotted names under which two nested dictionaries differ."""
    names = []
    for name in sorted(a.keys() | b.keys()):
        left, right = a.get(name), b.get(name)
        if isinstance(left, dict) and isinstance(right, dict):
            names += _differences(left, right, f"{prefix}{name}.")
        elif json.dumps(left) != json.dumps(right):  # as text: a NaN equals itself
            names.append(f"{prefix}{name}")
    return names


def environment() -> dict:
    """Versions, device and git commit, to repeat a run by."""
    packages = ("csdip_jax", "jax", "jaxlib", "flax", "optax", "numpy", "scipy")
    return {
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in packages},
        "device": f"{jax.default_backend()}: {device_name()}, {jax.device_count()} device(s), {os.cpu_count()} cores",
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": bool(_git("status", "--porcelain")),
    }


def device_name() -> str:
    """The kind of device that JAX computes on; of a CPU its model."""
    device = jax.devices()[0]
    return cpu_model() if device.platform == "cpu" else device.device_kind


@functools.cache
def cpu_model() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    folder = Path(__file__).parent
    try:
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
