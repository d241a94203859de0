"""What a TIFF holds, and its pixels by tifffile with imagecodecs; those that Pillow decodes are for `decode`."""

import contextlib
import logging
import lzma
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tifffile
from tifffile import COMPRESSION, PHOTOMETRIC, PLANARCONFIG

from csdip_jax.data.file_kinds import refuse_many, require_pixels
from csdip_jax.types import InputError

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PLAIN = (PHOTOMETRIC.RGB, PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE)
_COLOURS: dict[int, int] = {
    PHOTOMETRIC.RGB: 3,
    PHOTOMETRIC.YCBCR: 3,
    PHOTOMETRIC.CIELAB: 3,
    PHOTOMETRIC.SEPARATED: 4,
}  # else one
_STDERR = threading.RLock()  # two threads that exchange it at once would leave it exchanged
_ALPHA = (1, 2)  # in the tag ExtraSamples
_INFLATERS: dict[int, Callable] = {
    COMPRESSION.ADOBE_DEFLATE: zlib.decompressobj,
    COMPRESSION.DEFLATE: zlib.decompressobj,
    COMPRESSION.LZMA: lzma.LZMADecompressor,
}
# Others are pictures within the picture, whose own headers take what memory they like.
_STREAMS = {COMPRESSION.NONE, COMPRESSION.LZW, COMPRESSION.PACKBITS, COMPRESSION.ZSTD, *_INFLATERS}


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tifffile.TiffPage]:
    """The one picture of a TIFF. Nothing is printed meanwhile: an error raised is enough.

    Raises:
        InputError: what its tags say is several pictures, too many pixels, channels without a meaning, a part
            that is missing.
    """
    with quiet(), tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        require_pixels(max(page.imagewidth * page.imagelength, page.tilewidth * page.tilelength), path)
        if not page.size or page.dtype is None or (page.dtype == bool and page.samplesperpixel > 1):
            raise InputError(f"{path}: not readable as an image: a TIFF of no known kind of pixel; save it anew")
        refuse_many(_count(tiff, page), path)
        extra = page.samplesperpixel - _COLOURS.get(page.photometric, 1)
        if extra > 1 or (extra == 1 and (*page.extrasamples, 0)[0] not in _ALPHA):
            raise InputError(
                f"{path}: has {page.samplesperpixel} channels, {extra} of them neither colour nor alpha as its tag "
                "ExtraSamples says; save one channel alone, or RGB"
            )
        ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
        if 0 in page.databytecounts or max(ends) > tiff.filehandle.size:
            raise InputError(
                f"{path}: not readable as an image: truncated, a part of its pixels is missing; get it anew"
            )
        yield page


def _count(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> int:
    """How many pictures a file holds, or says that it holds."""
    # ImageJ and others keep a stack under one directory; OME counts the pictures of other files too.
    stacked = 1 if tiff.is_ome else tiff.series[0].size // page.size
    told = (tiff.imagej_metadata or {}).get("images", 1)
    return max(len(tiff.pages), stacked, told, page.imagedepth, 1 + _goes_on(tiff, page))


def _goes_on(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> bool:
    """Whether a directory names a next one; in a truncated stack it is not there, and tifffile counts one picture."""
    file, form = tiff.filehandle, tiff.tiff
    file.seek(page.offset)
    (tags,) = struct.unpack(form.tagnoformat, file.read(form.tagnosize))
    file.seek(tags * form.tagsize, os.SEEK_CUR)
    (following,) = struct.unpack(form.offsetformat, file.read(form.offsetsize))
    return following not in (0, page.offset)


def pixels(page: tifffile.TiffPage, path: Path) -> np.ndarray:
    """[h, w] or [h, w, c], grey or RGB with or without alpha, upright, the largest value being white."""
    if page.photometric not in _PLAIN:
        raise InputError(f"{path}: TIFF pixels of the kind {_name(page.photometric)} are not read; use RGB")
    if page.compression not in _STREAMS:
        kind = f"{page.dtype}, {_name(page.compression)}"
        raise InputError(f"{path}: TIFF compressed so ({kind}) is not read; save it by LZW or deflate")
    _require_modest(page, path)
    stored = page.asarray()
    if stored.ndim == 3 and page.planarconfig == PLANARCONFIG.SEPARATE:
        stored = np.moveaxis(stored, 0, -1)
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        if stored.dtype.kind != "u":
            raise InputError(f"{path}: TIFF where 0 is white, of {stored.dtype}: not read; save it with 0 as black")
        stored = (2**page.bitspersample - 1) - stored
    return upright(stored, page.tags.valueof("Orientation"))


def _name(value: int) -> str:
    """Of a tag's value, which is a plain number where tifffile knows no name for it."""
    return getattr(value, "name", str(value))


def upright(stored: np.ndarray, orientation: int | None) -> np.ndarray:
    """Rows and columns exchanged (5 to 8), rows turned round, columns turned round, as the tag Orientation says."""
    if orientation in (5, 6, 7, 8):
        stored = stored.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        stored = stored[::-1]
    if orientation in (2, 3, 6, 7):
        stored = stored[:, ::-1]
    return stored


def _require_modest(page: tifffile.TiffPage, path: Path) -> None:
    """InputError for a part that unpacks to more than the picture: tifffile would take all the memory it asks for."""
    inflater = _INFLATERS.get(page.compression)
    if inflater is None:
        return
    most = page.nbytes + page.tilewidth * page.tilelength * page.samplesperpixel * np.dtype(page.dtype).itemsize
    for start, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        page.parent.filehandle.seek(start)
        if len(inflater().decompress(page.parent.filehandle.read(count), most + 1)) > most:
            raise InputError(
                f"{path}: not readable as an image: unpacks to more than its {page.nbytes} bytes of pixels"
            )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drops tifffile's log and the lines that libraries write to stderr by themselves; one thread at a time."""
    logger = logging.getLogger("tifffile")
    with _STDERR, contextlib.ExitStack() as stack:
        level = logger.level
        logger.setLevel(logging.CRITICAL + 1)
        stack.callback(logger.setLevel, level)
        with contextlib.suppress(OSError):  # no stderr, nothing to drop
            stderr = os.dup(2)
            stack.callback(os.close, stderr)
            stack.callback(os.dup2, stderr, 2)
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
        yield
