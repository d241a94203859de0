"""One image file -> its pixel values as stored, at their full bit depth; and what JPEG makes of pixels.

Pillow reads all formats offered, but keeps 8 bits only of a colour picture that has 16: those go other ways.
"""

import io
import math
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from csdip_jax.data import tiff
from csdip_jax.data.kinds import first_bytes, foreign_kind, refuse_many, require_pixels
from csdip_jax.types import InputError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pnm", ".bmp", ".npy")
_FORMATS = ("PNG", "JPEG", "WEBP", "PPM", "BMP")
_PLANES = 284  # TIFF tag
_JPEG_QUALITY = 75  # the default of libjpeg, of Pillow and of MATLAB


def read_pixels(path: Path) -> np.ndarray:
    """Reads PNG, JPEG, TIFF, WebP, PPM/PGM, BMP and .npy, told apart by content.

    A palette becomes colour. An alpha channel is dropped where it is opaque throughout and refused otherwise:
    what lies behind a transparent pixel is the user's to say. A picture is turned as its EXIF entry or its
    orientation tag says, as viewers do.

    Returns:
        [h, w] or [h, w, 3]: bool, uint8 or uint16; from TIFF also other integers and floats; from .npy
        whatever type the array has, and [h, w, 1] too.

    Raises:
        InputError: another kind of file, damage, several pictures, too many pixels, transparency, a kind of
            pixel that would lose bits or meaning.
    """
    try:
        head = first_bytes(path)
        foreign = foreign_kind(head)
        if foreign:
            raise InputError(f"{path}: not readable as an image: {foreign}")
        if head.startswith(b"\x93NUMPY"):
            pixels = read_npy(path)
            require_pixels(math.prod(pixels.shape[:2]), path)
            pixels = np.array(pixels)
        else:
            pixels = _without_opaque_alpha(
                _read_tiff(path) if head.startswith(tiff.SIGNATURES) else _read_image(path), path
            )
    except InputError:
        raise
    except Exception as error:  # decoders raise OSError, ValueError, SyntaxError, struct.error and more
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, (LookupError, TypeError, AttributeError, ArithmeticError)):  # they tell of the decoder
            reason = "its header contradicts itself"
        raise InputError(f"{path}: not readable as an image, damaged or of another kind: {reason}") from error
    if pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (1,), (3,)) or 0 in pixels.shape:
        raise InputError(f"{path}: an array {pixels.shape} is no image; use [h, w], [h, w, 1] or [h, w, 3]")
    return pixels


