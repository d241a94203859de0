"""A run's folder: its settings, its rows, and who works in it."""

import fcntl
import functools
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax

from csdip_jax.files import finite, open_own, read_json, require_file, write_json
from csdip_jax.io.lines import append_row, read_all_rows
from csdip_jax.methods import METHODS
from csdip_jax.runs.row import Row
from csdip_jax.types import InputError

OWN_FOLDERS = ("reconstructions", "originals", "curves", "weights", "priors")
"""Of a workdir, with a file per cell, image or prior."""

TEMPORARY = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}\.tmp")


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
                    f"another process works in {folder}: wait for it, or choose another `workdir`"
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
    return finite(config)


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
            f"{path} {reason}: remove it to go on with the settings given, or choose another `workdir`"
        ) from None
    changed = [name for name in _differences(before, _as_json(settings)) if name.split(".")[-1] not in free]
    if changed:
        raise InputError(
            f"workdir {folder} holds a run with other settings ({', '.join(changed)}): "
            "choose another `workdir`, or remove that one"
        )


def own_names() -> re.Pattern:
    """Files in a workdir itself that a kill may leave half written; those of `OWN_FOLDERS` are .npz, .png and .csv."""
    return re.compile(
        r"config\.json|checkpoint.*\.(npz|msgpack)|(comparison|loss)(-.*)?\.png"
        rf"|({'|'.join(METHODS)})(-[\w.]+=[-+.\w]+)*(-aux)?\.(npy|png)"  # an image, by its method and settings
    )


def leftovers(folder: Path) -> Iterator[Path]:
    """What killed writes left of this run's own files: not those of other runs, nor hidden files of anybody else."""
    names = own_names()
    for path in folder.iterdir():
        named = TEMPORARY.fullmatch(path.name)
        if named and names.fullmatch(named["name"]) and _is_file(path):
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
    run (see docs, Several devices, several machines) share it, each with a file of rows of its own.
    """

    def __init__(
        self,
        path: Path | str,
        settings: dict,
        free: tuple[str, ...] = (),
        read: Callable[[Any], Any] | None = None,
        share: Share = ALONE,
    ):
        """Makes or reopens the folder.

        Args:
            path: of the folder.
            settings: JSON-able description of the run.
            free: names of settings that may change between reruns (how many images, say).
            read: what makes its rows of lines, see `read_rows`.
            share: which of several processes this is.

        Raises:
            InputError: the folder cannot be written, holds a run with other settings, or another process works in it.
        """
        self.path, self.share, self.read = Path(path), share, read
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
            raise InputError(f"workdir {self.path} cannot be used: {error}; choose another `workdir`") from error

    @property
    def rows(self) -> list:
        """The rows so far, of all processes."""
        return read_all_rows(self.path, self.read)

    def append(self, row: Row | dict) -> None:
        """Writes one row more, to this process' own file."""
        name = f"results-{self.share.index}.jsonl" if self.share.index else "results.jsonl"
        append_row(self.path / name, row.as_json() if isinstance(row, Row) else row)


def _as_json(settings: dict) -> dict:
    """As they come back from a file: lists for tuples, text for keys, None for what is not finite."""
    return json.loads(json.dumps(finite(settings)))


def _differences(a: dict, b: dict, prefix: str = "") -> list[str]:
    """Dotted names under which two nested dictionaries differ; what is left open may be missing, or be None."""
    names = []
    for name in sorted(a.keys() | b.keys()):
        left, right = a.get(name), b.get(name)
        if isinstance(left, dict | None) and isinstance(right, dict | None):
            names += _differences(left or {}, right or {}, f"{prefix}{name}.")
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
