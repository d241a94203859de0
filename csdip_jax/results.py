"""Files that survive a kill: written beside their place, then renamed into it; rows appended whole or not at all."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np


def write_atomically(path: Path, write: Callable) -> None:
    """Calls `write(file)` on a temporary binary file in the folder of `path`, then renames it to `path`."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
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
    finished, _, _ = path.read_text().rpartition("\n")
    return [json.loads(line) for line in finished.splitlines()]