def jpeg_pixels(pixels: np.ndarray) -> np.ndarray:
    """What a JPEG file of quality 75 gives back of a grey picture, uint8 [h, w]."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=_JPEG_QUALITY)
    with Image.open(file) as image:
        return np.asarray(image)


def read_npy(path: str | os.PathLike) -> np.ndarray:
    """The array of a .npy file, its numbers still on the disk: a header that lies takes no memory.

    Raises:
        ValueError: not such a file, shorter than its header says, or of Python objects, which would run code
            that the file brings along.
        OSError: not readable.
    """
    try:
        with np.errstate(over="raise"):
            return np.lib.format.open_memmap(path, mode="r")
    except (ValueError, ArithmeticError) as error:
        if isinstance(error, ValueError) and "mmap" not in str(error):
            raise
        raise ValueError(f"its header says more numbers than its {os.path.getsize(path)} bytes hold") from error


def _read_image(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        # Pillow warns of odd metadata and of large pictures: neither touches the pixels.
        warnings.simplefilter("ignore")
        try:
            with Image.open(path, formats=_FORMATS) as image:
                refuse_many(1 if image.format == "MPO" else getattr(image, "n_frames", 1), path)
                pixels = _pillow_pixels(image, path)
            if image.format == "PNG":
                with Image.open(path, formats=("PNG",)) as whole:
                    whole.verify()  # the checksums, which decoding does not look at
            return pixels
        except Image.DecompressionBombError:
            require_pixels(math.inf, path)


def _pillow_pixels(image: Image.Image, path: Path) -> np.ndarray:
    """[h, w] or [h, w, 2 | 3 | 4] of an opened picture, at full depth."""
    form = image.format
    if form == "PNG" and str(image.tile[0][3]).endswith(";16B") and len(image.getbands()) > 1:
        return _png_pixels_16_bit(image, path)
    if form == "PPM" and image.mode == "RGB" and _ppm_maximum(image) > 255:
        return _ppm_pixels_16_bit(image, path)

    pixels = _grey_or_colour(image, path)
    if image.mode == "I":
        return pixels.astype(np.uint16)  # 16 bits at most; Pillow scales a 10- or 12-bit PGM up to 65535
    return pixels


def _grey_or_colour(image: Image.Image, path: Path) -> np.ndarray:
    """The pixels of an opened picture, turned, palettes and other colours as RGB."""
    image = ImageOps.exif_transpose(image)
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif image.mode in ("CMYK", "YCbCr"):
        image = image.convert("RGB")
    elif image.mode == "La":  # grey multiplied by its alpha, which has to be opaque anyway
        image = image.convert("LA")
    elif "transparency" in image.info:  # a PNG may name one colour as the transparent one
        image = image.convert("RGBA" if image.mode == "RGB" else "LA")
    if image.mode not in ("1", "L", "LA", "RGB", "RGBA", "F", "I") and not image.mode.startswith("I;16"):
        raise InputError(f"{path}: pixels of the kind {image.mode} are not read; save it as grey or RGB")
    return np.asarray(image)


def _png_pixels_16_bit(image: Image.Image, path: Path) -> np.ndarray:
    """uint16 [h, w, 3 | 4] of a PNG with 16-bit RGB or RGBA.

    Pillow has no such mode: of each two bytes it keeps one, and the raw mode of its decoder says which. So
    the file is decoded twice, for the high bytes as big-endian, for the low ones as if it were little-endian.
    """
    if image.tile[0][3] not in ("RGB;16B", "RGBA;16B") or "transparency" in image.info:
        raise InputError(f"{path}: this kind of 16-bit PNG with transparency is not read; save it without")
    halves = []
    for order in "BL":
        with Image.open(path, formats=("PNG",)) as half:
            half.tile = [(codec, box, offset, mode[:-1] + order) for codec, box, offset, mode in half.tile]
            halves.append(np.asarray(ImageOps.exif_transpose(half)).astype(np.uint16))
    return halves[0] * 256 + halves[1]


def _ppm_maximum(image: Image.Image) -> int:
    arguments = image.tile[0][3]  # (raw mode, maximum), or the raw mode alone where the maximum is 255
    return arguments[1] if isinstance(arguments, tuple) else 255


def _ppm_pixels_16_bit(image: Image.Image, path: Path) -> np.ndarray:
    """uint16 [h, w, 3] of a PPM deeper than 8 bits, scaled up to 65535 as Pillow does with grey ones."""
    codec, _, offset, (_, maximum) = image.tile[0]
    if codec != "ppm":
        raise InputError(f"{path}: a 16-bit colour PPM in plain text is not read; save it as PNG or TIFF")
    count = image.height * image.width * 3
    values = np.fromfile(path, dtype=">u2", count=count, offset=offset)
    if values.size < count or values.max() > maximum:
        raise InputError(f"{path}: truncated or damaged, not {count} values up to {maximum}; get it anew")
    return np.rint(values * (65535 / maximum)).astype(np.uint16).reshape(image.height, image.width, 3)


def _read_tiff(path: Path) -> np.ndarray:
    """[h, w] or [h, w, 2 | 3 | 4] of a TIFF: 8 bits by Pillow, others by tifffile, or the other way where one cannot.

    What Pillow reads is looked at by tifffile before: Pillow drops channels, and takes signed pixels for unsigned.
    """
    with tiff.opened(path) as page:
        shallow = page.dtype in (np.uint8, np.bool_)
        if shallow:
            try:
                return _tiff_by_pillow(path, np.uint8)
            except Image.UnidentifiedImageError:
                pass
        if page.photometric not in tiff.PLAIN:
            raise InputError(f"{path}: TIFF pixels of the kind {page.photometric.name} are not read; use RGB")
        pixels = tiff.pixels(page, path)
        if pixels is None:
            try:
                pixels = _tiff_by_pillow(path, page.dtype)
            except (Image.UnidentifiedImageError, ValueError):
                kind = f"{page.dtype}, {page.compression.name}"
                raise InputError(f"{path}: TIFF ({kind}) needs a package: pip install imagecodecs") from None
        return tiff.white_is_largest(pixels, page, path)


def _tiff_by_pillow(path: Path, dtype: np.dtype) -> np.ndarray:
    """A TIFF whose pixels are of a dtype, upright; ValueError where Pillow would keep some of their bits only."""
    # Given the name, Pillow maps the file into memory, and scrambles a picture that is to be turned.
    with warnings.catch_warnings(), path.open("rb") as file:
        warnings.simplefilter("ignore")
        with Image.open(file, formats=("TIFF",)) as image:
            ((_, _, _, (mode, *_)), *_), order = image.tile, image.tag_v2.prefix
            if image.mode in ("I", "F") and order != tiff.NATIVE and not mode.endswith("N"):
                raise ValueError("libtiff turned the bytes to the machine's order, and Pillow turns them once more")
            if len(image.getbands()) == 1 or dtype == np.uint8:
                pixels = _grey_or_colour(image, path)
                return pixels if pixels.dtype == bool else pixels.astype(dtype)  # Pillow takes int8 for uint8
            return _tiff_halves(file)


def _tiff_halves(file: io.BufferedReader) -> np.ndarray:
    """uint16 [h, w, 3 | 4] of a compressed TIFF, decoded twice as in `_png_pixels_16_bit`."""
    halves = []
    for order in "LB" if tiff.NATIVE == b"II" else "BL":  # libtiff gives the machine's order: high bytes first
        file.seek(0)
        with Image.open(file, formats=("TIFF",)) as half:
            (tile,) = half.tile
            codec, box, offset, (mode, *more) = tile
            if not mode.endswith(";16N") or half.tag_v2.get(_PLANES, 1) != 1:
                raise ValueError(f"{mode} is not of 16 bits, or of planes that Pillow mixes up")
            make = getattr(tile, "_make", tuple)  # older versions of Pillow have a plain tuple
            half.tile = [make((codec, box, offset, (mode[:-1] + order, *more)))]
            half.load()
            halves.append(np.asarray(half).astype(np.uint16))
    return halves[0] * 256 + halves[1]


def _without_opaque_alpha(pixels: np.ndarray, path: Path) -> np.ndarray:
    if pixels.ndim != 3 or pixels.shape[2] not in (2, 4):
        return pixels
    opaque = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
    if (pixels[..., -1] != opaque).any():
        raise InputError(f"{path}: has transparent pixels; flatten it onto a background colour first")
    return pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :3]
