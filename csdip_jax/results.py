"""Files that survive a kill: written beside their place, then renamed into it; rows appended whole or not at all."""

import fcntl
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import jax
import numpy as np

from csdip_jax.types import InputError


def content_digest(*arrays: np.ndarray, text: str = "") -> str:
    """A short checksum of the contents of arrays, and of a text."""
    digest = hashlib.sha256(text.encode())
    for array in map(np.asarray, arrays):
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()[:16]


def write_atomically(path: Path, write: Callable) -> None:
    """Calls `write(file)` on a temporary binary file in the folder of `path`, then renames it to `path`."""
    path = Path(path)
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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: Path, value) -> None:
    write_atomically(path, lambda file: file.write((json.dumps(value, indent=2) + "\n").encode()))


def write_arrays(path: Path, **arrays) -> None:
    """An uncompressed .npz of the given arrays."""
    write_atomically(path, lambda file: np.savez(file, **arrays))


def write_array(path: Path, array: np.ndarray) -> None:
    """A .npy file."""
    write_atomically(path, lambda file: np.save(file, array))


def is_whole(path: Path) -> bool:
    """Whether this .npz is there, to its end."""
    return zipfile.is_zipfile(path)


def append_row(path: Path, row: dict) -> None:
    """Appends one JSON line; what an earlier kill left of an unfinished line is cut off first."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab+") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write((json.dumps(row) + "\n").encode())
        file.flush()
        os.fsync(file.fileno())


def read_rows(path: Path) -> list[dict]:
    """The finished rows of a results.jsonl; none where there is no such file."""
    path = Path(path)
    if not path.exists():
        return []
    finished, _, _ = path.read_bytes().rpartition(b"\n")
    rows = []
    for number, line in enumerate(finished.splitlines(), start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:  # of JSON, or of an encoding
            raise InputError(f"{path}, line {number} is damaged ({error}): remove that line") from None
    return rows


def read_all_rows(folder: Path) -> list[dict]:
    """The rows that all processes of a run have finished: results.jsonl, results-1.jsonl, ..."""
    return [row for path in sorted(Path(folder).glob("results*.jsonl")) for row in read_rows(path)]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a run's folder against a second run by mistake; the operating system lets go when this process ends.

    One of several processes holds its part of it, a process alone holds all.

    Raises:
        InputError: another process holds it.
    """
    mine = folder / f".lock-{jax.process_index()}"
    with ExitStack() as stack:
        for path in {mine} if jax.process_count() > 1 else {mine, *folder.glob(".lock-*")}:
            file = stack.enter_context(open(path, "w"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"another process works in {folder}: wait for it, or choose another --workdir"
                ) from None
            except OSError:
                pass  # a file system without locks
        yield


def require_same_settings(folder: Path, settings: dict, free: tuple[str, ...]) -> None:
    """Raises InputError if the folder holds a run whose settings differ in others than those named in `free`."""
    path = Path(folder) / "config.json"
    if not path.exists():
        return
    try:
        before = json.loads(path.read_bytes())["settings"]
    except (ValueError, TypeError, KeyError):
        raise InputError(
            f"{path} is damaged: remove it to go on with the settings given, or choose another --workdir"
        ) from None
    changed = [name for name in _differences(before, _as_json(settings)) if name.split(".")[-1] not in free]
    if changed:
        raise InputError(
            f"workdir {folder} holds a run with other settings ({', '.join(changed)}): "
            "choose another --workdir, or remove that one"
        )


class Workdir:
    """A run's folder: config.json (settings, versions, device, commit), results.jsonl, reconstructions, pictures.

    Opening it again with the same settings goes on with the run; with others it is refused. Several processes of one
    run (see docs/clusters.md) share it, each with a file of rows of its own.
    """

    def __init__(self, path: Path | str, settings: dict, free: tuple[str, ...] = ()):
        """Makes or reopens the folder.

        Args:
            path: of the folder.
            settings: JSON-able description of the run.
            free: names of settings that may change between reruns (how many images, say).

        Raises:
            InputError: the folder cannot be written, holds a run with other settings, or another process works in it.
        """
        self.path, self.process = Path(path), jax.process_index()
        settings = _as_json(settings)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            require_same_settings(self.path, settings, free)
            with locked(self.path):
                if jax.process_count() == 1:
                    for leftover in self.path.rglob(".*.tmp"):  # of a killed write
                        leftover.unlink()
                if self.process == 0:
                    write_json(self.path / "config.json", {"settings": settings, **environment()})
        except OSError as error:
            raise InputError(f"workdir {self.path} cannot be used: {error}; choose another --workdir") from error

    @property
    def rows(self) -> list[dict]:
        """The rows so far, of all processes."""
        return read_all_rows(self.path)

    def append(self, row: dict) -> None:
        name = f"results-{self.process}.jsonl" if self.process else "results.jsonl"
        append_row(self.path / name, row)


def _as_json(settings: dict) -> dict:
    """As they come back from a file: lists for tuples, text for keys."""
    return json.loads(json.dumps(settings))


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
