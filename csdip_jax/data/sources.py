"""From the name of a source to the list of its images, each to be read on its own."""

import csv
import functools
import glob
import gzip
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import skimage.data

from csdip_jax.data.decode import IMAGE_SUFFIXES, jpeg_pixels, read_pixels
from csdip_jax.data.file_kinds import first_bytes, foreign_kind, is_hidden
from csdip_jax.types import InputError

KNOWN_SOURCES = ("mnist", "xray", "retino", "demo")
_FOLDERS = {"xray": ("xray",), "retino": ("retino", "retina")}
_MNIST_FILES = {
    "test": "t10k-images-idx3-ubyte",
    "train": "train-images-idx3-ubyte",
    "jpeg": "t10k-images-idx3-ubyte",
}
_MOST_BYTES = 2**28  # of digits, five times what MNIST has
# By channels. Only what scikit-image documents as CC0 or in the public domain, and holds in its wheel.
_DEMO = {3: ("retina", "astronaut", "chelsea", "coffee"), 1: ("camera", "cell", "brick", "grass")}


class Item(NamedTuple):
    """One image of a source.

    Attributes:
        name: id, unique in the source.
        where: path or description, to call it by in an error.
        read: () -> stored pixels, [h, w] or [h, w, c].
    """

    name: str
    where: str
    read: Callable[[], np.ndarray]


def find_images(
    source: str | os.PathLike,
    data_dir: str | os.PathLike | None,
    image_shape: tuple[int, int, int] | None,
) -> list[Item]:
    """All images of a source in their order, at least one; arguments as in `csdip_jax.data.load_named`.

    Raises:
        InputError: unknown source or role, missing or empty folder, a glob without image, a damaged MNIST.
    """
    text = path_of(source, "source")
    name, _, role = text.partition(":")
    if text == "demo":
        channels = 3 if image_shape is None else image_shape[2]
        return [Item(demo, f"demo image {demo}", getattr(skimage.data, demo)) for demo in _DEMO[channels]]
    if name == "mnist":
        return _mnist_items(data_dir, role or "test")
    if name in _FOLDERS:
        return _data_set_items(name, data_dir, role or "test")
    return _file_items(_find_files(text))


def path_of(value: str | os.PathLike, name: str) -> str:
    """A path as text; InputError for what is none, such as an array or a list."""
    try:
        return os.fsdecode(value)
    except TypeError:
        raise InputError(f"{name} is a {type(value).__name__}: give the path of a file or folder") from None


def _find_files(text: str) -> list[Path]:
    try:
        return _found_files(text)
    except OSError as error:  # a folder that may not be read, a name that is too long
        raise InputError(
            f"source {text!r} cannot be read ({error.strerror}); give another file, folder or glob"
        ) from error


def _found_files(text: str) -> list[Path]:
    path = Path(text).expanduser()
    if path.is_dir():
        found = list(path.iterdir())
    elif path.exists():
        return [path]
    elif glob.has_magic(text):
        found = [Path(match) for match in glob.glob(str(path), recursive=True)]
    else:
        raise InputError(
            f"source {text!r} is neither a known name ({', '.join(KNOWN_SOURCES)}) "
            "nor a folder, glob or file that exists"
        )
    images = _image_files(found)
    if not images:
        for file in sorted(file for file in found if file.is_file() and not is_hidden(file)):
            if kind := foreign_kind(first_bytes(file)):
                raise InputError(f"{file}: not readable as an image: {kind}")
        raise InputError(
            f"source {text!r}: none of the {len(found)} files there is an image; "
            f"give a folder or a glob with {' '.join(IMAGE_SUFFIXES)}"
        )
    return images


def _image_files(paths: Iterable[Path]) -> list[Path]:
    wanted = (path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES and not is_hidden(path))
    return sorted(path for path in wanted if path.is_file())


def _file_items(files: list[Path]) -> list[Item]:
    """Names are file stems; those that collide keep their suffix, those that still do also their folders."""
    root = os.path.commonpath([file.absolute().parent for file in files])
    paths = [file.absolute().relative_to(root) for file in files]
    names = [path.stem for path in paths]
    for longer in (lambda path: path.name, lambda path: "__".join(path.parts)):
        count = Counter(names)
        names = [longer(path) if count[name] > 1 else name for name, path in zip(names, paths, strict=True)]
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise InputError(f"{times} files in {root} would all be called {name!r}; rename all but one")
    named = zip(names, files, strict=True)
    return [Item(name, str(file), functools.partial(read_pixels, file)) for name, file in named]


def _first_match(name: str, data_dir: str | os.PathLike | None, patterns: list[str]) -> Path:
    """The first path under data_dir that matches one of the patterns, tried in turn."""
    wanted = " or ".join(patterns)
    if data_dir is None:
        raise InputError(f"source {name!r} needs `data_dir`, the folder that has its {wanted}", needs=name)
    folder = Path(path_of(data_dir, "data_dir")).expanduser()
    for pattern in patterns:
        for path in sorted(path for path in folder.glob(pattern) if not is_hidden(path)):
            return path
    given = os.fspath(data_dir)
    raise InputError(
        f"source {name!r}: data_dir {given!r} has no {wanted}; give the `data_dir` that has it, or fetch it", needs=name
    )


def _data_set_items(name: str, data_dir: str | os.PathLike | None, role: str) -> list[Item]:
    """A folder of images, in the order and with the roles of its manifest.csv (columns file, role)."""
    folder = _first_match(name, data_dir, [f"{folder}/*" for folder in _FOLDERS[name]]).parent
    manifest = folder / "manifest.csv"
    if not manifest.exists():
        files = _image_files(folder.iterdir())
        if role != "test" or not files:
            lack = "no manifest.csv to say which images are of" if files else "no image, none of"
            raise InputError(f"{folder} has {lack} role {role!r}; fetch them anew", needs=name)
        return _file_items(files)
    rows = read_manifest(manifest)
    files = [folder / row["file"] for row in rows if (row.get("role") or "test") == role]
    if not files:
        roles = sorted({row.get("role") or "test" for row in rows})
        raise InputError(f"{manifest}: no image is of role {role!r}; there is {', '.join(roles) or 'none'}")
    for file in files:
        if not file.exists():
            raise InputError(f"{manifest} names {file.name}, which is missing; fetch it anew", needs=name)
    return _file_items(files)


def read_manifest(path: Path) -> list[dict[str, str]]:
    """The rows of a manifest.csv, by their column; each names a `file`.

    Raises:
        InputError: not a CSV file in UTF-8, or a row without a file.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # Excel begins a CSV file in UTF-8 with a mark
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeError, csv.Error) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not readable ({reason}); save it as CSV in UTF-8, separated by commas") from error
    if not all(row.get("file") for row in rows):
        raise InputError(f"{path}: a row names no file; it needs a column `file`, separated by commas")
    return rows


def _mnist_items(data_dir: str | os.PathLike | None, part: str) -> list[Item]:
    if part not in _MNIST_FILES:
        raise InputError(f"source 'mnist:{part}': the parts of MNIST are {', '.join(_MNIST_FILES)}")
    file = _MNIST_FILES[part]
    path = _first_match("mnist", data_dir, [file, f"{file}.gz", f"mnist/{file}", f"mnist/{file}.gz"])
    digits = read_idx_images(path)

    def read(i):
        return jpeg_pixels(digits[i]) if part == "jpeg" else digits[i]

    return [Item(f"mnist_{part}_{i:05d}", f"{path}, image {i}", functools.partial(read, i)) for i in range(len(digits))]


def read_idx_images(path: Path) -> np.ndarray:
    """uint8 [b, h, w] of an IDX file of images, plain or gzipped.

    Layout: magic number 0x00000803, then b, h and w as big-endian uint32, then the pixels row by row.

    Raises:
        InputError: unreadable, not an IDX file of images, truncated.
    """

    def damaged(what: str) -> InputError:
        return InputError(f"{path}: {what}; fetch it anew", needs="mnist")

    try:
        packed = first_bytes(path).startswith(b"\x1f\x8b")
        with (gzip.open if packed else open)(path, "rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(f"not readable ({' '.join(str(error).split())})") from error
    if len(content) > _MOST_BYTES:
        raise damaged(f"holds more than {_MOST_BYTES} bytes, no digits of MNIST")
    if content[:4] != b"\0\0\x08\x03":
        raise damaged(f"no IDX file of images, starts with 0x{content[:4].hex()} not 0x00000803")
    if len(content) < 16:
        raise damaged("truncated within its header")
    count, height, width = (int(size) for size in np.frombuffer(content, ">u4", count=3, offset=4))
    pixels = len(content) - 16
    if pixels != count * height * width or not count:
        raise damaged(
            f"truncated or damaged, its header says {count} images of {height}x{width}, it holds {pixels} pixels"
        )
    return np.frombuffer(content, np.uint8, offset=16).reshape(count, height, width)
